package dev.intarsia.piecewise;

/** What the splitting rule needs to know of an op. */
public enum OpKind {
    /** Belongs to a compilable piece. */
    PLAIN,
    /** One of the configured splitting ops: starts a piece that is never compiled for ranges. */
    SPLITTING,
    /** Allocates memory without writing it; plain, but not worth a piece of its own. */
    EMPTY_ALLOCATION
}
