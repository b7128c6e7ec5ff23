package dev.intarsia.engine;

import dev.intarsia.EngineOptions;
import dev.intarsia.IntarsiaException;
import dev.intarsia.checkpoint.ModelConfig;
import dev.intarsia.piecewise.CompilationConfig;
import dev.intarsia.piecewise.CompilationMode;
import dev.intarsia.piecewise.GraphConfig;
import dev.intarsia.piecewise.GraphMode;
import dev.intarsia.runtime.DeviceKind;
import dev.intarsia.runtime.DeviceOptions;
import dev.intarsia.runtime.KvCache;
import dev.intarsia.runtime.Precision;

/**
 * The options with everything decided that they leave open.
 *
 * @param maxModelLen longest sequence in tokens
 * @param maxNumBatchedTokens most tokens of a step
 * @param maxNumSeqs most sequences of a step
 * @param maxRows most rows of a step: sequences that can want logits
 * @param kvBlocks blocks of the KV cache
 * @param prefixCaching whether prompts look for their beginning in the cache
 * @param limits of each step
 * @param compilation what is compiled over tokens
 * @param graphs what is recorded
 */
record EngineConfig(
        int maxModelLen,
        int maxNumBatchedTokens,
        int maxNumSeqs,
        int maxRows,
        int kvBlocks,
        boolean prefixCaching,
        Scheduler.Limits limits,
        CompilationConfig compilation,
        GraphConfig graphs) {

    /** Quarters of the free memory that the KV cache takes at most: the host's is others' too, a device's is there to be used. */
    private static final int QUARTERS_OF_HOST = 1;

    private static final int QUARTERS_OF_DEVICE = 3;

    /** Slots are numbered by ints, and the prefix cache's arrays too. */
    private static final int MOST_BLOCKS = Integer.MAX_VALUE / KvCache.BLOCK - 1;

    /** What the longest sequence has that may be asked for, 2^24 tokens. More is made only where kvCacheBytes asks for it: the books take as much as the cache of a small model. */
    private static final int ENOUGH_BLOCKS = 1 << 20;

    static EngineConfig of(EngineOptions options, ModelConfig model, long freeMemory) {
        int maxModelLen = options.maxModelLen() == 0
                ? Math.min(model.maxPositionEmbeddings(), ENOUGH_BLOCKS * KvCache.BLOCK)
                : options.maxModelLen();
        if (maxModelLen > model.maxPositionEmbeddings()) {
            throw new IllegalArgumentException("maxModelLen is " + maxModelLen
                    + ", but the checkpoint was made for sequences of at most " + model.maxPositionEmbeddings() + " tokens");
        }
        long mostTokens = (long) maxModelLen * options.maxNumSeqs();
        int maxNumBatchedTokens = (int) Math.min(options.maxNumBatchedTokens(), mostTokens);
        int maxRows = Math.min(options.maxNumSeqs(), maxNumBatchedTokens);
        CompilationConfig compilation = CompilationConfig.builder(maxNumBatchedTokens)
                .mode(options.compilation())
                .dynamicShapes(options.dynamicShapes())
                .endpoints(options.compileRanges())
                .compileSizes(options.compileSizes())
                .splittingOps(options.splittingOps())
                .build();
        GraphConfig.Builder graphs = GraphConfig.builder(maxNumBatchedTokens, options.maxNumSeqs())
                .mode(options.compilation() == CompilationMode.NONE ? GraphMode.NONE : options.graphMode());
        if (!options.captureSizes().isEmpty()) {
            graphs.captureSizes(options.captureSizes());
        }
        return new EngineConfig(
                maxModelLen,
                maxNumBatchedTokens,
                options.maxNumSeqs(),
                maxRows,
                kvBlocks(options, model, maxModelLen, freeMemory),
                options.enablePrefixCaching(),
                new Scheduler.Limits(
                        maxNumBatchedTokens, maxRows, options.longPrefillTokenThreshold(), options.schedulingPolicy()),
                compilation,
                graphs.build());
    }

    /**
     * As many as kvCacheBytes hold; else what maxNumSeqs sequences of maxModelLen need, but at most a share of the
     * device's free memory, and no more than enough; at least one such sequence.
     */
    private static int kvBlocks(EngineOptions options, ModelConfig model, int maxModelLen, long freeMemory) {
        long elementBytes = options.precision() == Precision.BF16 ? 2 : 4;
        long blockBytes = 2 * elementBytes * model.numLayers() * model.numKvHeads() * model.headDim() * KvCache.BLOCK;
        long perSequence = blocks(maxModelLen);
        if (options.kvCacheBytes() > 0) {
            long blocks = options.kvCacheBytes() / blockBytes;
            if (blocks < perSequence) {
                throw new IllegalArgumentException("kvCacheBytes is " + options.kvCacheBytes()
                        + "; it must be at least " + perSequence * blockBytes + ", which one sequence of maxModelLen "
                        + maxModelLen + " needs");
            }
            return (int) Math.min(blocks, MOST_BLOCKS);
        }
        long wanted = perSequence * options.maxNumSeqs();
        boolean host = DeviceOptions.named(options.device()).kind() == DeviceKind.CPU;
        long share = freeMemory / 4 * (host ? QUARTERS_OF_HOST : QUARTERS_OF_DEVICE);
        long affordable = share / blockBytes;
        if (affordable < perSequence) {
            throw new IntarsiaException("one sequence of maxModelLen " + maxModelLen + " needs "
                    + perSequence * blockBytes + " bytes of KV cache, but " + (host ? "a quarter" : "three quarters")
                    + " of the free memory is " + share + "; set maxModelLen to at most "
                    + Math.max(1, affordable * KvCache.BLOCK) + ", or kvCacheBytes");
        }
        return (int) Math.min(Math.min(wanted, affordable), ENOUGH_BLOCKS);
    }

    /** Blocks of the longest sequence. */
    int blocksPerSequence() {
        return blocks(maxModelLen);
    }

    private static int blocks(int tokens) {
        return Math.ceilDiv(tokens, KvCache.BLOCK);
    }
}
