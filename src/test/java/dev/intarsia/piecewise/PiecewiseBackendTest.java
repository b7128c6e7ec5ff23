package dev.intarsia.piecewise;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.intarsia.IntarsiaException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

class PiecewiseBackendTest {
    private static final PieceCompiler<String> PRINTS = (range, concrete) -> range + (concrete ? " static" : "");

    private static PiecewiseBackend<String> symbolic(CompilationConfig config) {
        return PiecewiseBackend.compile(PieceSpec.symbolic(0, 1, 0), config, PRINTS);
    }

    @Test
    void entersSizesFirstAndCompilesThemConcretely() {
        CompilationConfig config = CompilationConfig.builder(64).endpoints(1, 8).compileSizes(16, 4).build();
        assertThat(symbolic(config).entries()).extracting(RangeEntry::runnable)
                .containsExactly("(4, 4) static", "(16, 16) static", "(1, 8)", "(9, 64)");
    }

    @Test
    void aSizeThatIsARangeAlreadyIsOneEntry() {
        assertThat(symbolic(CompilationConfig.builder(1).compileSizes(1).build()).entries())
                .containsExactly(RangeEntry.of(CompileRange.of(1), "(1, 1) static"));
    }

    @Test
    void aSizeAboveTheMaximumServesItselfOnly() {
        PiecewiseBackend<String> backend = symbolic(CompilationConfig.builder(64).compileSizes(100).build());
        assertThat(backend.dispatch(100)).isEqualTo("(100, 100) static");
        for (int n : new int[] {65, 99, 101}) {
            assertThatThrownBy(() -> backend.dispatch(n))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessage("Shape: " + n + " out of considered ranges: [(1, 64)]");
        }
    }

    /** Exact size, else the one range that holds the size, else an error: compared with a plain search. */
    @Test
    void dispatchesAsAPlainSearchDoes() {
        Random random = new Random(2718);
        for (int round = 0; round < 400; round++) {
            int max = 1 + random.nextInt(120);
            CompilationConfig config = CompilationConfig.builder(max)
                    .endpoints(someSizes(random, 5, 140))
                    .compileSizes(someSizes(random, 12, 140))
                    .build();
            PiecewiseBackend<String> backend = symbolic(config);
            for (int n = -2; n <= 150; n++) {
                String expected = search(config, n);
                String what = config + " at " + n;
                if (expected == null) {
                    int size = n;
                    assertThatThrownBy(() -> backend.dispatch(size)).as(what)
                            .hasMessage("Shape: " + n + " out of considered ranges: " + config.ranges());
                } else {
                    assertThat(backend.dispatch(n)).as(what).isEqualTo(expected);
                }
            }
        }
    }

    private static String search(CompilationConfig config, int n) {
        if (config.compileSizes().contains(n)) {
            return "(" + n + ", " + n + ") static";
        }
        for (CompileRange range : config.ranges()) {
            if (range.start() <= n && n <= range.end()) {
                return range + (range.start() == range.end() ? " static" : "");
            }
        }
        return null;
    }

    private static List<Integer> someSizes(Random random, int limit, int largest) {
        List<Integer> sizes = new ArrayList<>();
        for (int i = random.nextInt(limit + 1); i > 0; i--) {
            sizes.add(1 + random.nextInt(largest));
        }
        return sizes;
    }

    @Test
    void theLargestIntIsASizeLikeAnyOther() {
        PiecewiseBackend<String> backend = symbolic(CompilationConfig.builder(Integer.MAX_VALUE).endpoints(8).build());
        assertThat(backend.dispatch(Integer.MAX_VALUE)).isEqualTo("(9, 2147483647)");
        assertThatThrownBy(() -> backend.dispatch(Integer.MIN_VALUE)).hasMessageContaining("Shape: -2147483648 out of");
    }

    @Test
    void onlyTheFirstSymbolicArgumentCounts() {
        CompilationConfig config = CompilationConfig.builder(64).endpoints(8).build();
        PiecewiseBackend<String> backend = PiecewiseBackend.compile(PieceSpec.symbolic(0, 1, 2, 0), config, PRINTS);
        assertThat(backend.dispatchArgs(new int[] {4, -1, 40})).isEqualTo("(9, 64)");
        assertThat(backend.symShapeIndices()).containsExactly(2, 0);
        assertThatThrownBy(() -> backend.dispatchArgs(new int[] {4, -1}))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("position 2")
                .hasMessageContaining("2 elements");
    }

    @Test
    void aStaticPieceHasOneEntryWhateverIsConfigured() {
        for (CompilationConfig config : List.of(
                CompilationConfig.builder(1).build(),
                CompilationConfig.builder(1).compileSizes(1, 2).build(),
                CompilationConfig.builder(2048).endpoints(8, 32).compileSizes(16, 4096).build())) {
            int max = config.maxNumBatchedTokens();
            List<CompileRange> compiled = new ArrayList<>();
            PiecewiseBackend<String> backend =
                    PiecewiseBackend.compile(PieceSpec.frozen(0, 1, max), config, (range, concrete) -> {
                        assertThat(concrete).isTrue();
                        compiled.add(range);
                        return "static";
                    });
            assertThat(compiled).containsExactly(new CompileRange(1, max));
            assertThat(backend.entries()).hasSize(1);
            assertThat(backend.isStatic()).isTrue();
            assertThat(backend.dispatch(max)).isEqualTo("static");
        }
    }

    @Test
    void aStaticPieceRefusesEverySizeButItsOwn() {
        PiecewiseBackend<String> backend = PiecewiseBackend.compile(
                PieceSpec.frozen(3, 5, 7), CompilationConfig.builder(64).compileSizes(2).build(), PRINTS);
        assertThat(backend.dispatch(7)).isEqualTo("(1, 64) static");
        for (int n : new int[] {-1, 0, 1, 2, 6, 8, 64, 65}) {
            assertThatThrownBy(() -> backend.dispatch(n))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessage("Shape: " + n
                            + " given to static piece 3, which was frozen with 7 tokens and serves no other size");
        }
        assertThatThrownBy(() -> backend.dispatchArgs(new int[] {7}))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("piece 3 is static");
    }

    @Test
    void aStaticPieceWithoutExactlyOneCompiledEntryIsRefused() {
        CompilationConfig config = CompilationConfig.builder(1).build();
        PieceSpec spec = PieceSpec.frozen(0, 1, 1);
        RangeEntry<String> one = RangeEntry.of(CompileRange.of(1), "x");
        RangeEntry<String> other = RangeEntry.of(CompileRange.of(2), "y");
        String text = "Expected exactly one compiled range_entry for static shape compilation, but found ";
        assertThatThrownBy(() -> new PiecewiseBackend<>(spec, config, List.of(one, other))).hasMessage(text + 2);
        assertThatThrownBy(() -> new PiecewiseBackend<>(
                        spec, config, List.of(new RangeEntry<String>(CompileRange.of(1), false, null))))
                .hasMessage(text + 0);
    }

    @Test
    void anEntryWithoutARunnableIsRefusedWhenCalled() {
        PiecewiseBackend<String> backend = new PiecewiseBackend<>(
                PieceSpec.symbolic(0, 1, 0),
                CompilationConfig.builder(8).build(),
                List.of(new RangeEntry<>(new CompileRange(1, 8), false, null)));
        assertThatThrownBy(() -> backend.dispatch(4))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageStartingWith("All ranges should be compiled or loaded up front")
                .hasMessageEndingWith("range_entry=(1, 8)");
    }

    @Test
    void loadsEveryEntryAndReportsTheRest() {
        CompilationConfig config = CompilationConfig.builder(64).endpoints(8).compileSizes(16).build();
        CompilationTracker tracker = new CompilationTracker();
        PiecewiseBackend<String> backend = PiecewiseBackend.load(
                PieceSpec.symbolic(1, 3, 0), config, artifacts("(1, 8)", "(9, 64)", "(16, 16)", "(5, 5)"), tracker);
        assertThat(backend.dispatch(16)).isEqualTo("stored (16, 16)");
        assertThat(backend.dispatch(17)).isEqualTo("stored (9, 64)");
        assertThat(tracker.events()).singleElement().hasToString("artifacts: piece 1: stored artifact (5, 5) ignored: "
                + "no configured range or size needs it");
        assertThat(tracker.counters().compilations()).isZero();
    }

    @Test
    void loadsAStaticPieceByItsOneRange() {
        CompilationTracker tracker = new CompilationTracker();
        PiecewiseBackend<String> backend = PiecewiseBackend.load(
                PieceSpec.frozen(0, 1, 1), CompilationConfig.builder(1).build(), artifacts("(1, 1)"), tracker);
        assertThat(backend.dispatch(1)).isEqualTo("stored (1, 1)");
        assertThat(tracker.events()).isEmpty();
    }

    @Test
    void namesTheMissingArtifactAndThoseThereAre() {
        CompilationConfig config = CompilationConfig.builder(64).endpoints(8).build();
        assertThatThrownBy(() -> PiecewiseBackend.load(
                        PieceSpec.symbolic(0, 1, 0), config, artifacts("(1, 8)", "(9, 32)"), new CompilationTracker()))
                .isInstanceOf(MissingArtifactException.class)
                .isInstanceOf(IntarsiaException.class)
                .hasMessage("Missing compiled runnable for range (9, 64). Available keys: [(1, 8), (9, 32)]");
    }

    private static Map<String, String> artifacts(String... keys) {
        Map<String, String> artifacts = new LinkedHashMap<>();
        for (String key : keys) {
            artifacts.put(key, "stored " + key);
        }
        return artifacts;
    }

    @Test
    void modeNoneCompilesNoPieces() {
        CompilationConfig config = CompilationConfig.builder(8).mode(CompilationMode.NONE).build();
        assertThatThrownBy(() -> symbolic(config)).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void knowsItsPlace() {
        CompilationConfig config = CompilationConfig.builder(8).build();
        PiecewiseBackend<String> first = PiecewiseBackend.compile(PieceSpec.symbolic(0, 3, 0), config, PRINTS);
        PiecewiseBackend<String> last = PiecewiseBackend.compile(PieceSpec.symbolic(2, 3, 0), config, PRINTS);
        PiecewiseBackend<String> full = PiecewiseBackend.compile(PieceSpec.symbolic(0, 1, 0), config, PRINTS);
        assertThat(List.of(first.isFirst(), first.isLast(), first.isFull())).containsExactly(true, false, false);
        assertThat(List.of(last.isFirst(), last.isLast(), last.isFull())).containsExactly(false, true, false);
        assertThat(List.of(full.isFirst(), full.isLast(), full.isFull())).containsExactly(true, true, true);
    }

    @Test
    void rejectsImpossiblePlaces() {
        assertThatThrownBy(() -> PieceSpec.symbolic(3, 3, 0)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> PieceSpec.symbolic(-1, 3, 0)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> PieceSpec.symbolic(0, 1)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> PieceSpec.symbolic(0, 1, -1)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> PieceSpec.frozen(0, 1, 0)).isInstanceOf(IllegalArgumentException.class);
    }
}
