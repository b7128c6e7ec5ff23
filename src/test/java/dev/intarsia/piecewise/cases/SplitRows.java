package dev.intarsia.piecewise.cases;

import dev.intarsia.piecewise.GraphSplitter;
import dev.intarsia.piecewise.SplitPlan;
import java.util.List;
import java.util.Map;

/** Group {@code split}: ops by letter (a plain, S splitting, e empty allocation) → pieces. */
final class SplitRows implements RowRunner {
    @Override
    public Object answer(CaseRow row) {
        String ops = row.text("ops");
        List<String> splitting = row.bool("split", true) ? List.of("S") : List.of();
        SplitPlan plan = GraphSplitter.split(List.of(ops.split("")), splitting, List.of("e"));
        return Map.of(
                "pieces", plan.size(),
                "capturable", plan.compilableCount(),
                "groups", plan.pieces().stream().map(piece -> letters(piece, ops)).toList());
    }

    private static String letters(SplitPlan.Piece piece, String ops) {
        StringBuilder letters = new StringBuilder();
        piece.ops().forEach(op -> letters.append(ops.charAt(op)));
        return letters.toString();
    }
}
