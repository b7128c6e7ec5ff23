package dev.intarsia.piecewise.cases;

import dev.intarsia.piecewise.CaptureSizes;
import dev.intarsia.piecewise.GraphMode;
import dev.intarsia.piecewise.WarmUp;
import java.util.Map;

/** Group {@code warmup}: ranges and sizes → the sizes to run before capture. */
final class WarmUpRows implements RowRunner {
    @Override
    public Object answer(CaseRow row) {
        CaptureSizes captured = !row.has("capture_sizes") || GraphRows.mode(row) == GraphMode.NONE
                ? CaptureSizes.none()
                : CaptureSizes.of(row.integers("capture_sizes"));
        return Map.of("warmup_order", WarmUp.sizes(row.config(), captured));
    }
}
