package dev.intarsia.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.IntSupplier;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

class IncrementalDecoderTest {

    private static final List<String> TEXTS = List.of("", " ", "  two  spaces", "日本語のテキスト 日本 the", "🙂🙂 the 👩‍👩‍👧‍👦",
            "naïve café — “quotes” …", "the \uFFFD the\uFFFD", "𝔘𝔫𝔦 日本🙂 the,\n\tthe  ", "\uFFFD", "a🙂");

    @TempDir
    private static Path temp;
    private static Tokenizer holmes;
    private static Tokenizer llama;
    private static Tokenizer metaspace;
    private static Tokenizer bare;

    @BeforeAll
    static void open() throws IOException {
        holmes = Tokenizer.open(Tokenizers.holmes());
        llama = Tokenizers.open(temp, Tokenizers.llamaJson());
        ObjectNode json = Tokenizers.llamaJson();
        json.putNull("normalizer");
        ObjectNode spaces = Tokenizers.JSON.createObjectNode().put("type", "Metaspace").put("replacement", "▁")
                .put("prepend_scheme", "always").put("split", false);
        json.set("pre_tokenizer", spaces);
        json.set("decoder", spaces);
        metaspace = Tokenizers.open(temp, json);
        json.putNull("decoder");
        bare = Tokenizers.open(temp, json);
    }

    @AfterAll
    static void close() {
        tokenizers().forEach(Tokenizer::close);
    }

    static List<Tokenizer> tokenizers() {
        return List.of(holmes, llama, metaspace, bare);
    }

    /** The pieces put together, each checked to end between characters. */
    private static String stream(Tokenizer tokenizer, int[] ids) {
        IncrementalDecoder decoder = new IncrementalDecoder(tokenizer);
        StringBuilder all = new StringBuilder();
        for (int id : ids) {
            String piece = decoder.append(id);
            assertThat(piece.isEmpty() || !Character.isHighSurrogate(piece.charAt(piece.length() - 1))).isTrue();
            all.append(piece);
        }
        return all.append(decoder.finish()).toString();
    }

    private static void assertStreamsWhole(Tokenizer tokenizer, int[] ids) {
        assertThat(stream(tokenizer, ids)).as("ids %s", Arrays.toString(ids)).isEqualTo(tokenizer.decode(ids));
    }

    @Test
    void everyGoldenSequenceStreams() {
        JsonNode golden = Tokenizers.JSON.readTree(Tokenizers.holmes().resolve("golden.json").toFile());
        for (JsonNode item : golden.get("cases")) {
            assertThat(stream(holmes, TokenizerTest.ints(item.get("greedy_48"))))
                    .isEqualTo(holmes.decode(TokenizerTest.ints(item.get("greedy_48"))));
            assertThat(stream(holmes, TokenizerTest.ints(item.get("ids"))))
                    .isEqualTo(item.get("prompt").stringValue().replaceAll("<\\|\\w+\\|>", ""));
        }
        for (JsonNode item : golden.get("encode")) {
            assertStreamsWhole(holmes, TokenizerTest.ints(item.get("ids")));
        }
    }

    @ParameterizedTest(autoCloseArguments = false)
    @MethodSource("tokenizers")
    void textsStream(Tokenizer tokenizer) {
        for (String text : TEXTS) {
            assertStreamsWhole(tokenizer, tokenizer.encode(text));
        }
        String all = String.join("", TEXTS).repeat(20);
        assertStreamsWhole(tokenizer, tokenizer.encode(all));
        if (tokenizer == holmes || tokenizer == llama) {
            assertThat(stream(tokenizer, tokenizer.encode(all))).isEqualTo(all);
        }
    }

    @ParameterizedTest(autoCloseArguments = false)
    @MethodSource("tokenizers")
    void randomTokensStream(Tokenizer tokenizer) {
        Random random = new Random(11);
        for (int round = 0; round < 60; round++) {
            assertRandom(tokenizer, random, () -> random.nextInt(-2, tokenizer.vocabSize() + 2));
        }
    }

    /** Tokens of one byte: almost all sequences are malformed UTF-8 somewhere. */
    @ParameterizedTest(autoCloseArguments = false)
    @MethodSource("tokenizers")
    void randomBytesStream(Tokenizer tokenizer) {
        Random random = new Random(12);
        int[] useful = {0x41, 0x80, 0x99, 0xBF, 0xC3, 0xE6, 0x97, 0xA5, 0xED, 0xA0, 0xF0, 0x9F, 0x99, 0x82, 0xF4, 0xFF};
        for (int round = 0; round < 60; round++) {
            assertRandom(tokenizer, random, () -> byteToken(tokenizer, useful[random.nextInt(useful.length)]));
            assertRandom(tokenizer, random, () -> byteToken(tokenizer, 0x80 + random.nextInt(2)));
        }
    }

    private static void assertRandom(Tokenizer tokenizer, Random random, IntSupplier tokens) {
        int[] ids = new int[random.nextInt(120)];
        Arrays.setAll(ids, i -> tokens.getAsInt());
        assertStreamsWhole(tokenizer, ids);
    }

    /** The token of a byte: by the byte-level alphabet, which begins with the printable bytes, or by fallback. */
    private static int byteToken(Tokenizer tokenizer, int value) {
        if (tokenizer != holmes) {
            return 3 + value;
        }
        int printable = value >= 0xAE ? value - 0xAE + 106 : value >= 0xA1 ? value - 0xA1 + 94 : value - 0x21;
        if (value >= 0x21 && value <= 0x7E || value >= 0xA1 && value != 0xAD) {
            return printable;
        }
        return 188 + (value <= 0x20 ? value : value == 0xAD ? 67 : value - 0x7F + 33);
    }

    @Test
    void theByteAlphabetOfThisTestIsRight() {
        for (int value = 0; value < 0x80; value++) {
            assertThat(holmes.decode(new int[] {byteToken(holmes, value)})).isEqualTo(Character.toString(value));
        }
        for (int value = 0x80; value < 0x100; value++) {
            int lead = 0xC0 | value >> 6;
            assertThat(holmes.decode(new int[] {byteToken(holmes, lead), byteToken(holmes, 0x80 | value & 0x3F)}))
                    .isEqualTo(Character.toString(value));
        }
        assertThat(holmes.encode("🙂")).containsExactly(
                byteToken(holmes, 0xF0), byteToken(holmes, 0x9F), byteToken(holmes, 0x99), byteToken(holmes, 0x82));
    }

    @Test
    void aCharacterIsGivenOutWithItsLastByte() {
        IncrementalDecoder decoder = new IncrementalDecoder(holmes);
        int[] ids = holmes.encode("a🙂b");
        assertThat(ids).hasSize(6);
        assertThat(Arrays.stream(ids).mapToObj(decoder::append)).containsExactly("a", "", "", "", "🙂", "b");
        assertThat(decoder.finish()).isEmpty();
    }

    @Test
    void anUnfinishedCharacterComesAtTheEnd() {
        IncrementalDecoder decoder = new IncrementalDecoder(holmes);
        assertThat(decoder.append(byteToken(holmes, 0xF0))).isEmpty();
        assertThat(decoder.append(byteToken(holmes, 0x9F))).isEmpty();
        assertThat(decoder.finish()).isEqualTo("\uFFFD");
        assertThat(decoder.finish()).isEmpty();
        assertThatThrownBy(() -> decoder.append(1)).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void aRunOfFallbackBytesWaitsForItsEnd() {
        IncrementalDecoder decoder = new IncrementalDecoder(llama);
        int[] ids = llama.encode("é,");
        assertThat(Arrays.stream(ids).mapToObj(decoder::append)).containsExactly("", "", "", "", "é,");
    }

    @Test
    void ordinaryTextIsNotHeldBack() {
        IncrementalDecoder decoder = new IncrementalDecoder(holmes);
        for (int id : holmes.encode("It was a dark night, and the captain said to me: ".repeat(30))) {
            assertThat(decoder.append(id)).isEqualTo(holmes.decode(new int[] {id})).isNotEmpty();
        }
        assertThat(decoder.finish()).isEmpty();
    }

    /** Neither plain text nor garbage makes the work per token grow with the length of the text: that would take minutes. */
    @Test
    @Timeout(60)
    void workPerTokenDoesNotGrow() {
        int plain = holmes.encode(" the")[0];
        for (int id : new int[] {plain, byteToken(holmes, 0x80), byteToken(holmes, 0xF0), 4095}) {
            int[] ids = new int[50_000];
            Arrays.fill(ids, id);
            assertThat(stream(holmes, ids)).isEqualTo(holmes.decode(ids));
        }
    }
}
