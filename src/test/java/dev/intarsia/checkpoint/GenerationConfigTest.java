package dev.intarsia.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.intarsia.CheckpointException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class GenerationConfigTest {

    private static final ModelConfig MODEL =
            ModelConfig.read(References.directory("llama2-f16").resolve("config.json"));

    @TempDir
    private Path temp;

    private GenerationConfig read(String json) throws IOException {
        return GenerationConfig.read(Files.writeString(temp.resolve("generation_config.json"), json), MODEL);
    }

    @Test
    void absentMeansTheModelsOwnDistribution() throws IOException {
        GenerationConfig plain = new GenerationConfig(true, 1, 1, 0, List.of(2), OptionalInt.of(1));
        assertThat(GenerationConfig.read(temp.resolve("absent"), MODEL)).isEqualTo(plain);
        assertThat(read("{}")).isEqualTo(plain);
        assertThat(read("{\"temperature\": null, \"top_k\": -1}")).isEqualTo(plain);
    }

    @Test
    void writtenValuesCount() throws IOException {
        assertThat(read("""
                {"do_sample": true, "temperature": 0.8, "top_p": 0.95, "top_k": 20, "eos_token_id": [7, 8],
                 "bos_token_id": 9}"""))
                .isEqualTo(new GenerationConfig(true, 0.8, 0.95, 20, List.of(7, 8), OptionalInt.of(9)));
        assertThat(read("{\"eos_token_id\": 7}").eosTokenIds()).containsExactly(7);
    }

    @Test
    void notSamplingIsGreedy() throws IOException {
        GenerationConfig greedy = read("{\"do_sample\": false, \"temperature\": 0.8}");
        assertThat(greedy.doSample()).isFalse();
        assertThat(greedy.temperature()).isZero();
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', quoteCharacter = '|', value = {
        "{\"temperature\": -0.1}; temperature is -0.1",
        "{\"temperature\": 1e999}; temperature is ",
        "{\"top_p\": 0}; top_p is 0",
        "{\"top_p\": 1.1}; top_p is 1.1",
        "{\"top_k\": -2}; top_k is -2",
        "{\"top_k\": 1.5}; top_k is 1.5",
        "{\"eos_token_id\": [512]}; eos_token_id is 512",
        "{\"do_sample\": \"yes\"}; do_sample is \"yes\"",
        "[]; must hold a JSON object",
    })
    void valuesAreBounded(String json, String message) {
        assertThatThrownBy(() -> read(json))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("generation_config.json: ")
                .hasMessageContaining(message);
    }
}
