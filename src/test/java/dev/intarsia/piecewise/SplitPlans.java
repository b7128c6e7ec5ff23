package dev.intarsia.piecewise;

import java.util.ArrayList;
import java.util.List;

/** Plans for tests that are not about cutting. */
final class SplitPlans {
    private SplitPlans() {}

    /** Plain pieces around each of so many splitting ones. */
    static SplitPlan around(int splitting) {
        List<SplitPlan.Piece> pieces = new ArrayList<>();
        for (int op = 0; op <= 2 * splitting; op++) {
            pieces.add(new SplitPlan.Piece(1, op % 2 == 1));
        }
        return new SplitPlan(pieces);
    }
}
