package dev.intarsia.engine;

import dev.intarsia.EngineOptions;
import dev.intarsia.SamplingParams;
import dev.intarsia.artifact.ArtifactStore;
import dev.intarsia.checkpoint.Checkpoint;
import dev.intarsia.checkpoint.ModelConfig;
import dev.intarsia.model.Families;
import dev.intarsia.model.ModelBuilder;
import dev.intarsia.piecewise.CompilationTracker;
import dev.intarsia.piecewise.GraphMode;
import dev.intarsia.runtime.Device;
import dev.intarsia.runtime.DeviceOptions;
import dev.intarsia.runtime.Dimension;
import dev.intarsia.runtime.Graph;
import dev.intarsia.runtime.GraphInput;
import dev.intarsia.runtime.KvCache;
import dev.intarsia.runtime.KvOptions;
import dev.intarsia.runtime.OpKind;
import dev.intarsia.runtime.Partition;
import dev.intarsia.runtime.Step;
import dev.intarsia.runtime.StepOptions;
import dev.intarsia.runtime.Value;
import dev.intarsia.runtime.Weights;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/**
 * Sequences that are decoded token by token: the engine's own classes, wired as {@code LoadedModel} wires them, on one
 * thread. In the engine's package, because they are not public. The sequences begin anew when the model's length is
 * reached.
 */
@State(Scope.Thread)
public class DecodeStep {
    private static final String CHECKPOINT = "src/test/resources/checkpoints/qwen3-tied"; // 3 layers of width 64
    private static final SamplingParams GREEDY =
            SamplingParams.greedy(Integer.MAX_VALUE).toBuilder().ignoreEos(true).build();

    /** What is run. */
    public enum Model {
        /** The checkpoint. */
        QWEN3_TIED(3),
        /** As many pieces, but each has one kernel over one float: what is left when the kernels take no time. */
        HOLLOW_3(3),
        /** The same with the pieces of a model of 28 layers, such as Qwen3-0.6B. */
        HOLLOW_28(28);

        private final int layers;

        Model(int layers) {
            this.layers = layers;
        }

        private Partition partition(Checkpoint checkpoint, Weights weights) {
            try (Graph graph = Graph.create(weights)) {
                if (this == QWEN3_TIED) {
                    Families.of(checkpoint.config().architecture()).build(new ModelBuilder(checkpoint, weights, graph));
                    return graph.split(Set.of(OpKind.ATTENTION));
                }
                Value x = graph.empty(Dimension.TOKENS, 1);
                for (int layer = 0; layer < layers; layer++) {
                    x = graph.add(graph.siluMul(x, x), x); // the addition in the place of attention
                }
                graph.output(graph.selectRows(graph.siluMul(x, x), graph.input(GraphInput.ROWS)));
                return graph.split(Set.of(OpKind.ADD));
            }
        }
    }

    @Param
    public Model model;

    /**
     * How a decode step runs: piece by piece, replayed piece by piece, or (the default of engines) replayed as a
     * whole.
     */
    @Param({"NONE", "PIECEWISE", "FULL_AND_PIECEWISE"})
    public GraphMode graphs;

    /** How many share the step. */
    @Param({"1", "64"})
    public int sequences;

    private final List<AutoCloseable> owned = new ArrayList<>();
    private StepRunner runner;
    private Step step;
    private StepLoop loop;
    private final List<Sequence> decoded = new ArrayList<>();
    private int maxModelLen;
    private int length = 1;

    @Setup
    public void open() {
        try (Checkpoint checkpoint = Checkpoint.open(inCheckout(CHECKPOINT))) {
            ModelConfig config = checkpoint.config();
            EngineOptions options = EngineOptions.builder().threads(1).graphMode(graphs).build();
            EngineConfig engine = EngineConfig.of(options, config, 1L << 30);
            CompilationTracker tracker = new CompilationTracker();
            Device device = own(Device.open(DeviceOptions.cpu().withThreads(options.threads())));
            Weights weights = own(Weights.create(device, options.precision()));
            Partition partition = own(model.partition(checkpoint, weights));
            if (partition.info().pieces() != 2 * model.layers + 2) {
                throw new IllegalStateException(model + " has " + partition.info().pieces() + " pieces");
            }
            CompiledModel compiled = own(CompiledModel.compile(
                    partition, engine.compilation(), engine.maxRows(), ArtifactStore.disabled(), null, tracker));
            KvCache cache = own(KvCache.create(device, new KvOptions(
                    options.precision(), config.numLayers(), config.numKvHeads(), config.headDim(), engine.kvBlocks())));
            step = own(Step.create(partition, cache, new StepOptions(
                    engine.maxNumBatchedTokens(), engine.maxNumSeqs(), engine.maxRows(), engine.blocksPerSequence())));
            runner = own(new StepRunner(compiled, step, engine.compilation(), engine.graphs(), false, tracker));
            PrefixCache prefixes = new PrefixCache(engine.kvBlocks());
            Scheduler scheduler = new Scheduler(engine.limits(), new KvBlocks(engine.kvBlocks(), prefixes), prefixes);
            maxModelLen = engine.maxModelLen();
            loop = new StepLoop(scheduler, runner, step, new int[0], maxModelLen, new Meters(), ended -> {});
        }
        for (int i = 0; i < sequences; i++) {
            Request request = new Request(
                    new Request.Asked(new int[] {i + 1}, GREEDY, 0, Request.NEVER, new long[2], false, false), i, 0);
            decoded.add(request.sequences[0]);
            loop.add(request);
        }
        step();
    }

    /** In the checkout that {@code intarsia.home}, or else the working directory, is part of. */
    static Path inCheckout(String file) {
        Path start = Path.of(System.getProperty("intarsia.home", "")).toAbsolutePath();
        for (Path at = start; at != null; at = at.getParent()) {
            if (Files.exists(at.resolve(file))) {
                return at.resolve(file);
            }
        }
        throw new IllegalStateException("neither " + start + " nor a folder above it has " + file);
    }

    private <T extends AutoCloseable> T own(T resource) {
        owned.add(resource);
        return resource;
    }

    @TearDown
    public void close() {
        CompiledModel.closeAll(owned);
    }

    /** One step of the loop: planned, written, run, sampled and taken. Returns the token of the first sequence. */
    public int step() {
        if (++length == maxModelLen) {
            decoded.forEach(DecodeStep::rewind);
            length = 2;
        }
        loop.step();
        Sequence first = decoded.getFirst();
        return first.tokens[first.length - 1];
    }

    /** Back to the prompt, with the blocks that it has. */
    private static void rewind(Sequence sequence) {
        sequence.length = sequence.promptLength();
        sequence.computed = 0;
        sequence.hashed = 0;
        sequence.committed = 0;
    }
}
