package dev.intarsia.piecewise;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class GraphWrapperTest {
    private static final BatchDescriptor FOUR = new BatchDescriptor(4, 4, true);
    private static final BatchDescriptor EIGHT = new BatchDescriptor(8, 8, true);

    /** Notes what is done to it. */
    private static final class Target implements Recordable {
        private final List<String> log = new ArrayList<>();
        private long[] addresses = {0x10, 0x20};
        private boolean failing;
        private int asked;

        @Override
        public void run(BatchDescriptor batch) {
            log.add("run " + batch.tokens());
        }

        @Override
        public Recording record(BatchDescriptor batch) {
            log.add("record " + batch.tokens());
            if (failing) {
                throw new IllegalStateException("cannot record");
            }
            return new Recording() {
                @Override
                public void replay() {
                    log.add("replay " + batch.tokens());
                }

                @Override
                public void close() {
                    log.add("close " + batch.tokens());
                }
            };
        }

        @Override
        public long[] inputAddresses() {
            asked++;
            return addresses;
        }
    }

    private final Target target = new Target();
    private final CaptureLock lock = new CaptureLock();
    private final CompilationTracker tracker = new CompilationTracker();
    private final GraphWrapper wrapper = new GraphWrapper(RuntimeMode.FULL, target, lock, tracker);

    @Test
    void recordsOncePerKeyThenReplays() {
        assertThat(wrapper.call(RuntimeMode.FULL, FOUR)).isEqualTo(GraphWrapper.Action.CAPTURE);
        assertThat(wrapper.call(RuntimeMode.FULL, EIGHT)).isEqualTo(GraphWrapper.Action.CAPTURE);
        BatchDescriptor equal = new BatchDescriptor(4, 4, true);
        assertThat(wrapper.call(RuntimeMode.FULL, equal)).isEqualTo(GraphWrapper.Action.REPLAY);
        assertThat(wrapper.call(RuntimeMode.FULL, new BatchDescriptor(4, 4, false)))
                .isEqualTo(GraphWrapper.Action.CAPTURE);
        assertThat(target.log).containsExactly("record 4", "record 8", "replay 4", "record 4");
        assertThat(tracker.counters()).isEqualTo(new CompilationCounters(0, 0, 0, 0, 0, 0, 3, 1));
        assertThat(wrapper.size()).isEqualTo(3);
    }

    @Test
    void otherModesCallThrough() {
        wrapper.call(RuntimeMode.FULL, FOUR);
        assertThat(wrapper.call(RuntimeMode.PIECEWISE, FOUR)).isEqualTo(GraphWrapper.Action.BYPASS);
        assertThat(wrapper.call(RuntimeMode.NONE, EIGHT)).isEqualTo(GraphWrapper.Action.BYPASS);
        assertThat(target.log).containsExactly("record 4", "run 4", "run 8");
        assertThat(wrapper.size()).isOne();
    }

    @Test
    void afterTheLockUnseenKeysAreErrorsAndSeenOnesReplay() {
        wrapper.call(RuntimeMode.FULL, FOUR);
        lock.lock();
        assertThat(wrapper.call(RuntimeMode.FULL, FOUR)).isEqualTo(GraphWrapper.Action.REPLAY);
        assertThat(wrapper.call(RuntimeMode.NONE, EIGHT)).isEqualTo(GraphWrapper.Action.BYPASS);
        assertThatThrownBy(() -> wrapper.call(RuntimeMode.FULL, EIGHT))
                .isInstanceOf(IllegalStateException.class)
                .hasMessage("No FULL graph was captured for 8 tokens, 8 requests, uniform, and captures are locked; "
                        + "captured: [4 tokens, 4 requests, uniform]");
        assertThat(target.log).doesNotContain("record 8");
    }

    @Test
    void theFirstReplayOfEachRecordingChecksAddresses() {
        wrapper.call(RuntimeMode.FULL, FOUR);
        wrapper.call(RuntimeMode.FULL, EIGHT);
        wrapper.call(RuntimeMode.FULL, FOUR);
        target.addresses = new long[] {0x10, 0x30};
        int asked = target.asked;
        assertThat(wrapper.call(RuntimeMode.FULL, FOUR)).isEqualTo(GraphWrapper.Action.REPLAY);
        assertThat(target.asked).as("a recording that was checked is not checked again").isEqualTo(asked);
        assertThatThrownBy(() -> wrapper.call(RuntimeMode.FULL, EIGHT))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("FULL graph for 8 tokens")
                .hasMessageContaining("input 1 was recorded at 0x20 and is now at 0x30");
        assertThat(target.log).doesNotContain("replay 8");
        target.addresses = new long[] {0x10};
        assertThatThrownBy(() -> wrapper.call(RuntimeMode.FULL, EIGHT)).hasMessageContaining("2 inputs and now has 1");
    }

    @Test
    void addressesAreThoseAtTheTimeOfRecording() {
        wrapper.call(RuntimeMode.FULL, FOUR);
        target.addresses[0] = 0x99;
        assertThatThrownBy(() -> wrapper.call(RuntimeMode.FULL, FOUR)).hasMessageContaining("now at 0x99");
    }

    @Test
    void aFailedRecordingLeavesNothingBehind() {
        target.failing = true;
        assertThatThrownBy(() -> wrapper.call(RuntimeMode.FULL, FOUR)).hasMessage("cannot record");
        assertThat(wrapper.size()).isZero();
        assertThat(tracker.counters().captures()).isZero();
        target.failing = false;
        assertThat(wrapper.call(RuntimeMode.FULL, FOUR)).isEqualTo(GraphWrapper.Action.CAPTURE);
    }

    @Test
    void closesEveryRecordingOnce() {
        wrapper.call(RuntimeMode.FULL, FOUR);
        wrapper.call(RuntimeMode.FULL, EIGHT);
        target.log.clear();
        wrapper.close();
        wrapper.close();
        assertThat(target.log).containsExactlyInAnyOrder("close 4", "close 8");
    }

    @Test
    void cannotBeBoundToNone() {
        assertThatThrownBy(() -> new GraphWrapper(RuntimeMode.NONE, target, lock, tracker))
                .isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void replayingAllocatesNothing() {
        Recording nothing = new Recording() {
            @Override
            public void replay() {}

            @Override
            public void close() {}
        };
        Recordable quiet = new Recordable() {
            @Override
            public void run(BatchDescriptor batch) {}

            @Override
            public Recording record(BatchDescriptor batch) {
                return nothing;
            }

            @Override
            public long[] inputAddresses() {
                return new long[0];
            }
        };
        GraphWrapper silent = new GraphWrapper(RuntimeMode.PIECEWISE, quiet, lock, tracker);
        BatchDescriptor[] keys = new BatchDescriptor[64];
        for (int i = 0; i < keys.length; i++) {
            keys[i] = BatchDescriptor.of(8 * (i + 1));
            silent.call(RuntimeMode.PIECEWISE, keys[i]);
        }
        assertThat(Allocation.bytes(1_000_000, i -> silent.call(RuntimeMode.PIECEWISE, keys[i & 63]).ordinal()))
                .isLessThan(100_000);
    }
}
