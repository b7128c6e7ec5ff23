package dev.intarsia;

/** Why a completion ended. */
public enum FinishReason {
    /** An end-of-sequence token, a stop token or a stop string came. */
    STOP,
    /** {@link SamplingParams#maxTokens()} or the longest sequence of the engine was reached. */
    LENGTH,
    /** Its last tokens repeat each other, as {@link SamplingParams#repetitionDetection()} looks for. */
    REPETITION,
    /**
     * The caller cancelled: the stream was closed, the future cancelled, the subscription too, or the thread
     * interrupted.
     */
    CANCELLED,
    /** {@link GenerationRequest#deadline()} passed. */
    DEADLINE
}
