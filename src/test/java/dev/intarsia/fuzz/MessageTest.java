package dev.intarsia.fuzz;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import dev.intarsia.TestModels;
import dev.intarsia.checkpoint.Checkpoint;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a file says can stand in a message, but cannot break its line, turn it around or fill the log. */
class MessageTest {

    private static final String HUGE = "n".repeat(100_000);

    @TempDir
    private Path directory;

    private String configRefused(String config) throws Exception {
        Files.writeString(directory.resolve("config.json"), config);
        return refused();
    }

    private String headerRefused(String header) throws Exception {
        Files.copy(TestModels.checkpoint("qwen3-tied").resolve("config.json"), directory.resolve("config.json"));
        byte[] text = header.getBytes(StandardCharsets.UTF_8);
        Files.write(directory.resolve("model.safetensors"), WeightsFile.join(text.length, text, new byte[0]));
        return refused();
    }

    private String refused() {
        Throwable thrown = catchThrowable(() -> Checkpoint.open(directory).close());
        assertThat(Verdict.of(thrown).complaint()).isEmpty();
        return thrown.getMessage();
    }

    @Test
    void valuesAreEscaped() throws Exception {
        assertThat(configRefused("{\"model_type\": [\"\u202e\u2028\u007f\\u0000\"]}"))
                .contains("model_type is [\"\\u202e\\u2028\\u007f\\u0000\"] but");
    }

    @Test
    void whatIsNoJsonIsEscaped() throws Exception {
        assertThat(configRefused("{\"model_type\": nu\u0000\u0000" + "\u0000".repeat(5_000))).contains("'nu\\u0000");
    }

    @Test
    void keysAreEscapedAndCutOff() throws Exception {
        assertThat(headerRefused("{\"a\\r\\nWARNING b\": 1}")).contains("a\\u000d\\u000aWARNING b is 1 but");
    }

    @Test
    void longKeysAreCutOff() throws Exception {
        assertThat(headerRefused("{\"" + HUGE.substring(0, 50_000) + "\": 1}")).contains("nnn… is 1 but");
    }

    @Test
    void longListsAreLeftOut() throws Exception {
        String header = "{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0" + ",0".repeat(50_000) + "]}}";
        assertThat(headerRefused(header)).contains("data_offsets of 50001 numbers");
    }

    @Test
    void shardsWithLongNamesAreNoShards() throws Exception {
        Files.copy(TestModels.checkpoint("qwen3-tied").resolve("config.json"), directory.resolve("config.json"));
        Files.writeString(directory.resolve("model.safetensors.index.json"),
                "{\"weight_map\":{\"a\":\"" + HUGE + ".safetensors\"}}");
        assertThat(refused()).contains("must be the name of a .safetensors file");
    }
}
