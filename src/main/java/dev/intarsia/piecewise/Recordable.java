package dev.intarsia.piecewise;

/** What a {@link GraphWrapper} wraps: a piece, or a whole step. */
public interface Recordable {

    /** Runs without recording. */
    void run(BatchDescriptor batch);

    /**
     * Records a run.
     *
     * @return the recording, never null; the wrapper closes it
     */
    Recording record(BatchDescriptor batch);

    /** Device addresses of the inputs that a run would read now, in a fixed order. */
    long[] inputAddresses();
}
