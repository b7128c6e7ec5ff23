package dev.intarsia.piecewise.cases;

import dev.intarsia.piecewise.CaptureSizes;
import dev.intarsia.piecewise.CompileSizes;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Group {@code capture_sizes}: limits and lists → the sizes to record, and what compile sizes expand to. */
final class CaptureSizesRows implements RowRunner {
    @Override
    public Object answer(CaseRow row) {
        CaptureSizes captured = GraphRows.sizes(row);
        List<Integer> sizes = captured.sizes();
        Map<String, Object> answers = new HashMap<>();
        answers.put("max", captured.max());
        answers.put("n", sizes.size());
        answers.put("sum", sizes.stream().mapToInt(Integer::intValue).sum());
        // null: too long to write down, so the row says how it starts, ends and adds up
        answers.put("sizes", row.expect().hasNonNull("sizes") ? sizes : null);
        answers.put("head", sizes.subList(0, Math.min(row.expect().path("head").size(), sizes.size())));
        answers.put("tail", sizes.subList(Math.max(sizes.size() - row.expect().path("tail").size(), 0), sizes.size()));
        answers.put("compile_sizes", CompileSizes.parse(words(row), captured));
        return answers;
    }

    private static List<String> words(CaseRow row) {
        List<String> words = new ArrayList<>();
        if (row.has("compile_sizes")) {
            row.node("compile_sizes").forEach(word -> words.add(word.asString()));
        }
        return words;
    }
}
