package dev.intarsia.piecewise;

import java.util.LinkedHashMap;
import java.util.Objects;

/**
 * Compiles each distinct (piece class, range) once and hands the same executable to every piece of the class. Owns all
 * executables it compiled. For one thread at a time.
 *
 * @param <E> the executable type
 */
public final class SharedCompiler<E extends CompiledPiece> implements AutoCloseable {
    private record Key(int pieceClass, CompileRange range) {}

    private final PieceSource<E> source;
    private final CompilationTracker tracker;
    private final LinkedHashMap<Key, E> executables = new LinkedHashMap<>();

    public SharedCompiler(PieceSource<E> source, CompilationTracker tracker) {
        this.source = Objects.requireNonNull(source, "source");
        this.tracker = Objects.requireNonNull(tracker, "tracker");
    }

    /** The compiler of one piece class; only what it compiles anew counts as a compilation. */
    public PieceCompiler<E> forClass(int pieceClass) {
        return (range, concrete) -> {
            Key key = new Key(pieceClass, range);
            E executable = executables.get(key);
            if (executable == null) {
                executable = Objects.requireNonNull(
                        source.compile(pieceClass, range, concrete), "the source compiled nothing");
                executables.put(key, executable);
                tracker.countCompilation();
            }
            return executable;
        };
    }

    /** Number of distinct executables. */
    public int size() {
        return executables.size();
    }

    /** Closes every executable, the last compiled first, whatever any of them throws. */
    @Override
    public void close() {
        try {
            Closing.all(executables.sequencedValues().reversed(), CompiledPiece::close);
        } finally {
            executables.clear();
        }
    }
}
