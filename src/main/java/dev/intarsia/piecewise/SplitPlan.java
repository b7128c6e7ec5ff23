package dev.intarsia.piecewise;

import java.util.List;

/**
 * A graph cut into pieces, in the order in which they run.
 *
 * @param pieces the pieces
 */
public record SplitPlan(List<Piece> pieces) {

    public SplitPlan {
        pieces = List.copyOf(pieces);
    }

    /**
     * @param ops       positions in the graph's op sequence, ascending; not always adjacent, as an empty allocation may
     *                  have moved here from further on
     * @param splitting whether it holds splitting ops; the others are compilable and capturable
     */
    public record Piece(List<Integer> ops, boolean splitting) {
        public Piece {
            ops = List.copyOf(ops);
        }
    }

    /** Number of pieces. */
    public int size() {
        return pieces.size();
    }

    /** Number of compilable pieces. */
    public int compilableCount() {
        return (int) pieces.stream().filter(piece -> !piece.splitting()).count();
    }

    /** Whether the graph is one compilable piece. */
    public boolean isFull() {
        return pieces.size() == 1 && !pieces.getFirst().splitting();
    }

    /** For each op of the graph, the piece it went to. */
    public int[] pieceOfOp() {
        int[] pieceOfOp = new int[pieces.stream().mapToInt(piece -> piece.ops().size()).sum()];
        for (int piece = 0; piece < pieces.size(); piece++) {
            for (int op : pieces.get(piece).ops()) {
                pieceOfOp[op] = piece;
            }
        }
        return pieceOfOp;
    }
}
