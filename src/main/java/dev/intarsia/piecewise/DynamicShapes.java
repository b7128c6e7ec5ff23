package dev.intarsia.piecewise;

/** How a dimension whose size may vary is treated by the compiler. All three give the same bits. */
public enum DynamicShapes {
    /** A dimension that can only be 1 ({@code maxNumBatchedTokens = 1}) is frozen: its pieces take the static path. */
    BACKED,
    /** Never frozen: {@code maxNumBatchedTokens = 1} gives a symbolic piece with the single-size range (1, 1). */
    UNBACKED,
    /** Symbolic as {@link #UNBACKED}, but an op that needs to branch on the size may do so. */
    BACKED_SIZE_OBLIVIOUS
}
