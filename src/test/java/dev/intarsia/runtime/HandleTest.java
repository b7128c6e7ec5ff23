package dev.intarsia.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.data.Offset.offset;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Closing: twice, too early, in any order, from several threads. */
class HandleTest {
    private final Device device = Device.open(DeviceOptions.cpu().withThreads(1));
    private final TinyModel model = new TinyModel(device);
    private final Graph graph = model.layer();
    private final Partition partition = graph.split(Set.of(OpKind.ATTENTION));
    private final KvCache cache = KvCache.create(device, TinyModel.cache(1));
    private final Executable executable = partition.compile(0, 1, 4, true);
    private final Step step = Step.create(partition, cache, new StepOptions(4, 1, 1, 1));

    @AfterEach
    void close() {
        List.of(device, model.weights, graph, partition, cache, executable, step).forEach(Handle::close);
    }

    @Test
    void closingAgainDoesNothing() {
        for (Handle handle : List.of(step, executable, cache, partition, graph, model.weights, device)) {
            assertThat(handle.isClosed()).isFalse();
            handle.close();
            handle.close();
            assertThat(handle.isClosed()).isTrue();
        }
    }

    @Test
    void aClosedHandleRefusesEveryCall() {
        close();
        assertClosed("device", () -> Weights.create(device, Precision.F32));
        assertClosed("device", () -> KvCache.create(device, TinyModel.cache(1)));
        assertClosed("weights", model.weights::bytes);
        assertClosed("weights",
                () -> model.weights.add("w", ElementType.F32, new long[] {1}, MemorySegment.ofArray(new float[1])));
        assertClosed("weights", () -> Graph.create(model.weights));
        Value value = new Value(0);
        WeightId weight = new WeightId(0);
        assertClosed("graph", () -> graph.input(GraphInput.TOKENS));
        assertClosed("graph", () -> graph.embedding(value, weight));
        assertClosed("graph", () -> graph.rmsNorm(value, weight, 1));
        assertClosed("graph", () -> graph.linear(value, weight));
        assertClosed("graph", () -> graph.linear(value, weight, weight));
        assertClosed("graph", () -> graph.ropeTable(value, weight, 1));
        assertClosed("graph", () -> graph.rope(value, value));
        assertClosed("graph", () -> graph.cacheAppend(value, value, value, 0, 1));
        assertClosed("graph", () -> graph.attention(value, new AttentionOptions(0, 1, 1, 2, 0, 1)));
        assertClosed("graph", () -> graph.siluMul(value, value));
        assertClosed("graph", () -> graph.add(value, value));
        assertClosed("graph", () -> graph.selectRows(value, value));
        assertClosed("graph", () -> graph.empty(Dimension.TOKENS, 1));
        assertClosed("graph", () -> graph.output(value));
        assertClosed("graph", () -> graph.split(Set.of()));
        assertClosed("partition", partition::info);
        assertClosed("partition", () -> partition.piece(0));
        assertClosed("partition", () -> partition.describe(0));
        assertClosed("partition", () -> partition.compile(0, 1, 1, true));
        assertClosed("partition", () -> Step.create(partition, null, new StepOptions(1, 1, 1, 1)));
        assertClosed("executable", executable::info);
        assertClosed("executable", executable::describe);
        assertClosed("KV cache", cache::bytes);
        assertClosed("step", () -> step.token(0, 0, 0, 0));
        assertClosed("step", () -> step.row(0, 0));
        assertClosed("step", () -> step.queryStart(0, 0));
        assertClosed("step", () -> step.length(0, 0));
        assertClosed("step", () -> step.block(0, 0, 0));
        assertClosed("step", () -> step.sampling(0, 0, 0, 0, 0, 0));
        assertClosed("step", () -> step.begin(1, 1, 1));
        assertClosed("step", () -> step.execute(executable, 0));
        assertClosed("step", step::sample);
        assertClosed("step", () -> step.sampled(0));
        assertClosed("step", () -> step.logits(0, new float[0]));
        assertClosed("step", step::bytes);
    }

    @Test
    void aClosedHandleGivenToAnotherIsRefused() {
        executable.close();
        assertClosed("executable", () -> step.execute(executable, 0));
        cache.close();
        assertClosed("KV cache", () -> Step.create(partition, cache, new StepOptions(1, 1, 1, 1)));
        assertThat(cache).hasToString("KV cache (closed)");
        assertThat(step).hasToString("step");
    }

    @Test
    void whatIsBuiltOnAHandleOutlivesIt() {
        device.close();
        model.weights.close();
        graph.close();
        List<Executable> executables = new ArrayList<>();
        for (int piece = 0; piece < partition.info().pieces(); piece++) {
            executables.add(partition.compile(piece, 1, 1, true));
        }
        partition.close();
        cache.close();
        step.token(0, 9, 0, 0);
        step.queryStart(0, 0);
        step.queryStart(1, 1);
        step.length(0, 1);
        step.block(0, 0, 0);
        step.row(0, 0);
        step.begin(1, 1, 1);
        for (int piece = 0; piece < executables.size(); piece++) {
            step.execute(executables.get(piece), piece);
            executables.get(piece).close();
        }
        float[] logits = new float[step.vocabulary()];
        step.logits(0, logits);
        double[] expected = model.layerLogits(9)[0];
        for (int i = 0; i < logits.length; i++) {
            assertThat((double) logits[i]).isCloseTo(expected[i], offset(1e-4));
        }
    }

    @Test
    void closingFromManyThreadsWhileOthersCallIsSafe() throws Exception {
        int threads = 4;
        for (int round = 0; round < 50; round++) {
            Partition shared;
            try (Graph own = model.plain()) {
                shared = own.split(Set.of());
            }
            CountDownLatch running = new CountDownLatch(threads);
            try (ExecutorService pool = Executors.newFixedThreadPool(2 * threads)) {
                List<Future<?>> ends = new ArrayList<>();
                for (int i = 0; i < threads; i++) {
                    ends.add(pool.submit(() -> callUntilClosed(shared, running)));
                    ends.add(pool.submit(() -> {
                        running.await();
                        shared.close();
                        return null;
                    }));
                }
                for (Future<?> end : ends) {
                    end.get();
                }
            }
        }
    }

    private static void callUntilClosed(Partition partition, CountDownLatch running) {
        running.countDown();
        try {
            while (true) {
                assertThat(partition.describe(0)).contains("embedding");
            }
        } catch (IllegalStateException e) {
            assertThat(e).hasMessage("partition is closed");
        } catch (NativeException e) {
            assertThat(e.status()).isEqualTo(NativeStatus.INVALID_HANDLE);
        }
    }

    private static void assertClosed(String noun, ThrowingCallable call) {
        assertThatIllegalStateException().isThrownBy(call).withMessage(noun + " is closed");
    }
}
