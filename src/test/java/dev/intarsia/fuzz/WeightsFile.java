package dev.intarsia.fuzz;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** The safetensors format for tests: taken apart and put together, checked nowhere. */
final class WeightsFile {

    static final ObjectMapper JSON = new ObjectMapper();

    private static final int LENGTH = Long.BYTES;

    private WeightsFile() {
    }

    /** A tensor with the bytes that the file has for it. */
    record Tensor(String name, String dtype, long[] shape, byte[] data) {
    }

    /** Header and data. */
    record Parts(String header, byte[] data) {

        /** The file, its header as long as it says. */
        byte[] join() {
            byte[] text = header.getBytes(StandardCharsets.UTF_8);
            return WeightsFile.join(text.length, text, data);
        }
    }

    static byte[] join(long length, byte[] header, byte[] data) {
        return ByteBuffer.allocate(LENGTH + header.length + data.length)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(length)
                .put(header)
                .put(data)
                .array();
    }

    /** Null where the file has no header as long as it says. */
    static Parts split(byte[] file) {
        if (file.length < LENGTH) {
            return null;
        }
        long length = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).getLong();
        if (length < 0 || length > file.length - LENGTH) {
            return null;
        }
        int data = LENGTH + (int) length;
        byte[] rest = new byte[file.length - data];
        System.arraycopy(file, data, rest, 0, rest.length);
        return new Parts(new String(file, LENGTH, (int) length, StandardCharsets.UTF_8), rest);
    }

    /** The header as a tree, or null where it is none. */
    static ObjectNode header(Parts parts) {
        try {
            return JSON.readTree(parts.header()) instanceof ObjectNode node ? node : null;
        } catch (JacksonException e) {
            return null;
        }
    }

    /** All tensors, or null where the file is too damaged to tell. */
    static List<Tensor> tensors(Parts parts) {
        ObjectNode header = header(parts);
        if (header == null) {
            return null;
        }
        List<Tensor> tensors = new ArrayList<>();
        for (String name : header.propertyNames()) {
            JsonNode fields = header.get(name);
            if (!name.equals("__metadata__")) {
                if (!(fields.get("shape") instanceof ArrayNode shape)
                        || !(fields.get("data_offsets") instanceof ArrayNode offsets)
                        || offsets.size() != 2
                        || fields.get("dtype") == null) {
                    return null;
                }
                long begin = offsets.get(0).asLong(-1);
                long end = offsets.get(1).asLong(-1);
                if (begin < 0 || end < begin || end > parts.data().length) {
                    return null;
                }
                byte[] data = new byte[(int) (end - begin)];
                System.arraycopy(parts.data(), (int) begin, data, 0, data.length);
                long[] dims = shape.values().stream().mapToLong(dim -> dim.asLong(-1)).toArray();
                tensors.add(new Tensor(name, fields.get("dtype").asString(""), dims, data));
            }
        }
        return tensors;
    }

    /** A file of these tensors, one after the other. */
    static Parts of(List<Tensor> tensors) {
        ObjectNode header = JSON.createObjectNode();
        ByteArrayOutputStream data = new ByteArrayOutputStream();
        for (Tensor tensor : tensors) {
            ObjectNode fields = header.putObject(tensor.name());
            fields.put("dtype", tensor.dtype());
            ArrayNode shape = fields.putArray("shape");
            for (long dim : tensor.shape()) {
                shape.add(dim);
            }
            ArrayNode offsets = fields.putArray("data_offsets");
            offsets.add(data.size());
            data.writeBytes(tensor.data());
            offsets.add(data.size());
        }
        return new Parts(header.toString(), data.toByteArray());
    }
}
