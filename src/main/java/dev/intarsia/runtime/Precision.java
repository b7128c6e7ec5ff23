package dev.intarsia.runtime;

import dev.intarsia.ffi.Intarsia;

/** The numeric mode of a set of weights and of what is computed with it. */
public enum Precision {
    /** Weights widened to f32, everything computed in f32. */
    F32(Intarsia.INTARSIA_PRECISION_F32()),
    /**
     * Weights, inputs of linear ops, q, k, v as cached and attention probabilities are rounded to bf16, to the nearest,
     * ties to even; all else is f32.
     */
    BF16(Intarsia.INTARSIA_PRECISION_BF16());

    final int code;

    Precision(int code) {
        this.code = code;
    }
}
