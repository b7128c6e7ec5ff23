package dev.intarsia.piecewise;

/** How much of the piecewise layer is used. */
public enum CompilationMode {
    /** Op by op: no fusion, no pieces, no ranges. For debugging, and the reference that tests compare with. */
    NONE,
    /** The graph is split into pieces, and every compilable piece is compiled for each range and size. */
    PIECEWISE
}
