package dev.intarsia.piecewise;

/** Which batches a device's attention can serve inside a recording; from least to most. */
public enum AttentionSupport {
    /** None. */
    NEVER,
    /** Decode batches with one token per request. */
    UNIFORM_SINGLE_TOKEN_DECODE,
    /** Batches in which every request has the same query length. */
    UNIFORM_BATCH,
    /** Any batch. */
    ALWAYS;

    /** Whether this serves everything that {@code other} serves. */
    public boolean atLeast(AttentionSupport other) {
        return compareTo(other) >= 0;
    }
}
