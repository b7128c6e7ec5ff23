package dev.intarsia.checkpoint;

import dev.intarsia.CheckpointException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * An open checkpoint directory: its configuration, and its weights where they lie in mapped files. Any thread may use
 * it; whoever closes it makes sure that nobody reads a tensor any more.
 */
public final class Checkpoint implements WeightSource {

    private static final int SUGGESTIONS = 3;

    private final Path directory;
    private final ModelConfig config;
    private final GenerationConfig generation;
    private final Arena arena;
    private final Shards shards;
    private final Map<String, TensorView> tensors;
    private Arena window = Arena.ofShared(); // of the weight that was asked for last

    private Checkpoint(Path directory, ModelConfig config, GenerationConfig generation, Arena arena) {
        this.directory = directory;
        this.config = config;
        this.generation = generation;
        this.arena = arena;
        this.shards = Shards.map(directory, arena);
        this.tensors = shards.tensors();
    }

    /**
     * Opens a directory that holds {@code config.json} and safetensors weights.
     *
     * @throws CheckpointException if anything in it is missing, damaged or out of bounds
     */
    public static Checkpoint open(Path directory) {
        if (!Files.exists(directory)) {
            throw new CheckpointException(directory + ": no such directory");
        }
        if (!Files.isDirectory(directory)) {
            throw new CheckpointException(directory + ": not a directory");
        }
        ModelConfig config = ModelConfig.read(directory.resolve("config.json"));
        GenerationConfig generation = GenerationConfig.read(directory.resolve("generation_config.json"), config);
        Arena arena = Arena.ofShared();
        try {
            return new Checkpoint(directory, config, generation, arena);
        } catch (Throwable e) {
            arena.close();
            throw e;
        }
    }

    public Path directory() {
        return directory;
    }

    @Override
    public ModelConfig config() {
        return config;
    }

    @Override
    public GenerationConfig generation() {
        return generation;
    }

    public boolean has(String name) {
        return tensors.containsKey(name);
    }

    public Set<String> names() {
        return Collections.unmodifiableSet(tensors.keySet());
    }

    /** Bytes of all tensors together, as stored. */
    public long totalBytes() {
        return tensors.values().stream().mapToLong(tensor -> tensor.data().byteSize()).sum();
    }

    /**
     * A tensor to load.
     *
     * @throws CheckpointException   if there is none of that name, or its dtype is not {@link DType#loadable()}
     * @throws IllegalStateException if the checkpoint is closed
     */
    public TensorView tensor(String name) {
        if (!arena.scope().isAlive()) {
            throw new IllegalStateException("checkpoint " + directory + " is closed");
        }
        TensorView tensor = stored(name);
        if (!tensor.dtype().loadable()) {
            throw new CheckpointException(directory + ": tensor " + Json.quote(name) + " is stored as "
                    + tensor.dtype() + " but only F32, F16 and BF16 can be loaded");
        }
        return tensor;
    }

    private TensorView stored(String name) {
        TensorView tensor = tensors.get(name);
        if (tensor == null) {
            throw new CheckpointException(directory + ": no tensor " + Json.quote(name) + "; the nearest of the "
                    + tensors.size() + " there are: " + nearest(name));
        }
        return tensor;
    }

    /** {@link #tensor} of the shape that the configuration makes it, mapped by itself until the next call. */
    @Override
    public synchronized TensorView weight(String name, long... shape) {
        shaped(tensor(name), shape);
        newWindow();
        return shards.mapAlone(name, window);
    }

    /** A matrix and its scales as {@link ModelConfig#quantized()} says, mapped by themselves until the next call. */
    @Override
    public synchronized Optional<QuantizedView> quantized(String name, long outputs, long inputs) {
        return switch (config.quantized()) {
            case NONE -> Optional.empty();
            case INT8 -> Optional.of(quantized(name, DType.I8, new long[] {outputs, inputs}, DType.F32, outputs));
            case INT4 -> Optional.of(quantized(name, DType.U8, new long[] {outputs, Math.ceilDiv(inputs, 2)},
                    DType.F16, outputs, Math.ceilDiv(inputs, QuantizedView.GROUP)));
        };
    }

    private QuantizedView quantized(String name, DType type, long[] shape, DType scaleType, long... scaleShape) {
        String scale = name + QuantizedView.SCALE;
        typed(shaped(stored(name), shape), type);
        typed(shaped(stored(scale), scaleShape), scaleType);
        newWindow();
        return new QuantizedView(shards.mapAlone(name, window).data(), shards.mapAlone(scale, window).data());
    }

    private void newWindow() {
        window.close();
        window = Arena.ofShared();
    }

    private void typed(TensorView tensor, DType type) {
        if (tensor.dtype() != type) {
            throw new CheckpointException(directory + ": tensor " + Json.quote(tensor.name()) + " is stored as "
                    + tensor.dtype() + ", but the quantization_config of config.json makes it " + type);
        }
    }

    private TensorView shaped(TensorView tensor, long... shape) {
        if (!Arrays.equals(tensor.shape(), shape)) {
            throw new CheckpointException("tensor " + tensor.name() + " in " + directory + " has shape "
                    + Arrays.toString(tensor.shape()) + ", but config.json makes it " + Arrays.toString(shape));
        }
        return tensor;
    }

    /** The names that share the longest beginning and end with the one asked for. */
    private String nearest(String name) {
        return tensors.keySet().stream()
                .sorted(Comparator.comparingInt((String other) -> -likeness(name, other)).thenComparing(other -> other))
                .limit(SUGGESTIONS)
                .map(Json::quote)
                .collect(Collectors.joining(", "));
    }

    private static int likeness(String a, String b) {
        int shorter = Math.min(a.length(), b.length());
        int head = 0;
        while (head < shorter && a.charAt(head) == b.charAt(head)) {
            head++;
        }
        int tail = 0;
        while (tail < shorter - head && a.charAt(a.length() - 1 - tail) == b.charAt(b.length() - 1 - tail)) {
            tail++;
        }
        return head + tail;
    }

    /** Unmaps the weights; every tensor's data is invalid from here on. Closing again does nothing. */
    @Override
    public synchronized void close() {
        if (arena.scope().isAlive()) {
            window.close();
            arena.close();
        }
    }
}
