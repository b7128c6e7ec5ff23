package dev.intarsia.engine;

import dev.intarsia.EngineClosedException;
import dev.intarsia.EngineInfo;
import dev.intarsia.EngineOptions;
import dev.intarsia.EngineStats;
import dev.intarsia.FinishReason;
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
import dev.intarsia.text.Tokenizer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Function;

/**
 * An engine: one platform thread that owns the model and makes every native call, one for what callers get, and the
 * queues through which callers on any thread reach them.
 */
public final class EngineCore implements AutoCloseable {
    private static final System.Logger LOG = System.getLogger("dev.intarsia");
    private static final AtomicInteger COUNT = new AtomicInteger();
    private static final long[] NO_ROOT = {0, 0};
    private static final int CANCELLATIONS = 256; // between two steps, so that no number of callers who give up holds up the others
    private static final int MOST_IDS = 1 << 20; // of one parameter

    private final Path origin;
    private final int maxQueued;
    private final Meters meters = new Meters();
    private final Queue<Request> arrivals = new ConcurrentLinkedQueue<>();
    private final Queue<Request> cancelled = new ConcurrentLinkedQueue<>();
    private final Queue<Sequence> stopped = new ConcurrentLinkedQueue<>();
    private final AtomicLong arrivalCount = new AtomicLong();
    private final Thread thread;
    private final Tokenizer tokenizer; // null if the checkpoint has none
    private final GenerationConfig generation;
    private final EngineInfo info;
    private final LoadedModel model;
    private final Object ends = new Object(); // told when the last open request ends
    private final AtomicInteger open = new AtomicInteger(); // requests that have not ended
    private volatile StepLoop loop; // the engine's thread's own
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
        maxQueued = options.maxQueued();
        CompletableFuture<LoadedModel> loaded = new CompletableFuture<>();
        String name = "intarsia-engine-" + COUNT.incrementAndGet();
        thread = Thread.ofPlatform()
                .name(name)
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

    // --------------------------------------------------------------------------------------------- the engine's thread

    private void serve(WeightSource source, EngineOptions options, CompletableFuture<LoadedModel> loaded) {
        try (LoadedModel opened = LoadedModel.open(source, options)) {
            List<Request> left = List.of();
            String name = Thread.currentThread().getName() + "-outputs";
            try (Outputs outputs = new Outputs(name, tokenizer, new FromOutputs())) {
                loop = opened.loop(meters, outputs::post);
                loaded.complete(opened);
                try {
                    serve(outputs);
                } catch (Throwable failure) {
                    broken = failure;
                }
                closing = true;
                left = List.copyOf(loop.requests());
                loop.abandon();
            } finally {
                left.forEach(this::fail); // who streams has got all that was sampled
            }
        } catch (Throwable failure) {
            broken = broken == null ? failure : broken;
            loaded.completeExceptionally(failure);
        } finally {
            closing = true;
            failArrivals();
        }
    }

    private void serve(Outputs outputs) {
        while (!closing) {
            arrive();
            for (Sequence sequence = stopped.poll(); sequence != null; sequence = stopped.poll()) {
                loop.end(sequence, FinishReason.STOP);
            }
            Request unwanted = null;
            for (int i = 0; i < CANCELLATIONS && (unwanted = cancelled.poll()) != null; i++) {
                arrive(); // it may have come after the look above
                loop.cancel(unwanted, FinishReason.CANCELLED);
            }
            loop.expire();
            boolean idle = !loop.step();
            outputs.flush();
            if (idle) {
                await();
            }
        }
    }

    private void arrive() {
        for (Request request = arrivals.poll(); request != null; request = arrivals.poll()) {
            loop.add(request);
        }
    }

    private void await() {
        while (arrivals.isEmpty() && stopped.isEmpty() && cancelled.isEmpty() && !closing) {
            LockSupport.park(this);
        }
    }

    private void failArrivals() {
        for (Request request = arrivals.poll(); request != null; request = arrivals.poll()) {
            meters.waitingRequests.getAndDecrement();
            fail(request);
        }
    }

    private void fail(Request request) {
        request.answer.fail(closed(), () -> ended(meters.failed));
    }

    private void ended(AtomicLong counter) {
        counter.incrementAndGet();
        left();
    }

    private void left() {
        if (open.decrementAndGet() == 0) {
            synchronized (ends) {
                ends.notifyAll();
            }
        }
    }

    /** On the outputs' thread. */
    private final class FromOutputs implements Outputs.Events {
        @Override
        public void stopped(Sequence sequence) {
            stopped.add(sequence);
            LockSupport.unpark(thread);
        }

        @Override
        public void failed(Request request) {
            EngineCore.this.ended(meters.failed);
            cancel(request);
        }

        @Override
        public void ended(FinishReason reason) {
            EngineCore.this.ended(
                    switch (reason) {
                        case CANCELLED -> meters.cancelled;
                        case DEADLINE -> meters.expired;
                        default -> meters.finished;
                    });
        }
    }

    private EngineClosedException closed() {
        return broken == null
                ? new EngineClosedException("the engine is closed; open another one")
                : new EngineClosedException("the engine closed itself after a failure: " + broken, broken);
    }

    // ------------------------------------------------------------------------------------------------------ any thread

    /**
     * Takes a request in.
     *
     * @param streamed whether tokens will be asked for one by one; else only the completion is
     * @throws EngineClosedException if the engine is closed
     * @throws QueueFullException if too many requests wait
     */
    public TokenStream submit(GenerationRequest request, SamplingParams params, boolean streamed) {
        int[] prompt = request.text().map(this::encode).orElseGet(
                () -> request.tokens().stream().mapToInt(Integer::intValue).toArray());
        checkPrompt(prompt, info.maxModelLen() - 1);
        return enqueue(new Request.Asked(
                prompt,
                checked(params),
                request.priority(),
                request.deadline().map(Duration::toNanos).orElse(Request.NEVER),
                root(request.cacheSalt()),
                false,
                streamed));
    }

    /** Logits of the last position, {@code [vocabulary]}; waits for them. */
    public float[] logits(int[] prompt) {
        checkPrompt(prompt, info.maxModelLen());
        return enqueue(new Request.Asked(prompt, SamplingParams.greedy(1), 0, Request.NEVER, root(""), true, false))
                .logits();
    }

    private long[] root(String salt) {
        return model.prefixes().map(cache -> cache.root(salt)).orElse(NO_ROOT);
    }

    private Answer enqueue(Request.Asked asked) {
        checkTakes(); // a storm of refused calls does not touch the count that the draining waits for
        open.incrementAndGet(); // before the second look, so that who drains does not miss what is taken
        try {
            checkTakes();
            if (meters.waitingRequests.getAndIncrement() >= maxQueued) {
                meters.waitingRequests.getAndDecrement();
                meters.rejected.incrementAndGet();
                throw new QueueFullException(maxQueued);
            }
        } catch (RuntimeException refused) {
            left();
            throw refused;
        }
        long seed = asked.params().seed().orElseGet(() -> ThreadLocalRandom.current().nextLong());
        Request request = new Request(asked, arrivalCount.getAndIncrement(), seed);
        request.answer.accepted(this::cancel);
        meters.accepted.incrementAndGet();
        arrivals.add(request);
        LockSupport.unpark(thread);
        if (closing) { // the loop may have looked at the queue for the last time before this request was in it
            failArrivals();
        }
        return request.answer;
    }

    private void checkTakes() {
        if (closing || draining) {
            throw closed();
        }
    }

    private void cancel(Request request) {
        cancelled.add(request);
        LockSupport.unpark(thread);
    }

    public EngineStats stats() {
        return meters.stats(info.kvBlocks());
    }

    /** Takes nothing more and waits for what was taken; returns whether all of it ended by itself. */
    public boolean drain(Duration grace) {
        draining = true;
        long start = System.nanoTime();
        long allowed = grace.isNegative() ? 0 : TimeUnit.NANOSECONDS.convert(grace);
        boolean drained = false;
        try {
            synchronized (ends) {
                drained = open.get() == 0; // once seen it holds: what is counted later is refused
                for (long left = allowed; !drained && left > 0; left = allowed - (System.nanoTime() - start)) {
                    TimeUnit.NANOSECONDS.timedWait(ends, left);
                    drained = open.get() == 0;
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        return drained && !closing;
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

    /** The parameters with words as token ids. What they alone could not know is refused: the vocabulary, and whether there is a tokenizer. */
    private SamplingParams checked(SamplingParams given) {
        checkStrings("stop", given.stop());
        checkStrings("badWords", given.badWords());
        SamplingParams params = given.badWords().isEmpty() ? given : withBadWordsAsTokens(given);
        checkIds("allowedTokenIds", params.allowedTokenIds());
        checkIds("logitBias", params.logitBias().keySet());
        checkIds("stopTokenIds", params.stopTokenIds());
        checkIds("badWordsTokenIds", params.badWordsTokenIds().stream().flatMap(List::stream).toList());
        return params;
    }

    private SamplingParams withBadWordsAsTokens(SamplingParams params) {
        List<List<Integer>> tokens = new ArrayList<>(params.badWordsTokenIds());
        tokens.addAll(tokenized(open -> BadWords.tokens(params.badWords(), open)));
        return params.toBuilder().badWords().badWordsTokenIds(tokens).build();
    }

    private void checkStrings(String name, List<String> strings) {
        if (tokenizer == null && !strings.isEmpty()) {
            throw new IllegalArgumentException(
                    name + " is " + strings + ", but there is no text to look for it in: the checkpoint has no tokenizer.json");
        }
    }

    private void checkIds(String name, Collection<Integer> ids) {
        if (ids.size() > MOST_IDS) {
            throw new IllegalArgumentException(name + " has " + ids.size() + " ids; it may have at most " + MOST_IDS);
        }
        for (int id : ids) {
            if (id >= info.vocabulary()) {
                throw new IllegalArgumentException(
                        name + " has " + id + ", not in the vocabulary 0.." + (info.vocabulary() - 1));
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
        return tokenized(open -> open.encode(text));
    }

    private <T> T tokenized(Function<Tokenizer, T> call) {
        try {
            return call.apply(tokenizer);
        } catch (IllegalStateException e) { // the engine, and so the tokenizer, was closed meanwhile
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

    /** For tests, which change what a step runs. */
    StepLoop loop() {
        return loop;
    }

    /** For tests. */
    LoadedModel model() {
        return model;
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
        LockSupport.unpark(thread);
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
