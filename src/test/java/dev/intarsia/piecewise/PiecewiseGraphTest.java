package dev.intarsia.piecewise;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

class PiecewiseGraphTest {
    private final CompilationTracker tracker = new CompilationTracker();
    private final List<String> closed = new ArrayList<>();

    /** An executable that notes when it is closed. */
    private final class Piece implements CompiledPiece {
        private final String name;

        Piece(String name) {
            this.name = name;
        }

        @Override
        public void close() {
            closed.add(name);
            if (name.contains("stuck")) {
                throw new IllegalStateException(name);
            }
        }
    }

    /** First piece, equal middle pieces, last piece; every compilation of class {@code failing} throws. */
    private final class Source implements PieceSource<Piece> {
        private final int pieces;
        private final int failing;
        private final String name;
        private final int[] symShapeIndices;

        Source(int pieces, int failing, String name, int... symShapeIndices) {
            this.pieces = pieces;
            this.failing = failing;
            this.name = name;
            this.symShapeIndices = symShapeIndices;
        }

        @Override
        public int pieceClass(int piece) {
            assertThat(piece % 2).as("only plain pieces are asked about").isZero();
            return piece == 0 ? 10 : piece == pieces - 1 ? 30 : 20;
        }

        @Override
        public int[] symShapeIndices(int piece) {
            return symShapeIndices;
        }

        @Override
        public Piece compile(int pieceClass, CompileRange range, boolean concrete) {
            if (pieceClass == failing) {
                throw new IllegalStateException("class " + pieceClass + " does not compile");
            }
            return new Piece(name + pieceClass + range);
        }
    }

    private static SplitPlan layers(int count) {
        return SplitPlans.around(count);
    }

    private PiecewiseGraph<Piece> compile(CompilationConfig config, int layers) {
        SplitPlan plan = layers(layers);
        return PiecewiseGraph.compile(config, plan, new Source(plan.size(), -1, "", 0), tracker);
    }

    @Test
    void equalPiecesAreCompiledOnceWhateverTheDepth() {
        CompilationConfig config = CompilationConfig.builder(64).endpoints(8).compileSizes(16).build();
        for (int layers : new int[] {2, 28, 32}) {
            long before = tracker.counters().compilations();
            PiecewiseGraph<Piece> graph = compile(config, layers);
            assertThat(graph.backends()).hasSize(layers + 1);
            assertThat(tracker.counters().compilations() - before).isEqualTo(3 * 3);
            assertThat(graph.executableCount()).isEqualTo(9);
            for (int n : new int[] {1, 8, 9, 16, 64}) {
                Set<Piece> used =
                        graph.backends().stream().map(backend -> backend.dispatch(n)).collect(Collectors.toSet());
                assertThat(used).hasSize(3);
            }
        }
    }

    @Test
    void callsNeverCompile() {
        PiecewiseGraph<Piece> graph = compile(CompilationConfig.builder(64).endpoints(8).build(), 4);
        CompilationCounters before = tracker.counters();
        for (int n = 1; n <= 64; n++) {
            for (PiecewiseBackend<Piece> backend : graph.backends()) {
                backend.dispatch(n);
            }
        }
        assertThat(tracker.counters()).isEqualTo(before);
    }

    @Test
    void countsGraphsPiecesAndTime() {
        compile(CompilationConfig.builder(64).build(), 12);
        assertThat(tracker.counters()).isEqualTo(new CompilationCounters(1, 25, 13, 3, 0, 0, 0, 0));
        assertThat(tracker.timings().get(CompilationPhase.COMPILE)).isPositive();
        assertThat(tracker.timings().get(CompilationPhase.CAPTURE)).isZero();
    }

    @Test
    void piecesKnowTheirPlaceAmongTheCompilableOnes() {
        List<PiecewiseBackend<Piece>> backends = compile(CompilationConfig.builder(64).build(), 2).backends();
        assertThat(backends).extracting(PiecewiseBackend::index).containsExactly(0, 1, 2);
        assertThat(backends).extracting(PiecewiseBackend::total).containsOnly(3);
        assertThat(compile(CompilationConfig.builder(64).build(), 0).backends())
                .singleElement()
                .matches(PiecewiseBackend::isFull);
    }

    @Test
    void piecesWithoutSymbolicArgumentsTakeTheStaticPath() {
        SplitPlan plan = layers(3);
        PiecewiseGraph<Piece> graph = PiecewiseGraph.compile(
                CompilationConfig.builder(1).compileSizes(1, 2).build(), plan, new Source(7, -1, ""), tracker);
        assertThat(graph.backends()).allMatch(PiecewiseBackend::isStatic);
        assertThat(tracker.counters().compilations()).isEqualTo(3);
        assertThatThrownBy(() -> graph.backends().getFirst().dispatch(2)).hasMessageContaining("frozen with 1 tokens");
    }

    @Test
    void closesEachExecutableOnce() {
        PiecewiseGraph<Piece> graph = compile(CompilationConfig.builder(64).build(), 5);
        graph.close();
        graph.close();
        assertThat(closed).containsExactly("30(1, 64)", "20(1, 64)", "10(1, 64)");
    }

    @Test
    void aFailureClosesWhatWasCompiled() {
        SplitPlan plan = layers(2);
        assertThatThrownBy(() -> PiecewiseGraph.compile(
                        CompilationConfig.builder(64).build(), plan, new Source(5, 30, "", 0), tracker))
                .hasMessage("class 30 does not compile")
                .hasNoSuppressedExceptions();
        assertThat(closed).containsExactly("20(1, 64)", "10(1, 64)");
        assertThat(tracker.counters().compilations()).isEqualTo(2);
    }

    @Test
    void closingGoesOnWhenAnExecutableThrows() {
        SplitPlan plan = layers(2);
        PiecewiseGraph<Piece> graph = PiecewiseGraph.compile(
                CompilationConfig.builder(64).build(), plan, new Source(5, -1, "stuck ", 0), tracker);
        assertThatThrownBy(graph::close)
                .hasMessage("stuck 30(1, 64)")
                .satisfies(failure -> assertThat(failure.getSuppressed()).hasSize(2));
        assertThat(closed).hasSize(3);
    }

    @Test
    void modeNoneIsRefusedAndCountsNothing() {
        assertThatThrownBy(() -> compile(CompilationConfig.builder(64).mode(CompilationMode.NONE).build(), 2))
                .isInstanceOf(IllegalArgumentException.class);
        assertThat(tracker.counters()).isEqualTo(new CompilationCounters(0, 0, 0, 0, 0, 0, 0, 0));
    }

    @Test
    void theStateIsASnapshot() {
        CompilationConfig config = CompilationConfig.builder(64).endpoints(8, 100).compileSizes(4).build();
        PiecewiseGraph<Piece> graph = compile(config, 1);
        GraphKeys keys = new GraphKeys(GraphMode.NONE, CaptureSizes.none(), 4, 1);
        CompilationState state = CompilationState.of(
                config, graph.backends(), tracker, keys, new Dispatcher(keys, 64), List.of());
        tracker.countReplay();
        tracker.event("later", "not in the snapshot");
        assertThat(state.ranges()).containsExactly(new CompileRange(1, 8), new CompileRange(9, 64));
        assertThat(state.pieces()).hasSize(2);
        assertThat(state.pieces().get(1)).isEqualTo(new CompilationState.Piece(
                1,
                false,
                List.of(
                        new CompilationState.Entry(CompileRange.of(4), true),
                        new CompilationState.Entry(new CompileRange(1, 8), true),
                        new CompilationState.Entry(new CompileRange(9, 64), true))));
        assertThat(state.counters().replays()).isZero();
        assertThat(state.graphs().recorded()).isEmpty();
        assertThat(state.graphs().mixed()).hasSize(65).extracting(Dispatch::mode).containsOnly(RuntimeMode.NONE);
        assertThat(state.events())
                .singleElement()
                .hasToString("ranges: endpoint 100 dropped: it is above maxNumBatchedTokens = 64");
    }
}
