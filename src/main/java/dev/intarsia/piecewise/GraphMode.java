package dev.intarsia.piecewise;

/** What is recorded at start-up, and so which steps can be replayed. */
public enum GraphMode {
    /** Nothing. */
    NONE(RuntimeMode.NONE, RuntimeMode.NONE, false),
    /** Pieces, for every batch. */
    PIECEWISE(RuntimeMode.PIECEWISE, RuntimeMode.PIECEWISE, false),
    /** Whole steps, for every batch; uniform batches are not told apart. */
    FULL(RuntimeMode.FULL, RuntimeMode.FULL, false),
    /** Whole steps of uniform decode batches; nothing for the others. */
    FULL_DECODE_ONLY(RuntimeMode.FULL, RuntimeMode.NONE, true),
    /** Whole steps of uniform decode batches; pieces for the others. The default. */
    FULL_AND_PIECEWISE(RuntimeMode.FULL, RuntimeMode.PIECEWISE, true);

    private final RuntimeMode decode;
    private final RuntimeMode mixed;
    private final boolean separateRoutine;

    GraphMode(RuntimeMode decode, RuntimeMode mixed, boolean separateRoutine) {
        this.decode = decode;
        this.mixed = mixed;
        this.separateRoutine = separateRoutine;
    }

    /** How decode batches run. */
    public RuntimeMode decode() {
        return decode;
    }

    /** How mixed and prefill batches run. */
    public RuntimeMode mixed() {
        return mixed;
    }

    /** Whether uniform decode batches have recordings of their own. */
    public boolean separateRoutine() {
        return separateRoutine;
    }
}
