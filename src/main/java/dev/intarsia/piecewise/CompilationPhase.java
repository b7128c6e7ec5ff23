package dev.intarsia.piecewise;

/** What start-up spends its time on. */
public enum CompilationPhase {
    /** Building the graph from the model's configuration. */
    BUILD,
    /** Cutting it into pieces and finding equal ones. */
    SPLIT,
    /** Compiling pieces, less what is loaded and saved. */
    COMPILE,
    /** Reading stored artifacts, and making executables from them. */
    LOAD,
    /** Writing artifacts. */
    SAVE,
    /** Running the sizes that captures do not. */
    WARM_UP,
    /** Recording. */
    CAPTURE
}
