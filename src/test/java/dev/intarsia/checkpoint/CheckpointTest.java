package dev.intarsia.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.intarsia.CheckpointException;
import dev.intarsia.TestModels;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.ObjectMapper;

class CheckpointTest {

    @TempDir
    private Path temp;

    /** A tensor as a second, naive reader finds it. */
    private record Plain(String dtype, List<Integer> shape, byte[] data) {
    }

    private static Map<String, Plain> readPlainly(Path directory) throws IOException {
        Map<String, Plain> all = new TreeMap<>();
        try (var files = Files.newDirectoryStream(directory, "*.safetensors")) {
            for (Path file : files) {
                byte[] bytes = Files.readAllBytes(file);
                int length = (int) ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong();
                Map<?, ?> header = new ObjectMapper()
                        .readValue(new String(bytes, 8, length, StandardCharsets.UTF_8), Map.class);
                header.forEach((name, value) -> {
                    if (!name.equals("__metadata__")) {
                        Map<?, ?> entry = (Map<?, ?>) value;
                        List<Integer> offsets = integers(entry.get("data_offsets"));
                        all.put((String) name, new Plain((String) entry.get("dtype"), integers(entry.get("shape")),
                                Arrays.copyOfRange(bytes, 8 + length + offsets.get(0), 8 + length + offsets.get(1))));
                    }
                });
            }
        }
        return all;
    }

    private static List<Integer> integers(Object list) {
        return ((List<?>) list).stream().map(Integer.class::cast).toList();
    }

    static List<String> names() {
        return References.names().toList();
    }

    @ParameterizedTest
    @MethodSource("names")
    void tensorsAreWhatANaiveReaderFinds(String name) throws IOException {
        Path directory = References.directory(name);
        Map<String, Plain> expected = readPlainly(directory);
        assertThat(expected).hasSizeGreaterThanOrEqualTo(20);
        try (Checkpoint checkpoint = Checkpoint.open(directory)) {
            assertThat(checkpoint.directory()).isEqualTo(directory);
            assertThat(checkpoint.names()).containsExactlyInAnyOrderElementsOf(expected.keySet());
            assertThat(checkpoint.totalBytes())
                    .isEqualTo(expected.values().stream().mapToLong(plain -> plain.data.length).sum());
            expected.forEach((tensor, plain) -> {
                TensorView view = checkpoint.tensor(tensor);
                assertThat(view.name()).isEqualTo(tensor);
                assertThat(view.dtype()).hasToString(plain.dtype);
                assertThat(view.shape()).containsExactly(plain.shape.stream().mapToLong(i -> i).toArray());
                assertThat(view.elements()).isEqualTo(plain.data.length * 8L / view.dtype().bits());
                assertThat(view.data().toArray(ValueLayout.JAVA_BYTE)).isEqualTo(plain.data);
            });
        }
    }

    @ParameterizedTest
    @MethodSource("names")
    void weightsHaveTheShapesThatTheConfigurationSays(String name) {
        try (Checkpoint checkpoint = Checkpoint.open(References.directory(name))) {
            ModelConfig config = checkpoint.config();
            assertThat(checkpoint.tensor("model.embed_tokens.weight").shape())
                    .containsExactly(config.vocabSize(), config.hiddenSize());
            assertThat(checkpoint.has("lm_head.weight")).isEqualTo(!config.tieWordEmbeddings());
            String last = "model.layers." + (config.numLayers() - 1);
            assertThat(checkpoint.tensor(last + ".self_attn.q_proj.weight").shape())
                    .containsExactly((long) config.numHeads() * config.headDim(), config.hiddenSize());
            assertThat(checkpoint.tensor(last + ".self_attn.k_proj.weight").shape())
                    .containsExactly((long) config.numKvHeads() * config.headDim(), config.hiddenSize());
            assertThat(checkpoint.tensor(last + ".mlp.gate_proj.weight").shape())
                    .containsExactly(config.intermediateSize(), config.hiddenSize());
            assertThat(checkpoint.names()).noneMatch(
                    tensor -> tensor.startsWith("model.layers." + config.numLayers() + "."));
        }
    }

    @Test
    void aMissingTensorIsNamedWithItsNearestNeighbours() {
        try (Checkpoint checkpoint = Checkpoint.open(References.directory("qwen3-tied"))) {
            assertThat(checkpoint.has("model.layers.1.self_attn.q_nrm.weight")).isFalse();
            assertThatThrownBy(() -> checkpoint.tensor("model.layers.1.self_attn.q_nrm.weight"))
                    .isInstanceOf(CheckpointException.class)
                    .hasMessageContaining("qwen3-tied")
                    .hasMessageContaining("no tensor \"model.layers.1.self_attn.q_nrm.weight\"")
                    .hasMessageContaining("are: \"model.layers.1.self_attn.q_norm.weight\", ");
        }
    }

    @Test
    void aWeightHasTheShapeThatIsAskedFor() {
        try (Checkpoint checkpoint = Checkpoint.open(References.directory("qwen3-tied"))) {
            int hidden = checkpoint.config().hiddenSize();
            assertThat(checkpoint.weight("model.norm.weight", hidden).elements()).isEqualTo(hidden);
            assertThatThrownBy(() -> checkpoint.weight("model.norm.weight", hidden, 1))
                    .isInstanceOf(CheckpointException.class)
                    .hasMessageContaining("model.norm.weight")
                    .hasMessageContaining("has shape [" + hidden + "], but config.json makes it [" + hidden + ", 1]");
        }
    }

    @Test
    void viewsAreReadOnlyAndEndWithTheCheckpoint() {
        Checkpoint checkpoint = Checkpoint.open(References.directory("qwen3-tied"));
        TensorView view = checkpoint.tensor("model.norm.weight");
        view.shape()[0] = -1;
        assertThat(view.shape()).containsExactly(checkpoint.config().hiddenSize());
        assertThat(view.data().isReadOnly()).isTrue();
        checkpoint.close();
        checkpoint.close();
        assertThatThrownBy(() -> checkpoint.tensor("model.norm.weight"))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("closed");
        assertThatThrownBy(() -> view.data().get(ValueLayout.JAVA_BYTE, 0)).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void theSingleFileIsPreferredToAnIndex() throws IOException {
        copy("qwen3-tied");
        Files.writeString(temp.resolve("model.safetensors.index.json"), "nonsense");
        try (Checkpoint checkpoint = Checkpoint.open(temp)) {
            assertThat(checkpoint.names()).hasSizeGreaterThan(20);
        }
    }

    @Test
    void aDirectoryThatIsNoCheckpointIsRefused() throws IOException {
        assertRefused(temp.resolve("nowhere"), "nowhere: no such directory");
        assertRefused(Files.createFile(temp.resolve("file")), "file: not a directory");
        assertRefused(temp, "config.json: no such file");
        copy("qwen3-tied");
        Files.delete(temp.resolve("model.safetensors"));
        Files.createFile(temp.resolve("pytorch_model.bin"));
        assertRefused(temp, "holds neither model.safetensors nor model.safetensors.index.json");
        Files.createDirectory(temp.resolve("model.safetensors"));
        assertRefused(temp, "model.safetensors: not a regular file");
        Files.delete(temp.resolve("config.json"));
        Files.createDirectory(temp.resolve("config.json"));
        assertRefused(temp, "config.json: not a regular file");
    }

    @Test
    void anUnloadableDtypeFailsOnlyWhenUsed() throws IOException {
        copy("qwen3-tied");
        Files.write(temp.resolve("model.safetensors"), SafeTensorsTest.file(
                "{\"a\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]},"
                        + "\"b\":{\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[8,10]}}", 10));
        try (Checkpoint checkpoint = Checkpoint.open(temp)) {
            assertThat(checkpoint.tensor("b").elements()).isEqualTo(1);
            assertThatThrownBy(() -> checkpoint.tensor("a"))
                    .isInstanceOf(CheckpointException.class)
                    .hasMessageContaining("\"a\" is stored as I64 but only F32, F16 and BF16 can be loaded");
        }
    }

    private void copy(String name) throws IOException {
        try (var files = Files.newDirectoryStream(References.directory(name))) {
            for (Path file : files) {
                Files.copy(file, temp.resolve(file.getFileName().toString()));
            }
        }
    }

    private static void assertRefused(Path directory, String message) {
        assertThatThrownBy(() -> Checkpoint.open(directory).close())
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining(message);
    }

    @Test
    void aWeightIsMappedUntilTheNextIsAskedFor() {
        Checkpoint checkpoint = Checkpoint.open(TestModels.checkpoint("qwen3-tied"));
        TensorView whole = checkpoint.tensor("model.norm.weight");
        TensorView weight = checkpoint.weight("model.norm.weight", whole.shape());
        assertThat(weight.data().mismatch(whole.data())).isEqualTo(-1);
        TensorView next = checkpoint.weight("model.norm.weight", whole.shape());
        assertThat(weight.data().scope().isAlive()).isFalse();
        assertThat(next.data().mismatch(whole.data())).isEqualTo(-1);
        checkpoint.close();
        assertThat(next.data().scope().isAlive()).isFalse();
        assertThat(whole.data().scope().isAlive()).isFalse();
    }
}
