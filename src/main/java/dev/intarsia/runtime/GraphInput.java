package dev.intarsia.runtime;

import dev.intarsia.ffi.Intarsia;

/** What a graph reads from its step: i32 vectors. */
public enum GraphInput {
    /** {@code [T]}: token ids. */
    TOKENS(Intarsia.INTARSIA_INPUT_TOKENS()),
    /** {@code [T]}: position of each token in its sequence, from 0. */
    POSITIONS(Intarsia.INTARSIA_INPUT_POSITIONS()),
    /** {@code [T]}: where k and v of each token go in the cache, or -1 for nowhere. */
    SLOTS(Intarsia.INTARSIA_INPUT_SLOTS()),
    /** {@code [R]}: indices into T of the rows whose logits are wanted. */
    ROWS(Intarsia.INTARSIA_INPUT_ROWS());

    final int code;

    GraphInput(int code) {
        this.code = code;
    }
}
