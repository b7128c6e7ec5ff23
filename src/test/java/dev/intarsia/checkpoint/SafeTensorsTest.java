package dev.intarsia.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.intarsia.CheckpointException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

class SafeTensorsTest {

    @TempDir
    private Path temp;

    /** A file with a true header length and this many bytes of data. */
    static byte[] file(String header, int dataBytes) {
        return file(header.getBytes(StandardCharsets.UTF_8).length, header, dataBytes);
    }

    private static byte[] file(long headerLength, String header, int dataBytes) {
        byte[] json = header.getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocate(8 + json.length + dataBytes).order(ByteOrder.LITTLE_ENDIAN)
                .putLong(headerLength).put(json).array();
    }

    private static String entry(String name, String dtype, String shape, String offsets) {
        return "\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":%s}".formatted(name, dtype, shape, offsets);
    }

    private static String header(String... entries) {
        return "{" + String.join(",", entries) + "}";
    }

    private Map<String, TensorView> map(byte[] bytes, Arena arena) throws IOException {
        return SafeTensors.map(Files.write(temp.resolve("w.safetensors"), bytes), arena).tensors();
    }

    static Stream<Arguments> hostileFiles() {
        String good = entry("a", "F32", "[2]", "[0,8]");
        return Stream.of(
                arguments("empty", new byte[0], "truncated: 0 bytes"),
                arguments("shorter than a length", new byte[7], "truncated: 7 bytes"),
                arguments("header beyond the file", file(100, "{}", 0), "truncated: the header is 100 bytes"),
                arguments("header by one beyond", file(3, "{}", 0), "truncated: the header is 3 bytes"),
                arguments("huge header", file(Long.MAX_VALUE, "{}", 0), "header length 9223372036854775807 exceeds"),
                arguments("negative header", file(-1, "{}", 0), "header length 18446744073709551615 exceeds"),
                arguments("above the limit", file(100_000_001, "{}", 0), "header length 100000001 exceeds"),
                arguments("no header", file("", 0), "must hold a JSON object"),
                arguments("an array", file("[]", 0), "must hold a JSON object"),
                arguments("not JSON", file("{\"a\":", 0), "not acceptable JSON"),
                arguments("not UTF-8", ByteBuffer.wrap(file("{\"aa\":1}", 0)).put(10, (byte) 0xFF).array(),
                        "not acceptable JSON"),
                arguments("trailing", file("{}{}", 0), "not acceptable JSON"),
                arguments("too deep", file("{\"a\":" + "[".repeat(100) + "]".repeat(100) + "}", 0), "nesting depth"),
                arguments("duplicate name", file(header(good, good), 8), "Duplicate"),
                arguments("duplicate key", file("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 8), "Duplicate"),
                arguments("entry no object", file("{\"a\":5}", 0), "a is 5 but must be an object"),
                arguments("no dtype", file("{\"a\":{\"shape\":[],\"data_offsets\":[0,0]}}", 0), "a.dtype is missing"),
                arguments("no shape", file("{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,0]}}", 0), "shape is missing"),
                arguments("no offsets", file("{\"a\":{\"dtype\":\"U8\",\"shape\":[]}}", 0), "data_offsets is missing"),
                arguments("metadata no object", file("{\"__metadata__\":[]}", 0), "__metadata__ is [] but must be"),
                arguments("metadata no text", file("{\"__metadata__\":{\"a\":1}}", 0), "__metadata__.a is 1 but"),
                arguments("bad dtype", file(header(entry("a", "F99", "[2]", "[0,8]")), 8), "unknown dtype \"F99\""),
                arguments("dtype in lower case", file(header(entry("a", "f32", "[2]", "[0,8]")), 8), "unknown dtype"),
                arguments("negative shape", file(header(entry("a", "F32", "[-2]", "[0,8]")), 8), "\"a\" has -2 in its"),
                arguments("fractional shape", file(header(entry("a", "F32", "[2.0]", "[0,8]")), 8), "has 2.0 in its"),
                arguments("shape beyond 64 bits", file(header(entry("a", "F32", "[9223372036854775808]", "[0,8]")), 8),
                        "has 9223372036854775808 in its shape"),
                arguments("overflow to the right size",
                        file(header(entry("a", "F32", "[4611686018427387904,4,2]", "[0,8]")), 8), "whole number of"),
                arguments("overflow by the dtype",
                        file(header(entry("a", "F32", "[4611686018427387906]", "[0,8]")), 8), "whole number of bytes"),
                arguments("half a byte", file(header(entry("a", "F4", "[3]", "[0,1]")), 1), "whole number of bytes"),
                arguments("too many dimensions",
                        file(header(entry("a", "U8", "[1" + ",1".repeat(32) + "]", "[0,1]")), 1), "33 dimensions"),
                arguments("negative offset", file(header(entry("a", "F32", "[2]", "[-8,0]")), 8), "-8 in its data_off"),
                arguments("one offset", file(header(entry("a", "F32", "[2]", "[8]")), 8), "data_offsets [8] but"),
                arguments("three offsets", file(header(entry("a", "F32", "[2]", "[0,8,8]")), 8), "[0, 8, 8] but"),
                arguments("offsets no list", file(header(entry("a", "F32", "[2]", "8")), 8), "is 8 but must be a list"),
                arguments("offsets out of order", file(header(entry("a", "F32", "[2]", "[8,0]")), 8), "[8, 0] but"),
                arguments("beyond the data", file(header(entry("a", "F32", "[2]", "[0,8]")), 7),
                        "ends at data byte 8 but the file holds only 7"),
                arguments("far beyond the data",
                        file(header(entry("a", "U8", "[9223372036854775]", "[0,9223372036854775]")), 8),
                        "holds only 8 bytes"),
                arguments("data left over", file(header(good), 9), "end at data byte 8 but the file holds 9"),
                arguments("data without tensors", file("{}", 1), "end at data byte 0 but the file holds 1"),
                arguments("hole at the start", file(header(entry("a", "F32", "[2]", "[1,9]")), 9), "a hole from 0"),
                arguments("hole between", file(header(good, entry("b", "U8", "[1]", "[9,10]")), 10),
                        "\"b\" begins at data byte 9, after a hole from 8"),
                arguments("overlap", file(header(good, entry("b", "U8", "[2]", "[7,9]")), 9),
                        "\"b\" begins at data byte 7, inside another that ends at 8"),
                arguments("same bytes", file(header(good, entry("b", "U8", "[8]", "[0,8]")), 8), "inside another"),
                arguments("too small for its shape", file(header(entry("a", "F32", "[2]", "[0,7]")), 7),
                        "takes 8 bytes but its data_offsets hold 7"),
                arguments("too big for its shape", file(header(entry("a", "BF16", "[2]", "[0,8]")), 8),
                        "takes 4 bytes but its data_offsets hold 8"));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("hostileFiles")
    void hostileFilesAreRefusedInOneSentence(String what, byte[] bytes, String message) {
        try (Arena arena = Arena.ofConfined()) {
            assertThatThrownBy(() -> map(bytes, arena))
                    .isInstanceOf(CheckpointException.class)
                    .hasMessageContaining("w.safetensors: ")
                    .hasMessageContaining(message)
                    .satisfies(e -> assertThat(e.getMessage()).doesNotContain("\n").hasSizeLessThan(500));
        }
    }

    @Test
    void aHostileNameCannotForgeAMessage() {
        String name = "x\\nERROR: forged" + "y".repeat(1000);
        try (Arena arena = Arena.ofConfined()) {
            assertThatThrownBy(() -> map(file(header(entry(name, "F99", "[2]", "[0,8]")), 8), arena))
                    .satisfies(e -> assertThat(e.getMessage()).doesNotContain("\n").hasSizeLessThan(400));
        }
    }

    @Test
    void emptyTensorsScalarsAndPaddingAreFine() throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            Map<String, TensorView> tensors = map(file(header(
                    "\"__metadata__\":{\"format\":\"pt\"}",
                    entry("b", "F32", "[]", "[0,4]"),
                    entry("empty", "BF16", "[0,4611686018427387904]", "[4,4]"),
                    entry("a", "F4", "[4]", "[4,6]")) + "   ", 6), arena);
            assertThat(tensors).containsOnlyKeys("b", "empty", "a");
            assertThat(tensors.get("b").elements()).isEqualTo(1);
            assertThat(tensors.get("empty").elements()).isZero();
            assertThat(tensors.get("empty").data().byteSize()).isZero();
            assertThat(tensors.get("a").data().byteSize()).isEqualTo(2);
            assertThat(map(file("{}", 0), arena)).isEmpty();
        }
    }

    @ParameterizedTest
    @EnumSource(DType.class)
    void everyDtypeIsRecognised(DType dtype) throws IOException {
        int bytes = dtype.bits();   // of 8 elements
        try (Arena arena = Arena.ofConfined()) {
            assertThat(map(file(header(entry("a", dtype.name(), "[2,4]", "[0," + bytes + "]")), bytes), arena))
                    .hasEntrySatisfying("a", view -> assertThat(view.dtype()).isEqualTo(dtype));
        }
    }

    /** Flipped bytes either leave a valid file or end in the one exception; they never reach anything else. */
    @Test
    void damagedFilesEndInTheOneException() throws IOException {
        byte[] intact = Files.readAllBytes(References.directory("qwen3-tied").resolve("model.safetensors"));
        int headerEnd = 8 + (int) ByteBuffer.wrap(intact).order(ByteOrder.LITTLE_ENDIAN).getLong();
        Random random = new Random(7);
        int refused = 0;
        for (int round = 0; round < 300; round++) {
            byte[] damaged = intact.clone();
            for (int flips = 1 + random.nextInt(3); flips > 0; flips--) {
                damaged[random.nextInt(headerEnd)] = (byte) random.nextInt(256);
            }
            try (Arena arena = Arena.ofConfined()) {
                map(damaged, arena);
            } catch (CheckpointException e) {
                refused++;
            }
        }
        assertThat(refused).isGreaterThan(200);
    }
}
