package dev.intarsia.lifetime;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.Completion;
import dev.intarsia.Engine;
import dev.intarsia.EngineOptions;
import dev.intarsia.EngineStats;
import dev.intarsia.FinishReason;
import dev.intarsia.GenerationRequest;
import dev.intarsia.IntarsiaException;
import dev.intarsia.QueueFullException;
import dev.intarsia.SamplingParams;
import dev.intarsia.TestModels;
import dev.intarsia.Token;
import dev.intarsia.TokenStream;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * Two hundred callers at once, which cancel, drop, interrupt, set deadlines and find the queue full, on too small a KV
 * cache: every answer is that of the request alone, or the beginning of it, nothing is lost or left behind, and the
 * counters agree with what the callers saw.
 */
class SoakTest {
    private static final int CALLERS = 200;
    private static final int KINDS = 60;
    private static final long MIB = 1 << 20;

    private final List<GenerationRequest> requests = new ArrayList<>();
    private final List<Completion> alone = new ArrayList<>();
    private final AtomicLong accepted = new AtomicLong();
    private final AtomicLong rejected = new AtomicLong();
    private final AtomicLong finished = new AtomicLong();
    private final AtomicLong cancelled = new AtomicLong();
    private final AtomicLong expired = new AtomicLong();
    private final AtomicLong unknown = new AtomicLong(); // ended before the caller could see how

    @Test
    void thirtySeconds() throws Exception {
        soak(Duration.ofSeconds(30));
    }

    @Test
    @Tag("soak")
    void tenMinutes() throws Exception {
        soak(Duration.ofMinutes(10));
    }

    private void soak(Duration duration) throws Exception {
        try (Engine engine = Engine.open(TestModels.holmes(), options().maxNumSeqs(1).enablePrefixCaching(false).build())) {
            prepare(engine);
        }
        long blockBytes;
        try (Engine engine = Engine.open(TestModels.holmes(), options().build())) {
            blockBytes = engine.info().kvCacheBytes() / engine.info().kvBlocks();
        }
        EngineOptions.Builder few = options().maxNumSeqs(24).maxQueued(120).kvCacheBytes(48 * blockBytes);
        try (Engine engine = Engine.open(TestModels.holmes(), few.maxNumBatchedTokens(96).build());
                ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            long end = System.nanoTime() + duration.toNanos();
            List<Future<?>> callers = new ArrayList<>();
            for (int i = 0; i < CALLERS; i++) {
                Random random = new Random(i);
                callers.add(threads.submit(() -> {
                    while (System.nanoTime() < end) {
                        call(engine, random);
                    }
                    return null;
                }));
            }
            List<Footprint> early = new ArrayList<>();
            List<Footprint> late = new ArrayList<>();
            long quarter = duration.toMillis() / 4;
            Thread.sleep(quarter);
            watch(early, quarter);
            Thread.sleep(quarter);
            watch(late, quarter * 9 / 10);
            for (Future<?> caller : callers) {
                caller.get();
            }
            check(engine);
            flat(least(early), least(late));
        }
    }

    private static EngineOptions.Builder options() {
        return EngineOptions.builder().maxModelLen(160).artifacts(EngineOptions.NO_ARTIFACTS);
    }

    /** Requests of many kinds, and what each is answered when nothing else runs. */
    private void prepare(Engine engine) {
        String text = "It was a dark and stormy night; the rain fell in torrents, except at occasional intervals, "
                + "when it was checked by a violent gust of wind which swept up the streets, rattling along the house-tops.";
        Random random = new Random(99);
        for (int i = 0; i < KINDS; i++) {
            SamplingParams.Builder params = SamplingParams.builder()
                    .maxTokens(1 + random.nextInt(60))
                    .seed(i)
                    .temperature(i % 4 == 0 ? 0 : 0.8);
            switch (i % 5) {
                case 0 -> params.stop(List.of(" the", ","));
                case 1 -> params.stop(List.of("in")).includeStopStrInOutput(true).ignoreEos(true);
                case 2 -> params.presencePenalty(0.5).repetitionPenalty(1.1).minTokens(1);
                case 3 -> params.logprobs(2).stopTokenIds(List.of(40 + i, 60, 80));
                default -> params.ignoreEos(true);
            }
            if (i % 4 != 0 && i % 7 == 0) {
                params.n(2);
            }
            String prompt = text.substring(i % 3 * 20, i % 3 * 20 + 10 + random.nextInt(120));
            requests.add(GenerationRequest.of(prompt, params.build()));
            alone.add(engine.generate(requests.getLast()));
        }
    }

    /** One call of any sort. */
    private void call(Engine engine, Random random) throws Exception {
        int kind = random.nextInt(KINDS);
        GenerationRequest request = requests.get(kind);
        int how = random.nextInt(10);
        if (how < 2) {
            request = GenerationRequest.builder(request.text().orElseThrow())
                    .params(request.params().orElseThrow())
                    .deadline(Duration.ofMillis(1 + random.nextInt(300)))
                    .cacheSalt(how == 0 ? "tenant " + random.nextInt(3) : "")
                    .build();
        }
        try {
            switch (how) {
                case 0, 1, 2, 3 -> seen(kind, engine.generate(request));
                case 4, 5 -> seen(kind, engine.submit(request).get());
                case 6 -> cancelledFuture(engine, request, random);
                case 7 -> interrupted(engine, request, random);
                default -> streamed(engine, kind, random);
            }
            accepted.incrementAndGet();
        } catch (QueueFullException e) {
            rejected.incrementAndGet();
            Thread.sleep(10 + random.nextInt(50));
        }
    }

    private void cancelledFuture(Engine engine, GenerationRequest request, Random random) throws Exception {
        CompletableFuture<Completion> future = engine.submit(request);
        Thread.sleep(random.nextInt(60));
        future.cancel(true);
        try {
            future.get();
        } catch (CancellationException e) {
            // as asked
        }
        unknown.incrementAndGet();
    }

    private void interrupted(Engine engine, GenerationRequest request, Random random) throws Exception {
        List<Throwable> refused = new ArrayList<>();
        Thread caller = Thread.ofVirtual().start(() -> {
            try {
                engine.generate(request);
            } catch (QueueFullException e) {
                refused.add(e);
            } catch (IntarsiaException e) {
                assertThat(e).hasMessageContaining("interrupted");
            }
        });
        Thread.sleep(random.nextInt(60));
        caller.interrupt();
        caller.join();
        if (!refused.isEmpty()) {
            throw (QueueFullException) refused.getFirst();
        }
        unknown.incrementAndGet();
    }

    /** Reads all of a stream or a part of it, and closes it. */
    private void streamed(Engine engine, int kind, Random random) throws Exception {
        int most = random.nextBoolean() ? Integer.MAX_VALUE : random.nextInt(20);
        List<StringBuilder> texts = List.of(new StringBuilder(), new StringBuilder());
        TokenStream stream = engine.stream(requests.get(kind));
        try (stream) {
            for (int i = 0; i < most && stream.hasNext(); i++) {
                Token token = stream.next();
                texts.get(token.index()).append(token.text());
                if (random.nextInt(200) == 0) {
                    Thread.sleep(random.nextInt(100)); // a slow reader
                }
            }
        }
        Completion completion = stream.completion();
        for (int i = 0; i < completion.outputs().size(); i++) {
            String text = completion.outputs().get(i).text();
            assertThat(text).startsWith(texts.get(i));
            assertThat(most < Integer.MAX_VALUE || text.contentEquals(texts.get(i))).isTrue();
        }
        seen(kind, completion);
    }

    /** The answer is that of the request alone, or its beginning where it was ended. */
    private void seen(int kind, Completion completion) {
        Completion expected = alone.get(kind);
        boolean ended = false;
        FinishReason end = FinishReason.STOP;
        for (int i = 0; i < expected.outputs().size(); i++) {
            Completion.Output output = completion.outputs().get(i);
            Completion.Output all = expected.outputs().get(i);
            if (output.finishReason() == FinishReason.CANCELLED || output.finishReason() == FinishReason.DEADLINE) {
                ended = true;
                end = output.finishReason();
                assertThat(all.tokens().subList(0, output.tokens().size())).isEqualTo(output.tokens());
                // What was held back, such as an incomplete character, is given out at the end, and may differ there.
                int certain = Math.max(0, output.text().length() - 5);
                assertThat(all.text() + " the,in").startsWith(output.text().substring(0, certain));
            } else {
                assertThat(output).isEqualTo(all);
            }
        }
        (!ended ? finished : end == FinishReason.CANCELLED ? cancelled : expired).incrementAndGet();
    }

    private void check(Engine engine) throws InterruptedException {
        long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
        EngineStats stats = engine.stats();
        while (stats.finished() + stats.cancelled() + stats.expired() + stats.failed() < stats.accepted()) {
            assertThat(System.nanoTime()).as("a request is lost: " + stats).isLessThan(deadline);
            Thread.sleep(5);
            stats = engine.stats();
        }
        assertThat(stats.accepted()).isEqualTo(accepted.get());
        assertThat(stats.rejected()).isEqualTo(rejected.get()).isPositive();
        assertThat(stats.failed()).isZero();
        assertThat(stats.finished()).isBetween(finished.get(), finished.get() + unknown.get());
        assertThat(stats.cancelled()).isBetween(cancelled.get(), cancelled.get() + unknown.get());
        assertThat(stats.expired()).isBetween(expired.get(), expired.get() + unknown.get());
        assertThat(stats.finished() + stats.cancelled() + stats.expired())
                .isEqualTo(finished.get() + cancelled.get() + expired.get() + unknown.get());
        assertThat(stats.running() + stats.waiting() + stats.kvBlocksUsed()).isZero();
        assertThat(stats.preemptions()).isPositive();
        assertThat(stats.cachedTokens()).isPositive();
        assertThat(finished.get()).isGreaterThan(CALLERS);
        assertThat(cancelled.get()).isPositive();
        assertThat(expired.get()).isPositive();
        assertThat(stats.queueSeconds().count()).isLessThanOrEqualTo(stats.accepted());
        assertThat(stats.stepSeconds().count()).isEqualTo(stats.steps());
        System.out.printf(
                "%d accepted, %d rejected; %d finished, %d cancelled, %d expired; %d steps, %d preemptions%n",
                stats.accepted(),
                stats.rejected(),
                stats.finished(),
                stats.cancelled(),
                stats.expired(),
                stats.steps(),
                stats.preemptions());
    }

    private static void watch(List<Footprint> into, long millis) throws InterruptedException {
        long end = System.nanoTime() + Duration.ofMillis(millis).toNanos();
        while (System.nanoTime() < end) {
            into.add(Footprint.now());
            Thread.sleep(Math.max(200, millis / 20));
        }
    }

    private static Footprint least(List<Footprint> all) {
        return all.stream().reduce((a, b) -> new Footprint(
                        Math.min(a.resident(), b.resident()),
                        Math.min(a.allocated(), b.allocated()),
                        Math.min(a.mappings(), b.mappings()),
                        Math.min(a.threads(), b.threads()),
                        Math.min(a.descriptors(), b.descriptors()),
                        Math.min(a.heap(), b.heap())))
                .orElseThrow();
    }

    private static void flat(Footprint before, Footprint after) {
        String both = before + " and later " + after;
        assertThat(after.threads()).as(both).isLessThanOrEqualTo(before.threads() + 4);
        assertThat(after.descriptors()).as(both).isLessThanOrEqualTo(before.descriptors() + 4);
        assertThat(after.heap()).as(both).isLessThanOrEqualTo(before.heap() + 6 * MIB);
        assertThat(after.allocated()).as(both).isLessThanOrEqualTo(before.allocated() + 6 * MIB);
        assertThat(after.resident()).as(both).isLessThanOrEqualTo(before.resident() + 48 * MIB);
    }
}
