package dev.intarsia.piecewise;

/**
 * Where a compilable piece stands among its graph's compilable pieces, and which of its arguments carry the size.
 * Immutable.
 */
public final class PieceSpec {
    private final int index;
    private final int total;
    private final int[] symShapeIndices;
    private final int frozenSize;

    private PieceSpec(int index, int total, int[] symShapeIndices, int frozenSize) {
        if (index < 0 || index >= total) {
            throw new IllegalArgumentException("index must be in [0, total = " + total + "), was " + index);
        }
        for (int position : symShapeIndices) {
            if (position < 0) {
                throw new IllegalArgumentException("symShapeIndices must be >= 0, found " + position);
            }
        }
        this.index = index;
        this.total = total;
        this.symShapeIndices = symShapeIndices;
        this.frozenSize = frozenSize;
    }

    /**
     * A piece with at least one symbolic-int argument; the first position named carries the size.
     *
     * @param index           0-based, among the compilable pieces
     * @param total           number of compilable pieces
     * @param symShapeIndices positions of all symbolic-int arguments
     */
    public static PieceSpec symbolic(int index, int total, int... symShapeIndices) {
        if (symShapeIndices.length == 0) {
            throw new IllegalArgumentException("symShapeIndices is empty: that is a static piece, name its size");
        }
        return new PieceSpec(index, total, symShapeIndices.clone(), 0);
    }

    /**
     * A piece whose inputs are all static.
     *
     * @param index 0-based, among the compilable pieces
     * @param total number of compilable pieces
     * @param size  the size, in tokens, the dimension was frozen to
     */
    public static PieceSpec frozen(int index, int total, int size) {
        if (size < 1) {
            throw new IllegalArgumentException("size must be >= 1, was " + size);
        }
        return new PieceSpec(index, total, new int[0], size);
    }

    public int index() {
        return index;
    }

    public int total() {
        return total;
    }

    public boolean isFirst() {
        return index == 0;
    }

    public boolean isLast() {
        return index == total - 1;
    }

    /** Whether the graph is this one piece. */
    public boolean isFull() {
        return total == 1;
    }

    /** Whether every input is static. */
    public boolean isStatic() {
        return symShapeIndices.length == 0;
    }

    /** Positions of all symbolic-int arguments; a copy. */
    public int[] symShapeIndices() {
        return symShapeIndices.clone();
    }

    /** Position of the argument that carries the size. */
    int sizeArgument() {
        return symShapeIndices[0];
    }

    /** The size a static piece was frozen to; 0 for a symbolic one. */
    public int frozenSize() {
        return frozenSize;
    }
}
