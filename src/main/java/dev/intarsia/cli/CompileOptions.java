package dev.intarsia.cli;

import dev.intarsia.EngineOptions;
import dev.intarsia.piecewise.CompilationMode;
import dev.intarsia.piecewise.DynamicShapes;
import dev.intarsia.runtime.Precision;
import java.util.Optional;
import picocli.CommandLine.Option;

/** How the model is compiled and what it runs on; whatever is not given keeps the default of {@link EngineOptions}. */
final class CompileOptions {

    @Option(names = "--precision", paramLabel = "bf16|f32",
            description = "Numeric mode: bf16 is fast, f32 is the reference. Default: bf16.")
    private Precision precision;

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

    @Option(names = "--threads", paramLabel = "N",
            description = "Threads of the kernels. Default: what affinity and cgroup allow.")
    private Integer threads;

    @Option(names = "--cpu-tier", paramLabel = "TIER",
            description = "Instruction-set tier, one of those that `info` lists. "
                    + "Default: INTARSIA_CPU_TIER, else the best.")
    private String cpuTier;

    /**
     * The options as given, for an engine that serves one sequence: a process of the command line never has a second.
     *
     * @throws IllegalArgumentException naming a parameter that is out of bounds
     */
    EngineOptions toEngineOptions() {
        EngineOptions.Builder options = EngineOptions.builder().maxNumSeqs(1);
        Optional.ofNullable(precision).ifPresent(options::precision);
        Optional.ofNullable(maxModelLen).ifPresent(options::maxModelLen);
        Optional.ofNullable(maxNumBatchedTokens).ifPresent(options::maxNumBatchedTokens);
        Optional.ofNullable(compileRanges).map(Integers::values).ifPresent(options::compileRanges);
        Optional.ofNullable(compileSizes).map(Integers::values).ifPresent(options::compileSizes);
        Optional.ofNullable(dynamicShapes).ifPresent(options::dynamicShapes);
        Optional.ofNullable(compilation).ifPresent(options::compilation);
        Optional.ofNullable(threads).ifPresent(options::threads);
        Optional.ofNullable(cpuTier).ifPresent(options::cpuTier);
        return options.build();
    }
}
