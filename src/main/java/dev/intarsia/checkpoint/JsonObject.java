package dev.intarsia.checkpoint;

import dev.intarsia.CheckpointException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * An object of a checkpoint's JSON file, read by key with the bounds its reader expects. A null counts as absent. Every
 * failure is a {@link CheckpointException} that names the file, the key, the value and the bound.
 */
public final class JsonObject {

    private final Path file;
    private final String path;
    private final ObjectNode node;

    JsonObject(Path file, String path, ObjectNode node) {
        this.file = file;
        this.path = path;
        this.node = node;
    }

    /** The file this was read from. */
    public Path file() {
        return file;
    }

    public Collection<String> keys() {
        return node.propertyNames();
    }

    /** The value of a key, or empty where it is absent or null. */
    public Optional<JsonNode> value(String key) {
        JsonNode value = node.get(key);
        return value == null || value.isNull() ? Optional.empty() : Optional.of(value);
    }

    public JsonNode require(String key) {
        return value(key).orElseThrow(
                () -> new CheckpointException(file + ": " + path + Json.key(key) + " is missing"));
    }

    public OptionalInt integer(String key, int min, int max) {
        Optional<JsonNode> value = value(key);
        return value.isPresent() ? OptionalInt.of(bounded(key, value.get(), min, max)) : OptionalInt.empty();
    }

    public int requireInteger(String key, int min, int max) {
        return bounded(key, require(key), min, max);
    }

    /** A key that holds one integer or a list of them; empty where absent. */
    public List<Integer> integers(String key, int min, int max) {
        List<Integer> all = new ArrayList<>();
        value(key).ifPresent(value -> {
            if (value.isArray()) {
                value.forEach(item -> all.add(bounded(key, item, min, max)));
            } else {
                all.add(bounded(key, value, min, max));
            }
        });
        return List.copyOf(all);
    }

    private int bounded(String key, JsonNode value, int min, int max) {
        if (!value.isIntegralNumber() || !value.canConvertToLong()
                || value.longValue() < min || value.longValue() > max) {
            throw wrong(key, value, "an integer from " + min + " to " + max);
        }
        return value.intValue();
    }

    /** A finite number in [min, max], or the fallback where absent. */
    public double number(String key, double min, double max, double fallback) {
        Optional<JsonNode> value = value(key);
        if (value.isEmpty()) {
            return fallback;
        }
        double number = value.get().isNumber() ? value.get().asDouble(Double.NaN) : Double.NaN;
        if (!(number >= min && number <= max)) {
            throw wrong(key, value.get(), "a number from " + min + " to " + max);
        }
        return number;
    }

    public Optional<Boolean> flag(String key) {
        return value(key).map(value -> {
            if (!value.isBoolean()) {
                throw wrong(key, value, "true or false");
            }
            return value.booleanValue();
        });
    }

    public Optional<String> string(String key) {
        return value(key).map(value -> text(key, value));
    }

    public String requireString(String key) {
        return text(key, require(key));
    }

    private String text(String key, JsonNode value) {
        if (!value.isString()) {
            throw wrong(key, value, "a string");
        }
        return value.stringValue();
    }

    /** A list of strings; empty where absent. */
    public List<String> strings(String key) {
        List<String> all = new ArrayList<>();
        elements(key).forEach(item -> all.add(text(key, item)));
        return List.copyOf(all);
    }

    public Optional<JsonObject> object(String key) {
        return value(key).map(value -> child(key, value));
    }

    public JsonObject requireObject(String key) {
        return child(key, require(key));
    }

    /** A list of objects; empty where absent. */
    public List<JsonObject> objects(String key) {
        List<JsonObject> all = new ArrayList<>();
        for (JsonNode item : elements(key)) {
            all.add(child(key + "[" + all.size() + "]", item));
        }
        return all;
    }

    /** The elements of a list; empty where absent. */
    public Collection<JsonNode> elements(String key) {
        return value(key).map(value -> {
            if (!value.isArray()) {
                throw wrong(key, value, "a list");
            }
            return value.values();
        }).orElse(List.of());
    }

    private JsonObject child(String key, JsonNode value) {
        if (!(value instanceof ObjectNode object)) {
            throw wrong(key, value, "an object");
        }
        return new JsonObject(file, path + Json.key(key) + ".", object);
    }

    /** Removes all keys but these, for readers that pass the document on. */
    public void retain(Collection<String> keys) {
        node.retain(keys);
    }

    /** Puts a text in place of a value, for readers that pass the document on. */
    public void replace(String key, String text) {
        node.put(key, text);
    }

    /** The failure of a key whose value is not what it must be. */
    public CheckpointException wrong(String key, String expected) {
        return wrong(key, require(key), expected);
    }

    private CheckpointException wrong(String key, JsonNode value, String expected) {
        return new CheckpointException(
                file + ": " + path + Json.key(key) + " is " + Json.show(value) + " but must be " + expected);
    }

    /** The document as JSON text. */
    @Override
    public String toString() {
        return node.toString();
    }
}
