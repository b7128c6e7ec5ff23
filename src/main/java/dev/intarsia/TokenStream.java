package dev.intarsia;

import java.util.Iterator;

/**
 * The tokens of a completion as they are sampled. Iterated by one thread at a time, from any thread; {@link #next()} waits for the next token.
 * Closing before the end cancels the completion and frees what it held. An interrupt of the waiting thread cancels too and throws
 * {@link IntarsiaException}.
 */
public interface TokenStream extends Iterator<Token>, AutoCloseable {

    /** Waits until there is a token or the end. Throws what ended the completion if it failed. */
    @Override
    boolean hasNext();

    /** The next token; {@link java.util.NoSuchElementException} after the last. */
    @Override
    Token next();

    /**
     * The whole completion; waits for its end. After {@link #close()} before the end it holds what had been sampled, with
     * {@link FinishReason#CANCELLED}.
     */
    Completion completion();

    /** Idempotent. */
    @Override
    void close();
}
