package dev.intarsia.fuzz;

import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.random.RandomGenerator;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Valid tokenizer files to begin with, and patterns to put into them. */
final class TokenizerFiles {

    private static final int MERGES = 150;

    private static final List<String> ATOMS = List.of(
            "a", "b", "ab", "é", " ", ".", "\\s", "\\S", "\\d", "\\w", "\\W", "\\p{L}", "\\p{N}", "\\p{Lu}",
            "\\p{Han}", "\\P{L}", "[a-z]", "[^\\s\\p{L}\\p{N}]", "[^\\r\\n]", "[\\r\\n]", "[a-y&&[^b]]",
            "[[:alpha:]]", "[]a]", "[^]", "\\r\\n", "\\x{41}", "\\x41", "\\u0041", "\\.", "\\\\", "\\b", "\\B", "^",
            "$", "\\A", "\\z", "\\Z", "\\G", "\\K", "\\R", "\\X", "\\1", "\\k<n>", "\\g<n>", "\\g<0>", "(?<n>a)",
            "(?i)", "(?i:'s|'t)", "(?m:a$)", "(?#x)", "(?~a)", "(?>a+)", "(?<=a)", "(?<!a)", "(?=a)", "(?!a)",
            "(?!\\S)", "(?(1)a|b)", "(*FAIL)", "\\Qa\\E", "\\p{Bogus}", "\\p{", "\\p{^L}", "{", "}", ")", "(", "[",
            "]", "|", "", "\u0000", "\uD83D\uDE00", "\\xFF", "\\777", "\\cA", "\\M-a", "\\h", "\\N", "\\O", "\\y",
            "\\e");
    private static final List<String> REPEATS = List.of(
            "", "", "", "", "?", "*", "+", "{2}", "{1,3}", "{0,16}", "{0,17}", "{3,}", "{,3}", "{0,1000}", "{1000}",
            "{100000}", "{2,1}", "??", "*?", "+?", "?+", "*+", "++", "{1,3}?", "{1,3}+");
    /** What a pattern is given to match. */
    private static final List<String> TEXTS = List.of(
            "", " ", "a", "Hello, world! It's 12345 o'clock.", "  two  spaces\n\n\r\nlines\t", "日本語テキスト 混ぜる",
            "\uD83D\uDC68\u200D\uD83D\uDC69\u200D\uD83D\uDC67 \uD83C\uDDEF\uD83C\uDDF5 e\u0301\u0301\u0301", "\uD800",
            "\uDC00x", "\u0000\u0001\u007F\u0080", "\uFEFF\u2028\u2029\u00AD\u202E", "<s>", "<unk><s></s>",
            "<|im_start|>user<|im_end|>", "<0x41>", "ĠĠ▁▁", "ﷺ\uD835\uDD38ǅ", "<|endoftext|><|endoftext|>");

    private TokenizerFiles() {
    }

    /** The tokenizer that ships, with a small part of its vocabulary. */
    static String small(Path tokenizerJson) {
        ObjectNode root = (ObjectNode) WeightsFile.JSON.readTree(tokenizerJson.toFile());
        ObjectNode model = (ObjectNode) root.get("model");
        Set<String> kept = new LinkedHashSet<>();
        for (String token : model.get("vocab").propertyNames()) {
            if (token.codePointCount(0, token.length()) == 1) {
                kept.add(token);
            }
        }
        ArrayNode merges = WeightsFile.JSON.createArrayNode();
        for (JsonNode merge : model.get("merges")) {
            String left = merge.get(0).asString();
            String right = merge.get(1).asString();
            if (merges.size() < MERGES && kept.contains(left) && kept.contains(right)) {
                kept.add(left + right);
                merges.add(merge);
            }
        }
        ObjectNode vocab = model.putObject("vocab");
        kept.forEach(token -> vocab.put(token, vocab.size()));
        model.set("merges", merges);
        int id = vocab.size();
        for (JsonNode added : root.get("added_tokens")) {
            ((ObjectNode) added).put("id", id++);
        }
        return root.toString();
    }

    /** A tokenizer of the other kind: spaces are letters, unknown letters are spelled in bytes. */
    static String bytes() {
        ObjectNode root = (ObjectNode) WeightsFile.JSON.readTree("""
                {"version": "1.0", "added_tokens": [],
                 "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
                   {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
                 "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "▁?\\\\p{L}+|\\\\p{N}|."},
                   "behavior": "Isolated", "invert": false},
                 "post_processor": {"type": "TemplateProcessing",
                   "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                   "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                   "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
                 "decoder": {"type": "Sequence", "decoders": [
                   {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
                   {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
                 "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
                   "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2}, "merges": [["a", "b"], ["▁", "ab"]]}}""");
        ObjectNode vocab = (ObjectNode) root.get("model").get("vocab");
        for (String token : vocab.propertyNames()) {
            ((ArrayNode) root.get("added_tokens")).addObject().put("id", vocab.get(token).asInt()).put("content", token)
                    .put("single_word", false).put("lstrip", false).put("rstrip", false).put("normalized", false)
                    .put("special", true);
        }
        for (int b = 0; b < 256; b++) {
            vocab.put("<0x%02X>".formatted(b), vocab.size());
        }
        for (String token : "▁ a b c d e h l o w ab ▁ab".split(" ")) {
            vocab.put(token, vocab.size());
        }
        return root.toString();
    }

    /** A regular expression of any shape, in JSON. */
    static String pattern(RandomGenerator random) {
        return WeightsFile.JSON.writeValueAsString(
                random.nextInt(3) == 0 ? RunPatterns.any(random) : alternatives(random, 0));
    }

    private static String alternatives(RandomGenerator random, int depth) {
        StringBuilder pattern = new StringBuilder(branch(random, depth));
        while (random.nextInt(3) == 0) {
            pattern.append('|').append(branch(random, depth));
        }
        return pattern.toString();
    }

    private static String branch(RandomGenerator random, int depth) {
        StringBuilder pattern = new StringBuilder();
        do {
            boolean group = depth < 4 && random.nextInt(6) == 0;
            pattern.append(group
                    ? Hostile.pick(List.of("(", "(?:", "(?i:", "(?=", "(?!", "(?<=", "(?>"), random)
                            + alternatives(random, depth + 1) + ")"
                    : Hostile.pick(random.nextBoolean() ? ATOMS.subList(0, 20) : ATOMS, random));
            pattern.append(Hostile.pick(REPEATS, random));
        } while (random.nextInt(3) > 0);
        return pattern.toString();
    }

    /** A text to encode: short and strange, or long and of one kind, on which patterns turn back. */
    static String text(RandomGenerator random) {
        return switch (random.nextInt(6)) {
            case 0 -> Hostile.pick(List.of("a", " ", "ab", "1", "\n", "é", "日", "!", "\r\n", "a ", "<s>"), random)
                    .repeat(1 << random.nextInt(random.nextInt(8) == 0 ? 17 : 12))
                    + Hostile.pick(List.of("", "b", "x", " ", "!"), random);
            case 1 -> random.ints(random.nextInt(100), 0, Character.MAX_CODE_POINT + 1)
                    .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append)
                    .toString();
            default -> Hostile.pick(TEXTS, random) + Hostile.pick(TEXTS, random);
        };
    }
}
