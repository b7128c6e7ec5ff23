package dev.intarsia.piecewise;

/** How one step runs. */
public enum RuntimeMode {
    /** Executables are called one by one; nothing is replayed. */
    NONE,
    /** Every compilable piece replays its recording; splitting pieces are called. */
    PIECEWISE,
    /** One recording of the whole step is replayed. */
    FULL
}
