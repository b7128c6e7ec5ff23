package dev.intarsia.piecewise.cases;

import dev.intarsia.piecewise.AttentionSupport;
import dev.intarsia.piecewise.BatchDescriptor;
import dev.intarsia.piecewise.CaptureLock;
import dev.intarsia.piecewise.Captures;
import dev.intarsia.piecewise.CompilationConfig;
import dev.intarsia.piecewise.CompilationCounters;
import dev.intarsia.piecewise.CompilationMode;
import dev.intarsia.piecewise.CompilationTracker;
import dev.intarsia.piecewise.Dispatcher;
import dev.intarsia.piecewise.GraphKeys;
import dev.intarsia.piecewise.GraphModeResolver;
import dev.intarsia.piecewise.GraphWrapper;
import dev.intarsia.piecewise.PiecewiseGraph;
import dev.intarsia.piecewise.RuntimeMode;
import dev.intarsia.piecewise.SplitPlan;
import dev.intarsia.piecewise.WarmUp;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Group {@code counters}: a model of so many attention ops, started up → counters. */
final class CountersRows implements RowRunner {
    private static final Pattern MODEL = Pattern.compile("(\\d+) (attention ops|layers)");

    @Override
    public Object answer(CaseRow row) {
        CompilationTracker tracker = new CompilationTracker();
        if (row.text("compilation", "PIECEWISE").equals(CompilationMode.PIECEWISE.toString())) {
            startUp(row, tracker);
        } else {
            // op by op: whatever else is configured, nothing reaches the layer
            List.of("model", "split", "graph_mode", "capture_sizes").forEach(row::has);
        }
        return fields(tracker.counters());
    }

    /** What an engine does: compile, wrap every compilable piece and the whole step, warm up, capture. */
    private static void startUp(CaseRow row, CompilationTracker tracker) {
        boolean split = row.bool("split", true);
        CompilationConfig config = CompilationConfig.builder(row.integer("max_num_batched_tokens", 8192))
                .endpoints(row.integers("endpoints"))
                .compileSizes(row.integers("compile_sizes"))
                .splittingOps(split ? List.of(CompilationConfig.ATTENTION) : List.of())
                .build();
        int queryLength = GraphRows.queryLength(row);
        GraphModeResolver.Resolved graphs = GraphModeResolver.resolve(
                GraphRows.mode(row), AttentionSupport.ALWAYS, split, queryLength, GraphRows.sizes(row));
        GraphKeys keys = new GraphKeys(graphs.mode(), graphs.sizes(), row.integer("max_num_seqs", 256), queryLength);
        SplitPlan plan = NativeSplit.of(model(row.text("model")), split).plan();
        try (PiecewiseGraph<FakePiece> graph =
                PiecewiseGraph.compile(config, plan, new FakeSource(plan.size()), tracker)) {
            CaptureLock lock = new CaptureLock();
            List<GraphWrapper> pieces = new ArrayList<>();
            graph.backends().forEach(backend -> pieces.add(
                    new GraphWrapper(RuntimeMode.PIECEWISE, new FakeRecordable(), lock, tracker)));
            GraphWrapper whole = new GraphWrapper(RuntimeMode.FULL, new FakeRecordable(), lock, tracker);
            WarmUp.run(
                    WarmUp.sizes(config, keys.sizes()),
                    size -> graph.backends().forEach(backend -> backend.dispatch(size)),
                    tracker);
            Dispatcher dispatcher = new Dispatcher(keys, config.maxNumBatchedTokens());
            Captures.run(keys, (mode, batch) -> step(mode, batch, pieces, whole), lock, dispatcher, tracker);
        }
    }

    /** A step reaches the wrapper of the whole first; recording that, it does not reach those of the pieces. */
    private static void step(RuntimeMode mode, BatchDescriptor batch, List<GraphWrapper> pieces, GraphWrapper whole) {
        if (whole.call(mode, batch) == GraphWrapper.Action.BYPASS) {
            pieces.forEach(piece -> piece.call(mode, batch));
        }
    }

    /** Plain ops around each attention op, by letter. */
    private static String model(String description) {
        Matcher model = MODEL.matcher(description);
        if (!model.matches()) {
            throw new IllegalArgumentException("not a model: " + description);
        }
        return "a" + "Sa".repeat(Integer.parseInt(model.group(1)));
    }

    private static Map<String, Object> fields(CompilationCounters counters) {
        return Map.of(
                "graphsSeen", counters.graphsSeen(),
                "piecesSeen", counters.piecesSeen(),
                "capturablePiecesSeen", counters.capturablePiecesSeen(),
                "compilations", counters.compilations(),
                "artifactsLoaded", counters.artifactsLoaded(),
                "artifactsSaved", counters.artifactsSaved(),
                "captures", counters.captures(),
                "replays", counters.replays());
    }
}
