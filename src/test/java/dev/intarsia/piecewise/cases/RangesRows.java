package dev.intarsia.piecewise.cases;

import dev.intarsia.piecewise.CompilationConfig;
import java.util.List;
import java.util.Map;

/** Group {@code ranges}: endpoints asked for → endpoints in force and ranges. */
final class RangesRows implements RowRunner {
    @Override
    public Object answer(CaseRow row) {
        CompilationConfig config = row.config();
        return Map.of(
                "endpoints", config.endpoints(),
                "ranges", config.ranges().stream().map(range -> List.of(range.start(), range.end())).toList());
    }
}
