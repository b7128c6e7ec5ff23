package dev.intarsia.piecewise;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

class DispatcherTest {
    private static GraphKeys keys(GraphMode mode, int maxNumSeqs, int queryLength, Integer... sizes) {
        return new GraphKeys(mode, CaptureSizes.of(List.of(sizes)), maxNumSeqs, queryLength);
    }

    private static Dispatcher active(GraphKeys keys, int maxNumBatchedTokens) {
        Dispatcher dispatcher = new Dispatcher(keys, maxNumBatchedTokens);
        dispatcher.activate();
        return dispatcher;
    }

    /** Against a search over the keys that are captured, with every set of allowed modes. */
    @Test
    void answersAsASearchOverTheCapturedKeysDoes() {
        Random random = new Random(11);
        for (int round = 0; round < 120; round++) {
            GraphMode mode = GraphMode.values()[random.nextInt(GraphMode.values().length)];
            int query = 1 + random.nextInt(3);
            TreeSet<Integer> sizes = new TreeSet<>();
            for (int i = 0; i <= random.nextInt(6); i++) {
                sizes.add(query * (1 + random.nextInt(12)));
            }
            GraphKeys keys = new GraphKeys(mode, CaptureSizes.of(List.copyOf(sizes)), 1 + random.nextInt(12), query);
            Dispatcher dispatcher = active(keys, 60);
            for (int n = 0; n <= 64; n++) {
                for (boolean uniform : new boolean[] {true, false}) {
                    for (int allowed = 1; allowed < 8; allowed++) {
                        compare(keys, dispatcher, n, uniform, modes(allowed));
                    }
                }
            }
        }
    }

    private static Set<RuntimeMode> modes(int bits) {
        Set<RuntimeMode> modes = EnumSet.noneOf(RuntimeMode.class);
        for (RuntimeMode mode : RuntimeMode.values()) {
            if ((bits >> mode.ordinal() & 1) == 1) {
                modes.add(mode);
            }
        }
        return modes;
    }

    private static void compare(
            GraphKeys keys, Dispatcher dispatcher, int n, boolean uniform, Set<RuntimeMode> allowed) {
        String what = keys.mode() + " " + keys.captureOrder() + ": " + n + " uniform " + uniform + " " + allowed;
        Set<RuntimeMode> invalid = EnumSet.complementOf(EnumSet.copyOf(allowed));
        RuntimeMode expected = RuntimeMode.NONE;
        BatchDescriptor batch = BatchDescriptor.of(n);
        if (keys.mode() != GraphMode.NONE && n >= 1 && n <= keys.sizes().max()) {
            Optional<BatchDescriptor> full = find(keys, RuntimeMode.FULL, n, uniform && keys.mode().separateRoutine());
            Optional<BatchDescriptor> pieces = find(keys, RuntimeMode.PIECEWISE, n, false);
            if (full.isPresent() && allowed.contains(RuntimeMode.FULL)) {
                expected = RuntimeMode.FULL;
                batch = full.get();
            } else if (pieces.isPresent() && allowed.contains(RuntimeMode.PIECEWISE)) {
                expected = RuntimeMode.PIECEWISE;
                batch = pieces.get();
            } else if (!allowed.contains(RuntimeMode.NONE)) {
                assertThatThrownBy(() -> dispatcher.dispatch(n, uniform, allowed, null)).as(what)
                        .isInstanceOf(IllegalArgumentException.class)
                        .hasMessageContaining("No matching graph found and NONE is not in the allowed modes");
                return;
            }
        }
        Dispatch answer = dispatcher.dispatch(n, uniform, allowed, null);
        assertThat(answer.mode()).as(what).isEqualTo(expected);
        assertThat(answer.batch()).as(what).isEqualTo(batch);
        assertThat(answer.tokens()).as(what).isEqualTo(n);
        assertThat(answer).as(what).isEqualTo(dispatcher.dispatch(n, uniform, null, invalid));
        if (allowed.size() == 3) {
            assertThat(answer).as(what).isEqualTo(dispatcher.dispatch(n, uniform));
        }
    }

    /** The captured key for the smallest captured size that holds n tokens. */
    private static Optional<BatchDescriptor> find(GraphKeys keys, RuntimeMode mode, int n, boolean uniform) {
        int padded = keys.sizes().sizes().stream().filter(size -> size >= n).findFirst().orElseThrow();
        return keys.captureOrder().stream()
                .filter(group -> group.mode() == mode)
                .flatMap(group -> group.keys().stream())
                .filter(key -> key.tokens() == padded && key.uniform() == uniform)
                .findAny();
    }

    @Test
    void everyAnswerSaysWhy() {
        Dispatcher dispatcher = new Dispatcher(keys(GraphMode.FULL_DECODE_ONLY, 4, 1, 1, 4, 8), 64);
        assertThat(dispatcher.dispatch(3, true).reason()).isEqualTo(Dispatch.Reason.NOTHING_CAPTURED);
        assertThat(dispatcher.dispatch(1000, true).reason()).isEqualTo(Dispatch.Reason.NOTHING_CAPTURED);
        dispatcher.activate();
        assertThat(dispatcher.dispatch(3, true)).hasToString(
                "3 tokens → FULL (4 tokens, 4 requests, uniform): padded to the next captured size");
        assertThat(dispatcher.dispatch(4, true).reason()).isEqualTo(Dispatch.Reason.EXACT_SIZE);
        assertThat(dispatcher.dispatch(8, true).reason()).isEqualTo(Dispatch.Reason.NO_MATCHING_GRAPH);
        assertThat(dispatcher.dispatch(3, false).reason()).isEqualTo(Dispatch.Reason.NO_MATCHING_GRAPH);
        assertThat(dispatcher.dispatch(9, true).reason()).isEqualTo(Dispatch.Reason.TOO_LARGE);
        assertThat(dispatcher.dispatch(1000, true).reason()).isEqualTo(Dispatch.Reason.TOO_LARGE);
        assertThat(dispatcher.dispatch(4, true, Set.of(RuntimeMode.NONE), null).reason())
                .isEqualTo(Dispatch.Reason.ONLY_NONE_ALLOWED);
        Dispatcher off = active(keys(GraphMode.NONE, 4, 1, 1, 4), 64);
        assertThat(off.dispatch(4, true)).hasToString("4 tokens → NONE (4 tokens): the graph mode is NONE");
        assertThat(off.dispatch(1000, true).reason()).isEqualTo(Dispatch.Reason.GRAPHS_OFF);
    }

    @Test
    void refusesNegativeSizesAndEmptySetsOfModes() {
        Dispatcher dispatcher = active(keys(GraphMode.FULL, 4, 1, 4), 64);
        assertThatThrownBy(() -> dispatcher.dispatch(-1, false)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> dispatcher.dispatch(4, false, Set.of(), null))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("No allowed graph modes");
        assertThatThrownBy(() -> dispatcher.dispatch(4, false, null, EnumSet.allOf(RuntimeMode.class)))
                .hasMessageContaining("No allowed graph modes");
    }

    @Test
    void uniformRecordingsNeedWholeRequests() {
        assertThatThrownBy(() -> keys(GraphMode.FULL_DECODE_ONLY, 8, 3, 3, 8))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("capture size 8 is not a multiple of the query length 3");
        assertThat(keys(GraphMode.FULL, 8, 3, 3, 8).captureOrder()).hasSize(1);
        assertThat(keys(GraphMode.FULL_DECODE_ONLY, 2, 3, 1, 3, 6, 8).captureOrder()).singleElement().satisfies(group ->
                assertThat(group.keys()).containsExactly(
                        new BatchDescriptor(6, 2, true), new BatchDescriptor(3, 1, true)));
    }

    @Test
    void askingAllocatesNothing() {
        Dispatcher dispatcher = active(keys(GraphMode.FULL_AND_PIECEWISE, 64, 1, 1, 2, 4, 8, 64, 128), 2048);
        Set<RuntimeMode> invalid = EnumSet.of(RuntimeMode.FULL);
        assertThat(Allocation.bytes(1_000_000, i -> dispatcher.dispatch(i % 2049, (i & 1) == 0).paddedTokens()))
                .isLessThan(100_000);
        assertThat(Allocation.bytes(1_000_000, i -> dispatcher.dispatch(i % 129, true, null, invalid).paddedTokens()))
                .isLessThan(100_000);
    }
}
