package dev.intarsia.checkpoint;

/** The element types of the safetensors format; the constants bear the format's own names. */
public enum DType {
    F32(32, true), F16(16, true), BF16(16, true),

    BOOL(8), U8(8), I8(8), U16(16), I16(16), U32(32), I32(32), U64(64), I64(64), F64(64), C64(64),
    F8_E4M3(8), F8_E5M2(8), F8_E8M0(8), F8_E4M3FNUZ(8), F8_E5M2FNUZ(8), F6_E2M3(6), F6_E3M2(6), F4(4);

    private final int bits;
    private final boolean loadable;

    DType(int bits) {
        this(bits, false);
    }

    DType(int bits, boolean loadable) {
        this.bits = bits;
        this.loadable = loadable;
    }

    /** Bits an element takes in the file. */
    public int bits() {
        return bits;
    }

    /** Whether weights of this type can be loaded; the others are recognised so that an unused tensor does no harm. */
    public boolean loadable() {
        return loadable;
    }
}
