package dev.intarsia.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** A replay gives the bits of the executions that it recorded, for any step of its size; and only of its size and its step. */
class RecordingTest {
    private static final int BLOCKS = 4;

    private final Device device = Device.open(DeviceOptions.cpu().withThreads(2));
    private final TinyModel model = new TinyModel(device);
    private final Partition partition = model.layer().split(Set.of(OpKind.ATTENTION));
    private final KvCache cache = KvCache.create(device, TinyModel.cache(BLOCKS));
    private final List<Executable> executables = new ArrayList<>();
    private final int[] pieces = IntStream.range(0, partition.info().pieces()).toArray();

    RecordingTest() {
        for (int piece : pieces) {
            executables.add(partition.compile(piece, 1, 16, true));
        }
    }

    @AfterEach
    void close() {
        device.close();
    }

    private Step step() {
        return Step.create(partition, cache, new StepOptions(16, 2, 2, BLOCKS));
    }

    /** The first tokens of one sequence, padded; the row of the last real one. */
    private static void describe(Step step, int tokens, int padded, int seed) {
        for (int i = 0; i < padded; i++) {
            boolean real = i < tokens;
            step.token(i, real ? (i * 5 + seed) % TinyModel.VOCABULARY : 0, real ? i : 0, real ? i : -1);
        }
        step.queryStart(0, 0);
        step.queryStart(1, tokens);
        step.length(0, tokens);
        step.block(0, 0, 0);
        step.row(0, tokens - 1);
        step.sampling(0, 0.7f, 0.9f, 5, seed, tokens);
    }

    private float[] eager(int tokens, int seed) {
        try (Step step = step()) {
            describe(step, tokens, tokens, seed);
            step.begin(tokens, 1, 1);
            for (int piece : pieces) {
                step.execute(executables.get(piece), piece);
            }
            step.sample();
            return answer(step);
        }
    }

    /** Logits of row 0, and the token sampled. */
    private static float[] answer(Step step) {
        float[] logits = new float[step.vocabulary()];
        step.logits(0, logits);
        float[] answer = java.util.Arrays.copyOf(logits, logits.length + 1);
        answer[logits.length] = step.sampled(0);
        return answer;
    }

    @Test
    void aWholeStepIsOneReplayWithTheSameBits() {
        try (Step step = step()) {
            describe(step, 8, 8, 0);
            step.begin(8, 1, 1);
            Recording recording = step.record(executables, pieces, true);
            for (int tokens = 1; tokens <= 8; tokens++) {
                describe(step, tokens, 8, tokens);
                step.replayStep(recording, 1);
                assertThat(answer(step)).as("%d tokens, padded to 8", tokens).containsExactly(eager(tokens, tokens));
            }
        }
    }

    @Test
    void piecesAreReplayedWithinAStep() {
        try (Step step = step()) {
            describe(step, 5, 5, 3);
            step.begin(5, 1, 1);
            List<Recording> recordings = new ArrayList<>();
            for (int piece : pieces) {
                recordings.add(step.record(List.of(executables.get(piece)), new int[] {piece}, false));
            }
            recordings.forEach(step::replay);
            step.sample();
            assertThat(answer(step)).containsExactly(eager(5, 3));
        }
    }

    @Test
    void recordingsOfSeveralSizesShareTheArenaOfTheLargest() {
        try (Step step = step()) {
            long before = step.bytes();
            List<Recording> recordings = new ArrayList<>();
            for (int tokens : new int[] {16, 8, 2, 1}) {
                describe(step, tokens, tokens, 1);
                step.begin(tokens, 1, 1);
                recordings.add(step.record(executables, pieces, true));
            }
            long arena = recordings.getFirst().info().arenaBytes();
            assertThat(recordings).allSatisfy(recording -> {
                assertThat(recording.info().arenaBytes()).isBetween(1L, arena);
                assertThat(recording.info().bytes()).isPositive();
                assertThat(recording.info().samples()).isTrue();
            });
            assertThat(step.bytes() - before).isEqualTo(arena);
            for (int i : new int[] {3, 0, 2, 1}) {
                int tokens = recordings.get(i).info().tokens();
                describe(step, tokens, tokens, i);
                step.replayStep(recordings.get(i), 1);
                assertThat(answer(step)).containsExactly(eager(tokens, i));
            }
        }
    }

    @Test
    void everyKernelIsTimed() {
        try (Step step = step()) {
            describe(step, 4, 4, 0);
            step.begin(4, 1, 1);
            Recording recording = step.record(executables, pieces, true);
            long[] nanoseconds = step.profile(recording);
            assertThat(nanoseconds).hasSize(recording.info().kernels() + 1);
            assertThat(nanoseconds).doesNotContain(0L);
            assertThat(answer(step)).containsExactly(eager(4, 0));
        }
    }

    @Test
    void aRecordingServesOnlyItsSizeAndItsStep() {
        try (Step step = step();
                Step other = step()) {
            describe(step, 4, 4, 0);
            assertThatThrownBy(() -> step.record(executables, pieces, true)).hasMessageContaining("no step was begun");
            step.begin(4, 1, 1);
            assertThatThrownBy(() -> step.record(List.of(), new int[0], false)).hasMessageContaining("at least one piece");
            assertThatThrownBy(() -> step.record(executables, new int[] {0}, false))
                    .isInstanceOf(IllegalArgumentException.class);
            Recording recording = step.record(executables, pieces, true);
            describe(step, 3, 3, 0);
            step.begin(3, 1, 1);
            assertThatThrownBy(() -> step.replay(recording)).hasMessageContaining("3 tokens").hasMessageContaining("of 4");
            describe(other, 4, 4, 0);
            assertThatThrownBy(() -> other.replayStep(recording, 1)).hasMessageContaining("another step");
            recording.close();
            assertThatThrownBy(() -> step.replayStep(recording, 1))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("recording is closed");
        }
    }

    @Test
    void aRecordingOutlivesItsStepAndSaysSo() {
        Step first = step();
        describe(first, 4, 4, 0);
        first.begin(4, 1, 1);
        Recording recording = first.record(executables, pieces, true);
        first.close();
        for (int i = 0; i < 20; i++) { // one of them may get the memory of the first
            try (Step next = step()) {
                describe(next, 4, 4, 0);
                assertThatThrownBy(() -> next.replayStep(recording, 1)).hasMessageContaining("another step");
            }
        }
    }

    @Test
    void measuredChoicesChangeNoBitAndCanBeKept() {
        for (int piece : pieces) {
            Executable measured = partition.compileMeasured(piece, 1, 16);
            byte[] artifact = measured.artifact();
            Executable again = partition.compileWith(piece, 1, 16, artifact);
            assertThat(again.artifact()).isEqualTo(artifact);
            executables.set(piece, again);
            assertThatThrownBy(() -> partition.compileWith(piece, 1, 16, "no such thing".getBytes()))
                    .isInstanceOf(NativeException.class)
                    .hasMessageContaining("artifact");
        }
        float[] kept = eager(16, 2);
        for (int piece : pieces) {
            executables.set(piece, partition.compile(piece, 1, 16, true));
        }
        assertThat(kept).containsExactly(eager(16, 2));
    }
}
