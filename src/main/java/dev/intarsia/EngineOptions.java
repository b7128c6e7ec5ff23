package dev.intarsia;

import dev.intarsia.piecewise.CompilationMode;
import dev.intarsia.piecewise.DynamicShapes;
import dev.intarsia.piecewise.GraphMode;
import dev.intarsia.runtime.DeviceKind;
import dev.intarsia.runtime.DeviceOptions;
import dev.intarsia.runtime.Precision;
import java.util.List;
import java.util.Objects;

/**
 * How an engine is opened. Immutable; {@code EngineOptions.defaults()} suits most services.
 *
 * @param precision numeric mode; {@link Precision#BF16} by default
 * @param quantize format of the matrices; {@link Quantize#NONE} by default. A checkpoint that is quantized takes NONE or its own format
 * @param maxModelLen longest sequence in tokens, prompt and answer together; 0 = what the checkpoint allows, up to 2^24. Memory of the KV
 *     cache grows with it
 * @param maxNumBatchedTokens most tokens of one step; longer prompts are cut into steps. 2048 by default, never above
 *     {@code maxModelLen * maxNumSeqs}
 * @param maxNumSeqs most sequences of one step; 64 by default
 * @param maxQueued most requests that wait for their first step; one more is refused with {@link QueueFullException}.
 *     1024 by default
 * @param schedulingPolicy which of the requests that wait goes first; {@link SchedulingPolicy#FCFS} by default
 * @param longPrefillTokenThreshold most tokens of one prompt in a step, so that long prompts leave room for others; 0
 *     = as many as fit, the default
 * @param device what it runs on: {@code "cpu"}, the default; {@code "cuda"} for the first CUDA device, or {@code "cuda:N"}
 * @param deterministic whether the bits of a result must not depend on how its steps are dispatched. On the CPU they never do; on a CUDA
 *     device only kernels of which that holds are used then, which are slower. False by default
 * @param deviceMemory CUDA: bytes of the device's memory that the engine may take in all; 0 = nine tenths of what is free
 * @param kvCacheBytes memory of the KV cache, rounded down to whole blocks of 16 positions; 0 = what maxNumSeqs
 *     sequences of maxModelLen need, at most a quarter of the free memory; of a CUDA device three quarters of what the weights leave; no
 *     more than 2^24 positions
 * @param enablePrefixCaching whether a prompt that begins as an earlier one did takes over its keys and values; true
 *     by default
 * @param threads threads of the kernels, or of what is sampled on the host for a CUDA device, 1..256; 0 = what affinity and cgroup allow
 * @param cpuTier instruction-set tier of these threads, such as {@code "scalar"} or {@code "avx2"}; empty = {@code INTARSIA_CPU_TIER} of
 *     the environment, else the best of this machine
 * @param compileRanges end points that split {@code [1, maxNumBatchedTokens]} into ranges which are compiled
 *     separately
 * @param compileSizes sizes that get an executable of their own
 * @param dynamicShapes what happens to a token dimension that can only be 1
 * @param compilation {@link CompilationMode#PIECEWISE}, or {@link CompilationMode#NONE}: op by op, without fusion
 * @param graphMode which steps are recorded at start-up and replayed; nothing is in compilation NONE
 * @param captureSizes numbers of tokens that are recorded; empty = 1, 2, 4, 8 and multiples of 8 up to twice
 *     maxNumSeqs, at most 512
 * @param splittingOps names of the ops at which the graph is cut; {@code ["attention"]} by default
 * @param artifacts directory where what is dear to rebuild is kept from start to start, such as measured kernel
 *     choices; {@value #NO_ARTIFACTS} = nowhere; empty = the system property {@code intarsia.artifacts}, else {@code
 *     intarsia/artifacts} in the user's cache directory
 */
public record EngineOptions(
        Precision precision,
        Quantize quantize,
        int maxModelLen,
        int maxNumBatchedTokens,
        int maxNumSeqs,
        int maxQueued,
        SchedulingPolicy schedulingPolicy,
        int longPrefillTokenThreshold,
        String device,
        boolean deterministic,
        long deviceMemory,
        long kvCacheBytes,
        boolean enablePrefixCaching,
        int threads,
        String cpuTier,
        List<Integer> compileRanges,
        List<Integer> compileSizes,
        DynamicShapes dynamicShapes,
        CompilationMode compilation,
        GraphMode graphMode,
        List<Integer> captureSizes,
        List<String> splittingOps,
        String artifacts) {

    /** Turns the artifact store off. */
    public static final String NO_ARTIFACTS = "off";

    /** @throws IllegalArgumentException naming the option, its value and its bound */
    public EngineOptions {
        Objects.requireNonNull(precision, "precision");
        Objects.requireNonNull(quantize, "quantize");
        Objects.requireNonNull(cpuTier, "cpuTier");
        Objects.requireNonNull(dynamicShapes, "dynamicShapes");
        Objects.requireNonNull(compilation, "compilation");
        Objects.requireNonNull(graphMode, "graphMode");
        Objects.requireNonNull(artifacts, "artifacts");
        Check.range("maxModelLen", maxModelLen, 0, 1 << 24);
        Check.range("maxNumBatchedTokens", maxNumBatchedTokens, 1, 1 << 20);
        Check.range("maxNumSeqs", maxNumSeqs, 1, 1 << 16);
        Check.range("maxQueued", maxQueued, 1, 1 << 20);
        Objects.requireNonNull(schedulingPolicy, "schedulingPolicy");
        Check.range("longPrefillTokenThreshold", longPrefillTokenThreshold, 0, 1 << 20);
        Check.that(kvCacheBytes >= 0, "kvCacheBytes", kvCacheBytes, ">= 0, where 0 leaves it to the free memory");
        Check.that(deviceMemory >= 0, "deviceMemory", deviceMemory, ">= 0, where 0 stands for nine tenths of what is free");
        boolean cuda = DeviceOptions.named(Objects.requireNonNull(device, "device")).kind() == DeviceKind.CUDA;
        Check.that(cuda || deviceMemory == 0, "deviceMemory", deviceMemory, "0 where device is cpu");
        Check.range("threads", threads, 0, 256);
        compileRanges = List.copyOf(compileRanges);
        compileSizes = List.copyOf(compileSizes);
        captureSizes = List.copyOf(captureSizes);
        splittingOps = List.copyOf(splittingOps);
        compileRanges.forEach(end -> Check.that(end >= 1, "compileRanges", end, ">= 1: Invalid compile range endpoint: " + end));
        compileSizes.forEach(size -> Check.range("compileSizes", size, 1, 1 << 20));
        captureSizes.forEach(size -> Check.range("captureSizes", size, 1, 1 << 20));
    }

    /** The defaults of every option. */
    public static EngineOptions defaults() {
        return builder().build();
    }

    public static Builder builder() {
        return new Builder();
    }

    /** Sets single options; the rest keep their defaults. */
    public static final class Builder {
        private Precision precision = Precision.BF16;
        private Quantize quantize = Quantize.NONE;
        private int maxModelLen;
        private int maxNumBatchedTokens = 2048;
        private int maxNumSeqs = 64;
        private int maxQueued = 1024;
        private SchedulingPolicy schedulingPolicy = SchedulingPolicy.FCFS;
        private int longPrefillTokenThreshold;
        private String device = "cpu";
        private boolean deterministic;
        private long deviceMemory;
        private long kvCacheBytes;
        private boolean enablePrefixCaching = true;
        private int threads;
        private String cpuTier = "";
        private List<Integer> compileRanges = List.of();
        private List<Integer> compileSizes = List.of();
        private DynamicShapes dynamicShapes = DynamicShapes.BACKED;
        private CompilationMode compilation = CompilationMode.PIECEWISE;
        private GraphMode graphMode = GraphMode.FULL_AND_PIECEWISE;
        private List<Integer> captureSizes = List.of();
        private List<String> splittingOps = List.of("attention");
        private String artifacts = "";

        private Builder() {}

        public Builder precision(Precision value) {
            precision = value;
            return this;
        }

        public Builder quantize(Quantize value) {
            quantize = value;
            return this;
        }

        public Builder maxModelLen(int value) {
            maxModelLen = value;
            return this;
        }

        public Builder maxNumBatchedTokens(int value) {
            maxNumBatchedTokens = value;
            return this;
        }

        public Builder maxNumSeqs(int value) {
            maxNumSeqs = value;
            return this;
        }

        public Builder maxQueued(int value) {
            maxQueued = value;
            return this;
        }

        public Builder schedulingPolicy(SchedulingPolicy value) {
            schedulingPolicy = value;
            return this;
        }

        public Builder longPrefillTokenThreshold(int value) {
            longPrefillTokenThreshold = value;
            return this;
        }

        public Builder device(String value) {
            device = value;
            return this;
        }

        public Builder deterministic(boolean value) {
            deterministic = value;
            return this;
        }

        public Builder deviceMemory(long value) {
            deviceMemory = value;
            return this;
        }

        public Builder kvCacheBytes(long value) {
            kvCacheBytes = value;
            return this;
        }

        public Builder enablePrefixCaching(boolean value) {
            enablePrefixCaching = value;
            return this;
        }

        public Builder threads(int value) {
            threads = value;
            return this;
        }

        public Builder cpuTier(String value) {
            cpuTier = value;
            return this;
        }

        public Builder compileRanges(List<Integer> values) {
            compileRanges = values;
            return this;
        }

        public Builder compileSizes(List<Integer> values) {
            compileSizes = values;
            return this;
        }

        public Builder dynamicShapes(DynamicShapes value) {
            dynamicShapes = value;
            return this;
        }

        public Builder compilation(CompilationMode value) {
            compilation = value;
            return this;
        }

        public Builder graphMode(GraphMode value) {
            graphMode = value;
            return this;
        }

        public Builder captureSizes(List<Integer> values) {
            captureSizes = values;
            return this;
        }

        public Builder splittingOps(List<String> values) {
            splittingOps = values;
            return this;
        }

        public Builder artifacts(String value) {
            artifacts = value;
            return this;
        }

        /** @throws IllegalArgumentException naming the option, its value and its bound */
        public EngineOptions build() {
            return new EngineOptions(
                    precision,
                    quantize,
                    maxModelLen,
                    maxNumBatchedTokens,
                    maxNumSeqs,
                    maxQueued,
                    schedulingPolicy,
                    longPrefillTokenThreshold,
                    device,
                    deterministic,
                    deviceMemory,
                    kvCacheBytes,
                    enablePrefixCaching,
                    threads,
                    cpuTier,
                    compileRanges,
                    compileSizes,
                    dynamicShapes,
                    compilation,
                    graphMode,
                    captureSizes,
                    splittingOps,
                    artifacts);
        }
    }
}
