package dev.intarsia.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.intarsia.EngineClosedException;
import dev.intarsia.EngineOptions;
import dev.intarsia.EngineStats;
import dev.intarsia.FinishReason;
import dev.intarsia.GenerationRequest;
import dev.intarsia.SamplingParams;
import dev.intarsia.TestModels;
import dev.intarsia.TokenStream;
import dev.intarsia.checkpoint.Checkpoint;
import dev.intarsia.runtime.NativeException;
import dev.intarsia.runtime.Step;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A step that the native side refuses ends the engine, and everybody who waits learns why. */
@Timeout(60)
class BrokenEngineTest {
    private static final SamplingParams MANY = SamplingParams.greedy(100).toBuilder().ignoreEos(true).build();

    private static TokenStream submit(EngineCore core, boolean streamed) {
        return core.submit(GenerationRequest.of(List.of(5, 6, 7), MANY), MANY, streamed);
    }

    @Test
    void aNativeErrorEndsTheEngineAndReachesEveryWaiter() throws Exception {
        EngineOptions options = EngineOptions.builder().maxNumSeqs(2).build();
        try (EngineCore core = EngineCore.open(TestModels.checkpoint("qwen3-tied"), options)) {
            Step step = core.model().step();
            AtomicInteger steps = new AtomicInteger();
            Semaphore submitted = new Semaphore(0);
            core.loop().beforeRun(() -> {
                if (steps.incrementAndGet() == 5) {
                    submitted.acquireUninterruptibly();
                    step.token(0, 1 << 30, 0, 0); // no such token
                }
            });
            List<TokenStream> streams = new ArrayList<>();
            for (int i = 0; i < 6; i++) { // two run, four wait
                streams.add(submit(core, i % 2 == 0));
            }
            submitted.release();
            for (TokenStream stream : streams) {
                assertThatThrownBy(stream::completion)
                        .isInstanceOf(EngineClosedException.class)
                        .hasMessageContaining("after a failure")
                        .hasRootCauseInstanceOf(NativeException.class)
                        .rootCause()
                        .hasMessageContaining(String.valueOf(1 << 30));
            }
            assertThatThrownBy(() -> submit(core, false))
                    .isInstanceOf(EngineClosedException.class)
                    .hasMessageContaining("after a failure")
                    .hasCauseInstanceOf(NativeException.class);
            assertThatThrownBy(() -> core.logits(new int[] {1})).isInstanceOf(EngineClosedException.class);
            EngineStats stats = core.stats();
            assertThat(stats.failed()).isEqualTo(6);
            assertThat(stats.accepted()).isEqualTo(6);
            assertThat(stats.running() + stats.waiting() + stats.kvBlocksUsed()).isZero();
        }
    }

    /** Who submits while the engine closes takes requests of others back too, whose cancellations may come after that. */
    @Test
    void aRequestThatNeverReachedTheLoopIsNotCountedWhenItIsCancelled() {
        EngineOptions options = EngineOptions.builder().maxNumSeqs(2).build();
        try (Checkpoint checkpoint = Checkpoint.open(TestModels.checkpoint("qwen3-tied"));
                LoadedModel model = LoadedModel.open(checkpoint, options)) {
            Meters meters = new Meters();
            List<Sequence> told = new ArrayList<>();
            StepLoop loop = model.loop(meters, told::add);
            Request request = Runs.request(new int[] {5, 6, 7}, MANY);
            loop.cancel(request, FinishReason.CANCELLED);
            assertThat(meters.waitingRequests.get()).isZero();
            assertThat(told).isEmpty();
            meters.waitingRequests.set(1); // as whoever takes one in does
            loop.add(request);
            loop.cancel(request, FinishReason.CANCELLED);
            assertThat(meters.waitingRequests.get()).isZero();
            assertThat(told).containsExactly(request.sequences);
        }
    }

    @Test
    void tokensThatCameBeforeTheErrorCanStillBeRead() {
        try (EngineCore core = EngineCore.open(TestModels.checkpoint("qwen3-tied"), EngineOptions.defaults())) {
            AtomicInteger steps = new AtomicInteger();
            core.loop().beforeRun(() -> {
                if (steps.incrementAndGet() == 5) {
                    throw new IllegalStateException("thrown by a test");
                }
            });
            TokenStream stream = submit(core, true);
            for (int i = 0; i < 4; i++) {
                stream.next();
            }
            assertThatThrownBy(stream::next).isInstanceOf(EngineClosedException.class).hasRootCauseMessage("thrown by a test");
        }
    }
}
