package dev.intarsia.fuzz;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.random.RandomGenerator;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Parts of a tokenizer file put together at random: known ones and others, of mostly the right fields. */
final class TokenizerParts {

    private static final List<String> REPLACES = List.of("pattern", "content");
    private static final List<String> BYTE_LEVEL = List.of("add_prefix_space", "trim_offsets", "use_regex");
    private static final List<String> METASPACE = List.of("replacement", "prepend_scheme", "split", "add_prefix_space");
    private static final List<String> BERT = List.of("sep", "cls", "trim_offsets", "add_prefix_space");

    /** The key of a part, the list of a sequence of them, and types with the fields that they have. */
    private record Kind(String key, String list, Map<String, List<String>> types) {
    }

    private static final List<Kind> KINDS = List.of(
            new Kind("normalizer", "normalizers", Map.ofEntries(
                    Map.entry("NFC", List.of()), Map.entry("NFD", List.of()), Map.entry("NFKC", List.of()),
                    Map.entry("NFKD", List.of()), Map.entry("Lowercase", List.of()), Map.entry("Replace", REPLACES),
                    Map.entry("Prepend", List.of("prepend")), Map.entry("Strip", List.of("strip_left", "strip_right")),
                    Map.entry("StripAccents", List.of()), Map.entry("Nmt", List.of()),
                    Map.entry("ByteLevel", List.of()), Map.entry("Precompiled", List.of("precompiled_charsmap")))),
            new Kind("pre_tokenizer", "pretokenizers", Map.of(
                    "Split", List.of("pattern", "behavior", "invert"), "ByteLevel", BYTE_LEVEL,
                    "Digits", List.of("individual_digits"), "Metaspace", METASPACE, "Whitespace", List.of(),
                    "WhitespaceSplit", List.of(), "Punctuation", List.of("behavior"),
                    "CharDelimiterSplit", List.of("delimiter"), "UnicodeScripts", List.of(),
                    "BertPreTokenizer", List.of())),
            new Kind("post_processor", "processors", Map.of(
                    "ByteLevel", BYTE_LEVEL, "TemplateProcessing", List.of("single", "pair", "special_tokens"),
                    "RobertaProcessing", BERT, "BertProcessing", BERT)),
            new Kind("decoder", "decoders", Map.of(
                    "ByteLevel", BYTE_LEVEL, "Metaspace", METASPACE, "Replace", REPLACES, "ByteFallback", List.of(),
                    "Fuse", List.of(), "Strip", List.of("content", "start", "stop"),
                    "WordPiece", List.of("prefix", "cleanup"), "BPEDecoder", List.of("suffix"),
                    "CTC", List.of("pad_token", "word_delimiter_token", "cleanup"))));

    /** Types that are refused by name: some suffice. */
    private static final Set<String> UNSUPPORTED = Set.of("Strip", "StripAccents", "Nmt", "Precompiled",
            "CharDelimiterSplit", "UnicodeScripts", "BertPreTokenizer", "RobertaProcessing", "BertProcessing",
            "WordPiece", "BPEDecoder", "CTC");
    private static final List<String> TEXTS =
            List.of(" ", "▁", "_", "", "a", "ab", "é", "\uD83D\uDE00", "\u0000", "<s>", "x".repeat(2_000));
    private static final List<String> TOKENS = List.of("<s>", "</s>", "<unk>", "a", "nowhere", "");

    private final RandomGenerator random;

    TokenizerParts(RandomGenerator random) {
        this.random = random;
    }

    /** Puts another part in place of one that the file has. */
    void replace(ObjectNode root, List<String> edits) {
        Kind kind = Hostile.pick(KINDS, random);
        ObjectNode part = part(kind, 0);
        String text = part.toString();
        edits.add(kind.key + " " + text.substring(0, Math.min(200, text.length())));
        root.set(kind.key, part);
    }

    private ObjectNode part(Kind kind, int depth) {
        ObjectNode part = WeightsFile.JSON.createObjectNode();
        if (depth < 3 && random.nextInt(3) == 0) {
            ArrayNode list = part.put("type", "Sequence").putArray(kind.list);
            for (int i = random.nextInt(5); i > 0; i--) {
                list.add(part(kind, depth + 1));
            }
            return part;
        }
        List<String> types = kind.types.keySet().stream().sorted().toList();
        String type = Hostile.pick(types, random);
        while (UNSUPPORTED.contains(type) && random.nextInt(4) > 0) {
            type = Hostile.pick(types, random);
        }
        part.put("type", type);
        for (String field : kind.types.get(type)) {
            if (random.nextInt(20) > 0) {
                field(part, field);
            }
        }
        return part;
    }

    private void field(ObjectNode part, String field) {
        switch (field) {
            case "pattern" -> {
                if (random.nextBoolean()) {
                    part.putObject(field).set("Regex", WeightsFile.JSON.readTree(TokenizerFiles.pattern(random)));
                } else {
                    part.putObject(field).put("String", text());
                }
            }
            case "behavior" -> part.put(field, Hostile.pick(List.of("Removed", "Isolated", "MergedWithPrevious",
                    "MergedWithNext", "Contiguous"), random));
            case "prepend_scheme" -> part.put(field, Hostile.pick(List.of("first", "always", "never"), random));
            case "start", "stop" -> part.put(field, Hostile.pick(List.of(0, 0, 1, 2, Integer.MAX_VALUE), random));
            case "single", "pair" -> template(part.putArray(field));
            case "special_tokens" -> specialTokens(part.putObject(field));
            case "sep", "cls" -> part.putArray(field).add(Hostile.pick(TOKENS, random)).add(random.nextInt(3_000_000));
            case "content", "prepend", "replacement", "delimiter", "prefix", "suffix", "pad_token",
                    "word_delimiter_token", "precompiled_charsmap" -> part.put(field, text());
            default -> part.put(field, random.nextBoolean());
        }
    }

    private void template(ArrayNode pieces) {
        for (int i = random.nextInt(5); i > 0; i--) {
            boolean token = random.nextBoolean();
            pieces.addObject().putObject(token ? "SpecialToken" : "Sequence")
                    .put("id", token ? Hostile.pick(TOKENS, random) : Hostile.pick(List.of("A", "A", "B", "C"), random))
                    .put("type_id", random.nextInt(3));
        }
    }

    private void specialTokens(ObjectNode tokens) {
        for (int i = random.nextInt(5); i > 0; i--) {
            String name = Hostile.pick(TOKENS, random);
            ObjectNode token = tokens.putObject(name).put("id", random.nextInt(10) == 0 ? "other" : name);
            ArrayNode ids = token.putArray("ids");
            ArrayNode texts = token.putArray("tokens");
            for (int n = random.nextInt(3); n > 0; n--) {
                ids.add(random.nextInt(random.nextInt(10) == 0 ? Integer.MAX_VALUE : 250));
                texts.add(name);
            }
        }
    }

    private String text() {
        return Hostile.pick(TEXTS, random);
    }
}
