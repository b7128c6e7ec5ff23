package dev.intarsia;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.intarsia.engine.Gate;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The ways to ask, how each is cancelled, and what a caller who misbehaves does not do to others. */
@Timeout(120)
class ServingTest {
    private static final List<Integer> PROMPT = List.of(5, 6, 7);
    private static final SamplingParams FEW = tokens(5);
    private static final SamplingParams MANY = tokens(250);

    private static SamplingParams tokens(int count) {
        return SamplingParams.greedy(count).toBuilder().ignoreEos(true).build();
    }

    private static GenerationRequest few() {
        return GenerationRequest.of(PROMPT, FEW);
    }

    private static GenerationRequest many() {
        return GenerationRequest.of(PROMPT, MANY);
    }

    private static EngineOptions.Builder options() {
        return TestDevice.options().maxNumSeqs(4);
    }

    private static Engine open(EngineOptions.Builder options) {
        return Engine.open(TestModels.checkpoint("qwen3-tied"), options.build());
    }

    static void eventually(BooleanSupplier condition) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (!condition.getAsBoolean()) {
            assertThat(System.nanoTime()).as("in a minute").isLessThan(end);
            Thread.sleep(1);
        }
    }

    static void nothingIsHeld(Engine engine) throws InterruptedException {
        eventually(() -> {
            EngineStats stats = engine.stats();
            return stats.finished() + stats.cancelled() + stats.expired() + stats.failed() == stats.accepted();
        });
        EngineStats stats = engine.stats();
        assertThat(stats.running()).isZero();
        assertThat(stats.waiting()).isZero();
        assertThat(stats.kvBlocksUsed()).isZero();
    }

    @Test
    void everyWayToAskGivesTheSameAnswer() throws Exception {
        try (Engine engine = open(options())) {
            List<Integer> expected = engine.generate(few()).tokens();
            assertThat(expected).hasSize(5);
            assertThat(engine.submit(few()).get().tokens()).isEqualTo(expected);
            List<Integer> streamed = new ArrayList<>();
            try (TokenStream stream = engine.stream(few())) {
                stream.forEachRemaining(token -> streamed.add(token.id()));
            }
            assertThat(streamed).isEqualTo(expected);
            Reader reader = new Reader(Long.MAX_VALUE);
            engine.publish(few()).subscribe(reader);
            reader.ended.await();
            assertThat(reader.ids()).isEqualTo(expected);
            assertThat(reader.failure).isNull();
            nothingIsHeld(engine);
            assertThat(engine.stats().finished()).isEqualTo(4);
        }
    }

    @Test
    void manyAreAnsweredInTheirOrderThoughTheQueueIsShort() throws Exception {
        try (Engine engine = open(options().maxQueued(2))) {
            List<GenerationRequest> requests = new ArrayList<>();
            for (int i = 0; i < 30; i++) {
                requests.add(GenerationRequest.of(List.of(i + 3, 5), tokens(1 + i % 7)));
            }
            List<Completion> together = engine.generateAll(requests);
            for (int i = 0; i < requests.size(); i++) {
                assertThat(together.get(i).promptTokens()).isEqualTo(requests.get(i).tokens());
                assertThat(together.get(i).tokens()).isEqualTo(engine.generate(requests.get(i)).tokens());
            }
            assertThat(engine.generateAll(List.of())).isEmpty();
            nothingIsHeld(engine);
        }
    }

    @Test
    void oneThatIsRefusedCancelsTheOthers() throws Exception {
        try (Engine engine = open(options())) {
            List<GenerationRequest> requests =
                    List.of(many(), many(), GenerationRequest.of(Collections.nCopies(300, 5), FEW));
            assertThatThrownBy(() -> engine.generateAll(requests))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("300 tokens");
            nothingIsHeld(engine);
        }
    }

    @Test
    void aFullQueueSaysSoAndTheEngineGoesOn() throws Exception {
        try (Engine engine = open(options().maxNumSeqs(1).maxQueued(2));
                Gate gate = new Gate(engine.core())) {
            TokenStream running = engine.stream(many());
            gate.let(1);
            running.next();
            List<CompletableFuture<Completion>> waiting = List.of(engine.submit(few()), engine.submit(few()));
            assertThat(engine.stats().waiting()).isEqualTo(2);
            assertThatThrownBy(() -> engine.generate(few()))
                    .isInstanceOf(QueueFullException.class)
                    .hasMessageContaining("2 requests wait")
                    .hasMessageContaining("maxQueued");
            assertThat(engine.stats().rejected()).isEqualTo(1);
            gate.open();
            for (CompletableFuture<Completion> future : waiting) {
                assertThat(future.get().tokens()).hasSize(5);
            }
            assertThat(running.completion().tokens()).hasSize(250);
            assertThat(engine.generate(few()).tokens()).hasSize(5);
            nothingIsHeld(engine);
            assertThat(engine.stats().accepted()).isEqualTo(4);
        }
    }

    @Test
    void aFutureThatIsCancelledOrTimesOutCancelsItsRequest() throws Exception {
        try (Engine engine = Engine.open(TestModels.holmes(), options().build());
                Gate gate = new Gate(engine.core())) {
            GenerationRequest request = GenerationRequest.of("It was", tokens(1000));
            CompletableFuture<Completion> cancelled = engine.submit(request);
            CompletableFuture<Completion> late = engine.submit(request).orTimeout(1, TimeUnit.MILLISECONDS);
            cancelled.cancel(true);
            assertThatThrownBy(cancelled::get).isInstanceOf(CancellationException.class);
            assertThatThrownBy(late::get).isInstanceOf(ExecutionException.class);
            gate.letUntil(() -> engine.stats().cancelled() == 2);
            nothingIsHeld(engine);
            assertThat(engine.stats().finished()).isZero();
        }
    }

    @Test
    void whatIsCancelledAtOnceIsCountedOnceAndHoldsNothing() throws Exception {
        try (Engine engine = open(options().maxQueued(5000));
                Gate gate = new Gate(engine.core())) {
            List<Thread> callers = new ArrayList<>();
            AtomicInteger left = new AtomicInteger(8 * 400);
            for (int i = 0; i < 8; i++) {
                callers.add(Thread.ofVirtual().start(() -> {
                    for (int round = 0; round < 400; round++) {
                        engine.stream(many()).close();
                        if (left.decrementAndGet() % 15 == 0) {
                            gate.let(1); // 214 steps: none of 250 tokens comes to its end
                        }
                    }
                }));
            }
            for (Thread caller : callers) {
                caller.join();
            }
            gate.open();
            nothingIsHeld(engine);
            assertThat(engine.stats().accepted()).isEqualTo(8 * 400);
            assertThat(engine.stats().cancelled()).isEqualTo(8 * 400);
            assertThat(engine.generate(few()).tokens()).hasSize(5);
        }
    }

    @Test
    void aCallbackThatThrowsOrNeverReturnsHoldsUpNobody() throws Exception {
        CountDownLatch released = new CountDownLatch(1);
        try (Engine engine = open(options());
                Gate gate = new Gate(engine.core())) { // what is attached to a future that is done runs at once, here
            CompletableFuture<Void> thrown = engine.submit(few()).thenRun(() -> {
                throw new IllegalStateException("thrown by a callback");
            });
            CompletableFuture<Void> blocked = engine.submit(few()).thenRun(() -> {
                try {
                    released.await();
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
            });
            gate.open();
            assertThatThrownBy(thrown::get).hasRootCauseMessage("thrown by a callback");
            for (int i = 0; i < 10; i++) {
                assertThat(engine.generate(few()).tokens()).hasSize(5);
            }
            assertThat(blocked).isNotDone();
            released.countDown();
            blocked.get();
        }
    }

    @Test
    void aReaderThatStopsReadingHoldsUpNobodyAndMayGoOnLater() throws Exception {
        try (Engine engine = open(options())) {
            List<Integer> expected = engine.generate(many()).tokens();
            TokenStream stream = engine.stream(many());
            assertThat(stream.next().id()).isEqualTo(expected.getFirst());
            nothingIsHeld(engine); // it was sampled to its end, and holds no block
            assertThat(engine.generate(few()).tokens()).hasSize(5);
            for (int i = 1; i < expected.size(); i++) {
                assertThat(stream.next().id()).isEqualTo(expected.get(i));
            }
            assertThat(stream.hasNext()).isFalse();
        }
    }

    @Test
    void aStreamThatIsDroppedIsCancelled() throws Exception {
        try (Engine engine = Engine.open(TestModels.holmes(), options().build());
                Gate gate = new Gate(engine.core())) {
            gate.let(1);
            dropOne(engine);
            gate.letUntil(() -> {
                System.gc();
                return engine.stats().cancelled() == 1;
            });
            nothingIsHeld(engine);
        }
    }

    private static void dropOne(Engine engine) {
        engine.stream("It was", tokens(1000)).next();
    }

    @Test
    void anInterruptedCallerCancels() throws Exception {
        try (Engine engine = Engine.open(TestModels.holmes(), options().build());
                Gate gate = new Gate(engine.core())) {
            List<Thread> callers = new ArrayList<>();
            List<Throwable> thrown = Collections.synchronizedList(new ArrayList<>());
            GenerationRequest request = GenerationRequest.of("It was", tokens(1000));
            for (Runnable call : List.<Runnable>of(
                    () -> engine.generate(request), () -> engine.generateAll(List.of(request, request)))) {
                callers.add(Thread.ofVirtual().start(() -> {
                    try {
                        call.run();
                    } catch (IntarsiaException e) {
                        thrown.add(e);
                    }
                }));
            }
            eventually(() -> engine.stats().accepted() == 3);
            gate.letUntil(() -> engine.stats().running() == 3);
            for (Thread caller : callers) {
                caller.interrupt();
                caller.join();
            }
            gate.open();
            assertThat(thrown).hasSize(2).allSatisfy(e -> assertThat(e).hasMessageContaining("interrupted"));
            nothingIsHeld(engine);
            assertThat(engine.stats().cancelled()).isEqualTo(3);
        }
    }

    @Test
    void theDeadlineEndsWhatRunsAndWhatWaits() throws Exception {
        try (Engine engine = Engine.open(TestModels.holmes(), options().maxNumSeqs(1).build());
                Gate gate = new Gate(engine.core())) {
            CompletableFuture<Completion> first = engine.submit(GenerationRequest.of("It was", tokens(1000)));
            eventually(() -> engine.stats().waiting() == 0);
            CompletableFuture<Completion> waiting = engine.submit(within(Duration.ofMillis(1)));
            gate.letUntil(waiting::isDone);
            assertThat(waiting.get().finishReason()).isEqualTo(FinishReason.DEADLINE);
            assertThat(waiting.get().tokens()).isEmpty();
            first.cancel(true);
            CompletableFuture<Completion> running = engine.submit(within(Duration.ofMillis(60)));
            gate.letUntil(running::isDone);
            assertThat(running.get().finishReason()).isEqualTo(FinishReason.DEADLINE);
            assertThat(running.get().tokens()).hasSizeLessThan(1000);
            gate.open();
            nothingIsHeld(engine);
            assertThat(engine.stats().expired()).isEqualTo(2);
            assertThat(engine.generate("It was", tokens(3)).tokens()).hasSize(3);
        }
    }

    private static GenerationRequest within(Duration deadline) {
        return GenerationRequest.builder("It was").params(tokens(1000)).deadline(deadline).build();
    }

    @Test
    void shutdownLetsFinishWhatWasTaken() throws Exception {
        Engine engine = open(options().maxNumSeqs(2));
        List<CompletableFuture<Completion>> futures = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
            futures.add(engine.submit(many()));
        }
        assertThat(engine.shutdown(Duration.ofSeconds(60))).isTrue();
        for (CompletableFuture<Completion> future : futures) {
            assertThat(future.get().tokens()).hasSize(250);
        }
        assertThatThrownBy(() -> engine.generate(few())).isInstanceOf(EngineClosedException.class);
        assertThat(engine.stats().finished()).isEqualTo(6);
    }

    @Test
    void shutdownGivesUpAfterItsGraceAndRefusesWhatComesMeanwhile() throws Exception {
        Engine engine = Engine.open(TestModels.holmes(), options().maxNumSeqs(1).build());
        try (Gate gate = new Gate(engine.core())) {
            CompletableFuture<Completion> first = engine.submit(GenerationRequest.of("It was", tokens(1000)));
            CompletableFuture<Completion> second = engine.submit(GenerationRequest.of("It was", tokens(1000)));
            CompletableFuture<Boolean> drained =
                    CompletableFuture.supplyAsync(() -> engine.shutdown(Duration.ofMillis(50)));
            eventually(() -> isRefused(() -> engine.submit(few()).cancel(true)));
            untilItCloses(engine);
            gate.open();
            assertThat(drained.get()).isFalse();
            assertThatThrownBy(first::get).hasCauseInstanceOf(EngineClosedException.class);
            assertThatThrownBy(second::get).hasCauseInstanceOf(EngineClosedException.class);
            assertThat(engine.stats().failed()).isGreaterThanOrEqualTo(2);
        }
    }

    /** Waits until it is closing, which a step that runs does not hold up, though it does hold up the end of that. */
    static void untilItCloses(Engine engine) throws InterruptedException {
        eventually(() -> isRefused(engine::inspect));
    }

    private static boolean isRefused(Runnable call) {
        try {
            call.run();
            return false;
        } catch (EngineClosedException e) {
            return true;
        }
    }

    @Test
    void statisticsAddUp() throws Exception {
        try (Engine engine = open(options().enablePrefixCaching(false))) {
            for (int i = 0; i < 5; i++) {
                engine.generate(few());
            }
            EngineStats stats = engine.stats();
            assertThat(stats.promptTokens()).isEqualTo(15);
            assertThat(stats.generatedTokens()).isEqualTo(25);
            assertThat(stats.steps()).isEqualTo(25);
            assertThat(stats.stepTokens()).isEqualTo(5 * (3 + 4));
            assertThat(stats.paddingTokens()).as("3 tokens are run as 4").isEqualTo(5);
            assertThat(stats.queueSeconds().count()).isEqualTo(5);
            assertThat(stats.firstTokenSeconds().count()).isEqualTo(5);
            assertThat(stats.interTokenSeconds().count()).isEqualTo(20);
            assertThat(stats.stepSeconds().count()).isEqualTo(25);
            assertThat(stats.firstTokenSeconds().quantile(0.5)).isPositive();
            assertThat(stats.kvUse()).isZero();
            assertThat(stats.paddingWaste()).isEqualTo(5.0 / 40);
        }
    }

    @Test
    void aSaltOfItsOwnSharesNothing() {
        List<Integer> prompt = new ArrayList<>(Collections.nCopies(100, 9));
        try (Engine engine = open(options())) {
            List<Integer> cached = new ArrayList<>();
            for (String salt : List.of("", "a", "a", "b", "")) {
                cached.add(engine.generate(
                                GenerationRequest.builder(prompt).params(FEW).cacheSalt(salt).build())
                        .cachedTokens());
            }
            assertThat(cached).containsExactly(0, 0, 96, 0, 96);
            assertThat(engine.stats().cachedTokens()).isEqualTo(192);
            assertThat(engine.stats().prefixHitRate()).isEqualTo(192.0 / 500);
            assertThat(engine.stats().kvBlocksCached()).isPositive();
        }
    }

    @Test
    void whatIsOutOfBoundsIsRefusedByName() {
        assertThatThrownBy(() -> GenerationRequest.builder("x").deadline(Duration.ZERO).build())
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("deadline is PT0S")
                .hasMessageContaining("more than 0");
        assertThatThrownBy(() -> options().maxQueued(0).build()).hasMessageContaining("maxQueued is 0, not in 1..");
        assertThatThrownBy(() -> options().longPrefillTokenThreshold(-1).build())
                .hasMessageContaining("longPrefillTokenThreshold is -1");
        assertThatThrownBy(() -> options().kvCacheBytes(-2).build()).hasMessageContaining("kvCacheBytes is -2");
        assertThatThrownBy(() -> open(options().kvCacheBytes(5000)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("kvCacheBytes is 5000")
                .hasMessageContaining("at least");
        assertThatThrownBy(() -> GenerationRequest.builder((String) null)).isInstanceOf(NullPointerException.class);
    }
}
