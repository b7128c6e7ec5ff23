package dev.intarsia.checkpoint;

import dev.intarsia.CheckpointException;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/** Reads JSON that nobody vouches for: size, depth, tokens, names and numbers bounded, duplicate keys refused. */
public final class Json {

    private static final int MAX_DEPTH = 64;
    private static final int MAX_NUMBER_LENGTH = 100;
    private static final int MAX_NAME_LENGTH = 1 << 16;
    private static final int MAX_STRING_LENGTH = 1 << 24;
    /** Bounds the heap that a document of tiny values takes: the header of 100,000 tensors has 1.5 million tokens. */
    private static final long MAX_TOKENS = 2_000_000;
    /** A tokenizer of 260,000 entries has 3 million tokens. */
    private static final long MAX_TOKENS_OF_LARGE = 16_000_000;
    private static final int SHOWN = 80;
    private static final int REASON_SHOWN = 240;

    private static final JsonMapper MAPPER = mapper(MAX_TOKENS);
    private static final JsonMapper LARGE = mapper(MAX_TOKENS_OF_LARGE);

    private static JsonMapper mapper(long maxTokens) {
        return JsonMapper.builder(JsonFactory.builder()
                        .streamReadConstraints(StreamReadConstraints.builder()
                                .maxNestingDepth(MAX_DEPTH)
                                .maxNumberLength(MAX_NUMBER_LENGTH)
                                .maxNameLength(MAX_NAME_LENGTH)
                                .maxStringLength(MAX_STRING_LENGTH)
                                .maxTokenCount(maxTokens)
                                .build())
                        .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                        .build())
                .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
                .build();
    }

    private Json() {
    }

    /**
     * The object in a file of at most {@code maxBytes} bytes and two million values, names and brackets.
     *
     * @throws CheckpointException if the file is missing, too big, or anything but one JSON object
     */
    public static JsonObject read(Path file, long maxBytes) {
        return parse(bytes(file, maxBytes), file);
    }

    /** {@link #read} for files that may hold eight times as much, as those of tokenizers do. */
    public static JsonObject readLarge(Path file, long maxBytes) {
        return parse(LARGE, bytes(file, maxBytes), file);
    }

    private static byte[] bytes(Path file, long maxBytes) {
        if (!Files.exists(file)) {
            throw new CheckpointException(file + ": no such file");
        }
        if (!Files.isRegularFile(file)) {
            throw new CheckpointException(file + ": not a regular file");
        }
        try (InputStream in = Files.newInputStream(file)) {
            byte[] bytes = in.readNBytes(Math.toIntExact(maxBytes + 1));
            if (bytes.length > maxBytes) {
                throw new CheckpointException(file + ": larger than the " + maxBytes + " bytes allowed");
            }
            return bytes;
        } catch (IOException e) {
            throw new CheckpointException(file + ": cannot be read: " + e, e);
        }
    }

    /** The object in UTF-8 bytes that came from {@code file}. */
    static JsonObject parse(byte[] utf8, Path file) {
        return parse(MAPPER, utf8, file);
    }

    private static JsonObject parse(JsonMapper mapper, byte[] utf8, Path file) {
        JsonNode node;
        try {
            // a strict decoder of its own: the parser lets some malformed bytes pass
            node = mapper.readTree(
                    new InputStreamReader(new ByteArrayInputStream(utf8), StandardCharsets.UTF_8.newDecoder()));
        } catch (JacksonException e) {
            String why = e.getCause() instanceof CharacterCodingException ? "not UTF-8" : reason(e);
            throw new CheckpointException(file + ": not acceptable JSON: " + why, e);
        }
        if (!(node instanceof ObjectNode object)) {
            throw new CheckpointException(file + ": must hold a JSON object");
        }
        return new JsonObject(file, "", object);
    }

    private static String reason(JacksonException e) {
        String message = printable(e.getOriginalMessage().lines().findFirst().orElse("unreadable"));
        var location = e.getLocation();
        return location == null || location.getLineNr() < 1
                ? message
                : message + " (line " + location.getLineNr() + ", column " + location.getColumnNr() + ")";
    }

    /** Untrusted text as it may stand in a message: quoted, escaped, cut short. */
    public static String quote(String text) {
        return show(JsonNodeFactory.instance.stringNode(text));
    }

    /** An untrusted value as it may stand in a message. */
    static String show(JsonNode value) {
        return printable(value.toString(), SHOWN);
    }

    /** An untrusted key as it may stand in a message: as it is, but for what {@link #printable(String)} changes. */
    static String key(String key) {
        return printable(key, SHOWN);
    }

    /** Another library's message, which may hold untrusted text, as it may stand in one of ours. */
    public static String printable(String message) {
        return printable(message, REASON_SHOWN);
    }

    /** Text with the characters escaped that do not show or change how others do, cut off after {@code most} chars. */
    private static String printable(String text, int most) {
        StringBuilder shown = new StringBuilder();
        for (int at = 0; at < text.length(); at = text.offsetByCodePoints(at, 1)) {
            if (shown.length() >= most) {
                return shown.append('…').toString();
            }
            int c = text.codePointAt(at);
            switch (Character.getType(c)) {
                case Character.CONTROL, Character.FORMAT, Character.SURROGATE, Character.LINE_SEPARATOR,
                        Character.PARAGRAPH_SEPARATOR -> shown.append("\\u%04x".formatted(c));
                default -> shown.appendCodePoint(c);
            }
        }
        return shown.toString();
    }
}
