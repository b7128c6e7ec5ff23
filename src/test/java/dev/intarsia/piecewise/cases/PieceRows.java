package dev.intarsia.piecewise.cases;

import dev.intarsia.piecewise.CompilationConfig;
import dev.intarsia.piecewise.CompilationTracker;
import dev.intarsia.piecewise.PieceSpec;
import dev.intarsia.piecewise.PiecewiseBackend;
import dev.intarsia.piecewise.RangeEntry;
import dev.intarsia.piecewise.SharedCompiler;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.function.Supplier;
import tools.jackson.databind.JsonNode;

/**
 * Groups {@code piecewise_dispatch}, {@code static_path} and {@code warm_load}: one piece, compiled or loaded, then
 * called.
 */
final class PieceRows implements RowRunner {
    /** Says how the group prints an entry. */
    private final Function<RangeEntry<FakePiece>, Object> print;

    private PieceRows(Function<RangeEntry<FakePiece>, Object> print) {
        this.print = print;
    }

    /** Entries as pairs of range and kind. */
    static PieceRows withKinds() {
        return new PieceRows(entry -> List.of(entry.range().toString(), entry.runnable().kind()));
    }

    /** Entries as ranges. */
    static PieceRows ranges() {
        return new PieceRows(entry -> entry.range().toString());
    }

    @Override
    public Object answer(CaseRow row) {
        CompilationConfig config = row.config();
        CompilationTracker tracker = new CompilationTracker();
        PieceSpec spec = spec(row, config);
        PiecewiseBackend<FakePiece> backend = row.has("artifacts")
                ? PiecewiseBackend.load(spec, config, artifacts(row), tracker)
                : PiecewiseBackend.compile(spec, config, new SharedCompiler<>(new FakeSource(1), tracker).forClass(0));
        return answers(row, config, backend, tracker);
    }

    private Map<String, Object> answers(
            CaseRow row, CompilationConfig config, PiecewiseBackend<FakePiece> backend, CompilationTracker tracker) {
        Set<Object> entries = new HashSet<>();
        backend.entries().forEach(entry -> entries.add(print.apply(entry)));
        Map<String, Object> answers = new HashMap<>();
        answers.put("compile_calls", tracker.counters().compilations());
        answers.put("entries", entries);
        if (backend.isStatic()) {
            answers.put("call", call(row, backend, config.maxNumBatchedTokens()));
        } else if (row.has("args")) {
            answers.put("entry", call(row, backend, -1));
        }
        for (Map.Entry<String, JsonNode> field : row.expect().properties()) {
            String name = field.getKey();
            if (name.equals("dispatch")) {
                Map<String, Object> calls = new LinkedHashMap<>();
                for (String size : field.getValue().propertyNames()) {
                    calls.put(size, call(row, backend, Integer.parseInt(size)));
                }
                answers.put(name, calls);
            } else if (name.matches("dispatch\\d+")) {
                answers.put(name, call(row, backend, Integer.parseInt(name.substring("dispatch".length()))));
            }
        }
        return answers;
    }

    private static PieceSpec spec(CaseRow row, CompilationConfig config) {
        if (row.has("artifacts") && !row.has("sym_shape_indices")) {
            return PieceSpec.symbolic(0, 1, 0);
        }
        int[] indices = row.integers("sym_shape_indices").stream().mapToInt(Integer::intValue).toArray();
        return indices.length == 0
                ? PieceSpec.frozen(0, 1, config.maxNumBatchedTokens())
                : PieceSpec.symbolic(0, 1, indices);
    }

    /** One call, by the row's arguments if it has some ({@code "t"} stands for the size), else by size. */
    private static Supplier<Object> call(CaseRow row, PiecewiseBackend<FakePiece> backend, int size) {
        if (!row.has("args")) {
            return () -> backend.dispatch(size).range().toString();
        }
        List<Integer> args = new ArrayList<>();
        row.node("args").forEach(arg -> args.add(arg.isInt() ? arg.intValue() : size));
        int[] values = args.stream().mapToInt(Integer::intValue).toArray();
        return () -> backend.dispatchArgs(values).range().toString();
    }

    private static Map<String, FakePiece> artifacts(CaseRow row) {
        Map<String, FakePiece> artifacts = new LinkedHashMap<>();
        row.node("artifacts").forEach(key -> artifacts.put(key.stringValue(), FakeSource.stored(key.stringValue())));
        return artifacts;
    }
}
