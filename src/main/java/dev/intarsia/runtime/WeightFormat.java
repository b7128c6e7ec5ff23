package dev.intarsia.runtime;

import dev.intarsia.ffi.Intarsia;

/** How the matrices of a weight set are held. Vectors are f32 in all of them. */
public enum WeightFormat {
    /** In the precision of the set. */
    NATIVE(Intarsia.INTARSIA_WEIGHTS_NATIVE()),
    /** 8 bits, with an f32 scale for each output. */
    INT8(Intarsia.INTARSIA_WEIGHTS_INT8()),
    /** 4 bits, with an f16 scale for each output and {@value #GROUP} inputs. */
    INT4(Intarsia.INTARSIA_WEIGHTS_INT4());

    /** Inputs under one scale of INT4. */
    public static final int GROUP = 32;

    final int code;

    WeightFormat(int code) {
        this.code = code;
    }

    /**
     * Bytes of the values of a row-major quantized matrix.
     *
     * @throws ArithmeticException if there are 2^63 or more
     */
    public long valueBytes(long outputs, long inputs) {
        return Math.multiplyExact(outputs, valueRow(inputs));
    }

    /**
     * Bytes of the scales of a row-major quantized matrix.
     *
     * @throws ArithmeticException if there are 2^63 or more
     */
    public long scaleBytes(long outputs, long inputs) {
        return Math.multiplyExact(outputs, scaleRow(inputs));
    }

    /** Bytes of the values of one output. */
    public long valueRow(long inputs) {
        return switch (this) {
            case NATIVE -> throw new IllegalArgumentException("NATIVE is not a quantized format");
            case INT8 -> inputs;
            case INT4 -> Math.ceilDiv(inputs, 2);
        };
    }

    /** Bytes of the scales of one output. */
    public long scaleRow(long inputs) {
        return switch (this) {
            case NATIVE -> throw new IllegalArgumentException("NATIVE is not a quantized format");
            case INT8 -> Float.BYTES;
            case INT4 -> Math.ceilDiv(inputs, GROUP) * Short.BYTES;
        };
    }
}
