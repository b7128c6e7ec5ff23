package dev.intarsia.engine;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import dev.intarsia.EngineOptions;
import dev.intarsia.SamplingParams;
import dev.intarsia.TestModels;
import dev.intarsia.checkpoint.Checkpoint;
import dev.intarsia.piecewise.GraphMode;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Between arrivals and departures a step allocates nothing on the engine's thread: planned, written, run, sampled and taken. */
@Timeout(120)
class StepLoopAllocationTest {
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    private static final int SEQUENCES = 64;
    private static final int STEPS = 100;
    private static final int MOST_WARM_UPS = 100;

    /** Greedy, sampled, and sampled with a state that counts tokens; every one of them wanted token by token. */
    private static Request request(int index) {
        SamplingParams.Builder params = SamplingParams.builder().maxTokens(Integer.MAX_VALUE).ignoreEos(true).seed(index);
        switch (index % 3) {
            case 0 -> params.temperature(0);
            case 1 -> params.temperature(0.9).topP(0.9).topK(20).minP(0.01);
            default -> params.presencePenalty(0.5).repetitionPenalty(1.1).stopTokenIds(List.of(1)).minTokens(200);
        }
        return new Request(
                new Request.Asked(new int[] {3 + index}, params.build(), 0, Request.NEVER, new long[2], false, true), index, index);
    }

    @ParameterizedTest
    @EnumSource(names = {"NONE", "PIECEWISE", "FULL_AND_PIECEWISE"})
    void aStepOfManySequencesAllocatesNothing(GraphMode graphs) {
        EngineOptions options = EngineOptions.builder().threads(1).maxNumSeqs(SEQUENCES).graphMode(graphs).build();
        try (Checkpoint checkpoint = Checkpoint.open(TestModels.checkpoint("qwen3-tied"));
                LoadedModel model = LoadedModel.open(checkpoint, options)) {
            long[] published = new long[1];
            StepLoop loop = model.loop(new Meters(), sequence -> published[0]++);
            List<Sequence> sequences = new ArrayList<>();
            for (int i = 0; i < SEQUENCES; i++) {
                Request request = request(i);
                sequences.add(request.sequences[0]);
                loop.add(request);
            }
            // Until the compilers are done the interpreter's boxes are seen: the last rounds of a good many count.
            long allocated = Long.MAX_VALUE;
            for (int i = 0; i < MOST_WARM_UPS && allocated != 0; i++) {
                sequences.forEach(StepLoopAllocationTest::rewind);
                long before = THREADS.getCurrentThreadAllocatedBytes();
                for (int step = 0; step < STEPS; step++) {
                    loop.step();
                }
                allocated = THREADS.getCurrentThreadAllocatedBytes() - before;
            }
            assertThat(allocated).as("bytes allocated in " + STEPS + " steps").isZero();
            assertThat(sequences).allMatch(sequence -> sequence.sampled() == STEPS);
            assertThat(published[0]).isPositive().isEqualTo(published[0] / STEPS / SEQUENCES * STEPS * SEQUENCES);
        }
    }

    /** Back to the prompt, with the room for tokens and the blocks that it has. */
    private static void rewind(Sequence sequence) {
        sequence.length = sequence.promptLength();
        sequence.computed = 0;
        sequence.hashed = 0;
        sequence.committed = 0;
    }
}
