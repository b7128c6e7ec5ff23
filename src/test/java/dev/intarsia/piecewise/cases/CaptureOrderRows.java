package dev.intarsia.piecewise.cases;

import dev.intarsia.piecewise.GraphKeys;
import java.util.List;

/** Group {@code capture_order}: mode and sizes → keys in the order in which they are recorded. */
final class CaptureOrderRows implements RowRunner {
    @Override
    public Object answer(CaseRow row) {
        return GraphRows.keys(row).captureOrder().stream().map(CaptureOrderRows::print).toList();
    }

    private static List<Object> print(GraphKeys.Group group) {
        return List.of(group.mode().toString(), group.keys().stream().map(GraphRows::print).toList());
    }
}
