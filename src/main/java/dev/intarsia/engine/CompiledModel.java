package dev.intarsia.engine;

import dev.intarsia.artifact.ArtifactStore;
import dev.intarsia.piecewise.CompilationConfig;
import dev.intarsia.piecewise.CompilationMode;
import dev.intarsia.piecewise.CompilationTracker;
import dev.intarsia.piecewise.PieceSpec;
import dev.intarsia.piecewise.PiecewiseBackend;
import dev.intarsia.piecewise.PiecewiseGraph;
import dev.intarsia.piecewise.SharedCompiler;
import dev.intarsia.runtime.Dimension;
import dev.intarsia.runtime.Executable;
import dev.intarsia.runtime.Partition;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Every piece of a partition compiled. Pieces over tokens go through the piecewise layer, the logits piece over rows through a
 * backend of its own; splitting pieces have one executable for all sizes, which does not count as a compilation. Used by the
 * engine's thread.
 */
final class CompiledModel implements AutoCloseable {
    private final List<Stage> tokenStages;
    private final List<Stage> rowStages;
    private final List<PiecewiseBackend<NativePieces.Compiled>> backends;
    private final List<AutoCloseable> owned;

    /**
     * One piece.
     *
     * @param piece its index in the partition
     * @param backend to be asked for the executable of a size; null for a piece that has one for all sizes
     */
    record Stage(int piece, PiecewiseBackend<NativePieces.Compiled> backend, Executable executable) {
        Executable forSize(int n) {
            return backend == null ? executable : backend.dispatch(n).executable();
        }

        /** Whether the piece is compiled for ranges, and may be recorded by itself. */
        boolean compilable() {
            return backend != null;
        }
    }

    private CompiledModel(
            List<Stage> tokenStages,
            List<Stage> rowStages,
            List<PiecewiseBackend<NativePieces.Compiled>> backends,
            List<AutoCloseable> owned) {
        this.tokenStages = List.copyOf(tokenStages);
        this.rowStages = List.copyOf(rowStages);
        this.backends = List.copyOf(backends);
        this.owned = owned;
    }

    /**
     * Compiles everything there is to compile.
     *
     * @param maxRows most rows of a step
     * @param machine that kernel choices are measured on, if the store can keep them
     */
    static CompiledModel compile(
            Partition partition,
            CompilationConfig config,
            int maxRows,
            ArtifactStore store,
            NativePieces.Machine machine,
            CompilationTracker tracker) {
        Optional<NativePieces.Machine> measuredOn = store.isUsable() ? Optional.of(machine) : Optional.empty();
        NativePieces tokens = NativePieces.of(partition, Dimension.TOKENS, measuredOn);
        NativePieces rows = NativePieces.of(partition, Dimension.ROWS, measuredOn);
        List<AutoCloseable> owned = new ArrayList<>();
        try {
            if (config.mode() == CompilationMode.NONE) {
                return new CompiledModel(
                        opByOp(tokens, config.maxNumBatchedTokens(), owned),
                        opByOp(rows, maxRows, owned),
                        List.of(),
                        owned);
            }
            PiecewiseGraph<NativePieces.Compiled> graph =
                    PiecewiseGraph.compile(config, tokens.plan(), tokens, store, tracker);
            owned.add(graph);
            CompilationConfig rowConfig = CompilationConfig.builder(maxRows)
                    .dynamicShapes(config.dynamicShapes())
                    .build();
            SharedCompiler<NativePieces.Compiled> logits = new SharedCompiler<>(rows, store, tracker);
            owned.add(logits);
            return new CompiledModel(
                    stages(tokens, graph.backends(), config.maxNumBatchedTokens(), owned),
                    stages(rows, rowBackends(rows, rowConfig, logits), maxRows, owned),
                    graph.backends(),
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

    /** The pieces over tokens, in order. */
    List<Stage> tokenStages() {
        return tokenStages;
    }

    /** The pieces over rows, in order: the logits. */
    List<Stage> rowStages() {
        return rowStages;
    }

    /** The backends of the compilable pieces over tokens, in order. */
    List<PiecewiseBackend<NativePieces.Compiled>> backends() {
        return backends;
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
