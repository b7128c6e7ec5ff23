package dev.intarsia.piecewise.cases;

import dev.intarsia.piecewise.AttentionSupport;
import dev.intarsia.piecewise.CaptureSizes;
import dev.intarsia.piecewise.GraphModeResolver;
import java.util.Map;

/** Group {@code resolve_mode}: the mode asked for, against what attention supports. */
final class ResolveModeRows implements RowRunner {
    @Override
    public Object answer(CaseRow row) {
        GraphModeResolver.Resolved resolved = GraphModeResolver.resolve(
                GraphRows.mode(row),
                AttentionSupport.valueOf(row.text("attn_support")),
                row.bool("attention_split", true),
                row.integer("uniform_query_len", 1),
                CaptureSizes.of(row.integers("capture_sizes")));
        return Map.of(
                "mode", resolved.mode().toString(),
                "sizes", resolved.sizes().sizes(),
                "max", resolved.sizes().max());
    }
}
