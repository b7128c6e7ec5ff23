package dev.intarsia.engine;

import dev.intarsia.EngineInfo;
import dev.intarsia.EngineOptions;
import dev.intarsia.Quantize;
import dev.intarsia.artifact.ArtifactStore;
import dev.intarsia.checkpoint.ModelConfig;
import dev.intarsia.checkpoint.WeightSource;
import dev.intarsia.inspect.ModelReport;
import dev.intarsia.model.Families;
import dev.intarsia.model.ModelBuilder;
import dev.intarsia.piecewise.CompilationConfig;
import dev.intarsia.piecewise.CompilationMode;
import dev.intarsia.piecewise.CompilationPhase;
import dev.intarsia.piecewise.CompilationState;
import dev.intarsia.piecewise.CompilationTracker;
import dev.intarsia.runtime.Device;
import dev.intarsia.runtime.DeviceKind;
import dev.intarsia.runtime.Graph;
import dev.intarsia.runtime.KvCache;
import dev.intarsia.runtime.KvOptions;
import dev.intarsia.runtime.LibraryInfo;
import dev.intarsia.runtime.NativeLibrary;
import dev.intarsia.runtime.OpKind;
import dev.intarsia.runtime.Partition;
import dev.intarsia.runtime.Step;
import dev.intarsia.runtime.StepOptions;
import dev.intarsia.runtime.WeightFormat;
import dev.intarsia.runtime.Weights;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;

/**
 * A checkpoint on a device: weights laid out, graph compiled, cache and step buffers allocated. Used by the thread
 * that opened it.
 */
final class LoadedModel implements AutoCloseable {
    private final List<AutoCloseable> owned = new ArrayList<>();
    private final CompilationTracker tracker = new CompilationTracker();
    private final ModelConfig model;
    private final EngineConfig config;
    private final Inspection inspection;
    private final StepRunner runner;
    private final Step step;
    private final int[] endTokens;
    private final KvBlocks blocks;
    private final PrefixCache prefixes; // null if off
    private final EngineInfo info;

    /**
     * @throws dev.intarsia.CheckpointException if the checkpoint cannot be served
     * @throws IllegalArgumentException if an option does not fit the checkpoint
     */
    static LoadedModel open(WeightSource source, EngineOptions options) {
        source.config().checkServable(Families.architectures());
        return new LoadedModel(source, options);
    }

    private LoadedModel(WeightSource source, EngineOptions options) {
        model = source.config();
        try {
            ChosenDevice chosen = ChosenDevice.of(options);
            chosen.check(model, options.quantize());
            config = EngineConfig.of(options, model, MemoryNeed.leftByWeights(model, options, chosen.memory()));
            if (config.graphs().mode() != options.graphMode()) {
                tracker.event("graph mode", options.graphMode() + " lowered to " + config.graphs().mode()
                        + ": compilation " + options.compilation() + " runs op by op and has nothing to record");
            }
            Device device = own(Device.open(chosen.options()));
            WeightFormat format = format(options.quantize(), model.quantized());
            Weights weights = own(Weights.create(device, options.precision(), format));
            Partition partition = partition(source, weights);
            LibraryInfo library = NativeLibrary.describe();
            CompiledModel compiled = own(CompiledModel.compile(
                    partition,
                    config.compilation(),
                    config.maxRows(),
                    artifacts(options.artifacts()),
                    new NativePieces.Machine(library.buildId(), chosen.info().name(), chosen.options()),
                    tracker));
            inspection = new Inspection(partition, compiled);
            KvCache cache = own(KvCache.create(
                    device,
                    new KvOptions(
                            options.precision(), model.numLayers(), model.numKvHeads(), model.headDim(), config.kvBlocks())));
            step = own(Step.create(
                    partition,
                    cache,
                    new StepOptions(
                            config.maxNumBatchedTokens(), config.maxNumSeqs(), config.maxRows(), config.blocksPerSequence())));
            endTokens = source.generation().eosTokenIds().stream().mapToInt(Integer::intValue).toArray();
            runner = own(new StepRunner(
                    compiled,
                    step,
                    config.compilation(),
                    config.graphs(),
                    chosen.info().kind() == DeviceKind.CUDA,
                    tracker));
            prefixes = config.prefixCaching() ? new PrefixCache(config.kvBlocks()) : null;
            blocks = new KvBlocks(config.kvBlocks(), prefixes);
            info = new EngineInfo(
                    library.version(),
                    library.path(),
                    chosen.info().name(),
                    chosen.info().kind(),
                    chosen.info().ordinal(),
                    chosen.info().note(),
                    chosen.noCuda(),
                    chosen.options().deterministic(),
                    chosen.options().tier(),
                    chosen.options().threads(),
                    options.precision(),
                    format,
                    model.architecture(),
                    model.vocabSize(),
                    config.maxModelLen(),
                    config.maxNumBatchedTokens(),
                    config.maxNumSeqs(),
                    weights.bytes(),
                    cache.bytes(),
                    config.kvBlocks());
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    private <T extends AutoCloseable> T own(T resource) {
        owned.add(resource);
        return resource;
    }

    private static WeightFormat format(Quantize asked, Quantize stored) {
        if (asked != Quantize.NONE && stored != Quantize.NONE && asked != stored) {
            throw new IllegalArgumentException("quantize is " + asked + ", but the checkpoint was written as " + stored
                    + "; leave the option out, or name the checkpoint that this one was made of");
        }
        return switch (asked == Quantize.NONE ? stored : asked) {
            case NONE -> WeightFormat.NATIVE;
            case INT8 -> WeightFormat.INT8;
            case INT4 -> WeightFormat.INT4;
        };
    }

    private Partition partition(WeightSource source, Weights weights) {
        CompilationConfig compilation = config.compilation();
        boolean opByOp = compilation.mode() == CompilationMode.NONE;
        int frozen = !opByOp && compilation.freezesTokens() ? 1 : 0;
        try (Graph graph = Graph.create(weights, frozen, frozen)) {
            tracker.time(CompilationPhase.BUILD, () -> {
                Families.of(model.architecture()).build(new ModelBuilder(source, weights, graph));
                return graph;
            });
            Set<OpKind> splitting = opByOp ? Set.of() : opKinds(compilation.splittingOps());
            return own(tracker.time(CompilationPhase.SPLIT, () -> graph.split(splitting)));
        }
    }

    private ArtifactStore artifacts(String where) {
        Consumer<String> events = message -> tracker.event("artifacts", message);
        return switch (where) {
            case "" -> ArtifactStore.openConfigured(events);
            case EngineOptions.NO_ARTIFACTS -> ArtifactStore.disabled();
            default -> ArtifactStore.open(Path.of(where), events);
        };
    }

    private static Set<OpKind> opKinds(List<String> names) {
        Set<OpKind> kinds = EnumSet.noneOf(OpKind.class);
        for (String name : names) {
            try {
                kinds.add(OpKind.valueOf(name.toUpperCase(Locale.ROOT)));
            } catch (IllegalArgumentException e) {
                throw new IllegalArgumentException("splittingOps has " + name + ", which is no op; attention is one", e);
            }
        }
        return kinds;
    }

    Step step() {
        return step;
    }

    StepRunner runner() {
        return runner;
    }

    /** Where prefixes are found, if they are. */
    Optional<PrefixCache> prefixes() {
        return Optional.ofNullable(prefixes);
    }

    /**
     * The loop that runs steps over this model: one at a time.
     *
     * @param outputs see {@link StepLoop}
     */
    StepLoop loop(Meters meters, Consumer<Sequence> outputs) {
        Scheduler scheduler = new Scheduler(config.limits(), blocks, prefixes);
        return new StepLoop(scheduler, runner, step, endTokens, config.maxModelLen(), meters, outputs);
    }

    EngineInfo info() {
        return info;
    }

    CompilationState compilation() {
        return runner.state();
    }

    /** What it is made of, as it stands now. Any thread may ask; not once this is closed. */
    ModelReport inspect() {
        return new ModelReport(
                info, model, inspection.pieces(), inspection.classes(), compilation(), runner.steps());
    }

    @Override
    public void close() {
        CompiledModel.closeAll(owned);
    }
}
