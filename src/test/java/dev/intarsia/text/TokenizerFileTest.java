package dev.intarsia.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.intarsia.CheckpointException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Hostile tokenizer files; many of these would end the process if they reached the native library. */
class TokenizerFileTest {

    @TempDir
    private Path temp;

    private static Arguments with(String what, String pointer, String value, String message) {
        return arguments(what, (Consumer<ObjectNode>) root -> {
            int slash = pointer.lastIndexOf('/');
            ObjectNode owner = (ObjectNode) root.at(pointer.substring(0, slash));
            owner.set(pointer.substring(slash + 1), Tokenizers.JSON.readTree(value));
        }, message);
    }

    private static Arguments without(String pointer) {
        return arguments("without " + pointer, (Consumer<ObjectNode>) root -> {
            int slash = pointer.lastIndexOf('/');
            ((ObjectNode) root.at(pointer.substring(0, slash))).remove(pointer.substring(slash + 1));
        }, pointer.substring(1).replace('/', '.') + " is missing");
    }

    private static Arguments added(String what, int id, String content, String message) {
        return arguments(what, (Consumer<ObjectNode>) root ->
                Tokenizers.added((ArrayNode) root.get("added_tokens"), id, content), message);
    }

    private static String replace(String pattern) {
        return "{\"type\": \"Replace\", \"pattern\": " + pattern + ", \"content\": \"x\"}";
    }

    private static String template(String pieces, String tokens) {
        return "{\"type\": \"TemplateProcessing\", \"single\": [%s], \"pair\": [], \"special_tokens\": {%s}}"
                .formatted(pieces, tokens);
    }

    static Stream<Arguments> hostileFiles() {
        String start = "{\"SpecialToken\": {\"id\": \"<s>\", \"type_id\": 0}}";
        return Stream.of(
                without("/model"), without("/model/type"), without("/model/vocab"),
                with("another model", "/model/type", "\"Unigram\"", "model.type is \"Unigram\" but must be BPE"),
                with("model no object", "/model", "[]", "model is [] but must be an object"),
                with("vocab no object", "/model/vocab", "[]", "model.vocab is []"),
                with("negative id", "/model/vocab/!", "-1", "model.vocab.! is -1 but must be an integer from 0 to"),
                with("huge id", "/model/vocab/!", "4294967295", "model.vocab.! is 4294967295"),
                with("fractional id", "/model/vocab/!", "0.0", "model.vocab.! is 0.0"),
                with("id given twice", "/model/vocab/!", "7", "an id that no other token has"),
                with("merge of unknown tokens", "/model/merges", "[[\"zzz\", \"q\"]]", "library refuses it: "),
                with("merge of three", "/model/merges", "[\"a b c\"]", "library refuses it: "),
                with("no merges", "/model/merges", "null", "library refuses it: "),
                with("prefix longer than tokens", "/model/continuing_subword_prefix", "\"####\"", "absent or empty"),
                with("suffix", "/model/end_of_word_suffix", "\"</w>\"", "absent or empty"),
                with("dropout", "/model/dropout", "0.5", "it makes encoding random"),
                with("version", "/version", "\"9\"", "library refuses it: "),
                with("added tokens no list", "/added_tokens", "{}", "added_tokens is {} but must be a list"),
                with("added token no object", "/added_tokens", "[5]", "added_tokens[0] is 5"),
                with("half an added token", "/added_tokens", "[{\"id\": 0, \"content\": \"!\"}]", "library refuses it"),
                added("added token with a gap", 5000, "zzz", "added_tokens[3].id is 5000 but must be 4096, the id of"),
                added("added token under another id", 5, "!", "is 5 but must be 0, the id of \"!\""),
                added("huge added token", 2_000_000_000, "zzz", "added_tokens[3].id is 2000000000"),
                added("negative added token", -5, "zzz", "added_tokens[3].id is -5"),
                with("normalizer no object", "/normalizer", "5", "normalizer is 5"),
                with("normalizer without type", "/normalizer", "{}", "normalizer.type is missing"),
                with("unknown normalizer", "/normalizer", "{\"type\": \"Foo\"}", "must be Sequence or one of [Low"),
                with("precompiled normalizer", "/normalizer",
                        "{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"AAAA\"}", "type is \"Precompiled\""),
                with("unknown inside a sequence", "/normalizer",
                        "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"}, {\"type\": \"Foo\"}]}",
                        "normalizer.normalizers[1].type is \"Foo\""),
                with("sequence of nothing", "/normalizer", "{\"type\": \"Sequence\"}", "normalizers is missing"),
                with("empty prepend", "/normalizer", "{\"type\": \"Prepend\", \"prepend\": \"\"}", "a text of 1 to 16"),
                with("replace by more", "/normalizer",
                        "{\"type\": \"Replace\", \"pattern\": {\"String\": \"a\"}, \"content\": \"aa\"}", "1 to 1 ch"),
                with("bytes of bytes", "/pre_tokenizer", "{\"type\": \"Sequence\", \"pretokenizers\": ["
                        + "{\"type\": \"ByteLevel\"}, {\"type\": \"ByteLevel\"}]}", "there only once"),
                with("token too long", "/model/vocab/" + "a".repeat(1025), "5000", "token 5000 is longer than 1024"),
                added("added token too long", 4096, "a".repeat(1025), "added_tokens[3].content is"),
                with("text repeated by a template", "/post_processor",
                        template("{\"Sequence\": {\"id\": \"A\"}}, {\"Sequence\": {\"id\": \"A\"}}", ""), "only once"),
                with("long template", "/post_processor", template(start + ("," + start).repeat(16),
                        "\"<s>\": {\"id\": \"<s>\", \"ids\": [0], \"tokens\": [\"<s>\"]}"), "at most 16 pieces"),
                with("replace by nothing", "/normalizer",
                        "{\"type\": \"Replace\", \"pattern\": {\"String\": \"a\"}, \"content\": \"\"}", "1 to 1 char"),
                with("template under another type", "/post_processor",
                        template(start, "").replace("TemplateProcessing", "ByteLevel"), "library refuses it: "),
                with("replace the empty text", "/normalizer", replace("{\"String\": \"\"}"), "a text of 1 to"),
                with("replace by an empty pattern", "/normalizer", replace("{\"Regex\": \"\"}"), "empty text"),
                with("replace what may be empty", "/normalizer", replace("{\"Regex\": \"x*\"}"), "empty text"),
                with("pattern of no kind", "/normalizer", replace("{}"), "pattern.String is missing"),
                with("pattern no object", "/normalizer", replace("\"x\""), "pattern is \"x\" but must be an object"),
                with("runaway pattern", "/pre_tokenizer/pretokenizers/0/pattern/Regex",
                        "\"(a|aa)+$\"", "safe to run, but it repeats a group"),
                with("pre-tokenizer of chunks of 0", "/pre_tokenizer", "{\"type\": \"FixedLength\", \"length\": 0}",
                        "pre_tokenizer.type is \"FixedLength\""),
                with("undefined template token", "/post_processor", template(start, ""), "\"<s>\" but must be in sp"),
                with("second text in a template for one", "/post_processor",
                        template("{\"Sequence\": {\"id\": \"B\", \"type_id\": 0}}", ""), "\"B\" but must be one of"),
                with("template piece of no kind", "/post_processor", template("{}", ""), "Sequence is missing"),
                with("template token out of bounds", "/post_processor",
                        template(start, "\"<s>\": {\"id\": \"<s>\", \"ids\": [4096], \"tokens\": [\"<s>\"]}"),
                        "ids is 4096"),
                with("template token of unequal lists", "/post_processor",
                        template(start, "\"<s>\": {\"id\": \"<s>\", \"ids\": [1, 2], \"tokens\": [\"<s>\"]}"),
                        "as many as"),
                with("another post-processor", "/post_processor", "{\"type\": \"RobertaProcessing\"}", "type is \"Rob"),
                with("decoder no object", "/decoder", "\"x\"", "decoder is \"x\""),
                with("another decoder", "/decoder", "{\"type\": \"CTC\"}", "decoder.type is \"CTC\""),
                with("decoder that strips the end", "/decoder",
                        "{\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 1}", "decoder.stop is 1"),
                with("decoder that rewrites joined text", "/decoder", "{\"type\": \"Sequence\", \"decoders\": ["
                        + "{\"type\": \"Fuse\"}, " + replace("{\"String\": \"x\"}") + "]}", "before the decoder that"),
                with("half a decoder", "/decoder", "{\"type\": \"ByteLevel\"}", "library refuses it: "));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("hostileFiles")
    void hostileFilesAreRefused(String what, Consumer<ObjectNode> change, String message) throws IOException {
        ObjectNode json = Tokenizers.holmesJson();
        change.accept(json);
        assertThatThrownBy(() -> Tokenizers.open(temp, json).close())
                .isInstanceOf(CheckpointException.class)
                .hasMessageStartingWith(temp.resolve("tokenizer.json") + ": ")
                .hasMessageContaining(message)
                .satisfies(e -> assertThat(e.getMessage()).doesNotContain("\n").hasSizeLessThan(500));
    }

    @Test
    void whatIsNoTokenizerFileIsRefused() throws IOException {
        assertThatThrownBy(() -> Tokenizer.open(temp)).isInstanceOf(CheckpointException.class)
                .hasMessageEndingWith("tokenizer.json: no such file");
        for (String json : new String[] {"", "[]", "{", "{\"model\": " + "[".repeat(1000), "{\"a\": 1, \"a\": 1}"}) {
            assertThatThrownBy(() -> Tokenizers.open(temp, json)).isInstanceOf(CheckpointException.class)
                    .hasMessageContaining("tokenizer.json: ");
        }
        Files.writeString(temp.resolve("tokenizer_config.json"), "nonsense");
        assertThatThrownBy(() -> Tokenizers.open(temp, Tokenizers.holmesJson())).isInstanceOf(CheckpointException.class)
                .hasMessageContaining("tokenizer_config.json: not acceptable JSON");
    }

    /** In a name or a value, the first or the second half: the library would misread all text beside it. */
    @ParameterizedTest
    @ValueSource(strings = {
        "\"\\ud83d\":1", "\"\\ude42\":1",
        "\"version\":\"\\ud83d\"", "\"version\":\"\\ude42\"", "\"version\":\"\\ud83dA\""
    })
    void halfACharacterIsRefused(String field) {
        String json = Tokenizers.holmesJson().toString().replace("\"version\":\"1.0\"", field);
        assertThatThrownBy(() -> Tokenizers.open(temp, json)).isInstanceOf(CheckpointException.class)
                .hasMessageContaining("surrogate");
    }

    @Test
    void theNextFreeIdIsTaken() throws IOException {
        ObjectNode json = Tokenizers.holmesJson();
        ArrayNode added = (ArrayNode) json.get("added_tokens");
        Tokenizers.added(added, 4096, "<tool>");
        Tokenizers.added(added, 4097, "<think>");
        ((ObjectNode) added.get(4)).put("special", false);
        try (Tokenizer tokenizer = Tokenizers.open(temp, json)) {
            assertThat(tokenizer.encode("<think><tool>")).containsExactly(4097, 4096);
            assertThat(tokenizer.vocabSize()).isEqualTo(4098);
            assertThat(tokenizer.isSpecial(4096)).isTrue();
            assertThat(tokenizer.isSpecial(4097)).isFalse();
            assertThat(tokenizer.decode(new int[] {4097, 4096})).isEqualTo("<think>");
        }
    }
}
