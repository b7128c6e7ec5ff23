package dev.intarsia.piecewise;

import java.util.List;

/**
 * A graph cut into pieces, in the order in which they run. Consecutive splitting ops share a piece; the others are compilable and capturable.
 *
 * @param pieces the pieces
 */
public record SplitPlan(List<Piece> pieces) {

    public SplitPlan {
        pieces = List.copyOf(pieces);
    }

    /**
     * @param ops       number of ops
     * @param splitting whether they are splitting ops
     */
    public record Piece(int ops, boolean splitting) {}

    /** Number of pieces. */
    public int size() {
        return pieces.size();
    }

    /** Number of compilable pieces. */
    public int compilableCount() {
        return (int) pieces.stream().filter(piece -> !piece.splitting()).count();
    }
}
