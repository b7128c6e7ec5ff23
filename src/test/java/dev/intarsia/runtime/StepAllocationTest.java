package dev.intarsia.runtime;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** The step path allocates nothing, once compiled. */
class StepAllocationTest {
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    private static final int ROUNDS = 2_000;
    private static final int MOST_WARM_UPS = 100;

    private int sum;

    @Test
    void aStepAllocatesNothing() {
        try (Device device = Device.open(DeviceOptions.cpu().withThreads(1))) {
            TinyModel model = new TinyModel(device);
            try (Weights weights = model.weights;
                    Graph graph = model.layer();
                    Partition partition = graph.split(Set.of(OpKind.ATTENTION));
                    KvCache cache = KvCache.create(device, TinyModel.cache(1));
                    Step step = Step.create(partition, cache, new StepOptions(4, 1, 2, 1))) {
                assertThat(weights.isClosed()).isFalse();
                List<Executable> compiled = new ArrayList<>();
                for (int piece = 0; piece < partition.info().pieces(); piece++) {
                    compiled.add(partition.compile(piece, 1, 2, true));
                }
                Executable[] executables = compiled.toArray(Executable[]::new);
                float[] logits = new float[step.vocabulary()];
                step.samplerState(0, new SamplerState().penalties(0.1f, 0, 1));
                // Until the compilers are done the interpreter's boxes are seen: the last rounds of a good many count.
                long allocated = Long.MAX_VALUE;
                for (int i = 0; i < MOST_WARM_UPS && allocated != 0; i++) {
                    long before = THREADS.getCurrentThreadAllocatedBytes();
                    steps(step, executables, logits);
                    allocated = THREADS.getCurrentThreadAllocatedBytes() - before;
                }
                assertThat(allocated).as("bytes allocated in " + ROUNDS + " steps").isZero();
                assertThat(sum).isNotZero();
                compiled.forEach(Executable::close);
            }
        }
    }

    private void steps(Step step, Executable[] executables, float[] logits) {
        for (int round = 0; round < ROUNDS; round++) {
            step.token(0, round % TinyModel.VOCABULARY, 0, 0);
            step.token(1, 1, 1, 1);
            step.queryStart(0, 0);
            step.queryStart(1, 2);
            step.length(0, 2);
            step.block(0, 0, 0);
            step.row(0, 0);
            step.row(1, 1);
            step.sampling(0, 0, 1, 0, 0, 0);
            step.sampling(1, 0.8f, 0.9f, 20, 0.01f, round, 2, 0, 5);
            step.begin(2, 1, 2);
            for (int piece = 0; piece < executables.length; piece++) {
                step.execute(executables[piece], piece);
            }
            step.sample();
            sum += step.sampled(0) + step.sampled(1) + step.rank(1) + step.logprobToken(1, 1) + (int) step.logprob(1, 5);
            step.logits(0, logits);
        }
    }
}
