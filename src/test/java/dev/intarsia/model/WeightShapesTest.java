package dev.intarsia.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.intarsia.CheckpointException;
import dev.intarsia.TestModels;
import dev.intarsia.checkpoint.ModelConfig;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class WeightShapesTest {
    private static final Path CONFIGS = TestModels.holmes().getParent().getParent().resolve("bench/configs");

    /** The numbers of parameters that the models were published with. */
    @ParameterizedTest
    @CsvSource({"qwen3-0.6b, 596049920", "llama-3.2-1b, 1235814400", "qwen3-4b, 4022468096"})
    void theConfigurationsToMeasureWithHaveThePublishedSizes(String name, long parameters) {
        ModelConfig config = ModelConfig.read(CONFIGS.resolve(name + ".json"));
        assertThat(WeightShapes.elements(config)).isEqualTo(parameters);
    }

    @Test
    void whatNoFamilyServesIsNamed(@TempDir Path temp) throws Exception {
        Path config = temp.resolve("config.json");
        Files.writeString(config, Files.readString(CONFIGS.resolve("qwen3-0.6b.json")).replace("Qwen3For", "NoneFor"));
        assertThatThrownBy(() -> WeightShapes.of(ModelConfig.read(config)))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("NoneForCausalLM");
    }
}
