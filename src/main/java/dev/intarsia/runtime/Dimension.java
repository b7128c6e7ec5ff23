package dev.intarsia.runtime;

import dev.intarsia.ffi.Intarsia;

/** A symbolic dimension: what the rows of a matrix are. */
public enum Dimension {
    /** T, the tokens of a step. */
    TOKENS(Intarsia.INTARSIA_DIM_TOKENS()),
    /** R, the positions of a step whose logits are wanted. */
    ROWS(Intarsia.INTARSIA_DIM_ROWS());

    private static final Dimension[] VALUES = values();

    final int code;

    Dimension(int code) {
        this.code = code;
    }

    static Dimension of(int code) {
        for (Dimension dimension : VALUES) {
            if (dimension.code == code) {
                return dimension;
            }
        }
        throw new IllegalStateException("the native library knows a dimension " + code + ", these bindings do not");
    }
}
