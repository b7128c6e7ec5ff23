package dev.intarsia.checkpoint;

import dev.intarsia.CheckpointException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/**
 * One mapped safetensors file: 8 bytes with the header's length N, little-endian; N bytes of JSON, one entry a tensor;
 * then the data, which the tensors must cover from end to end without hole or overlap
 * (<a href="https://github.com/huggingface/safetensors#format">the format</a>).
 */
final class SafeTensors {

    private static final long MAX_HEADER = 100_000_000;
    private static final int MAX_RANK = 32;
    private static final String METADATA = "__metadata__";
    private static final ValueLayout.OfLong LENGTH =
            ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final Path file;
    private final FileChannel channel;
    private final Map<String, TensorView> tensors = new LinkedHashMap<>();
    private MemorySegment bytes; // of the whole file

    /** A header entry: bytes [begin, end) of the data. */
    private record Entry(String name, DType dtype, long[] shape, long begin, long end) {
    }

    private SafeTensors(Path file, FileChannel channel) {
        this.file = file;
        this.channel = channel;
    }

    /**
     * Maps a file for as long as the arena lives.
     *
     * @throws CheckpointException if the file cannot be mapped or breaks the format
     */
    static SafeTensors map(Path file, Arena arena) {
        if (!Files.exists(file)) {
            throw new CheckpointException(file + ": no such file");
        }
        if (!Files.isRegularFile(file)) {
            throw new CheckpointException(file + ": not a regular file");
        }
        try {
            FileChannel channel = FileChannel.open(file, StandardOpenOption.READ);
            MemorySegment.ofAddress(1).reinterpret(arena, ignored -> close(channel)); // with the arena
            SafeTensors mapped = new SafeTensors(file, channel);
            mapped.bytes = mapped.map(0, channel.size(), arena);
            mapped.read(mapped.bytes);
            return mapped;
        } catch (IOException e) {
            throw unmappable(file, e);
        }
    }

    private MemorySegment map(long offset, long size, Arena arena) throws IOException {
        return channel.map(FileChannel.MapMode.READ_ONLY, offset, size, arena);
    }

    private static CheckpointException unmappable(Path file, IOException cause) {
        return new CheckpointException(file + ": cannot be mapped: " + cause, cause);
    }

    private static void close(FileChannel channel) {
        try {
            channel.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Maps a tensor of this file once more, by itself, for as long as the arena lives: where tensors are read one after the other, what
     * was read does not stay in the memory of the process.
     */
    TensorView mapAlone(TensorView tensor, Arena arena) {
        long offset = tensor.data().address() - bytes.address();
        try {
            return new TensorView(
                    tensor.name(), tensor.dtype(), tensor.shape(), map(offset, tensor.data().byteSize(), arena));
        } catch (IOException e) {
            throw unmappable(file, e);
        }
    }

    Path file() {
        return file;
    }

    /** All tensors by name, in the order of their data. */
    Map<String, TensorView> tensors() {
        return tensors;
    }

    private void read(MemorySegment bytes) {
        if (bytes.byteSize() < LENGTH.byteSize()) {
            throw error("truncated: " + bytes.byteSize() + " bytes do not hold the 8 of the header's length");
        }
        long headerLength = bytes.get(LENGTH, 0);
        if (headerLength < 0 || headerLength > MAX_HEADER) {
            throw error("header length " + Long.toUnsignedString(headerLength) + " exceeds the " + MAX_HEADER
                    + " bytes that the format allows");
        }
        if (headerLength > bytes.byteSize() - LENGTH.byteSize()) {
            throw error("truncated: the header is " + headerLength + " bytes long but the file only "
                    + bytes.byteSize());
        }
        MemorySegment header = bytes.asSlice(LENGTH.byteSize(), headerLength);
        MemorySegment data = bytes.asSlice(LENGTH.byteSize() + headerLength);

        List<Entry> entries = entries(Json.parse(header.toArray(ValueLayout.JAVA_BYTE), file));
        entries.sort(Comparator.comparingLong(Entry::begin).thenComparingLong(Entry::end));
        long covered = 0;
        for (Entry entry : entries) {
            if (entry.begin != covered) {
                throw error("tensor " + Json.quote(entry.name) + " begins at data byte " + entry.begin
                        + (entry.begin < covered ? ", inside another that ends at " : ", after a hole from ")
                        + covered);
            }
            if (entry.end > data.byteSize()) {
                throw error("tensor " + Json.quote(entry.name) + " ends at data byte " + entry.end
                        + " but the file holds only " + data.byteSize() + " bytes of data");
            }
            covered = entry.end;
            tensors.put(entry.name, new TensorView(
                    entry.name, entry.dtype, entry.shape, data.asSlice(entry.begin, entry.end - entry.begin)));
        }
        if (covered != data.byteSize()) {
            throw error("the tensors end at data byte " + covered + " but the file holds " + data.byteSize()
                    + " bytes of data");
        }
    }

    private List<Entry> entries(JsonObject header) {
        List<Entry> entries = new ArrayList<>();
        for (String name : header.keys()) {
            JsonObject fields = header.requireObject(name);
            if (name.equals(METADATA)) {
                fields.keys().forEach(fields::requireString);
            } else {
                entries.add(entry(name, fields));
            }
        }
        return entries;
    }

    private Entry entry(String name, JsonObject fields) {
        DType dtype = dtype(name, fields.requireString("dtype"));
        fields.require("shape");
        List<Long> shape = naturals(name, fields, "shape");
        fields.require("data_offsets");
        List<Long> offsets = naturals(name, fields, "data_offsets");
        if (shape.size() > MAX_RANK) {
            throw error("tensor " + Json.quote(name) + " has " + shape.size() + " dimensions, more than " + MAX_RANK);
        }
        if (offsets.size() != 2 || offsets.get(0) > offsets.get(1)) {
            throw error("tensor " + Json.quote(name) + " has data_offsets "
                    + (offsets.size() > MAX_RANK ? "of " + offsets.size() + " numbers" : offsets)
                    + " but they must be its first and last+1 data byte");
        }
        long stored = offsets.get(1) - offsets.get(0);
        Optional<Long> expected = size(dtype, shape);
        if (expected.isEmpty()) {
            throw error("tensor " + Json.quote(name) + " of shape " + shape + " and dtype " + dtype
                    + " is not a whole number of bytes below 2^60");
        }
        if (expected.get() != stored) {
            throw error("tensor " + Json.quote(name) + " of shape " + shape + " and dtype " + dtype + " takes "
                    + expected.get() + " bytes but its data_offsets hold " + stored);
        }
        return new Entry(name, dtype, shape.stream().mapToLong(Long::longValue).toArray(), offsets.get(0),
                offsets.get(1));
    }

    private DType dtype(String name, String spelled) {
        try {
            return DType.valueOf(spelled);
        } catch (IllegalArgumentException e) {
            throw new CheckpointException(
                    file + ": tensor " + Json.quote(name) + " has unknown dtype " + Json.quote(spelled), e);
        }
    }

    private List<Long> naturals(String name, JsonObject fields, String key) {
        List<Long> all = new ArrayList<>();
        for (JsonNode item : fields.elements(key)) {
            if (!item.isIntegralNumber() || !item.canConvertToLong() || item.longValue() < 0) {
                throw error("tensor " + Json.quote(name) + " has " + Json.show(item) + " in its " + key
                        + ", which takes integers from 0 to 2^63-1");
            }
            all.add(item.longValue());
        }
        return all;
    }

    private static Optional<Long> size(DType dtype, List<Long> shape) {
        try {
            long bits = dtype.bits();
            for (long dimension : shape) {
                bits = Math.multiplyExact(bits, dimension);
            }
            return bits % Byte.SIZE == 0 ? Optional.of(bits / Byte.SIZE) : Optional.empty();
        } catch (ArithmeticException e) {
            return Optional.empty();
        }
    }

    private CheckpointException error(String what) {
        return new CheckpointException(file + ": " + what);
    }
}
