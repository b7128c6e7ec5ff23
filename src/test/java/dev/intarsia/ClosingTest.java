package dev.intarsia;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.intarsia.lifetime.Footprint;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** Every call from many threads while the engine is closed by many; and what many requests leave behind. */
@Timeout(180)
class ClosingTest {
    private static final List<Integer> PROMPT = List.of(5, 6, 7);
    private static final long MIB = 1 << 20;

    /** AddressSanitizer keeps what was freed for a while. */
    private static final boolean SANITIZED = Boolean.getBoolean("intarsia.test.sanitized");

    private static Engine open(EngineOptions.Builder options) {
        return Engine.open(
                TestModels.checkpoint("qwen3-tied"), options.artifacts(EngineOptions.NO_ARTIFACTS).build());
    }

    private static GenerationRequest request(int tokens) {
        return GenerationRequest.of(
                PROMPT, SamplingParams.builder().maxTokens(tokens).seed(tokens).ignoreEos(true).build());
    }

    private static List<Callable<?>> calls(Engine engine) {
        return List.of(
                () -> engine.generate(request(20)),
                () -> engine.generateAll(List.of(request(3), request(9), request(1))),
                () -> engine.submit(request(7)).get(),
                () -> cancelled(engine.submit(request(100))),
                () -> readSome(engine.stream(request(50)), 4),
                () -> readSome(engine.stream(request(9)), 100),
                () -> published(engine),
                () -> engine.logits(PROMPT),
                engine::inspect,
                () -> interrupted(engine));
    }

    private static Object cancelled(CompletableFuture<Completion> future) throws Exception {
        future.cancel(true);
        try {
            return future.get();
        } catch (CancellationException e) {
            return e;
        }
    }

    private static Object readSome(TokenStream stream, int most) {
        try (stream) {
            for (int i = 0; i < most && stream.hasNext(); i++) {
                stream.next();
            }
        }
        return stream;
    }

    private static Object published(Engine engine) throws Exception {
        Reader reader = new Reader(Long.MAX_VALUE);
        engine.publish(request(11)).subscribe(reader);
        reader.ended.await();
        if (reader.failure instanceof QueueFullException full) {
            throw full;
        } else if (reader.failure != null) {
            throw new ExecutionException(reader.failure);
        }
        return reader;
    }

    /** A call that is interrupted before it waits, which it says, and the thread goes on. */
    private static Object interrupted(Engine engine) {
        Thread.currentThread().interrupt();
        try {
            return engine.generate(request(30));
        } catch (EngineClosedException e) {
            throw e;
        } catch (IntarsiaException e) {
            assertThat(e).hasMessageContaining("interrupted");
            assertThat(Thread.currentThread().isInterrupted()).isTrue();
            return e;
        } finally {
            Thread.interrupted();
        }
    }

    /** What ends the calls for good. */
    private static Throwable repeated(Callable<?> call) {
        while (true) {
            try {
                call.call();
            } catch (QueueFullException e) {
                Thread.yield(); // those who do not wait for what they ask for may fill it
            } catch (ExecutionException e) {
                return e.getCause();
            } catch (Exception | AssertionError e) {
                return e;
            }
        }
    }

    @Test
    void closedByManyAtAnyMomentEndsEveryCallAndEveryCountAgrees() throws Exception {
        Random random = new Random(4);
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            for (int round = 0; round < 25; round++) {
                Engine engine = open(EngineOptions.builder().maxNumSeqs(3).maxNumBatchedTokens(16));
                List<Future<Throwable>> ends = new ArrayList<>();
                for (Callable<?> call : calls(engine)) {
                    ends.add(threads.submit(() -> repeated(call)));
                    ends.add(threads.submit(() -> repeated(call)));
                }
                Thread.sleep(random.nextInt(15));
                List<Future<?>> closers = new ArrayList<>();
                closers.add(threads.submit(engine::close));
                closers.add(threads.submit(() -> engine.shutdown(Duration.ofMillis(random.nextInt(5)))));
                closers.add(threads.submit(() -> {
                    Thread.currentThread().interrupt();
                    engine.close();
                    assertThat(Thread.interrupted()).as("an interrupt outlives the closing").isTrue();
                }));
                engine.close();
                for (Future<?> closer : closers) {
                    closer.get();
                }
                for (Future<Throwable> end : ends) {
                    assertThat(end.get()).isExactlyInstanceOf(EngineClosedException.class).hasMessageContaining("closed");
                }
                EngineStats stats = engine.stats();
                assertThat(stats.finished() + stats.cancelled() + stats.expired() + stats.failed())
                        .as("%s", stats)
                        .isEqualTo(stats.accepted());
                assertThat(stats.running() + stats.waiting() + stats.kvBlocksUsed()).as("%s", stats).isZero();
            }
        }
    }

    /** A shutdown that says that all came to their end means those too that came while it began. */
    @Test
    void whatAShutdownTookItLetsFinish() throws Exception {
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            for (int round = 0; round < 30; round++) {
                Engine engine = open(EngineOptions.builder().maxNumSeqs(8));
                AtomicInteger taken = new AtomicInteger();
                AtomicInteger finished = new AtomicInteger();
                List<Future<?>> callers = new ArrayList<>();
                for (int i = 0; i < 8; i++) {
                    callers.add(threads.submit(() -> {
                        while (true) {
                            TokenStream stream;
                            try {
                                stream = engine.stream(request(1));
                            } catch (EngineClosedException e) {
                                return;
                            }
                            taken.incrementAndGet();
                            if (stream.completion().finishReason() == FinishReason.LENGTH) {
                                finished.incrementAndGet();
                            }
                        }
                    }));
                }
                Thread.sleep(round % 5);
                assertThat(engine.shutdown(Duration.ofMinutes(1))).isTrue();
                for (Future<?> caller : callers) {
                    caller.get();
                }
                assertThat(finished.get()).isEqualTo(taken.get());
                assertThat(engine.stats().finished()).isEqualTo(taken.get());
                assertThat(engine.stats().failed()).isZero();
            }
        }
    }

    @Test
    void closingFromACallbackOrASubscriberIsFine() throws Exception {
        Engine first = open(EngineOptions.builder());
        first.submit(request(3)).thenRun(first::close).get();
        assertThatThrownBy(() -> first.generate(request(1))).isInstanceOf(EngineClosedException.class);
        Engine second = open(EngineOptions.builder());
        AtomicBoolean closed = new AtomicBoolean();
        Reader reader = new Reader(Long.MAX_VALUE) {
            @Override
            public void onNext(Token token) {
                super.onNext(token);
                second.close();
                closed.set(true);
            }
        };
        second.publish(request(200)).subscribe(reader);
        reader.ended.await();
        assertThat(closed).isTrue();
        assertThatThrownBy(() -> second.generate(request(1))).isInstanceOf(EngineClosedException.class);
    }

    @Test
    @EnabledOnOs(OS.LINUX)
    void tenThousandRequestsLeaveNothingBehind() throws Exception {
        try (Engine engine = open(EngineOptions.builder().maxNumSeqs(16).maxQueued(10));
                ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            AtomicInteger asked = new AtomicInteger();
            AtomicInteger refused = new AtomicInteger();
            Footprint before = null;
            for (int tenth = 0; tenth < 10; tenth++) {
                List<Future<?>> callers = new ArrayList<>();
                for (int i = 0; i < 50; i++) {
                    Random random = new Random(50 * tenth + i);
                    callers.add(threads.submit(() -> {
                        for (int left = 20; left > 0; left--) {
                            asked.incrementAndGet();
                            try {
                                ask(engine, random);
                            } catch (QueueFullException e) {
                                refused.incrementAndGet();
                                Thread.sleep(1);
                            }
                        }
                        return null;
                    }));
                }
                for (Future<?> caller : callers) {
                    caller.get();
                }
                if (tenth == 4) {
                    before = Footprint.now();
                }
            }
            EngineStats stats = engine.stats();
            assertThat(asked.get()).isEqualTo(10_000);
            assertThat(stats.rejected()).isEqualTo(refused.get());
            assertThat(stats.accepted() + stats.rejected()).isEqualTo(10_000);
            ServingTest.nothingIsHeld(engine);
            Footprint after = Footprint.now();
            String both = before + " and later " + after;
            assertThat(after.heap()).as(both).isLessThan(before.heap() + 4 * MIB);
            assertThat(after.allocated()).as(both).isLessThan(before.allocated() + 16 * MIB);
            if (!SANITIZED) {
                assertThat(after.resident()).as(both).isLessThan(before.resident() + 48 * MIB);
            }
            assertThat(after.threads()).as(both).isLessThanOrEqualTo(before.threads() + 4);
        }
    }

    private static void ask(Engine engine, Random random) throws Exception {
        GenerationRequest request = GenerationRequest.builder(List.of(1 + random.nextInt(500), random.nextInt(500)))
                .params(SamplingParams.builder()
                        .maxTokens(1 + random.nextInt(4))
                        .repetitionPenalty(random.nextBoolean() ? 1 : 1.2)
                        .logprobs(random.nextInt(3))
                        .ignoreEos(true)
                        .build())
                .cacheSalt("tenant " + random.nextInt(1000))
                .build();
        switch (random.nextInt(4)) {
            case 0 -> engine.generate(request);
            case 1 -> engine.submit(request).get();
            case 2 -> readSome(engine.stream(request), random.nextInt(4));
            default -> cancelled(engine.submit(request));
        }
    }

    @Test
    void nullsAreRefusedByName() {
        try (Engine engine = open(EngineOptions.builder())) {
            assertThatThrownBy(() -> engine.generate((GenerationRequest) null)).hasMessage("request");
            assertThatThrownBy(() -> engine.stream(null)).hasMessage("request");
            assertThatThrownBy(() -> engine.submit(null)).hasMessage("request");
            assertThatThrownBy(() -> engine.generate((String) null)).hasMessage("text");
            assertThatThrownBy(() -> engine.generate(PROMPT, null)).hasMessage("params");
            assertThatThrownBy(() -> engine.generateAll(null)).hasMessage("requests");
            assertThatThrownBy(() -> engine.logits(null)).hasMessage("tokens");
            assertThatThrownBy(() -> engine.encode(null)).hasMessage("text");
            assertThatThrownBy(() -> GenerationRequest.builder("x").deadline(null)).hasMessage("deadline");
            List<GenerationRequest> gap = new ArrayList<>(List.of(request(3)));
            gap.add(null);
            assertThatThrownBy(() -> engine.generateAll(gap)).hasMessage("request");
            assertThat(engine.generate(request(3)).tokens()).hasSize(3);
        }
    }
}
