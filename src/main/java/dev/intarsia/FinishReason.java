package dev.intarsia;

/** Why a completion ended. */
public enum FinishReason {
    /** An end-of-sequence token was sampled; it is not part of the completion. */
    STOP,
    /** {@link SamplingParams#maxTokens()} or the longest sequence of the engine was reached. */
    LENGTH,
    /** The caller cancelled: the stream was closed or the thread interrupted. */
    CANCELLED
}
