package dev.intarsia.fuzz;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.random.RandomGenerator;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Edits a safetensors file: its header's length, its header as text and as what it says of tensors, its data. */
final class WeightsMutator {

    private static final List<String> DTYPES = List.of(
            "F32", "F16", "BF16", "F64", "I8", "U8", "BOOL", "I16", "U16", "I32", "U32", "I64", "U64", "C64",
            "F8_E4M3", "F8_E5M2", "F8_E8M0", "F6_E2M3", "F4", "f32", "FLOAT", "", "F32\u0000");
    private static final long[] LENGTHS = {0, 1, 2, 7, 8, 99_999_999, 100_000_000, 100_000_001, Integer.MAX_VALUE,
        1L << 31, 1L << 32, Long.MAX_VALUE - 8, Long.MAX_VALUE, -1, -8, Long.MIN_VALUE};
    private static final long[] DIMS = {-1, 0, 1, 2, 3, 64, 1L << 31, 1L << 32, 1L << 60, 1L << 62, Long.MAX_VALUE};
    /** Two bytes that recur: as BF16, F16 or half of an F32 infinities, NaNs, the greatest, the least, zeros. */
    private static final int[] PATTERNS = {0x7F80, 0xFF80, 0x7FC0, 0xFFFF, 0x7F7F, 0xFF7F, 0x0001, 0x8001, 0x0000,
        0x8000, 0x7C00, 0xFC00, 0x7BFF, 0x7E00, 0x7F81};

    private final RandomGenerator random;
    private final List<String> edits;
    private final JsonMutator json;
    private final ByteMutator bytes;

    WeightsMutator(RandomGenerator random, List<String> edits) {
        this.random = random;
        this.edits = edits;
        this.json = new JsonMutator(random, edits);
        this.bytes = new ByteMutator(random, edits);
    }

    /** The file with one more edit of any kind. */
    byte[] mutate(String name, byte[] file) {
        WeightsFile.Parts parts = WeightsFile.split(file);
        if (parts == null) {
            return bytes.mutate(name, file, 64);
        }
        return switch (random.nextInt(12)) {
            case 0, 1, 2 -> new WeightsFile.Parts(json.mutate(name, parts.header()), parts.data()).join();
            case 3, 4 -> length(name, parts);
            case 5, 6, 7 -> header(name, parts);
            case 8, 9 -> tensors(name, parts);
            case 10 -> data(name, file);
            default -> bytes.mutate(name, file, 8 + parts.header().length());
        };
    }

    private byte[] length(String name, WeightsFile.Parts parts) {
        byte[] header = parts.header().getBytes(StandardCharsets.UTF_8);
        long length = switch (random.nextInt(4)) {
            case 0 -> header.length + random.nextInt(-9, 10);
            case 1 -> header.length + parts.data().length + random.nextInt(-9, 10);
            case 2 -> header.length ^ 1L << random.nextInt(64);
            default -> LENGTHS[random.nextInt(LENGTHS.length)];
        };
        if (random.nextInt(4) == 0) {
            header = Arrays.copyOf(header, header.length + random.nextInt(1, 20));
            Arrays.fill(header, parts.header().length(), header.length, (byte) (random.nextBoolean() ? ' ' : 0));
            length = header.length;
        }
        edits.add(name + " header length " + length);
        return WeightsFile.join(length, header, parts.data());
    }

    /** Another dtype, shape or place for one tensor, while its data stay. */
    private byte[] header(String name, WeightsFile.Parts parts) {
        ObjectNode header = WeightsFile.header(parts);
        if (header == null) {
            return bytes.mutate(name, parts.join(), 8 + parts.header().length());
        }
        List<String> names = header.propertyNames().stream()
                .filter(tensor -> header.get(tensor) instanceof ObjectNode fields
                        && fields.get("shape") instanceof ArrayNode
                        && fields.get("data_offsets") instanceof ArrayNode offsets
                        && offsets.size() == 2)
                .toList();
        if (names.isEmpty()) {
            return parts.join();
        }
        String tensor = Hostile.pick(names, random);
        ObjectNode fields = (ObjectNode) header.get(tensor);
        ArrayNode shape = (ArrayNode) fields.get("shape");
        ArrayNode offsets = (ArrayNode) fields.get("data_offsets");
        ArrayNode others = (ArrayNode) header.get(Hostile.pick(names, random)).get("data_offsets");
        long begin = offsets.get(0).asLong(0);
        long end = offsets.get(1).asLong(0);
        switch (random.nextInt(11)) {
            case 0 -> fields.put("dtype", Hostile.pick(DTYPES, random));
            case 1 -> shape.insert(random.nextInt(shape.size() + 1), DIMS[random.nextInt(DIMS.length)]);
            case 2 -> shape.removeAll();
            case 3 -> Collections.nCopies(40, 1).forEach(shape::add);
            case 4 -> {
                if (!shape.isEmpty()) {
                    int dim = random.nextInt(shape.size());
                    shape.insert(dim, shape.remove(random.nextInt(shape.size())));
                }
            }
            case 5 -> {
                if (!shape.isEmpty()) {
                    shape.remove(random.nextInt(shape.size()));
                    shape.add(DIMS[random.nextInt(DIMS.length)]);
                }
            }
            case 6 -> place(offsets, begin + random.nextInt(-8, 9), end + random.nextInt(-8, 9));
            case 7 -> place(offsets, others.get(0).asLong(0), others.get(1).asLong(0));
            case 8 -> place(offsets, end, begin);
            case 9 -> {
                place(offsets, others.get(0).asLong(0), others.get(1).asLong(0));
                place(others, begin, end);
            }
            default -> {
                long shift = LENGTHS[random.nextInt(LENGTHS.length)];
                place(offsets, begin + shift, random.nextBoolean() ? end + shift : end);
            }
        }
        edits.add(name + " header entry " + fields);
        return new WeightsFile.Parts(header.toString(), parts.data()).join();
    }

    private static void place(ArrayNode offsets, long begin, long end) {
        offsets.removeAll();
        offsets.add(begin);
        offsets.add(end);
    }

    /** Tensors gone, added, renamed or turned into others, in a file that stays whole. */
    private byte[] tensors(String name, WeightsFile.Parts parts) {
        List<WeightsFile.Tensor> all = WeightsFile.tensors(parts);
        if (all == null || all.isEmpty()) {
            return bytes.mutate(name, parts.join(), 8 + parts.header().length());
        }
        int at = random.nextInt(all.size());
        WeightsFile.Tensor tensor = all.get(at);
        switch (random.nextInt(7)) {
            case 0 -> all.remove(at);
            case 1 -> all.add(new WeightsFile.Tensor("extra", tensor.dtype(), tensor.shape(), tensor.data()));
            case 2 -> all.add(new WeightsFile.Tensor(
                    "empty", Hostile.pick(DTYPES, random), new long[] {0, 7}, new byte[0]));
            case 3 -> all.set(at, new WeightsFile.Tensor(
                    random.nextBoolean() ? all.getFirst().name() + "\n" : "t".repeat(1 << random.nextInt(12)),
                    tensor.dtype(), tensor.shape(), tensor.data()));
            case 4 -> all.set(at, new WeightsFile.Tensor(tensor.name(), Hostile.pick(DTYPES.subList(0, 3), random),
                    tensor.shape(), tensor.data()));
            case 5 -> {
                long[] reversed = Arrays.stream(tensor.shape()).boxed().toList().reversed().stream()
                        .mapToLong(Long::longValue).toArray();
                all.set(at, new WeightsFile.Tensor(tensor.name(), tensor.dtype(), reversed, tensor.data()));
            }
            default -> Collections.shuffle(all, new java.util.Random(random.nextLong()));
        }
        edits.add(name + " tensors changed at " + tensor.name());
        return WeightsFile.of(all).join();
    }

    /** The file with other weights in it: nothing but the numbers changes. */
    byte[] data(String name, byte[] file) {
        WeightsFile.Parts parts = WeightsFile.split(file);
        if (parts == null || parts.data().length < 4) {
            return file;
        }
        byte[] data = parts.data().clone();
        int pattern = PATTERNS[random.nextInt(PATTERNS.length)];
        boolean noise = random.nextInt(4) == 0;
        int from = random.nextInt(data.length - 1) & -2;
        int to = random.nextBoolean() ? data.length : Math.min(data.length, from + (1 << random.nextInt(1, 16)));
        int step = 2 << random.nextInt(8);
        ByteBuffer buffer = ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = from; i + 1 < to; i += step) {
            buffer.putShort(i, (short) (noise ? random.nextInt() : pattern));
        }
        edits.add(name + " data [" + from + "," + to + ") every " + step + " bytes "
                + (noise ? "noise" : Integer.toHexString(pattern)));
        return new WeightsFile.Parts(parts.header(), data).join();
    }
}
