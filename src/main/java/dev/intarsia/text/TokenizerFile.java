package dev.intarsia.text;

import dev.intarsia.CheckpointException;
import dev.intarsia.checkpoint.Json;
import dev.intarsia.checkpoint.JsonObject;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.function.BiConsumer;
import java.util.regex.Pattern;

/**
 * A {@code tokenizer.json} that is safe to hand to the native library, with what Java needs to know of it. The library
 * takes most malformed files with an error, but ends the process on some well-formed ones (a template that names a
 * token it does not define, a pattern that matches nothing): the parts, their fields and patterns are checked here
 * first, and only parts that decoder models use are let through.
 */
final class TokenizerFile {

    private static final long MAX_BYTES = 128 << 20;
    private static final long MAX_CONFIG_BYTES = 16 << 20;
    private static final int MAX_ID = 1_000_000;
    private static final int MAX_TOKEN_LENGTH = 1_024;
    private static final int MAX_PREPENDED = 16;
    private static final int MAX_TEMPLATE = 16;

    private static final Set<String> ROOT_FIELDS = Set.of("version", "added_tokens", "normalizer", "pre_tokenizer",
            "post_processor", "decoder", "model");
    /** Supported parts and their fields. Normalizers that may leave nothing of an added token are not among them. */
    private static final Map<String, Set<String>> NORMALIZERS = Map.of(
            "NFC", Set.of(), "NFD", Set.of(), "NFKC", Set.of(), "NFKD", Set.of(), "Lowercase", Set.of(),
            "Replace", Set.of("pattern", "content"),
            "Prepend", Set.of("prepend"));
    private static final Set<String> BYTE_LEVEL = Set.of("add_prefix_space", "trim_offsets", "use_regex");
    private static final Set<String> METASPACE = Set.of("replacement", "prepend_scheme", "split", "add_prefix_space");
    private static final Map<String, Set<String>> PRE_TOKENIZERS = Map.of(
            "Split", Set.of("pattern", "behavior", "invert"),
            "ByteLevel", BYTE_LEVEL,
            "Digits", Set.of("individual_digits"),
            "Metaspace", METASPACE,
            "Whitespace", Set.of(), "WhitespaceSplit", Set.of(),
            "Punctuation", Set.of("behavior"));
    private static final Map<String, Set<String>> POST_PROCESSORS = Map.of(
            "ByteLevel", BYTE_LEVEL,
            "TemplateProcessing", Set.of("single", "pair", "special_tokens"));
    private static final Map<String, Set<String>> DECODERS = Map.of(
            "ByteLevel", BYTE_LEVEL,
            "Metaspace", METASPACE,
            "Replace", Set.of("pattern", "content"),
            "ByteFallback", Set.of(), "Fuse", Set.of(),
            "Strip", Set.of("content", "start", "stop"));
    /** Parts that make text longer, so that a sequence of many would exhaust memory. */
    private static final Set<String> ONCE = Set.of("ByteLevel", "Metaspace", "Prepend", "TemplateProcessing");
    /** A token that stands for one byte where the decoder falls back to bytes. */
    private static final Pattern BYTE = Pattern.compile("<0x[+0-9A-Fa-f][0-9A-Fa-f]>");

    private final JsonObject root;
    private final Map<String, Integer> ids = new HashMap<>();
    private final BitSet known = new BitSet();
    private final BitSet special = new BitSet();
    private final BitSet bytes = new BitSet();
    private final OptionalInt bos;
    /** Decoders seen so far make one text of all tokens: another one after them could change text once given out. */
    private boolean joined;

    private TokenizerFile(JsonObject root, Path config) {
        this.root = root;
        root.retain(ROOT_FIELDS);
        readVocab(root.requireObject("model"));
        readAddedTokens(root.objects("added_tokens"));
        checkParts("normalizer", "normalizers", NORMALIZERS, this::checkNormalizer);
        checkParts("pre_tokenizer", "pretokenizers", PRE_TOKENIZERS, this::checkPreTokenizer);
        checkParts("post_processor", "processors", POST_PROCESSORS, this::checkPostProcessor);
        checkParts("decoder", "decoders", DECODERS, this::checkDecoder);
        this.bos = Files.exists(config) ? readBos(Json.read(config, MAX_CONFIG_BYTES)) : OptionalInt.empty();
    }

    /**
     * Reads and checks {@code tokenizer.json} and, where there is one, {@code tokenizer_config.json}.
     *
     * @throws CheckpointException if a file is missing, damaged, or asks for what is not supported
     */
    static TokenizerFile read(Path directory) {
        return new TokenizerFile(
                Json.readLarge(directory.resolve("tokenizer.json"), MAX_BYTES), directory.resolve("tokenizer_config.json"));
    }

    Path file() {
        return root.file();
    }

    /** The document for the library: without truncation and padding, which are the caller's business. */
    String json() {
        String json = root.toString();
        if (!StandardCharsets.UTF_8.newEncoder().canEncode(json)) {
            throw new CheckpointException(file() + ": holds half a surrogate pair, which is not a character");
        }
        return json;
    }

    /** One more than the greatest token id. */
    int vocabSize() {
        return known.length();
    }

    /** Ids that stand for a token. */
    BitSet known() {
        return known;
    }

    /** Ids of special tokens, which decode to nothing. */
    BitSet special() {
        return special;
    }

    /** Ids that stand for a byte, whose text is known only when a run of them has ended. */
    BitSet bytes() {
        return bytes;
    }

    /** The token that {@code tokenizer_config.json} puts before every text, whatever the post-processor does. */
    OptionalInt bos() {
        return bos;
    }

    private void readVocab(JsonObject model) {
        if (!model.requireString("type").equals("BPE")) {
            throw model.wrong("type", "BPE");
        }
        for (String affix : List.of("continuing_subword_prefix", "end_of_word_suffix")) {
            if (!model.string(affix).orElse("").isEmpty()) {
                throw model.wrong(affix, "absent or empty");
            }
        }
        if (model.number("dropout", 0, 1, 0) != 0) {
            throw model.wrong("dropout", "absent or 0: it makes encoding random");
        }
        JsonObject vocab = model.requireObject("vocab");
        for (String token : vocab.keys()) {
            int id = vocab.requireInteger(token, 0, MAX_ID - 1);
            if (token.length() > MAX_TOKEN_LENGTH) {
                throw new CheckpointException(file() + ": token " + id + " is longer than " + MAX_TOKEN_LENGTH
                        + " chars");
            }
            if (known.get(id)) {
                throw vocab.wrong(token, "an id that no other token has");
            }
            known.set(id);
            ids.put(token, id);
        }
    }

    /**
     * The library gives an added token the id its text has in the vocabulary, or else the next free one, whatever the
     * file says: where that says otherwise, text would be encoded with other ids than the model was trained with.
     */
    private void readAddedTokens(List<JsonObject> addedTokens) {
        int vocabCount = ids.size();
        int greatest = -1;
        for (JsonObject token : addedTokens) {
            String content = token.requireString("content");
            int id = token.requireInteger("id", 0, MAX_ID - 1);
            if (content.isEmpty()) {
                continue;
            }
            requireText(token, "content", MAX_TOKEN_LENGTH);
            int given = ids.getOrDefault(content, Math.max(vocabCount, greatest + 1));
            if (id != given || !ids.containsKey(content) && known.get(id)) {
                throw token.wrong("id", given + ", the id of " + Json.quote(content) + " in the vocabulary or the next"
                        + " free one");
            }
            greatest = Math.max(greatest, id);
            ids.put(content, id);
            known.set(id);
            special.set(id, special.get(id) || token.flag("special").orElse(false));
        }
    }

    private void checkParts(
            String key, String listKey, Map<String, Set<String>> types, BiConsumer<JsonObject, String> check) {
        root.object(key).ifPresent(part -> checkPart(part, listKey, types, check, new HashSet<>()));
    }

    /**
     * Checks a part, or those of a sequence. Fields of other parts are dropped: the library goes by the fields it finds
     * more than by the type.
     */
    private static void checkPart(JsonObject part, String listKey, Map<String, Set<String>> types,
            BiConsumer<JsonObject, String> check, Set<String> seen) {
        String type = part.requireString("type");
        if (!seen.add(type) && ONCE.contains(type)) {
            throw part.wrong("type", "there only once");
        }
        Set<String> fields = new HashSet<>(types.getOrDefault(type, Set.of(listKey)));
        fields.add("type");
        part.retain(fields);
        if (type.equals("Sequence")) {
            part.require(listKey);
            part.objects(listKey).forEach(inner -> checkPart(inner, listKey, types, check, seen));
        } else if (types.containsKey(type)) {
            check.accept(part, type);
        } else {
            throw part.wrong("type", "Sequence or one of " + types.keySet().stream().sorted().toList());
        }
    }

    private void checkNormalizer(JsonObject part, String type) {
        switch (type) {
            case "Replace" -> {
                checkPattern(part);
                requireText(part, "content", 1);
            }
            case "Prepend" -> requireText(part, "prepend", MAX_PREPENDED);
            default -> { }
        }
    }

    private void checkPreTokenizer(JsonObject part, String type) {
        if (type.equals("Split")) {
            checkPattern(part);
        }
    }

    private void checkDecoder(JsonObject part, String type) {
        if (joined && !type.equals("Fuse") && !type.equals("Strip")) {
            throw part.wrong("type", "before the decoder that joins the tokens");
        }
        joined |= type.equals("Fuse") || type.equals("ByteLevel");
        switch (type) {
            case "Replace" -> {
                checkPattern(part);
                if (!part.requireString("content").isEmpty()) {
                    requireText(part, "content", 1);
                }
            }
            case "Strip" -> part.requireInteger("stop", 0, 0);
            case "ByteFallback" -> ids.forEach((token, id) -> bytes.set(id, BYTE.matcher(token).matches()));
            default -> { }
        }
    }

    private static void checkPattern(JsonObject part) {
        JsonObject pattern = part.requireObject("pattern");
        Optional<String> regex = pattern.string("Regex");
        if (regex.isEmpty()) {
            requireText(pattern, "String", MAX_TOKEN_LENGTH);
            return;
        }
        String complaint = PatternCheck.complaint(regex.get());
        if (!complaint.isEmpty()) {
            throw pattern.wrong("Regex", "safe to run, but it " + complaint);
        }
        pattern.replace("Regex", PatternCheck.linear(regex.get()));
    }

    private static void requireText(JsonObject part, String key, int maxCharacters) {
        String text = part.requireString(key);
        if (text.isEmpty() || text.codePointCount(0, text.length()) > maxCharacters) {
            throw part.wrong(key, "a text of 1 to " + maxCharacters + " characters");
        }
    }

    private void checkPostProcessor(JsonObject part, String type) {
        if (type.equals("TemplateProcessing")) {
            JsonObject tokens = part.requireObject("special_tokens");
            for (String name : tokens.keys()) {
                JsonObject token = tokens.requireObject(name);
                List<Integer> tokenIds = token.integers("ids", 0, vocabSize() - 1);
                if (tokenIds.size() != token.strings("tokens").size() || tokenIds.size() > MAX_TEMPLATE) {
                    throw token.wrong("ids", "as many as tokens, and at most " + MAX_TEMPLATE);
                }
            }
            checkTemplate(part, "single", Set.of("A"), tokens.keys());
            checkTemplate(part, "pair", Set.of("A", "B"), tokens.keys());
        }
    }

    private static void checkTemplate(JsonObject part, String key, Set<String> sequences, Collection<String> tokens) {
        int texts = 0;
        for (JsonObject piece : part.objects(key)) {
            Optional<JsonObject> token = piece.object("SpecialToken");
            texts += token.isPresent() ? 0 : 1;
            JsonObject named = token.isPresent() ? token.get() : piece.requireObject("Sequence");
            Collection<String> defined = token.isPresent() ? tokens : sequences;
            if (!defined.contains(named.requireString("id"))) {
                throw named.wrong("id", token.isPresent() ? "in special_tokens" : "one of " + sequences);
            }
        }
        if (texts > sequences.size() || part.elements(key).size() > MAX_TEMPLATE) {
            throw part.wrong(key, "at most " + MAX_TEMPLATE + " pieces, and the text only once");
        }
    }

    private OptionalInt readBos(JsonObject config) {
        if (!config.flag("add_bos_token").orElse(false)) {
            return OptionalInt.empty();
        }
        boolean plain = config.require("bos_token").isString();
        String token = plain
                ? config.requireString("bos_token")
                : config.requireObject("bos_token").requireString("content");
        if (!ids.containsKey(token)) {
            throw config.wrong("bos_token", "a token of tokenizer.json, since add_bos_token is true");
        }
        return OptionalInt.of(ids.get(token));
    }
}
