package dev.intarsia.piecewise;

import java.util.Arrays;
import java.util.List;

/** Number of tokens → the smallest captured size that holds them. Immutable; a look-up is one array access. */
public final class PaddingTable {
    /** Padded size of 0 … max. */
    private final int[] padded;

    public PaddingTable(CaptureSizes captured) {
        padded = new int[captured.max() + 1];
        int n = 1;
        for (int size : captured.sizes()) {
            Arrays.fill(padded, n, size + 1, size);
            n = size + 1;
        }
    }

    /** The largest captured size; 0 when there is none. */
    public int max() {
        return padded.length - 1;
    }

    /**
     * @param n tokens, in [0, {@link #max()}]
     * @return the smallest captured size that is at least {@code n}; 0 for 0
     */
    public int pad(int n) {
        if (n < 0 || n >= padded.length) {
            throw new IllegalArgumentException("n must be in [0, " + max() + "], was " + n);
        }
        return padded[n];
    }

    /** The table itself, from 0 to {@link #max()}; a copy. */
    public int[] toArray() {
        return padded.clone();
    }

    /**
     * Checks that no compile size would be changed by padding: its executable could never run.
     *
     * @throws IllegalArgumentException if one would
     */
    public void checkCompileSizes(List<Integer> compileSizes) {
        for (int size : compileSizes) {
            if (size <= max() && pad(size) != size) {
                throw new IllegalArgumentException("compile_sizes contains " + size + " which would be padded to "
                        + pad(size) + ". Sizes up to the largest capture size must be capture sizes themselves");
            }
        }
    }
}
