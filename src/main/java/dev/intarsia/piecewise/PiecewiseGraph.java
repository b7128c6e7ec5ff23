package dev.intarsia.piecewise;

import dev.intarsia.artifact.ArtifactStore;
import java.util.ArrayList;
import java.util.List;

/**
 * A split graph with every compilable piece compiled: one backend for each, equal pieces sharing their executables.
 * Owns the executables; backends must not be used after {@link #close()}.
 *
 * @param <E> the executable type
 */
public final class PiecewiseGraph<E extends CompiledPiece> implements AutoCloseable {
    private final List<PiecewiseBackend<E>> backends;
    private final SharedCompiler<E> compiler;

    private PiecewiseGraph(List<PiecewiseBackend<E>> backends, SharedCompiler<E> compiler) {
        this.backends = List.copyOf(backends);
        this.compiler = compiler;
    }

    /** The same without a store: everything is compiled. */
    public static <E extends CompiledPiece> PiecewiseGraph<E> compile(
            CompilationConfig config, SplitPlan plan, PieceSource<E> source, CompilationTracker tracker) {
        return compile(config, plan, source, ArtifactStore.disabled(), tracker);
    }

    /**
     * Counts the graph and compiles all its compilable pieces for all entries, or loads them from the store, before it
     * returns. If that fails, what was made so far is closed.
     *
     * @throws IllegalArgumentException if the configuration's mode is NONE
     */
    public static <E extends CompiledPiece> PiecewiseGraph<E> compile(
            CompilationConfig config,
            SplitPlan plan,
            PieceSource<E> source,
            ArtifactStore store,
            CompilationTracker tracker) {
        if (config.mode() == CompilationMode.NONE) {
            throw new IllegalArgumentException("mode is NONE: the graph runs op by op and has no pieces");
        }
        tracker.countGraph(plan);
        tracker.events(config.events());
        SharedCompiler<E> compiler = new SharedCompiler<>(source, store, tracker);
        try {
            return compile(config, plan, source, compiler);
        } catch (RuntimeException | Error failure) {
            try {
                compiler.close();
            } catch (RuntimeException e) {
                failure.addSuppressed(e);
            }
            throw failure;
        }
    }

    private static <E extends CompiledPiece> PiecewiseGraph<E> compile(
            CompilationConfig config, SplitPlan plan, PieceSource<E> source, SharedCompiler<E> compiler) {
        List<PiecewiseBackend<E>> backends = new ArrayList<>();
        int total = plan.compilableCount();
        for (int piece = 0; piece < plan.size(); piece++) {
            if (!plan.pieces().get(piece).splitting()) {
                int index = backends.size();
                int[] symShapeIndices = source.symShapeIndices(piece);
                PieceSpec spec = symShapeIndices.length == 0
                        ? PieceSpec.frozen(index, total, config.maxNumBatchedTokens())
                        : PieceSpec.symbolic(index, total, symShapeIndices);
                backends.add(PiecewiseBackend.compile(spec, config, compiler.forClass(source.pieceClass(piece))));
            }
        }
        return new PiecewiseGraph<>(backends, compiler);
    }

    /** The compiled pieces, in graph order. */
    public List<PiecewiseBackend<E>> backends() {
        return backends;
    }

    /** Number of distinct executables. */
    public int executableCount() {
        return compiler.size();
    }

    @Override
    public void close() {
        compiler.close();
    }
}
