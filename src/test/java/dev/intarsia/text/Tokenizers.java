package dev.intarsia.text;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import tools.jackson.databind.ObjectMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Tokenizer files for tests: the one that ships, and one of the Llama 2 kind with byte fallback. */
final class Tokenizers {

    static final ObjectMapper JSON = new ObjectMapper();

    /** Characters that the Llama 2 kind has tokens for; all others it spells in bytes. */
    private static final String LETTERS = "▁abcdefghijklmnopqrstuvwxyz,.日本";

    private Tokenizers() {
    }

    /** The model directory that ships, found from any working directory inside the repository. */
    static Path holmes() {
        for (Path at = Path.of("").toAbsolutePath(); at != null; at = at.getParent()) {
            Path found = at.resolve("models").resolve("holmes");
            if (Files.isDirectory(found)) {
                return found;
            }
        }
        throw new AssertionError("no models/holmes above the working directory");
    }

    static ObjectNode holmesJson() {
        return (ObjectNode) JSON.readTree(holmes().resolve("tokenizer.json").toFile());
    }

    /** A tokenizer as Llama 2 has it: spaces as ▁, one more in front, byte fallback, {@code <s>} by a template. */
    static ObjectNode llamaJson() {
        ObjectNode root = (ObjectNode) JSON.readTree("""
                {"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
                 "normalizer": {"type": "Sequence", "normalizers": [
                   {"type": "Prepend", "prepend": "▁"},
                   {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
                 "pre_tokenizer": null,
                 "post_processor": {"type": "TemplateProcessing",
                   "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                   "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                   "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
                 "decoder": {"type": "Sequence", "decoders": [
                   {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                   {"type": "ByteFallback"}, {"type": "Fuse"},
                   {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
                 "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
                   "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false}}""");
        ObjectNode vocab = ((ObjectNode) root.get("model")).putObject("vocab");
        for (String token : new String[] {"<unk>", "<s>", "</s>"}) {
            added((ArrayNode) root.get("added_tokens"), vocab.size(), token);
            vocab.put(token, vocab.size());
        }
        for (int b = 0; b < 256; b++) {
            vocab.put("<0x%02X>".formatted(b), vocab.size());
        }
        LETTERS.codePoints().forEach(c -> vocab.put(Character.toString(c), vocab.size()));
        for (String token : new String[] {"▁▁", "th", "the", "▁the", "日本"}) {
            vocab.put(token, vocab.size());
        }
        ArrayNode merges = ((ObjectNode) root.get("model")).putArray("merges");
        for (String merge : new String[] {"▁ ▁", "t h", "th e", "▁ the", "日 本"}) {
            merges.add(merge);
        }
        return root;
    }

    static void added(ArrayNode tokens, int id, String content) {
        tokens.addObject().put("id", id).put("content", content).put("single_word", false).put("lstrip", false)
                .put("rstrip", false).put("normalized", false).put("special", true);
    }

    /** Writes a tokenizer.json and opens the directory. */
    static Tokenizer open(Path directory, ObjectNode json) throws IOException {
        return open(directory, json.toString());
    }

    static Tokenizer open(Path directory, String json) throws IOException {
        Files.write(directory.resolve("tokenizer.json"), json.getBytes(StandardCharsets.UTF_8));
        return Tokenizer.open(directory);
    }
}
