package dev.intarsia.piecewise;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.intarsia.IntarsiaException;
import dev.intarsia.artifact.ArtifactKey;
import dev.intarsia.artifact.ArtifactStore;
import dev.intarsia.artifact.Lookup;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Compiling with an artifact store: what is stored is loaded, everything else is compiled and stored. */
class StoredPiecesTest {
    private static final CompilationConfig CONFIG =
            CompilationConfig.builder(64).endpoints(8).compileSizes(16).build();
    /** Entries of a piece: one size, two ranges. */
    private static final int ENTRIES = 3;

    private final CompilationTracker tracker = new CompilationTracker();
    private final List<String> calls = new ArrayList<>();

    @TempDir
    private Path directory;

    /** An executable; its choices are what is dear to make again. */
    private record Piece(String choices, boolean concrete, List<String> closed) implements CompiledPiece {
        @Override
        public void close() {
            closed.add(choices);
        }
    }

    /** Two equal pieces around a distinct one; bytes that say {@code bad} do not load. */
    private class Source implements PieceSource<Piece> {
        private final String build;
        private final List<String> closed = new ArrayList<>();

        Source(String build) {
            this.build = build;
        }

        @Override
        public int pieceClass(int piece) {
            return piece == 2 ? 1 : 0;
        }

        @Override
        public int[] symShapeIndices(int piece) {
            return new int[] {0};
        }

        String choices(int pieceClass, CompileRange range) {
            return build + " " + pieceClass + " " + range;
        }

        @Override
        public Piece compile(int pieceClass, CompileRange range, boolean concrete) {
            calls.add("compile " + pieceClass + " " + range);
            return new Piece(choices(pieceClass, range), concrete, closed);
        }

        @Override
        public Optional<ArtifactKey> artifactKey(int pieceClass, CompileRange range) {
            return Optional.of(ArtifactKey.of("class" + pieceClass, range).with("build", build));
        }

        @Override
        public Piece load(int pieceClass, CompileRange range, boolean concrete, byte[] artifact) {
            calls.add("load " + pieceClass + " " + range);
            String choices = new String(artifact, StandardCharsets.UTF_8);
            if (choices.startsWith("bad")) {
                throw new IntarsiaException("choice 3 names no kernel");
            }
            return new Piece(choices, concrete, closed);
        }

        @Override
        public Optional<byte[]> artifact(Piece executable) {
            return Optional.of(executable.choices().getBytes(StandardCharsets.UTF_8));
        }
    }

    private ArtifactStore store() {
        return ArtifactStore.open(directory, event -> tracker.event("artifacts", event));
    }

    private PiecewiseGraph<Piece> start(Source source) {
        SplitPlan plan = SplitPlans.around(2);
        return PiecewiseGraph.compile(CONFIG, plan, source, store(), tracker);
    }

    private void assertCounters(long compilations, long loaded, long saved) {
        CompilationCounters counters = tracker.counters();
        assertThat(List.of(counters.compilations(), counters.artifactsLoaded(), counters.artifactsSaved()))
                .as("compilations, artifacts loaded, artifacts saved")
                .containsExactly(compilations, loaded, saved);
    }

    @Test
    void theFirstStartStoresAndTheSecondCompilesNothing() {
        try (PiecewiseGraph<Piece> graph = start(new Source("b1"))) {
            assertCounters(2 * ENTRIES, 0, 2 * ENTRIES);
            assertThat(calls).allMatch(call -> call.startsWith("compile")).hasSize(2 * ENTRIES);
            assertThat(tracker.timings().get(CompilationPhase.SAVE)).isPositive();
            assertThat(graph.executableCount()).isEqualTo(2 * ENTRIES);
        }
        calls.clear();
        try (PiecewiseGraph<Piece> graph = start(new Source("b1"))) {
            assertCounters(2 * ENTRIES, 2 * ENTRIES, 2 * ENTRIES);
            assertThat(calls).allMatch(call -> call.startsWith("load")).hasSize(2 * ENTRIES);
            assertThat(tracker.timings().get(CompilationPhase.LOAD)).isPositive();
            assertThat(graph.executableCount()).isEqualTo(2 * ENTRIES);
            PiecewiseBackend<Piece> middle = graph.backends().get(1);
            assertThat(middle.dispatch(16).choices()).isEqualTo("b1 1 (16, 16)");
            assertThat(middle.dispatch(16).concrete()).isTrue();
            assertThat(middle.dispatch(9).choices()).isEqualTo("b1 1 (9, 64)");
            assertThat(middle.dispatch(9).concrete()).isFalse();
        }
        assertThat(tracker.events()).isEmpty();
    }

    @Test
    void loadedExecutablesAreClosedLikeCompiledOnes() {
        start(new Source("b1")).close();
        Source source = new Source("b1");
        start(source).close();
        assertThat(source.closed).hasSize(2 * ENTRIES).doesNotHaveDuplicates();
    }

    @Test
    void anotherBuildCompilesAndKeepsBoth() {
        start(new Source("b1")).close();
        start(new Source("b2")).close();
        assertCounters(4 * ENTRIES, 0, 4 * ENTRIES);
        start(new Source("b1")).close();
        start(new Source("b2")).close();
        assertCounters(4 * ENTRIES, 4 * ENTRIES, 4 * ENTRIES);
    }

    @Test
    void anArtifactThatDoesNotLoadIsCompiledAnewAndReplaced() {
        Source source = new Source("b1");
        start(source).close();
        CompileRange range = new CompileRange(1, 8);
        store().put(source.artifactKey(1, range).orElseThrow(), "bad".getBytes(StandardCharsets.UTF_8));
        start(source).close();
        assertCounters(2 * ENTRIES + 1, 2 * ENTRIES - 1, 2 * ENTRIES + 1);
        assertThat(tracker.events())
                .singleElement()
                .hasToString("artifacts: piece class 1, range (1, 8): compiled anew, the stored artifact does not load:"
                        + " choice 3 names no kernel");
        assertThat(store().find(source.artifactKey(1, range).orElseThrow())).isInstanceOf(Lookup.Hit.class);
        start(source).close();
        assertCounters(2 * ENTRIES + 1, 4 * ENTRIES - 1, 2 * ENTRIES + 1);
    }

    @Test
    void aDamagedArtifactIsCompiledAnewAndReplaced() throws IOException {
        Source source = new Source("b1");
        start(source).close();
        ArtifactKey key = source.artifactKey(0, CompileRange.of(16)).orElseThrow();
        Files.write(directory.resolve("index").resolve(key.hash()), new byte[7]);
        start(source).close();
        assertCounters(2 * ENTRIES + 1, 2 * ENTRIES - 1, 2 * ENTRIES + 1);
        assertThat(tracker.events())
                .singleElement()
                .hasToString("artifacts: piece class 0, range (16, 16): compiled anew, the stored artifact is damaged:"
                        + " its index file is not one that the store writes");
        start(source).close();
        assertCounters(2 * ENTRIES + 1, 4 * ENTRIES - 1, 2 * ENTRIES + 1);
    }

    @Test
    void aStoreThatCannotWriteCountsNothingAsSavedAndSaysSoOnce() throws IOException {
        ArtifactStore store = store();
        Files.delete(directory.resolve("objects"));
        try (SharedCompiler<Piece> compiler = new SharedCompiler<>(new Source("b1"), store, tracker)) {
            compiler.forClass(0).compile(new CompileRange(1, 8), false);
            compiler.forClass(0).compile(new CompileRange(9, 16), false);
        }
        assertCounters(2, 0, 0);
        assertThat(tracker.events()).singleElement().asString().contains("cannot be written");
    }

    @Test
    void sourcesWithoutArtifactsTouchNoStore() throws IOException {
        PieceSource<Piece> source = new PieceSource<>() {
            @Override
            public int pieceClass(int piece) {
                return 0;
            }

            @Override
            public int[] symShapeIndices(int piece) {
                return new int[] {0};
            }

            @Override
            public Piece compile(int pieceClass, CompileRange range, boolean concrete) {
                return new Piece("", concrete, new ArrayList<>());
            }
        };
        try (SharedCompiler<Piece> compiler = new SharedCompiler<>(source, store(), tracker)) {
            compiler.forClass(0).compile(new CompileRange(1, 8), false);
        }
        assertCounters(1, 0, 0);
        try (Stream<Path> files = Files.list(directory.resolve("index"))) {
            assertThat(files).isEmpty();
        }
    }

    /** With the store off nobody pays for keys and artifacts. */
    @Test
    void aStoreThatIsOffIsNotAsked() {
        Source source = new Source("b1") {
            @Override
            public Optional<ArtifactKey> artifactKey(int pieceClass, CompileRange range) {
                throw new AssertionError("asked for a key");
            }
        };
        try (SharedCompiler<Piece> compiler = new SharedCompiler<>(source, ArtifactStore.disabled(), tracker)) {
            compiler.forClass(0).compile(new CompileRange(1, 8), false);
        }
        assertCounters(1, 0, 0);
    }

    @Test
    void anArtifactThatCannotBeMadeLeavesTheExecutable() {
        Source source = new Source("b1") {
            @Override
            public Optional<byte[]> artifact(Piece executable) {
                throw new IntarsiaException("out of memory");
            }
        };
        try (SharedCompiler<Piece> compiler = new SharedCompiler<>(source, store(), tracker)) {
            assertThat(compiler.forClass(0).compile(new CompileRange(1, 8), false)).isNotNull();
            assertThat(compiler.size()).isEqualTo(1);
        }
        assertCounters(1, 0, 0);
        assertThat(tracker.events())
                .singleElement()
                .hasToString("artifacts: piece class 0, range (1, 8): not stored: out of memory");
    }

    /** A fault of the source itself is no miss; what was compiled before is closed. */
    @Test
    void otherFailuresOfALoadEndTheStart() {
        start(new Source("b1")).close();
        Source source = new Source("b1") {
            @Override
            public Piece load(int pieceClass, CompileRange range, boolean concrete, byte[] artifact) {
                if (pieceClass == 1) {
                    throw new IllegalStateException("a bug");
                }
                return super.load(pieceClass, range, concrete, artifact);
            }
        };
        assertThatThrownBy(() -> start(source)).hasMessage("a bug");
        assertThat(source.closed).hasSize(ENTRIES);
    }
}
