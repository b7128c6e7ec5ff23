package dev.intarsia.piecewise;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.BiConsumer;
import org.junit.jupiter.api.Test;

/** Warm-up and capture, in the order in which an engine does them. */
class StartUpTest {
    private final CompilationTracker tracker = new CompilationTracker();

    /** After warm-up and capture every entry has run at least once: none waits for the first request. */
    @Test
    void warmUpAndCaptureTogetherReachEveryEntry() {
        Random random = new Random(3);
        for (int round = 0; round < 300; round++) {
            int max = 1 + random.nextInt(100);
            CaptureSizes captured = CaptureSizes.of(
                    random.ints(random.nextInt(5), 1, max + 1).boxed().toList());
            CompilationConfig config = CompilationConfig.builder(max)
                    .endpoints(random.ints(random.nextInt(5), 1, 120).boxed().toList())
                    .compileSizes(random.ints(random.nextInt(5), 1, 120).boxed().toList())
                    .build();
            List<Integer> sizes = WarmUp.sizes(config, captured);
            String what = config + " " + captured + " → " + sizes;
            assertThat(sizes).as(what).isSortedAccordingTo((a, b) -> b - a).doesNotHaveDuplicates();
            assertThat(sizes).as(what).noneMatch(captured.sizes()::contains);
            List<Integer> run = new ArrayList<>(sizes);
            run.addAll(captured.sizes());
            assertThat(run).as(what).containsAll(config.compileSizes());
            for (CompileRange range : config.ranges()) {
                assertThat(run).as("%s reaches %s", what, range).anyMatch(range::contains);
            }
            for (int size : sizes) {
                boolean needed = config.compileSizes().contains(size)
                        || config.ranges().stream().anyMatch(range -> range.end() == size
                                && run.stream().noneMatch(other -> other != size && range.contains(other)));
                assertThat(needed).as("%s needs %d", what, size).isTrue();
            }
        }
    }

    @Test
    void warmUpThatCompilesIsAnError() {
        List<Integer> run = new ArrayList<>();
        WarmUp.run(List.of(64, 8), run::add, tracker);
        assertThat(run).containsExactly(64, 8);
        assertThat(tracker.timings().get(CompilationPhase.WARM_UP)).isPositive();
        assertThatThrownBy(() -> WarmUp.run(List.of(8), size -> tracker.countCompilation(), tracker))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("warm-up compiled 1");
    }

    @Test
    void capturesInOrderThenLocksAndActivates() {
        GraphKeys keys = new GraphKeys(GraphMode.FULL_AND_PIECEWISE, CaptureSizes.of(List.of(1, 8, 4)), 4, 1);
        CaptureLock lock = new CaptureLock();
        Dispatcher dispatcher = new Dispatcher(keys, 64);
        List<String> steps = new ArrayList<>();
        Captures.run(
                keys,
                (mode, batch) -> {
                    assertThat(lock.isLocked()).isFalse();
                    assertThat(dispatcher.dispatch(4, true).mode()).isEqualTo(RuntimeMode.NONE);
                    steps.add(mode + " " + batch);
                },
                lock,
                dispatcher,
                tracker);
        assertThat(steps).containsExactly(
                "PIECEWISE 8 tokens",
                "PIECEWISE 4 tokens",
                "PIECEWISE 1 tokens",
                "FULL 4 tokens, 4 requests, uniform",
                "FULL 1 tokens, 1 requests, uniform");
        assertThat(lock.isLocked()).isTrue();
        assertThat(dispatcher.dispatch(4, true).mode()).isEqualTo(RuntimeMode.FULL);
        assertThat(tracker.timings().get(CompilationPhase.CAPTURE)).isPositive();
    }

    @Test
    void aFailedCaptureLeavesTheDispatcherOff() {
        GraphKeys keys = new GraphKeys(GraphMode.PIECEWISE, CaptureSizes.of(List.of(1)), 4, 1);
        CaptureLock lock = new CaptureLock();
        Dispatcher dispatcher = new Dispatcher(keys, 64);
        BiConsumer<RuntimeMode, BatchDescriptor> fails = (mode, batch) -> {
            throw new IllegalStateException("no memory");
        };
        assertThatThrownBy(() -> Captures.run(keys, fails, lock, dispatcher, tracker)).hasMessage("no memory");
        assertThat(lock.isLocked()).isFalse();
        assertThat(dispatcher.dispatch(1, false).reason()).isEqualTo(Dispatch.Reason.NOTHING_CAPTURED);
    }

    /** Whatever dispatch answers after start-up, the wrappers have it recorded: nothing is captured while serving. */
    @Test
    void everyAnswerOfTheDispatcherIsRecorded() {
        for (GraphMode mode : GraphMode.values()) {
            for (int query : new int[] {1, 3}) {
                GraphModeResolver.Resolved resolved = GraphModeResolver.resolve(
                        mode, AttentionSupport.ALWAYS, true, query, CaptureSizes.of(List.of(1, 2, 4, 8, 16, 30)));
                GraphKeys keys = new GraphKeys(resolved.mode(), resolved.sizes(), 6, query);
                Dispatcher dispatcher = new Dispatcher(keys, 64);
                CaptureLock lock = new CaptureLock();
                GraphWrapper whole = new GraphWrapper(RuntimeMode.FULL, new Silent(), lock, tracker);
                GraphWrapper piece = new GraphWrapper(RuntimeMode.PIECEWISE, new Silent(), lock, tracker);
                Captures.run(
                        keys,
                        (runtime, batch) -> {
                            whole.call(runtime, batch);
                            piece.call(runtime, batch);
                        },
                        lock,
                        dispatcher,
                        tracker);
                for (int n = 1; n <= 64; n++) {
                    for (boolean uniform : new boolean[] {true, false}) {
                        Dispatch answer = dispatcher.dispatch(n, uniform);
                        assertThat(answer.paddedTokens()).isGreaterThanOrEqualTo(n);
                        assertThat(whole.call(answer.mode(), answer.batch()) == GraphWrapper.Action.REPLAY)
                                .isEqualTo(answer.mode() == RuntimeMode.FULL);
                        assertThat(piece.call(answer.mode(), answer.batch()) == GraphWrapper.Action.REPLAY)
                                .isEqualTo(answer.mode() == RuntimeMode.PIECEWISE);
                    }
                }
            }
        }
    }

    private static final class Silent implements Recordable {
        @Override
        public void run(BatchDescriptor batch) {}

        @Override
        public Recording record(BatchDescriptor batch) {
            return new Recording() {
                @Override
                public void replay() {}

                @Override
                public void close() {}
            };
        }

        @Override
        public long[] inputAddresses() {
            return new long[] {1, 2};
        }
    }
}
