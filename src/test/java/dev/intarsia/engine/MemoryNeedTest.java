package dev.intarsia.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.intarsia.Engine;
import dev.intarsia.EngineOptions;
import dev.intarsia.IntarsiaException;
import dev.intarsia.TestModels;
import dev.intarsia.checkpoint.ModelConfig;
import dev.intarsia.runtime.Precision;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MemoryNeedTest {
    private static final Path CONFIG =
            TestModels.holmes().getParent().getParent().resolve("bench/configs/qwen3-0.6b.json");
    private static final long WEIGHTS = 596_049_920;

    @Test
    void theCacheGetsWhatTheWeightsLeave() {
        ModelConfig model = ModelConfig.read(CONFIG);
        EngineOptions f32 = EngineOptions.builder().precision(Precision.F32).build();
        assertThat(MemoryNeed.leftByWeights(model, EngineOptions.defaults(), 4_000_000_000L))
                .isEqualTo(4_000_000_000L - 2 * WEIGHTS);
        assertThat(MemoryNeed.leftByWeights(model, f32, 4_000_000_000L)).isEqualTo(4_000_000_000L - 4 * WEIGHTS);
        assertThatExceptionOfType(IntarsiaException.class)
                .isThrownBy(() -> MemoryNeed.leftByWeights(model, f32, 2_000_000_000L))
                .withMessage("the 596,049,920 weights of this model need 2.4 GB in f32, but only 2.0 GB of memory are free;"
                        + " bf16 takes half");
    }

    @Test
    void aCacheThatDoesNotFitBesideTheWeightsIsRefused() {
        ModelConfig model = ModelConfig.read(CONFIG);
        EngineOptions options = EngineOptions.builder().kvCacheBytes(3_000_000_000L).build();
        assertThat(MemoryNeed.leftByWeights(model, options, 5_000_000_000L)).isGreaterThan(3_000_000_000L);
        assertThatExceptionOfType(IntarsiaException.class)
                .isThrownBy(() -> MemoryNeed.leftByWeights(model, options, 4_000_000_000L))
                .withMessage("kvCacheBytes is 3000000000, but of the 4.0 GB of free memory the weights leave 2.8 GB");
    }

    @Test
    void aModelThatNoMachineHoldsIsRefusedAtOnce(@TempDir Path temp) throws Exception {
        Path config = temp.resolve("config.json");
        Files.writeString(config, Files.readString(CONFIG)
                .replace("\"num_hidden_layers\": 28", "\"num_hidden_layers\": 1000")
                .replace("\"intermediate_size\": 3072", "\"intermediate_size\": 1000000"));
        assertThatExceptionOfType(IntarsiaException.class)
                .isThrownBy(() -> Engine.openRandom(config, 1, EngineOptions.defaults()))
                .withMessageContaining("GB of memory are free");
    }
}
