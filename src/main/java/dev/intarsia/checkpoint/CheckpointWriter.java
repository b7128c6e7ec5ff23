package dev.intarsia.checkpoint;

import dev.intarsia.CheckpointException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Supplier;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/** Writes a checkpoint directory: {@code config.json} and {@code model.safetensors}, in bf16, one tensor at a time in memory. */
public final class CheckpointWriter {
    private static final String WEIGHTS = "model.safetensors";
    /** Data begins at a multiple of this, as the format's own library makes it. */
    private static final int ALIGNMENT = 8;
    /** Bytes given to the system at a time. */
    private static final long PART = 64L << 20;

    private CheckpointWriter() {}

    /**
     * Writes a model with random weights.
     *
     * @param config    copied to the directory
     * @param source    of bf16 weights
     * @param shapes    the weights to be written, in order
     * @param directory made if it is not there; must be empty
     * @param writing   told the name of each weight before it is drawn
     * @throws CheckpointException if the directory is not empty or cannot be written; what was written is removed
     */
    public static void write(
            Path config, RandomWeights source, Map<String, long[]> shapes, Path directory, Consumer<String> writing) {
        try {
            Files.createDirectories(directory);
            try (var files = Files.list(directory)) {
                if (files.findAny().isPresent()) {
                    throw new CheckpointException(directory + " is not empty; name a directory that is, or a new one");
                }
            }
            Path part = directory.resolve(WEIGHTS + ".part");
            try {
                writeWeights(part, source, shapes, writing);
                Files.copy(config, directory.resolve("config.json"));
                Files.move(part, directory.resolve(WEIGHTS), StandardCopyOption.ATOMIC_MOVE);
            } finally {
                Files.deleteIfExists(part);
            }
        } catch (IOException e) {
            throw new CheckpointException(directory + ": cannot be written: " + e, e);
        }
    }

    /**
     * A tensor to be written.
     *
     * @param data asked for when its turn comes, in order; valid until the next is asked for; as long as type and shape say
     */
    record Planned(String name, DType type, long[] shape, Supplier<MemorySegment> data) {}

    private static void writeWeights(
            Path file, RandomWeights source, Map<String, long[]> shapes, Consumer<String> writing) throws IOException {
        List<Planned> plan = new ArrayList<>();
        shapes.forEach((name, shape) -> plan.add(new Planned(name, DType.BF16, shape, () -> {
            writing.accept(name);
            return source.weight(name, shape).data();
        })));
        writeTensors(file, plan);
    }

    /** Writes a safetensors file that is not there yet. */
    static void writeTensors(Path file, List<Planned> plan) throws IOException {
        try (FileChannel channel =
                FileChannel.open(file, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW)) {
            writeAll(channel, ByteBuffer.wrap(header(plan)));
            for (Planned tensor : plan) {
                MemorySegment data = tensor.data().get();
                long size = data.byteSize();
                if (size != bytes(tensor)) {
                    throw new IllegalStateException(tensor.name() + " has " + size + " bytes, not " + bytes(tensor));
                }
                for (long done = 0; done < size; done += PART) {
                    writeAll(channel, data.asSlice(done, Math.min(PART, size - done)).asByteBuffer());
                }
            }
            channel.force(true);
        }
    }

    private static long bytes(Planned tensor) {
        long bytes = tensor.type().bits() / Byte.SIZE;
        for (long dimension : tensor.shape()) {
            bytes = Math.multiplyExact(bytes, dimension);
        }
        return bytes;
    }

    /** Length and JSON, padded with blanks. */
    private static byte[] header(List<Planned> plan) {
        ObjectNode json = JsonNodeFactory.instance.objectNode();
        json.putObject("__metadata__").put("format", "pt");
        long offset = 0;
        for (Planned tensor : plan) {
            ObjectNode entry = json.putObject(tensor.name());
            entry.put("dtype", tensor.type().name());
            ArrayNode shape = entry.putArray("shape");
            for (long dimension : tensor.shape()) {
                shape.add(dimension);
            }
            long bytes = bytes(tensor);
            entry.putArray("data_offsets").add(offset).add(offset + bytes);
            offset += bytes;
        }
        byte[] text = json.toString().getBytes(StandardCharsets.UTF_8);
        int padded = Math.ceilDiv(text.length, ALIGNMENT) * ALIGNMENT;
        ByteBuffer header = ByteBuffer.allocate(Long.BYTES + padded).order(ByteOrder.LITTLE_ENDIAN);
        header.putLong(padded).put(text);
        while (header.hasRemaining()) {
            header.put((byte) ' ');
        }
        return header.array();
    }

    private static void writeAll(FileChannel channel, ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
    }
}
