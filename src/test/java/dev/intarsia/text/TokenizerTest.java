package dev.intarsia.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.intarsia.CheckpointException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

class TokenizerTest {

    private static Tokenizer holmes;
    private static JsonNode golden;

    @TempDir
    private Path temp;

    @BeforeAll
    static void open() {
        holmes = Tokenizer.open(Tokenizers.holmes());
        golden = Tokenizers.JSON.readTree(Tokenizers.holmes().resolve("golden.json").toFile());
    }

    @AfterAll
    static void close() {
        holmes.close();
    }

    static int[] ints(JsonNode list) {
        return list.valueStream().mapToInt(JsonNode::intValue).toArray();
    }

    @Test
    void encodesAndDecodesAsTheReferenceDoes() {
        assertThat(golden.get("encode").size()).isEqualTo(11);
        for (JsonNode item : golden.get("encode")) {
            int[] ids = ints(item.get("ids"));
            assertThat(holmes.encode(item.get("text").stringValue())).isEqualTo(ids);
            assertThat(holmes.decode(ids, false)).isEqualTo(item.get("decoded").stringValue());
        }
        assertThat(golden.get("cases").size()).isEqualTo(5);
        for (JsonNode item : golden.get("cases")) {
            assertThat(holmes.encode(item.get("prompt").stringValue())).isEqualTo(ints(item.get("ids")));
            assertThat(holmes.decode(ints(item.get("greedy_48")), false))
                    .isEqualTo(item.get("greedy_text").stringValue());
        }
    }

    @Test
    void specialTokensAreLeftOut() {
        assertThat(holmes.vocabSize()).isEqualTo(4096);
        assertThat(IntStream.range(-1, 5000).filter(holmes::isSpecial)).containsExactly(4093, 4094, 4095);
        int[] ids = holmes.encode("<|im_start|>user\nHi<|im_end|>");
        assertThat(ids).startsWith(4094).endsWith(4095);
        assertThat(holmes.decode(ids)).isEqualTo("user\nHi");
    }

    @Test
    void idsThatAreNoTokenGiveNoText() {
        assertThat(holmes.decode(new int[] {39, -1, 4096, Integer.MAX_VALUE, Integer.MIN_VALUE, 72})).isEqualTo("Hi");
        assertThat(holmes.decode(new int[0])).isEmpty();
    }

    @Test
    void mergesLoadInBothNotations() throws IOException {
        ObjectNode json = Tokenizers.holmesJson();
        ObjectNode model = (ObjectNode) json.get("model");
        assertThat(model.get("merges").get(0).isArray()).isTrue();
        ArrayNode joined = Tokenizers.JSON.createArrayNode();
        model.get("merges").forEach(pair -> joined.add(pair.get(0).stringValue() + " " + pair.get(1).stringValue()));
        model.set("merges", joined);
        try (Tokenizer other = Tokenizers.open(temp, json)) {
            for (JsonNode item : golden.get("cases")) {
                assertThat(other.encode(item.get("prompt").stringValue())).isEqualTo(ints(item.get("ids")));
            }
        }
    }

    @Test
    void oddTextGoesRoundUnharmed() {
        for (String text : List.of("\0", "a\0b", "\uFFFF\uFFFD\u200D", "👩‍👩‍👧‍👦 🇩🇪 𝔘𝔫𝔦", "\u0001\u001F\u007F\u0080",
                "日".repeat(5000), " ".repeat(5000), "\r\n\t\u2028\u3000")) {
            assertThat(holmes.decode(holmes.encode(text))).isEqualTo(text);
        }
        assertThat(holmes.decode(holmes.encode("a\uD83D b \uDE42🙂"))).isEqualTo("a\uFFFD b \uFFFD🙂");
    }

    @Test
    void textIsBoundedSinceTheLibraryDoesNotSurviveMore() {
        assertThat(holmes.encode(" ".repeat(Tokenizer.MAX_TEXT))).hasSizeGreaterThan(10_000);
        assertThatThrownBy(() -> holmes.encode(" ".repeat(Tokenizer.MAX_TEXT + 1)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("text is 1048577 chars long but must be at most 1048576");
    }

    @Test
    void truncationAndPaddingOfTheFileAreIgnored() throws IOException {
        ObjectNode json = Tokenizers.holmesJson();
        json.putObject("truncation").put("max_length", 1).put("strategy", "LongestFirst").put("stride", 5)
                .put("direction", "Right");
        json.putObject("padding").put("strategy", "BatchLongest").put("direction", "Right").put("pad_to_multiple_of", 8)
                .put("pad_id", 0).put("pad_type_id", 0).put("pad_token", "!");
        try (Tokenizer other = Tokenizers.open(temp, json)) {
            assertThat(other.encode("Hello, world!")).isEqualTo(holmes.encode("Hello, world!"));
        }
    }

    @Test
    void theTemplateAddsTheBeginningOfText() throws IOException {
        try (Tokenizer llama = Tokenizers.open(temp, Tokenizers.llamaJson())) {
            assertThat(llama.encode("")).containsExactly(1);
            int[] ids = llama.encode("the 日本 é");
            assertThat(ids).startsWith(1).contains(3 + 0xC3, 3 + 0xA9);
            assertThat(llama.decode(ids)).isEqualTo("the 日本 é");
        }
    }

    @Test
    void aBeginningOfTextThatTheConfigurationAsksForIsAddedOnce() throws IOException {
        Path config = temp.resolve("tokenizer_config.json");
        Files.writeString(config, "{\"add_bos_token\": true, \"bos_token\": {\"content\": \"<s>\"}}");
        try (Tokenizer llama = Tokenizers.open(temp, Tokenizers.llamaJson())) {
            assertThat(llama.encode("the")).startsWith(1).doesNotContain(1, org.assertj.core.data.Index.atIndex(1));
            assertThat(llama.encodeBare("the")).hasSize(1).doesNotContain(1);
        }
        ObjectNode bare = Tokenizers.llamaJson();
        bare.putNull("post_processor");
        try (Tokenizer llama = Tokenizers.open(temp, bare)) {
            assertThat(llama.encode("")).containsExactly(1);
            assertThat(llama.encode("the")).startsWith(1).hasSize(2).endsWith(llama.encodeBare("the"));
        }
        Files.writeString(config, "{\"add_bos_token\": false, \"bos_token\": \"<s>\"}");
        try (Tokenizer llama = Tokenizers.open(temp, bare)) {
            assertThat(llama.encode("the")).hasSize(1);
        }
        Files.writeString(config, "{\"add_bos_token\": true, \"bos_token\": \"<nope>\"}");
        assertThatThrownBy(() -> Tokenizers.open(temp, bare))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("bos_token is \"<nope>\" but must be a token of tokenizer.json");
        Files.writeString(config, "{\"add_bos_token\": true}");
        assertThatThrownBy(() -> Tokenizers.open(temp, bare)).hasMessageContaining("bos_token is missing");
    }

    @Test
    void manyThreadsMayUseOneTokenizer() throws Exception {
        List<String> texts = IntStream.range(0, 64).mapToObj(i -> "the " + i + " café 🙂 " + "x".repeat(i)).toList();
        List<int[]> expected = texts.stream().map(holmes::encode).toList();
        try (var threads = Executors.newFixedThreadPool(4)) {
            List<Callable<Boolean>> tasks = new ArrayList<>();
            for (int t = 0; t < 4; t++) {
                tasks.add(() -> {
                    for (int i = 0; i < texts.size(); i++) {
                        assertThat(holmes.encode(texts.get(i))).isEqualTo(expected.get(i));
                        assertThat(holmes.decode(expected.get(i))).isEqualTo(texts.get(i));
                    }
                    return true;
                });
            }
            for (Future<Boolean> done : threads.invokeAll(tasks)) {
                assertThat(done.get()).isTrue();
            }
        }
    }

    @Test
    void closedMeansClosed() {
        Tokenizer tokenizer = Tokenizer.open(Tokenizers.holmes());
        tokenizer.close();
        tokenizer.close();
        assertThatThrownBy(() -> tokenizer.encode("a")).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("is closed");
        assertThatThrownBy(() -> tokenizer.decode(new int[] {1})).isInstanceOf(IllegalStateException.class);
    }
}
