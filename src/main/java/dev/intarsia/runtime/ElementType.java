package dev.intarsia.runtime;

import dev.intarsia.ffi.Intarsia;

/** Element type of tensor data given to {@link Weights#add}; little-endian. */
public enum ElementType {
    /** IEEE 754 binary32. */
    F32(Intarsia.INTARSIA_DTYPE_F32(), 4),
    /** IEEE 754 binary16. */
    F16(Intarsia.INTARSIA_DTYPE_F16(), 2),
    /** The upper half of a binary32. */
    BF16(Intarsia.INTARSIA_DTYPE_BF16(), 2);

    final int code;
    private final int bytes;

    ElementType(int code, int bytes) {
        this.code = code;
        this.bytes = bytes;
    }

    /** Size of an element. */
    public int bytes() {
        return bytes;
    }
}
