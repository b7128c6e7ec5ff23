package dev.intarsia.piecewise;

import dev.intarsia.IntarsiaException;
import dev.intarsia.artifact.ArtifactKey;
import dev.intarsia.artifact.ArtifactStore;
import dev.intarsia.artifact.Lookup;
import java.util.LinkedHashMap;
import java.util.Objects;
import java.util.Optional;

/**
 * Compiles each distinct (piece class, range) once, or loads it from a stored artifact, and hands the same executable
 * to every piece of the class. What is not stored, or is but does not load, is compiled and stored. Owns all
 * executables it made. For one thread at a time.
 *
 * @param <E> the executable type
 */
public final class SharedCompiler<E extends CompiledPiece> implements AutoCloseable {
    private static final String ARTIFACTS = "artifacts";

    private record Key(int pieceClass, CompileRange range) {
        @Override
        public String toString() {
            return "piece class " + pieceClass + ", range " + range;
        }
    }

    private final PieceSource<E> source;
    private final ArtifactStore store;
    private final CompilationTracker tracker;
    private final LinkedHashMap<Key, E> executables = new LinkedHashMap<>();

    /** One that compiles everything and stores nothing. */
    public SharedCompiler(PieceSource<E> source, CompilationTracker tracker) {
        this(source, ArtifactStore.disabled(), tracker);
    }

    /** One that asks {@code store} first. */
    public SharedCompiler(PieceSource<E> source, ArtifactStore store, CompilationTracker tracker) {
        this.source = Objects.requireNonNull(source, "source");
        this.store = Objects.requireNonNull(store, "store");
        this.tracker = Objects.requireNonNull(tracker, "tracker");
    }

    /** The compiler of one piece class; only what it compiles anew counts as a compilation. */
    public PieceCompiler<E> forClass(int pieceClass) {
        return (range, concrete) -> {
            Key key = new Key(pieceClass, range);
            E executable = executables.get(key);
            return executable == null ? make(key, concrete) : executable;
        };
    }

    private E make(Key key, boolean concrete) {
        Optional<ArtifactKey> stored =
                store.isUsable() ? source.artifactKey(key.pieceClass(), key.range()) : Optional.empty();
        Optional<E> loaded =
                stored.flatMap(name -> tracker.time(CompilationPhase.LOAD, () -> load(key, concrete, name)));
        if (loaded.isPresent()) {
            executables.put(key, loaded.get());
            tracker.countArtifactLoaded();
            tracker.artifact(key + ": loaded from the store");
            return loaded.get();
        }
        E compiled = tracker.time(
                CompilationPhase.COMPILE, () -> source.compile(key.pieceClass(), key.range(), concrete));
        executables.put(key, Objects.requireNonNull(compiled, "the source compiled nothing"));
        tracker.countCompilation();
        if (stored.isPresent() && tracker.time(CompilationPhase.SAVE, () -> save(key, compiled, stored.get()))) {
            tracker.countArtifactSaved();
        }
        return compiled;
    }

    private Optional<E> load(Key key, boolean concrete, ArtifactKey name) {
        return switch (store.find(name)) {
            case Lookup.Hit(byte[] artifact) -> adopt(key, concrete, artifact);
            case Lookup.Miss(Lookup.Cause cause, String reason) -> {
                tracker.artifact(key + ": made anew; " + store.explain(name));
                if (cause == Lookup.Cause.DAMAGED) {
                    tracker.event(ARTIFACTS, key + ": compiled anew, the stored artifact is damaged: " + reason);
                }
                yield Optional.empty();
            }
        };
    }

    private Optional<E> adopt(Key key, boolean concrete, byte[] artifact) {
        try {
            E executable = source.load(key.pieceClass(), key.range(), concrete, artifact);
            return Optional.of(Objects.requireNonNull(executable, "the source loaded nothing"));
        } catch (IntarsiaException e) {
            tracker.artifact(key + ": made anew; what is stored does not load: " + e.getMessage());
            tracker.event(ARTIFACTS, key + ": compiled anew, the stored artifact does not load: " + e.getMessage());
            return Optional.empty();
        }
    }

    /** Whatever keeps an artifact from being stored, the executable is there. */
    private boolean save(Key key, E executable, ArtifactKey name) {
        try {
            return source.artifact(executable).map(bytes -> store.put(name, bytes)).orElse(false);
        } catch (IntarsiaException e) {
            tracker.event(ARTIFACTS, key + ": not stored: " + e.getMessage());
            return false;
        }
    }

    /** Number of distinct executables. */
    public int size() {
        return executables.size();
    }

    /** Closes every executable, the last made first, whatever any of them throws. */
    @Override
    public void close() {
        try {
            Closing.all(executables.sequencedValues().reversed(), CompiledPiece::close);
        } finally {
            executables.clear();
        }
    }
}
