package dev.intarsia;

import dev.intarsia.checkpoint.GenerationConfig;
import dev.intarsia.engine.EngineCore;
import dev.intarsia.inspect.ModelReport;
import dev.intarsia.piecewise.CompilationState;
import java.lang.ref.Cleaner;
import java.lang.ref.Reference;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Flow;

/**
 * A language model inside this JVM. Opening loads and compiles everything; after that any number of threads, virtual
 * ones too, may call it, and their requests share steps. The same prompt, parameters and seed give the same tokens,
 * however the engine was configured to compile and schedule.
 *
 * <p>Close it when it is not needed any more. One that is dropped instead, with all its streams, is closed when the
 * garbage collector finds it, and a warning is logged.
 *
 * {@snippet :
 * try (Engine engine = Engine.open(Path.of("models/holmes"))) {
 *     Completion completion = engine.generate("Once upon a time", SamplingParams.greedy(32));
 *     System.out.println(completion.text());
 * }
 * }
 *
 * <p>Every method but {@link #info()}, {@link #compilation()}, {@link #hasTokenizer()}, {@link
 * #defaultSamplingParams()}, {@link #stats()} and {@link #close()} throws {@link EngineClosedException} once the
 * engine is closed.
 */
public final class Engine implements AutoCloseable {
    private static final Cleaner CLEANER = Cleaner.create();

    private final EngineCore core;
    private final Dropped dropped;
    private final Cleaner.Cleanable cleanable;

    private Engine(EngineCore core) {
        this.core = core;
        dropped = new Dropped(core);
        cleanable = CLEANER.register(this, dropped);
    }

    /** Opens a Hugging Face checkpoint directory with the default options. */
    public static Engine open(Path model) {
        return open(model, EngineOptions.defaults());
    }

    /**
     * Opens a Hugging Face checkpoint directory: {@code config.json}, {@code *.safetensors}, and, where texts are to
     * be used, {@code tokenizer.json}. Files are not needed any more once this returns.
     *
     * @throws CheckpointException if the directory cannot be read or its model cannot be served
     * @throws IllegalArgumentException if an option does not fit the model
     * @throws NativeLibraryException if the native library cannot be loaded
     */
    public static Engine open(Path model, EngineOptions options) {
        return new Engine(EngineCore.open(
                Objects.requireNonNull(model, "model"), Objects.requireNonNull(options, "options")));
    }

    /**
     * Opens a model of the shape that a {@code config.json} describes, with weights drawn at random: for measuring and
     * for looking at a model without having its weights. The same seed gives the same weights. There is no tokenizer:
     * prompts are token ids.
     *
     * @param config a configuration file as it lies in a checkpoint directory
     * @throws CheckpointException if the file cannot be read or such a model cannot be served
     * @throws IllegalArgumentException if an option does not fit the model
     * @throws NativeLibraryException if the native library cannot be loaded
     */
    public static Engine openRandom(Path config, long seed, EngineOptions options) {
        return new Engine(EngineCore.openRandom(
                Objects.requireNonNull(config, "config"), seed, Objects.requireNonNull(options, "options")));
    }

    /** Continues a text as the checkpoint asks to be sampled; waits for the end. */
    public Completion generate(String prompt) {
        return generate(GenerationRequest.builder(prompt).build());
    }

    /** Continues a text; waits for the end. */
    public Completion generate(String prompt, SamplingParams params) {
        return generate(GenerationRequest.of(prompt, params));
    }

    /** Continues token ids, which need no tokenizer; waits for the end. */
    public Completion generate(List<Integer> promptTokens, SamplingParams params) {
        return generate(GenerationRequest.of(promptTokens, params));
    }

    /**
     * Continues a prompt; waits for the end. An interrupt cancels it and throws {@link IntarsiaException}.
     *
     * @throws IllegalArgumentException if the prompt is empty or longer than the engine's maxModelLen allows
     * @throws QueueFullException if too many requests wait already
     */
    public Completion generate(GenerationRequest request) {
        return open(request, false).completion();
    }

    /**
     * Continues many prompts and waits for the end of all; they share steps, as any requests do. There may be more of
     * them than the queue has places: the rest waits here. If one fails, or the thread is interrupted, the others are
     * cancelled.
     *
     * @return the completions in the order of the requests
     * @throws IllegalArgumentException if a prompt is empty or longer than the engine's maxModelLen allows
     * @throws QueueFullException if others hold every place of the queue
     */
    public List<Completion> generateAll(List<GenerationRequest> requests) {
        Objects.requireNonNull(requests, "requests");
        List<Completion> completions = new ArrayList<>(Collections.nCopies(requests.size(), null));
        ArrayDeque<TokenStream> open = new ArrayDeque<>();
        int done = 0;
        try {
            for (GenerationRequest request : requests) {
                while (true) {
                    try {
                        open.add(open(request, false));
                        break;
                    } catch (QueueFullException full) {
                        if (open.isEmpty()) {
                            throw full;
                        }
                        completions.set(done++, open.remove().completion());
                    }
                }
            }
            while (!open.isEmpty()) {
                completions.set(done++, open.remove().completion());
            }
            return Collections.unmodifiableList(completions);
        } finally {
            open.forEach(TokenStream::close);
        }
    }

    /** Continues a text; tokens can be taken as they are sampled. */
    public TokenStream stream(String prompt, SamplingParams params) {
        return stream(GenerationRequest.of(prompt, params));
    }

    /** Continues token ids; tokens can be taken as they are sampled. */
    public TokenStream stream(List<Integer> promptTokens, SamplingParams params) {
        return stream(GenerationRequest.of(promptTokens, params));
    }

    /**
     * Continues a prompt; tokens can be taken as they are sampled. Closing the stream cancels the rest. The engine
     * does not wait for whoever reads: what was sampled is kept until it is taken.
     *
     * @throws IllegalArgumentException if the prompt is empty or longer than the engine's maxModelLen allows
     * @throws QueueFullException if too many requests wait already
     */
    public TokenStream stream(GenerationRequest request) {
        return open(request, true);
    }

    /**
     * Continues a prompt in the background. Cancelling the future, or completing it otherwise, cancels the request. It
     * fails with {@link EngineClosedException} if the engine is closed meanwhile. What depends on it runs on a virtual
     * thread.
     *
     * @throws IllegalArgumentException if the prompt is empty or longer than the engine's maxModelLen allows
     * @throws QueueFullException if too many requests wait already
     */
    public CompletableFuture<Completion> submit(GenerationRequest request) {
        return Submission.of(open(request, false));
    }

    /**
     * Continues a prompt anew for each subscriber, which gets as many tokens as it asks for, when it asks, on a
     * virtual thread. What {@link #stream} would throw it gets as an error. A subscriber that throws cancels its
     * request.
     */
    public Flow.Publisher<Token> publish(GenerationRequest request) {
        Objects.requireNonNull(request, "request");
        return new Publication(() -> open(request, true));
    }

    private TokenStream open(GenerationRequest request, boolean streamed) {
        Objects.requireNonNull(request, "request");
        return new Held(core.submit(request, request.params().orElseGet(this::defaultSamplingParams), streamed), this);
    }

    /** For tests. */
    EngineCore core() {
        return core;
    }

    /** What the engine does now and has done since it was opened. */
    public EngineStats stats() {
        return core.stats();
    }

    /** The logits that follow the last of these tokens: f32, one for each id of the vocabulary. */
    public float[] logits(List<Integer> tokens) {
        try {
            return core.logits(ids(Objects.requireNonNull(tokens, "tokens")));
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    private static int[] ids(List<Integer> tokens) {
        return tokens.stream().mapToInt(Integer::intValue).toArray();
    }

    /** The ids of a text, with what the tokenizer puts around it. */
    public List<Integer> encode(String text) {
        try {
            return Arrays.stream(core.encode(Objects.requireNonNull(text, "text"))).boxed().toList();
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /** What {@code generation_config.json} asks for; temperature 1 where there is none. */
    public SamplingParams defaultSamplingParams() {
        GenerationConfig generation = core.generation();
        return SamplingParams.builder()
                .temperature(generation.temperature())
                .topP(generation.topP())
                .topK(generation.topK())
                .build();
    }

    /** Whether texts can be used; token ids always can. */
    public boolean hasTokenizer() {
        return core.hasTokenizer();
    }

    /** What the engine runs on. */
    public EngineInfo info() {
        return core.info();
    }

    /** What was compiled, as it stands now. */
    public CompilationState compilation() {
        return core.compilation();
    }

    /**
     * What the engine is made of, as it stands now: pieces, executables, recordings, dispatch, and the steps that ran.
     */
    public ModelReport inspect() {
        try {
            return core.inspect();
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * Takes no more requests, waits until those that it has taken are done, but not longer than {@code grace}, and
     * then does what {@link #close()} does. An interrupt ends the waiting.
     *
     * @return whether every request came to its own end
     */
    public boolean shutdown(Duration grace) {
        Objects.requireNonNull(grace, "grace");
        dropped.closed();
        boolean drained = core.drain(grace);
        close();
        return drained;
    }

    /**
     * Ends what runs and what waits with {@link EngineClosedException} and releases all memory; returns when that is
     * done. Idempotent.
     */
    @Override
    public void close() {
        dropped.closed();
        core.close();
        cleanable.clean();
    }
}
