package dev.intarsia.piecewise.cases;

import java.util.Map;

/** Group {@code split}: ops by letter (a plain, S splitting, e empty allocation) → pieces, as the native pass cuts them. */
final class SplitRows implements RowRunner {
    @Override
    public Object answer(CaseRow row) {
        NativeSplit split = NativeSplit.of(row.text("ops"), row.bool("split", true));
        return Map.of(
                "pieces", split.plan().size(),
                "capturable", split.plan().compilableCount(),
                "groups", split.groups());
    }
}
