package dev.intarsia.piecewise;

/** An executable of one piece for one range. Owns native memory as a rule, hence closeable; closing twice is fine. */
public interface CompiledPiece extends AutoCloseable {
    @Override
    void close();
}
