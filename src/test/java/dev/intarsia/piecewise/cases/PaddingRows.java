package dev.intarsia.piecewise.cases;

import dev.intarsia.piecewise.PaddingTable;
import java.util.Arrays;
import java.util.Map;

/** Group {@code padding}: capture sizes → padding table; compile sizes that padding would change are refused. */
final class PaddingRows implements RowRunner {
    @Override
    public Object answer(CaseRow row) {
        PaddingTable padding = new PaddingTable(GraphRows.sizes(row));
        padding.checkCompileSizes(row.integers("compile_sizes"));
        return Map.of("table", Arrays.stream(padding.toArray()).boxed().toList());
    }
}
