package dev.intarsia.runtime;

import dev.intarsia.ffi.Intarsia;

/** The kinds of ops of a graph; {@link Graph} has a method for each. */
public enum OpKind {
    INPUT(Intarsia.INTARSIA_OP_INPUT()),
    EMBEDDING(Intarsia.INTARSIA_OP_EMBEDDING()),
    RMS_NORM(Intarsia.INTARSIA_OP_RMS_NORM()),
    LINEAR(Intarsia.INTARSIA_OP_LINEAR()),
    ROPE_TABLE(Intarsia.INTARSIA_OP_ROPE_TABLE()),
    ROPE(Intarsia.INTARSIA_OP_ROPE()),
    CACHE_APPEND(Intarsia.INTARSIA_OP_CACHE_APPEND()),
    ATTENTION(Intarsia.INTARSIA_OP_ATTENTION()),
    SILU_MUL(Intarsia.INTARSIA_OP_SILU_MUL()),
    ADD(Intarsia.INTARSIA_OP_ADD()),
    SELECT_ROWS(Intarsia.INTARSIA_OP_SELECT_ROWS()),
    EMPTY(Intarsia.INTARSIA_OP_EMPTY());

    final int code;

    OpKind(int code) {
        this.code = code;
    }
}
