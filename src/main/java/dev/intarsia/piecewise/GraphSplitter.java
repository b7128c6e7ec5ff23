package dev.intarsia.piecewise;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Set;

/**
 * The splitting rule. A splitting op opens a new piece and the next plain op another; consecutive splitting ops share
 * one piece. Then a piece that is a single empty allocation joins the nearest earlier plain piece, if there is one; the
 * pieces around it stay apart.
 */
public final class GraphSplitter {
    private GraphSplitter() {}

    /** Cuts a sequence of ops. */
    public static SplitPlan split(List<OpKind> ops) {
        return new SplitPlan(mergeEmptyAllocations(cut(ops), ops));
    }

    /**
     * Cuts a sequence of named ops.
     *
     * @param ops              op names in graph order
     * @param splittingOps     names of those that split; none: the graph is one piece
     * @param emptyAllocations names of those that only allocate
     */
    public static SplitPlan split(
            List<String> ops, Collection<String> splittingOps, Collection<String> emptyAllocations) {
        Set<String> splitting = Set.copyOf(splittingOps);
        Set<String> empty = Set.copyOf(emptyAllocations);
        List<OpKind> kinds = new ArrayList<>(ops.size());
        for (String op : ops) {
            kinds.add(splitting.contains(op)
                    ? OpKind.SPLITTING
                    : empty.contains(op) ? OpKind.EMPTY_ALLOCATION : OpKind.PLAIN);
        }
        return split(kinds);
    }

    /** Runs of ops that all split or all do not. */
    private static List<SplitPlan.Piece> cut(List<OpKind> ops) {
        List<SplitPlan.Piece> pieces = new ArrayList<>();
        int start = 0;
        for (int i = 1; i <= ops.size(); i++) {
            if (i == ops.size() || isSplitting(ops, i) != isSplitting(ops, start)) {
                List<Integer> run = new ArrayList<>();
                for (int op = start; op < i; op++) {
                    run.add(op);
                }
                pieces.add(new SplitPlan.Piece(run, isSplitting(ops, start)));
                start = i;
            }
        }
        return pieces;
    }

    private static List<SplitPlan.Piece> mergeEmptyAllocations(List<SplitPlan.Piece> pieces, List<OpKind> ops) {
        List<SplitPlan.Piece> merged = new ArrayList<>();
        int lastPlain = -1;
        for (SplitPlan.Piece piece : pieces) {
            boolean emptyOnly = piece.ops().size() == 1 && ops.get(piece.ops().getFirst()) == OpKind.EMPTY_ALLOCATION;
            if (emptyOnly && lastPlain >= 0) {
                List<Integer> joined = new ArrayList<>(merged.get(lastPlain).ops());
                joined.addAll(piece.ops());
                merged.set(lastPlain, new SplitPlan.Piece(joined, false));
                continue;
            }
            if (!piece.splitting()) {
                lastPlain = merged.size();
            }
            merged.add(piece);
        }
        return merged;
    }

    private static boolean isSplitting(List<OpKind> ops, int i) {
        return ops.get(i) == OpKind.SPLITTING;
    }
}
