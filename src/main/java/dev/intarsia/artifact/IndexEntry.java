package dev.intarsia.artifact;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import tools.jackson.core.JacksonException;
import tools.jackson.core.util.DefaultIndenter;
import tools.jackson.core.util.DefaultPrettyPrinter;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectWriter;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * A file of {@code index/}: a key beside the name and the length of its object, as JSON for people to read.
 *
 * @param object SHA-256 of the artifact, 64 hexadecimal digits
 * @param length of the artifact, in bytes
 */
record IndexEntry(ArtifactKey key, String object, long length) {
    /** Most bytes of a file: what a key can hold, each character escaped, and the rest. */
    static final int MAX_BYTES = 1 << 20;

    /** The longest array that every JVM can make. */
    private static final int MAX_OBJECT = Integer.MAX_VALUE - 8;

    private static final int FORMAT = 1;
    private static final JsonMapper MAPPER = new JsonMapper();
    /** Says itself how lines end: a file is the same bytes on every platform. */
    private static final ObjectWriter WRITER = MAPPER.writer()
            .with(new DefaultPrettyPrinter().withObjectIndenter(new DefaultIndenter("  ", "\n")));

    /** The file; the same bytes for the same entry. */
    byte[] toBytes() {
        ObjectNode node = MAPPER.createObjectNode();
        node.put("format", FORMAT);
        ObjectNode factors = node.putObject("factors");
        key.factors().forEach(factors::put);
        node.put("object", object);
        node.put("length", length);
        node.put("checksum", Sha256.of(WRITER.writeValueAsBytes(node)));
        return WRITER.writeValueAsBytes(node);
    }

    /** The entry in a file that {@link #toBytes} made. */
    static IndexEntry parse(byte[] file) throws DamagedException {
        IndexEntry entry = read(file);
        // whole only if it is, byte for byte, what writing its content gives: that covers the checksum and all else
        if (!Arrays.equals(entry.toBytes(), file)) {
            throw new DamagedException("its index file does not match its checksum");
        }
        return entry;
    }

    private static IndexEntry read(byte[] file) throws DamagedException {
        try {
            JsonNode node = MAPPER.readTree(file);
            if (node.required("format").intValue() != FORMAT) {
                throw new DamagedException("its index file has format " + node.get("format") + ", not " + FORMAT);
            }
            SequencedMap<String, String> factors = new LinkedHashMap<>();
            for (Map.Entry<String, JsonNode> factor : node.required("factors").properties()) {
                factors.put(factor.getKey(), text(factor.getValue()));
            }
            String object = text(node.required("object"));
            long length = node.required("length").longValue();
            // the name becomes a path, the length an array
            if (!Sha256.isOne(object) || length < 0 || length > MAX_OBJECT) {
                throw new DamagedException("its index file names no object");
            }
            return new IndexEntry(new ArtifactKey(factors), object, length);
        } catch (JacksonException | IllegalArgumentException e) {
            throw new DamagedException("its index file is not one that the store writes", e);
        }
    }

    private static String text(JsonNode node) throws DamagedException {
        if (!node.isString()) {
            throw new DamagedException("its index file has " + node.getNodeType() + " where text belongs");
        }
        return node.stringValue();
    }
}
