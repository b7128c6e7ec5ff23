package dev.intarsia.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.intarsia.CheckpointException;
import dev.intarsia.TestModels;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

class RandomWeightsTest {
    private static final Path DEEP = TestModels.resource("/configs/qwen3-28-layers.json");
    private static final String NAME = "model.embed_tokens.weight";

    private static short[] draw(long seed, String name, long... shape) {
        try (RandomWeights weights = RandomWeights.of(DEEP, seed)) {
            return bits(weights.weight(name, shape));
        }
    }

    private static short[] bits(TensorView tensor) {
        assertThat(tensor.dtype()).isEqualTo(DType.BF16);
        assertThat(tensor.data().byteSize()).isEqualTo(2 * tensor.elements());
        return tensor.data().toArray(ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN));
    }

    private static double value(short bits) {
        return Float.intBitsToFloat(bits << 16);
    }

    /** Computed by a program in another language, with its library's inverse of the normal distribution function. */
    @Test
    void theBitsAreTheSameOnEveryMachine() {
        short[] first = draw(7, NAME, 400, 256);
        assertThat(Arrays.copyOf(first, 6)).containsExactly(0xbc35, 0xbc64, 0xbbbb, 0xbc7a, 0x3c52, 0x3c1e);
        assertThat(first[100_000]).isEqualTo((short) 0xbc2a);
        short[] other = draw(-1, "model.layers.0.mlp.up_proj.weight", 400, 256);
        assertThat(Arrays.copyOf(other, 6)).containsExactly(0x3c83, 0xbc2a, 0x3c27, 0xbc92, 0xba5f, 0xb7dd);
        assertThat(other[100_000]).isEqualTo((short) 0x3c88);
    }

    @Test
    void aTensorDependsOnSeedAndNameAlone() {
        short[] drawn = draw(7, NAME, 512, 64);
        try (RandomWeights weights = RandomWeights.of(DEEP, 7)) {
            weights.weight("another.weight", 1000, 1000);
            assertThat(bits(weights.weight(NAME, 512, 64))).isEqualTo(drawn);
            assertThat(Arrays.copyOf(bits(weights.weight(NAME, 300, 333)), drawn.length)).isEqualTo(drawn);
            assertThat(bits(weights.weight("another.weight", 512, 64))).isNotEqualTo(drawn);
        }
        assertThat(draw(8, NAME, 512, 64)).isNotEqualTo(drawn);
    }

    @Test
    void elementsAreNormalAndDoNotHangTogether() {
        short[] drawn = draw(3, NAME, 1000, 1000);
        double sum = 0;
        double squares = 0;
        double neighbours = 0;
        int within = 0;
        for (int i = 0; i < drawn.length; i++) {
            double value = value(drawn[i]);
            sum += value;
            squares += value * value;
            neighbours += i == 0 ? 0 : value * value(drawn[i - 1]);
            within += Math.abs(value) < RandomWeights.DEVIATION ? 1 : 0;
        }
        double n = drawn.length;
        double deviation = Math.sqrt(squares / n);
        // Four standard errors each: sd / sqrt(n), sd / sqrt(2 n), sqrt(p (1 - p) / n), 1 / sqrt(n); for the third
        // also what rounding to bf16 moves over its border.
        assertThat(sum / n).isBetween(-8e-5, 8e-5);
        assertThat(deviation).isBetween(0.02 - 6e-5, 0.02 + 6e-5);
        assertThat(within / n).isBetween(0.6827 - 0.004, 0.6827 + 0.004);
        assertThat(neighbours / squares).isBetween(-0.004, 0.004);
    }

    @Test
    void normsAreOneAndBiasesAreNot() {
        short[] norm = draw(7, "model.layers.3.self_attn.q_norm.weight", 70_000);
        assertThat(norm).hasSize(70_000).containsOnly(0x3f80);
        assertThat(draw(7, "model.layers.3.self_attn.q_proj.bias", 64)).doesNotContain(0x3f80);
    }

    @Test
    void oneTensorAtATimeIsInMemory() {
        RandomWeights weights = RandomWeights.of(DEEP, 7);
        TensorView first = weights.weight(NAME, 512, 64);
        TensorView second = weights.weight("another.weight", 64, 64);
        assertThat(first.data().scope().isAlive()).isFalse();
        assertThat(second.data().scope().isAlive()).isTrue();
        weights.close();
        weights.close();
        assertThat(second.data().scope().isAlive()).isFalse();
    }

    @Test
    void theConfigurationAloneSaysWhatTheModelIs() {
        try (RandomWeights weights = RandomWeights.of(DEEP, 7)) {
            assertThat(weights.config().numLayers()).isEqualTo(28);
            assertThat(weights.config().headDim()).as("not hidden / heads = 16").isEqualTo(32);
            assertThat(weights.config().tieWordEmbeddings()).isTrue();
            assertThat(weights.generation().temperature()).isEqualTo(1);
            assertThat(weights.generation().eosTokenIds()).containsExactly(511);
        }
        assertThatThrownBy(() -> RandomWeights.of(Path.of("/nowhere/config.json"), 1))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("/nowhere/config.json");
    }

    @Test
    void aTensorThatNoMemoryHoldsIsNamedWithItsBytes() {
        try (RandomWeights weights = RandomWeights.of(DEEP, 7)) {
            assertThatThrownBy(() -> weights.weight("huge.weight", 1_000_000, 1_000_000))
                    .isInstanceOf(CheckpointException.class)
                    .hasMessageContaining("huge.weight [1000000, 1000000], 2000000000000 bytes");
        }
    }
}
