package dev.intarsia.piecewise;

/** A recorded sequence of kernel calls. Owns native memory as a rule, hence closeable. */
public interface Recording extends AutoCloseable {

    /** Runs what was recorded, on the memory it was recorded with. */
    void replay();

    @Override
    void close();
}
