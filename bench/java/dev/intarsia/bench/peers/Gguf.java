package dev.intarsia.bench.peers;

import java.io.BufferedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Writes a GGUF file, version 3, as ggml's docs/gguf.md describes it: a header, metadata, a table of tensors and their data,
 * all little-endian.
 */
final class Gguf {
    private static final int VERSION = 3;
    private static final int ALIGNMENT = 32; // the format's default

    // Types of metadata values.
    private static final int UINT32 = 4;
    private static final int INT32 = 5;
    private static final int FLOAT32 = 6;
    private static final int BOOL = 7;
    private static final int STRING = 8;
    private static final int ARRAY = 9;

    /** The bytes of a tensor, made when they are written. */
    @FunctionalInterface
    interface Data {
        void writeTo(OutputStream out) throws IOException;
    }

    /** Row-major, outermost dimension first; the file has them the other way round. */
    private record Tensor(String name, long[] shape, GgufType type, Data data) {
        long bytes() {
            long elements = 1;
            for (long dimension : shape) {
                elements *= dimension;
            }
            return type.bytes(elements);
        }
    }

    private final Map<String, byte[]> metadata = new LinkedHashMap<>();
    private final List<Tensor> tensors = new ArrayList<>();

    void put(String key, int value) {
        metadata.put(key, bytes(8).putInt(UINT32).putInt(value).array());
    }

    void put(String key, float value) {
        metadata.put(key, bytes(8).putInt(FLOAT32).putFloat(value).array());
    }

    void put(String key, boolean value) {
        metadata.put(key, bytes(5).putInt(BOOL).put((byte) (value ? 1 : 0)).array());
    }

    void put(String key, String value) {
        byte[] text = text(value);
        metadata.put(key, bytes(4 + text.length).putInt(STRING).put(text).array());
    }

    void put(String key, List<String> values) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes(array(STRING, values.size()));
        values.forEach(value -> out.writeBytes(text(value)));
        metadata.put(key, out.toByteArray());
    }

    void put(String key, int[] values) {
        ByteBuffer out = bytes(16 + 4 * values.length).put(array(INT32, values.length));
        for (int value : values) {
            out.putInt(value);
        }
        metadata.put(key, out.array());
    }

    void tensor(String name, long[] shape, GgufType type, Data data) {
        tensors.add(new Tensor(name, shape, type, data));
    }

    void write(Path file) throws IOException {
        ByteArrayOutputStream head = new ByteArrayOutputStream();
        head.writeBytes(bytes(24).put("GGUF".getBytes(StandardCharsets.US_ASCII)).putInt(VERSION)
                .putLong(tensors.size()).putLong(metadata.size()).array());
        metadata.forEach((key, value) -> {
            head.writeBytes(text(key));
            head.writeBytes(value);
        });
        long offset = 0;
        for (Tensor tensor : tensors) {
            head.writeBytes(text(tensor.name()));
            ByteBuffer entry = bytes(16 + 8 * tensor.shape().length).putInt(tensor.shape().length);
            for (int i = tensor.shape().length - 1; i >= 0; i--) {
                entry.putLong(tensor.shape()[i]);
            }
            head.writeBytes(entry.putInt(tensor.type().code()).putLong(offset).array());
            offset += tensor.bytes() + padding(tensor.bytes());
        }
        head.writeBytes(new byte[padding(head.size())]);
        try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(file), 1 << 20)) {
            head.writeTo(out);
            for (Tensor tensor : tensors) {
                tensor.data().writeTo(out);
                out.write(new byte[padding(tensor.bytes())]);
            }
        }
    }

    private static int padding(long size) {
        return (int) (-size & (ALIGNMENT - 1));
    }

    private static byte[] array(int type, long count) {
        return bytes(16).putInt(ARRAY).putInt(type).putLong(count).array();
    }

    private static byte[] text(String value) {
        byte[] utf8 = value.getBytes(StandardCharsets.UTF_8);
        return bytes(8 + utf8.length).putLong(utf8.length).put(utf8).array();
    }

    private static ByteBuffer bytes(int count) {
        return ByteBuffer.allocate(count).order(ByteOrder.LITTLE_ENDIAN);
    }
}
