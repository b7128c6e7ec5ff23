package dev.intarsia.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.intarsia.EngineOptions;
import dev.intarsia.IntarsiaException;
import dev.intarsia.TestModels;
import dev.intarsia.checkpoint.ModelConfig;
import dev.intarsia.checkpoint.RandomWeights;
import dev.intarsia.runtime.KvCache;
import org.junit.jupiter.api.Test;

/** How many blocks the KV cache gets. */
class EngineConfigTest {
    private static final int SEQUENCES = 4;
    private static final int LENGTH = 250; // sixteen blocks, the last not full

    private final ModelConfig model = model();
    private final long blockBytes = 2L * 2 * model.numLayers() * model.numKvHeads() * model.headDim() * KvCache.BLOCK;

    private static ModelConfig model() {
        try (RandomWeights weights = RandomWeights.of(TestModels.resource("/configs/qwen3-small.json"), 1)) {
            return weights.config();
        }
    }

    private static EngineOptions.Builder options() {
        return EngineOptions.builder().maxNumSeqs(SEQUENCES).maxModelLen(LENGTH);
    }

    private int blocks(EngineOptions.Builder options, long freeBlocks) {
        return EngineConfig.of(options.build(), model, freeBlocks * blockBytes).kvBlocks();
    }

    @Test
    void whatTheSequencesNeedOrAQuarterOfTheFreeMemory() {
        assertThat(blocks(options(), 1_000)).isEqualTo(SEQUENCES * 16);
        assertThat(blocks(options(), 100)).isEqualTo(25);
        assertThat(blocks(options(), 64)).isEqualTo(16);
        assertThatThrownBy(() -> blocks(options(), 63))
                .isInstanceOf(IntarsiaException.class)
                .hasMessageContaining("maxModelLen 250 needs " + 16 * blockBytes)
                .hasMessageContaining("set maxModelLen to at most 240, or kvCacheBytes");
    }

    @Test
    void asManyAsWereAskedFor() {
        assertThat(blocks(options().kvCacheBytes(20 * blockBytes + 1), 1)).isEqualTo(20);
        assertThatThrownBy(() -> blocks(options().kvCacheBytes(16 * blockBytes - 1), 1_000))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("kvCacheBytes is ")
                .hasMessageContaining("at least " + 16 * blockBytes);
    }

    @Test
    void noMoreThanEnoughUnlessAskedFor() {
        EngineOptions.Builder many = options().maxNumSeqs(1 << 16).maxNumBatchedTokens(1 << 16);
        assertThat(blocks(many.maxModelLen(512), 1L << 30)).as("65,536 sequences of 32 blocks").isEqualTo(1 << 20);
        assertThat(blocks(many.maxModelLen(240), 1L << 30)).as("of 15").isEqualTo(15 << 16);
        assertThat(blocks(many.kvCacheBytes((1L << 21) * blockBytes), 1)).isEqualTo(1 << 21);
    }
}
