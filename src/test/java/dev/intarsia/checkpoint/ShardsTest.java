package dev.intarsia.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.intarsia.CheckpointException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ShardsTest {

    @TempDir
    private Path temp;

    @BeforeEach
    void writeTwoShards() throws IOException {
        shard("one.safetensors", "a");
        shard("two.safetensors", "b");
    }

    private void shard(String file, String tensor) throws IOException {
        Files.write(temp.resolve(file), SafeTensorsTest.file(
                "{\"" + tensor + "\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]}}", 3));
    }

    private void index(String json) throws IOException {
        Files.writeString(temp.resolve("model.safetensors.index.json"), json);
    }

    private void assertRefused(String message) {
        try (Arena arena = Arena.ofConfined()) {
            assertThatThrownBy(() -> Shards.map(temp, arena))
                    .isInstanceOf(CheckpointException.class)
                    .hasMessageContaining(message);
        }
    }

    @Test
    void shardsMakeOneCheckpoint() throws IOException {
        index("{\"metadata\":{\"total_size\":6},\"weight_map\":{\"b\":\"two.safetensors\",\"a\":\"one.safetensors\"}}");
        try (Arena arena = Arena.ofConfined()) {
            assertThat(Shards.map(temp, arena).tensors()).containsOnlyKeys("a", "b");
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "../one.safetensors", "/etc/one.safetensors", "sub/one.safetensors", "..\\\\one.safetensors", "..safetensors",
        ".safetensors", "one.bin", "one.safetensors/", "one.safetensors\\u0000", "", "config.json", "C:one.safetensors"
    })
    void anIndexCannotLeadElsewhere(String name) throws IOException {
        Files.copy(temp.resolve("one.safetensors"), temp.resolveSibling("one.safetensors"),
                java.nio.file.StandardCopyOption.REPLACE_EXISTING);
        index("{\"weight_map\":{\"a\":\"" + name + "\"}}");
        assertRefused("weight_map.a is \"" + name + "\" but must be the name of a .safetensors file");
    }

    @Test
    void indexAndShardsMustAgree() throws IOException {
        index("{\"weight_map\":{\"a\":\"one.safetensors\",\"c\":\"three.safetensors\"}}");
        assertRefused("three.safetensors: no such file");
        index("{\"weight_map\":{\"a\":\"one.safetensors\",\"c\":\"two.safetensors\"}}");
        assertRefused("two.safetensors: tensor \"c\" is absent although model.safetensors.index.json lists it here");
        index("{\"weight_map\":{\"a\":\"two.safetensors\",\"b\":\"one.safetensors\"}}");
        assertRefused("tensor \"a\" is absent although");
        shard("two.safetensors", "a");
        index("{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\"}}");
        assertRefused("two.safetensors: tensor \"a\" is also in ");
    }

    @Test
    void aMalformedIndexIsRefused() throws IOException {
        index("{}");
        assertRefused("weight_map is missing");
        index("[]");
        assertRefused("must hold a JSON object");
        index("{\"weight_map\":{\"a\":1}}");
        assertRefused("weight_map.a is 1 but must be a string");
        index("{\"weight_map\":{\"a\":\"one.safetensors\",\"a\":\"one.safetensors\"}}");
        assertRefused("Duplicate");
    }
}
