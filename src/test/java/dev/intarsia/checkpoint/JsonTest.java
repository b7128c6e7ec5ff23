package dev.intarsia.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.intarsia.CheckpointException;
import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class JsonTest {

    @TempDir
    private Path temp;

    private JsonObject read(String json, int maxBytes) throws IOException {
        return Json.read(Files.writeString(temp.resolve("x.json"), json), maxBytes);
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', quoteCharacter = '|', value = {
        "||; must hold a JSON object",
        "null; must hold a JSON object",
        "[{}]; must hold a JSON object",
        "{; not acceptable JSON",
        "{} x; not acceptable JSON",
        "{} {}; not acceptable JSON",
        "{'a':1}; not acceptable JSON",
        "{\"a\":NaN}; not acceptable JSON",
        "{\"a\":1,}; not acceptable JSON",
        "{\"a\":1 /* b */}; not acceptable JSON",
        "{\"a\":01}; not acceptable JSON",
        "{\"a\":1,\"a\":1}; Duplicate",
        "{\"a\":{\"b\":1,\"b\":2}}; Duplicate",
    })
    void onlyStrictJsonObjectsAreRead(String json, String message) {
        assertThatThrownBy(() -> read(json, 1000))
                .isInstanceOf(CheckpointException.class)
                .hasMessageStartingWith(temp.resolve("x.json") + ": ")
                .hasMessageContaining(message)
                .satisfies(e -> assertThat(e.getMessage()).doesNotContain("\n"));
    }

    @Test
    void sizeDepthAndNumbersAreBounded() throws IOException {
        assertThat(read("{\"a\":" + "[".repeat(63) + "]".repeat(63) + "}", 1000).keys()).containsExactly("a");
        assertThatThrownBy(() -> read("{\"a\":" + "[".repeat(64) + "]".repeat(64) + "}", 1000))
                .isInstanceOf(CheckpointException.class).hasMessageContaining("depth");
        assertThatThrownBy(() -> read("{\"a\":".repeat(100_000), 1_000_000)).isInstanceOf(CheckpointException.class);
        assertThatThrownBy(() -> read("{\"a\":1" + "0".repeat(200) + "}", 1000))
                .isInstanceOf(CheckpointException.class).hasMessageContaining("umber");
        assertThat(read("{" + " ".repeat(98) + "}", 100).keys()).isEmpty();
        assertThatThrownBy(() -> read("{" + " ".repeat(99) + "}", 100))
                .isInstanceOf(CheckpointException.class).hasMessageContaining("larger than the 100 bytes allowed");
    }

    @Test
    void valuesAreBoundedAndNamed() throws IOException {
        JsonObject json = read("""
                {"n": 7, "big": 9223372036854775808, "x": 1.5, "huge": 1e999, "s": "t", "no": null,
                 "o": {"k": [1, "y"]}}""",
                1000);
        assertThat(json.requireInteger("n", 7, 7)).isEqualTo(7);
        assertThat(json.integer("no", 0, 1)).isEmpty();
        assertThat(json.number("n", 0, 10, 3)).isEqualTo(7);
        assertThat(json.number("absent", 0, 10, 3)).isEqualTo(3);
        assertThatThrownBy(() -> json.requireInteger("n", 0, 6))
                .hasMessageEndingWith("n is 7 but must be an integer from 0 to 6");
        assertThatThrownBy(() -> json.requireInteger("n", 8, 9)).hasMessageContaining("from 8 to 9");
        assertThatThrownBy(() -> json.requireInteger("big", 0, 6)).hasMessageContaining("big is 9223372036854775808");
        assertThatThrownBy(() -> json.requireInteger("x", 0, 6)).hasMessageContaining("x is 1.5 but must be an int");
        assertThatThrownBy(() -> json.number("huge", 0, 6, 1)).hasMessageContaining("huge is ");
        assertThatThrownBy(() -> json.number("s", 0, 6, 1)).hasMessageContaining("s is \"t\" but must be a number");
        assertThatThrownBy(() -> json.require("no")).hasMessageContaining("no is missing");
        assertThatThrownBy(() -> json.flag("s")).hasMessageContaining("true or false");
        assertThatThrownBy(() -> json.string("n")).hasMessageContaining("a string");
        assertThatThrownBy(() -> json.requireObject("o").integers("k", 0, 9)).hasMessageContaining("o.k is \"y\"");
        assertThatThrownBy(() -> json.requireObject("o").requireObject("k")).hasMessageContaining("o.k is [1,\"y\"]");
        assertThatThrownBy(() -> json.requireObject("o").objects("k")).hasMessageContaining("o.k[0] is 1");
    }

    /** A million small values take a hundred times the heap of their text. */
    @Test
    void manyTinyValuesAreRefusedBeforeTheyFillTheHeap() {
        byte[] text = ("{\"a\":[" + "1,".repeat(12_000_000) + "1]}").getBytes(StandardCharsets.US_ASCII);
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long before = threads.getCurrentThreadAllocatedBytes();

        assertThatThrownBy(() -> Json.parse(text, temp))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("2000000");

        assertThat(threads.getCurrentThreadAllocatedBytes() - before).isLessThan(200_000_000);
    }

    @Test
    void malformedUtf8IsSaidToBe() {
        byte[] text = "{\"a\":\"\u00e9\"}".getBytes(StandardCharsets.ISO_8859_1);
        assertThatThrownBy(() -> Json.parse(text, temp)).hasMessageContaining("not UTF-8");
    }
}
