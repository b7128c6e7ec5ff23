package dev.intarsia.bench.peers;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** How a GGUF file holds numbers: one by one, or in blocks of 32 that share a scale. */
enum GgufType {
    F32(0, 1, 4, 0) {
        @Override
        void block(float[] x, int at, ByteBuffer out) {
            out.putFloat(x[at]);
        }
    },
    BF16(30, 1, 2, 32) {
        @Override
        void block(float[] x, int at, ByteBuffer out) {
            out.putShort((short) (Float.floatToRawIntBits(x[at]) >>> 16)); // exact: the weights are bf16
        }
    },
    /** A scale in f16, then 32 bytes. */
    Q8_0(8, 32, 34, 7) {
        @Override
        void block(float[] x, int at, ByteBuffer out) {
            float scale = Math.abs(x[largest(x, at)]) / 127;
            out.putShort(Float.floatToFloat16(scale));
            for (int i = 0; i < 32; i++) {
                out.put((byte) (scale == 0 ? 0 : Math.round(x[at + i] / scale)));
            }
        }
    },
    /** A scale in f16, then 16 bytes: elements 0 to 15 are their lower halves, 16 to 31 the upper ones; 8 stands for zero. */
    Q4_0(2, 32, 18, 2) {
        @Override
        void block(float[] x, int at, ByteBuffer out) {
            float scale = x[largest(x, at)] / -8;
            out.putShort(Float.floatToFloat16(scale));
            for (int i = 0; i < 16; i++) {
                out.put((byte) (nibble(x[at + i], scale) | nibble(x[at + i + 16], scale) << 4));
            }
        }
    };

    private final int code;
    private final int blockElements;
    private final int blockBytes;
    private final int fileType;

    GgufType(int code, int blockElements, int blockBytes, int fileType) {
        this.code = code;
        this.blockElements = blockElements;
        this.blockBytes = blockBytes;
        this.fileType = fileType;
    }

    /** Writes the block of {@code x} that begins at {@code at}. */
    abstract void block(float[] x, int at, ByteBuffer out);

    /** ggml's number of this type. */
    int code() {
        return code;
    }

    /** The number of {@code general.file_type} for a file whose matrices are of this type. */
    int fileType() {
        return fileType;
    }

    long bytes(long elements) {
        return elements / blockElements * blockBytes;
    }

    /** One row; its width is a multiple of the block. */
    byte[] encode(float[] row) {
        ByteBuffer out = ByteBuffer.allocate((int) bytes(row.length)).order(ByteOrder.LITTLE_ENDIAN);
        for (int at = 0; at < row.length; at += blockElements) {
            block(row, at, out);
        }
        return out.array();
    }

    private static int largest(float[] x, int at) {
        int found = at;
        for (int i = at; i < at + 32; i++) {
            found = Math.abs(x[i]) > Math.abs(x[found]) ? i : found;
        }
        return found;
    }

    private static int nibble(float x, float scale) {
        return scale == 0 ? 8 : Math.clamp(Math.round(x / scale) + 8, 0, 15);
    }
}
