package dev.intarsia.engine;

import dev.intarsia.piecewise.CompilationConfig;
import dev.intarsia.piecewise.CompilationMode;
import dev.intarsia.piecewise.CompilationState;
import dev.intarsia.piecewise.CompilationTracker;
import dev.intarsia.piecewise.PieceSpec;
import dev.intarsia.piecewise.PiecewiseBackend;
import dev.intarsia.piecewise.PiecewiseGraph;
import dev.intarsia.piecewise.SharedCompiler;
import dev.intarsia.runtime.Dimension;
import dev.intarsia.runtime.Executable;
import dev.intarsia.runtime.Partition;
import dev.intarsia.runtime.Step;
import java.util.ArrayList;
import java.util.List;

/**
 * Every piece of a partition compiled, and the walk over them that is one step. Pieces over tokens go through the piecewise layer, the
 * logits piece over rows through a backend of its own; splitting pieces have one executable for all sizes, which does not count as
 * a compilation. Used by the engine's thread.
 */
final class CompiledModel implements AutoCloseable {
    private final CompilationConfig config;
    private final CompilationTracker tracker;
    private final List<PiecewiseBackend<NativePieces.Compiled>> states;
    private final Stage[] tokenStages;
    private final Stage[] rowStages;
    private final List<AutoCloseable> owned;

    /** One piece of the walk: a backend to ask, or an executable for every size. */
    private record Stage(int piece, PiecewiseBackend<NativePieces.Compiled> backend, Executable executable) {
        Executable forSize(int n) {
            return backend == null ? executable : backend.dispatch(n).executable();
        }
    }

    private CompiledModel(
            CompilationConfig config,
            CompilationTracker tracker,
            List<PiecewiseBackend<NativePieces.Compiled>> states,
            List<Stage> tokenStages,
            List<Stage> rowStages,
            List<AutoCloseable> owned) {
        this.config = config;
        this.tracker = tracker;
        this.states = List.copyOf(states);
        this.tokenStages = tokenStages.toArray(Stage[]::new);
        this.rowStages = rowStages.toArray(Stage[]::new);
        this.owned = owned;
    }

    /**
     * Compiles everything there is to compile.
     *
     * @param maxRows most rows of a step
     */
    static CompiledModel compile(
            Partition partition, CompilationConfig config, int maxRows, CompilationTracker tracker) {
        NativePieces tokens = NativePieces.of(partition, Dimension.TOKENS);
        NativePieces rows = NativePieces.of(partition, Dimension.ROWS);
        List<AutoCloseable> owned = new ArrayList<>();
        try {
            if (config.mode() == CompilationMode.NONE) {
                return new CompiledModel(
                        config,
                        tracker,
                        List.of(),
                        opByOp(tokens, config.maxNumBatchedTokens(), owned),
                        opByOp(rows, maxRows, owned),
                        owned);
            }
            PiecewiseGraph<NativePieces.Compiled> graph =
                    PiecewiseGraph.compile(config, tokens.plan(), tokens, tracker);
            owned.add(graph);
            CompilationConfig rowConfig = CompilationConfig.builder(maxRows)
                    .dynamicShapes(config.dynamicShapes())
                    .build();
            SharedCompiler<NativePieces.Compiled> logits = new SharedCompiler<>(rows, tracker);
            owned.add(logits);
            return new CompiledModel(
                    config,
                    tracker,
                    graph.backends(),
                    stages(tokens, graph.backends(), config.maxNumBatchedTokens(), owned),
                    stages(rows, rowBackends(rows, rowConfig, logits), maxRows, owned),
                    owned);
        } catch (RuntimeException | Error e) {
            closeAll(owned);
            throw e;
        }
    }

    /** The logits piece has the ranges of its own dimension; it is compiled beside the graph's pieces and counts no graph. */
    private static List<PiecewiseBackend<NativePieces.Compiled>> rowBackends(
            NativePieces rows, CompilationConfig config, SharedCompiler<NativePieces.Compiled> compiler) {
        List<PiecewiseBackend<NativePieces.Compiled>> backends = new ArrayList<>();
        for (int i = 0; i < rows.count(); i++) {
            int[] symbolic = rows.symShapeIndices(i);
            PieceSpec spec = symbolic.length == 0
                    ? PieceSpec.frozen(i, rows.count(), config.maxNumBatchedTokens())
                    : PieceSpec.symbolic(i, rows.count(), symbolic);
            backends.add(PiecewiseBackend.compile(spec, config, compiler.forClass(rows.pieceClass(i))));
        }
        return backends;
    }

    private static List<Stage> opByOp(NativePieces pieces, int most, List<AutoCloseable> owned) {
        List<Stage> stages = new ArrayList<>();
        for (int i = 0; i < pieces.count(); i++) {
            stages.add(always(pieces, i, most, false, owned));
        }
        return stages;
    }

    private static List<Stage> stages(
            NativePieces pieces,
            List<PiecewiseBackend<NativePieces.Compiled>> backends,
            int most,
            List<AutoCloseable> owned) {
        List<Stage> stages = new ArrayList<>();
        int compilable = 0;
        for (int i = 0; i < pieces.count(); i++) {
            stages.add(
                    pieces.splitting(i)
                            ? always(pieces, i, most, true, owned)
                            : new Stage(pieces.index(i), backends.get(compilable++), null));
        }
        return stages;
    }

    private static Stage always(NativePieces pieces, int i, int most, boolean fuse, List<AutoCloseable> owned) {
        Executable executable = pieces.compile(i, most, fuse);
        owned.add(executable);
        return new Stage(pieces.index(i), null, executable);
    }

    /**
     * Runs all pieces of the step that was begun.
     *
     * @param tokens of the step, padding included
     * @param rows of the step; with none the logits piece is left out
     */
    void run(Step step, int tokens, int rows) {
        for (Stage stage : tokenStages) {
            step.execute(stage.forSize(tokens), stage.piece());
        }
        if (rows > 0) {
            for (Stage stage : rowStages) {
                step.execute(stage.forSize(rows), stage.piece());
            }
        }
    }

    /** Compilations so far; start-up is over when this stops moving. */
    long compilations() {
        return tracker.counters().compilations();
    }

    CompilationState state() {
        return CompilationState.of(config, states, tracker);
    }

    @Override
    public void close() {
        closeAll(owned);
    }

    static void closeAll(List<AutoCloseable> owned) {
        for (AutoCloseable each : owned.reversed()) {
            try {
                each.close();
            } catch (Exception e) {
                throw new IllegalStateException("closing " + each + " failed", e);
            }
        }
        owned.clear();
    }
}
