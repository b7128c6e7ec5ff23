package dev.intarsia;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.engine.Gate;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Many callers who change their minds, and more work than fits: the engine loses nothing, counts exactly and stays quick. */
@Timeout(120)
class StormTest {
    private static final List<Integer> PROMPT = List.of(5, 6, 7);

    private static Engine open(EngineOptions.Builder options) {
        return Engine.openRandom(TestModels.resource("/configs/qwen3-small.json"), 5, options.build());
    }

    private static void nothingIsLeft(Engine engine) throws InterruptedException {
        ServingTest.eventually(() -> {
            EngineStats stats = engine.stats();
            return stats.finished() + stats.cancelled() + stats.expired() + stats.failed() == stats.accepted();
        });
        engine.generate(PROMPT, SamplingParams.greedy(3)); // whatever was left over would have run with it
        EngineStats stats = engine.stats();
        assertThat(stats.running()).as("running").isZero();
        assertThat(stats.waiting()).as("waiting").isZero();
        assertThat(stats.kvBlocksUsed()).as("blocks").isZero();
    }

    @Test
    void requestsThatAreCancelledAsSoonAsTheyAreMade() throws Exception {
        try (Engine engine = open(EngineOptions.builder().maxNumSeqs(8).maxNumBatchedTokens(64))) {
            GenerationRequest request = GenerationRequest.builder(PROMPT)
                    .params(SamplingParams.greedy(2))
                    .deadline(Duration.ofMinutes(1))
                    .build();
            long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(1);
            List<Thread> threads = new ArrayList<>();
            for (int i = 0; i < 4; i++) {
                threads.add(Thread.startVirtualThread(() -> {
                    while (System.nanoTime() < end || engine.stats().cancelled() <= 100) {
                        try (TokenStream stream = engine.stream(request)) {
                            assertThat(stream).isNotNull();
                        } catch (QueueFullException full) {
                            Thread.yield();
                        }
                    }
                }));
            }
            for (Thread thread : threads) {
                thread.join();
            }
            assertThat(engine.stats().cancelled()).isGreaterThan(100);
            nothingIsLeft(engine);
        }
    }

    @Test
    void manyOutputsOfManyPromptsAreCancelledAtOnce() throws Exception {
        try (Engine engine = open(EngineOptions.builder().maxNumSeqs(8).maxNumBatchedTokens(64))) {
            SamplingParams params = SamplingParams.builder().n(64).maxTokens(400).ignoreEos(true).build();
            List<CompletableFuture<Completion>> futures = new ArrayList<>();
            for (int i = 0; i < 1000; i++) {
                futures.add(engine.submit(GenerationRequest.of(PROMPT, params)));
            }
            ServingTest.eventually(() -> engine.stats().steps() > 10);
            long start = System.nanoTime();
            futures.reversed().forEach(future -> future.cancel(true));
            nothingIsLeft(engine);
            assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(5));
        }
    }

    @Test
    void aShutdownMayWaitForEverOrNotAtAll() throws Exception {
        Engine patient = open(EngineOptions.builder());
        CompletableFuture<Completion> taken = patient.submit(GenerationRequest.of(PROMPT, SamplingParams.greedy(5)));
        assertThat(patient.shutdown(Duration.ofSeconds(Long.MAX_VALUE))).isTrue();
        assertThat(taken.get().tokens()).isNotEmpty();
        Engine hasty = open(EngineOptions.builder());
        try (Gate gate = new Gate(hasty.core())) {
            hasty.submit(GenerationRequest.of(PROMPT, SamplingParams.greedy(400)));
            CompletableFuture<Boolean> drained =
                    CompletableFuture.supplyAsync(() -> hasty.shutdown(Duration.ofSeconds(Long.MIN_VALUE)));
            ServingTest.untilItCloses(hasty);
            gate.open();
            assertThat(drained.get()).isFalse();
        }
    }
}
