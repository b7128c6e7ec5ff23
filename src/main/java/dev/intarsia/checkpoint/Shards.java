package dev.intarsia.checkpoint;

import dev.intarsia.CheckpointException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeSet;
import java.util.regex.Pattern;

/** The weights of a directory: {@code model.safetensors}, or else the shards that its index names. */
final class Shards {

    private static final String SINGLE = "model.safetensors";
    private static final String INDEX = "model.safetensors.index.json";
    private static final long MAX_INDEX = 100_000_000;
    /** A plain file name, no longer than file systems take: an index must not lead out of its directory. */
    private static final Pattern SHARD = Pattern.compile("[A-Za-z0-9_][A-Za-z0-9._-]{0,240}\\.safetensors");

    private final Map<String, TensorView> tensors = new LinkedHashMap<>();
    private final Map<String, SafeTensors> files = new LinkedHashMap<>();

    private Shards() {
    }

    /**
     * Maps all tensors of a directory for as long as the arena lives.
     *
     * @throws CheckpointException if there are no weights, or they break the format, or index and shards disagree
     */
    static Shards map(Path directory, Arena arena) {
        Path single = directory.resolve(SINGLE);
        Path index = directory.resolve(INDEX);
        if (Files.exists(single)) {
            Shards shards = new Shards();
            shards.add(SafeTensors.map(single, arena));
            return shards;
        }
        if (Files.exists(index)) {
            return mapIndexed(directory, Json.read(index, MAX_INDEX).requireObject("weight_map"), arena);
        }
        throw new CheckpointException(directory + ": holds neither " + SINGLE + " nor " + INDEX
                + "; weights in other formats must be converted to safetensors first");
    }

    /** All tensors by name. */
    Map<String, TensorView> tensors() {
        return tensors;
    }

    /** One of them, mapped once more by itself for as long as an arena lives. */
    TensorView mapAlone(String tensor, Arena arena) {
        return files.get(tensor).mapAlone(tensors.get(tensor), arena);
    }

    private void add(SafeTensors file) {
        for (String tensor : file.tensors().keySet()) {
            SafeTensors other = files.putIfAbsent(tensor, file);
            if (other != null) {
                throw new CheckpointException(
                        file.file() + ": tensor " + Json.quote(tensor) + " is also in " + other.file());
            }
        }
        tensors.putAll(file.tensors());
    }

    private static Shards mapIndexed(Path directory, JsonObject weightMap, Arena arena) {
        TreeSet<String> names = new TreeSet<>();
        for (String tensor : weightMap.keys()) {
            String shard = weightMap.requireString(tensor);
            if (!SHARD.matcher(shard).matches()) {
                throw weightMap.wrong(tensor, "the name of a .safetensors file in the same directory");
            }
            names.add(shard);
        }
        Shards all = new Shards();
        Map<String, SafeTensors> shards = new LinkedHashMap<>();
        for (String name : names) {
            SafeTensors shard = SafeTensors.map(directory.resolve(name), arena);
            shards.put(name, shard);
            all.add(shard);
        }
        for (String tensor : weightMap.keys()) {
            SafeTensors shard = shards.get(weightMap.requireString(tensor));
            if (!shard.tensors().containsKey(tensor)) {
                throw new CheckpointException(shard.file() + ": tensor " + Json.quote(tensor)
                        + " is absent although " + weightMap.file().getFileName() + " lists it here");
            }
        }
        return all;
    }
}
