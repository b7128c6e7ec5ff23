package dev.intarsia.piecewise;

/**
 * A range of batch sizes, in tokens, inclusive at both ends.
 *
 * <p>Printed as {@code (start, end)}, which is also the key of a stored artifact.
 *
 * @param start smallest size, at least 1
 * @param end   largest size, at least {@code start}
 */
public record CompileRange(int start, int end) {

    /** @throws IllegalArgumentException if not {@code 1 <= start <= end} */
    public CompileRange {
        if (start < 1 || end < start) {
            throw new IllegalArgumentException(
                    "Invalid compile range (" + start + ", " + end + "): needs 1 <= start <= end");
        }
    }

    /** The range that holds {@code size} alone. */
    public static CompileRange of(int size) {
        return new CompileRange(size, size);
    }

    /** Whether the range holds one size only: such a range is compiled with that size baked in. */
    public boolean isSingleSize() {
        return start == end;
    }

    /** Whether {@code start <= size <= end}. */
    public boolean contains(int size) {
        return start <= size && size <= end;
    }

    @Override
    public String toString() {
        return "(" + start + ", " + end + ")";
    }
}
