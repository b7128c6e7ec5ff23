package dev.intarsia.piecewise;

/** What start-up spends its time on. */
public enum CompilationPhase {
    /** Building the graph from the model's configuration. */
    BUILD,
    /** Cutting it into pieces and finding equal ones. */
    SPLIT,
    /** Compiling pieces. */
    COMPILE,
    /** Reading stored artifacts. */
    LOAD,
    /** Writing artifacts. */
    SAVE,
    /** Running the sizes that captures do not. */
    WARM_UP,
    /** Recording. */
    CAPTURE
}
