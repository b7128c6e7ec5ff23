package dev.intarsia.engine;

import dev.intarsia.EngineClosedException;
import dev.intarsia.EngineInfo;
import dev.intarsia.EngineOptions;
import dev.intarsia.EngineStats;
import dev.intarsia.GenerationRequest;
import dev.intarsia.IntarsiaException;
import dev.intarsia.QueueFullException;
import dev.intarsia.SamplingParams;
import dev.intarsia.TokenStream;
import dev.intarsia.checkpoint.Checkpoint;
import dev.intarsia.checkpoint.GenerationConfig;
import dev.intarsia.checkpoint.RandomWeights;
import dev.intarsia.checkpoint.WeightSource;
import dev.intarsia.inspect.ModelReport;
import dev.intarsia.piecewise.CompilationState;
import dev.intarsia.runtime.NativeException;
import dev.intarsia.text.IncrementalDecoder;
import dev.intarsia.text.Tokenizer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * An engine: one platform thread that owns the model and makes every native call, and the queue through which callers on any
 * thread reach it. Requests run one after the other.
 */
public final class EngineCore implements AutoCloseable {
    private static final System.Logger LOG = System.getLogger("dev.intarsia");
    private static final AtomicInteger COUNT = new AtomicInteger();
    private static final Request WAKE_UP = new Request(new int[0], SamplingParams.defaults(), 0, true);

    private final Path origin;
    private final Meters meters = new Meters();
    private final BlockingQueue<Request> queue;
    private final Thread thread;
    private final Tokenizer tokenizer; // null if the checkpoint has none
    private final GenerationConfig generation;
    private final EngineInfo info;
    private final LoadedModel model;
    private volatile boolean closing;
    private volatile boolean draining;
    private volatile Throwable broken;

    /** A checkpoint directory, with its tokenizer if it has one. */
    public static EngineCore open(Path directory, EngineOptions options) {
        try (Checkpoint checkpoint = Checkpoint.open(directory)) {
            Tokenizer tokenizer = Files.exists(directory.resolve("tokenizer.json")) ? Tokenizer.open(directory) : null;
            return new EngineCore(directory, checkpoint, tokenizer, options);
        }
    }

    /** A model of the shape that a {@code config.json} describes, with random weights and no tokenizer. */
    public static EngineCore openRandom(Path config, long seed, EngineOptions options) {
        try (RandomWeights weights = RandomWeights.of(config, seed)) {
            return new EngineCore(config, weights, null, options);
        }
    }

    /**
     * Loads and compiles on the engine's thread; returns when the engine can serve.
     *
     * @param origin    what was opened
     * @param source    not needed any more then; the caller closes it
     * @param tokenizer closed with the engine; null if there is none
     */
    private EngineCore(Path origin, WeightSource source, Tokenizer tokenizer, EngineOptions options) {
        this.origin = origin;
        this.tokenizer = tokenizer;
        generation = source.generation();
        queue = new ArrayBlockingQueue<>(options.maxQueued());
        CompletableFuture<LoadedModel> loaded = new CompletableFuture<>();
        thread = Thread.ofPlatform()
                .name("intarsia-engine-" + COUNT.incrementAndGet())
                .daemon(true)
                .start(() -> serve(source, options, loaded));
        try {
            model = loaded.join();
        } catch (CompletionException e) {
            closeTokenizer();
            switch (e.getCause()) {
                case RuntimeException cause -> throw cause;
                case Error cause -> throw cause;
                default -> throw e;
            }
        }
        info = model.info();
        LOG.log(System.Logger.Level.INFO, () -> Opened.line(info, model.compilation()));
        model.compilation().events().forEach(event -> LOG.log(System.Logger.Level.INFO, event::toString));
    }

    // ------------------------------------------------------------------------------------------------ the engine's thread

    private void serve(WeightSource source, EngineOptions options, CompletableFuture<LoadedModel> loaded) {
        try (LoadedModel opened = LoadedModel.open(source, options)) {
            loaded.complete(opened);
            while (!closing) {
                Request request = queue.take();
                if (request != WAKE_UP) {
                    serve(opened, request);
                }
            }
        } catch (Throwable failure) {
            broken = failure;
            loaded.completeExceptionally(failure);
        } finally {
            closing = true;
            failWaiting();
        }
    }

    /** What the request itself brought about ends it alone; an Error ends the engine. */
    private void serve(LoadedModel opened, Request request) {
        meters.running.set(1);
        try {
            IncrementalDecoder decoder =
                    tokenizer == null || request.logitsOnly() ? null : new IncrementalDecoder(tokenizer);
            opened.generation().run(request, decoder, () -> {
                if (closing) {
                    throw closed();
                }
                return request.cancelled();
            });
            request.count(meters);
        } catch (RuntimeException failure) {
            request.fail(failure);
        } catch (Error failure) {
            request.fail(failure);
            throw failure;
        } finally {
            meters.running.set(0);
        }
    }

    private void failWaiting() {
        for (Request request = queue.poll(); request != null; request = queue.poll()) {
            request.fail(closed());
        }
    }

    private EngineClosedException closed() {
        return broken == null
                ? new EngineClosedException("the engine is closed; open another one")
                : new EngineClosedException("the engine closed itself after a failure: " + broken, broken);
    }

    // -------------------------------------------------------------------------------------------------------- any thread

    /** @throws EngineClosedException if the engine is closed */
    public TokenStream submit(GenerationRequest asked, SamplingParams params) {
        int[] prompt = asked.text().map(this::encode).orElseGet(
                () -> asked.tokens().stream().mapToInt(Integer::intValue).toArray());
        checkPrompt(prompt, info.maxModelLen() - 1);
        return enqueue(new Request(
                prompt, params, params.seed().orElseGet(() -> ThreadLocalRandom.current().nextLong()), false));
    }

    /** Logits of the last position, {@code [vocabulary]}; waits for them. */
    public float[] logits(int[] prompt) {
        checkPrompt(prompt, info.maxModelLen());
        return enqueue(new Request(prompt, SamplingParams.greedy(1), 0, true)).logits();
    }

    private Request enqueue(Request request) {
        if (closing || draining) {
            throw closed();
        }
        if (!queue.offer(request)) {
            meters.rejected.incrementAndGet();
            throw new QueueFullException(queue.size());
        }
        meters.accepted.incrementAndGet();
        if (closing) { // the loop may have looked at the queue for the last time before this request was in it
            failWaiting();
        }
        return request;
    }

    public EngineStats stats() {
        meters.waiting.set(queue.size());
        return meters.stats(info.kvBlocks());
    }

    /** Takes nothing more and waits for what was taken; returns whether all of it ended by itself. */
    public boolean drain(Duration grace) {
        draining = true;
        long end = System.nanoTime() + grace.toNanos();
        try {
            while (!queue.isEmpty() || meters.running.get() > 0) {
                if (System.nanoTime() >= end || closing) {
                    return false;
                }
                Thread.sleep(1);
            }
            return true;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return false;
        }
    }

    private void checkPrompt(int[] prompt, int most) {
        if (closing) {
            throw closed();
        }
        if (prompt.length == 0) {
            throw new IllegalArgumentException("the prompt has no tokens; it needs at least one");
        }
        if (prompt.length > most) {
            throw new IllegalArgumentException("the prompt has " + prompt.length + " tokens, but maxModelLen "
                    + info.maxModelLen() + " leaves room for at most " + most);
        }
        for (int i = 0; i < prompt.length; i++) {
            if (prompt[i] < 0 || prompt[i] >= info.vocabulary()) {
                throw new IllegalArgumentException("token " + i + " of the prompt is " + prompt[i]
                        + ", not in the vocabulary 0.." + (info.vocabulary() - 1));
            }
        }
    }

    /** @throws IntarsiaException if the checkpoint has no tokenizer */
    public int[] encode(String text) {
        if (closing) {
            throw closed();
        }
        if (tokenizer == null) {
            throw new IntarsiaException("the checkpoint has no tokenizer.json; give the prompt as token ids");
        }
        try {
            return tokenizer.encode(text);
        } catch (IllegalStateException e) { // the tokenizer was closed after the look above
            throw closed();
        }
    }

    /** The checkpoint directory or configuration file that was opened. */
    public Path origin() {
        return origin;
    }

    public boolean hasTokenizer() {
        return tokenizer != null;
    }

    public GenerationConfig generation() {
        return generation;
    }

    public EngineInfo info() {
        return info;
    }

    public CompilationState compilation() {
        return model.compilation();
    }

    /** @throws EngineClosedException if the engine is closed */
    public ModelReport inspect() {
        if (closing) {
            throw closed();
        }
        try {
            return model.inspect();
        } catch (IllegalStateException | NativeException e) {
            throw closing ? closed() : e; // the handles may have been closed meanwhile
        }
    }

    /** Ends the running request and those that wait with {@link EngineClosedException}, and releases all memory. */
    @Override
    public void close() {
        closing = true;
        queue.offer(WAKE_UP); // a full queue wakes the thread by itself
        boolean interrupted = false;
        while (thread.isAlive() && Thread.currentThread() != thread) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        closeTokenizer();
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private void closeTokenizer() {
        if (tokenizer != null) {
            tokenizer.close();
        }
    }
}
