package dev.intarsia.cli;

import dev.intarsia.EngineOptions;
import dev.intarsia.Quantize;
import dev.intarsia.piecewise.CompilationMode;
import dev.intarsia.piecewise.DynamicShapes;
import dev.intarsia.piecewise.GraphMode;
import dev.intarsia.runtime.Precision;
import java.util.Optional;
import picocli.CommandLine.Option;

/** How the model is compiled and what it runs on; whatever is not given keeps the default of {@link EngineOptions}. */
final class CompileOptions {

    @Option(names = "--precision", paramLabel = "bf16|f32",
            description = "Numeric mode: bf16 is fast, f32 is the reference. Default: bf16.")
    private Precision precision;

    @Option(names = "--quantize", paramLabel = "int8|int4",
            description = "Hold the matrices in 8 or 4 bits, embedding and logits layer too. Default: as the "
                    + "checkpoint has them.")
    private Quantize quantize;

    @Option(names = "--max-model-len", paramLabel = "N",
            description = "Longest sequence in tokens, prompt and answer together. "
                    + "Default: what the checkpoint allows.")
    private Integer maxModelLen;

    @Option(names = "--max-num-batched-tokens", paramLabel = "N",
            description = "Most tokens of one step; longer prompts are cut into steps. Default: 2048, or the longest "
                    + "sequence where that is less.")
    private Integer maxNumBatchedTokens;

    @Option(names = "--compile-ranges", paramLabel = "N,N,...", converter = Integers.Sizes.class,
            description = "End points that split 1 .. max-num-batched-tokens into ranges, each compiled separately.")
    private Integers compileRanges;

    @Option(names = "--compile-sizes", paramLabel = "N,N,...", converter = Integers.Sizes.class,
            description = "Numbers of tokens that get executables of their own.")
    private Integers compileSizes;

    @Option(names = "--dynamic-shapes", paramLabel = "MODE",
            description = "What happens to a dimension that can only be 1: ${COMPLETION-CANDIDATES}. Default: BACKED.")
    private DynamicShapes dynamicShapes;

    @Option(names = "--compilation", paramLabel = "piecewise|none",
            description = "Pieces compiled for ranges of sizes, or op by op without fusion. Default: piecewise.")
    private CompilationMode compilation;

    @Option(names = "--splitting-ops", paramLabel = "OP,OP,...", converter = Names.Converter.class,
            description = "Ops at which the graph is cut into pieces; '' for none: one piece. Default: attention.")
    private Names splittingOps;

    @Option(names = "--artifacts", paramLabel = "DIR|off",
            description = "Where measured kernel choices are kept from start to start, or off. "
                    + "Default: intarsia/artifacts in the cache directory of the user.")
    private String artifacts;

    @Option(names = "--graph-mode", paramLabel = "MODE",
            description = "What is recorded at start-up and replayed: ${COMPLETION-CANDIDATES}. "
                    + "Default: FULL_AND_PIECEWISE.")
    private GraphMode graphMode;

    @Option(names = "--capture-sizes", paramLabel = "N,N,...", converter = Integers.Sizes.class,
            description = "Numbers of tokens that are recorded; others are padded to the next. Default: 1, 2, 4, 8 and "
                    + "multiples of 8 up to twice the number of sequences.")
    private Integers captureSizes;

    @Option(names = "--max-num-seqs", paramLabel = "N",
            description = "Most sequences of one step. Default: 1 where one sequence runs, else 64.")
    private Integer maxNumSeqs;

    @Option(names = "--device", paramLabel = "DEVICE",
            description = "What it runs on: cpu, cuda or cuda:N, one of those that `info` lists. Default: cpu.")
    private String device;

    @Option(names = "--deterministic",
            description = "On a CUDA device, use only kernels whose bits do not depend on how steps are dispatched. "
                    + "The CPU has no others.")
    private boolean deterministic;

    @Option(names = "--device-memory", paramLabel = "BYTES", converter = Bytes.class,
            description = "Memory of a CUDA device that may be taken in all, such as 8G. "
                    + "Default: nine tenths of what is free.")
    private Long deviceMemory;

    @Option(names = "--threads", paramLabel = "N",
            description = "Threads of the kernels, on a CUDA device of what is sampled on the host. Default: what affinity and cgroup allow.")
    private Integer threads;

    @Option(names = "--cpu-tier", paramLabel = "TIER",
            description = "Instruction-set tier, one of those that `info` lists. "
                    + "Default: INTARSIA_CPU_TIER, else the best.")
    private String cpuTier;

    /**
     * What was given, over these defaults.
     *
     * @throws IllegalArgumentException naming a parameter that is out of bounds
     */
    EngineOptions toEngineOptions(EngineOptions.Builder options) {
        Optional.ofNullable(precision).ifPresent(options::precision);
        Optional.ofNullable(quantize).ifPresent(options::quantize);
        Optional.ofNullable(maxModelLen).ifPresent(options::maxModelLen);
        Optional.ofNullable(maxNumBatchedTokens).ifPresent(options::maxNumBatchedTokens);
        Optional.ofNullable(compileRanges).map(Integers::values).ifPresent(options::compileRanges);
        Optional.ofNullable(compileSizes).map(Integers::values).ifPresent(options::compileSizes);
        Optional.ofNullable(dynamicShapes).ifPresent(options::dynamicShapes);
        Optional.ofNullable(compilation).ifPresent(options::compilation);
        Optional.ofNullable(artifacts).ifPresent(options::artifacts);
        Optional.ofNullable(splittingOps).map(Names::values).ifPresent(options::splittingOps);
        Optional.ofNullable(graphMode).ifPresent(options::graphMode);
        Optional.ofNullable(captureSizes).map(Integers::values).ifPresent(options::captureSizes);
        Optional.ofNullable(maxNumSeqs).ifPresent(options::maxNumSeqs);
        Optional.ofNullable(device).ifPresent(options::device);
        Optional.ofNullable(deviceMemory).ifPresent(options::deviceMemory);
        options.deterministic(deterministic);
        Optional.ofNullable(threads).ifPresent(options::threads);
        Optional.ofNullable(cpuTier).ifPresent(options::cpuTier);
        return options.build();
    }

    /** What was given, for an engine that serves one sequence unless told: the command never has a second. */
    EngineOptions forOneSequence() {
        return toEngineOptions(EngineOptions.builder().maxNumSeqs(1));
    }
}
