package dev.intarsia.lifetime;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.Engine;
import dev.intarsia.EngineOptions;
import dev.intarsia.FinishReason;
import dev.intarsia.SamplingParams;
import dev.intarsia.TestModels;
import dev.intarsia.TokenStream;
import java.lang.ref.WeakReference;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Engines and streams that nobody closes. */
@Timeout(120)
class DroppedEngineTest {

    private static final Path MODEL = TestModels.checkpoint("qwen3-tied");
    private static final EngineOptions OPTIONS =
            EngineOptions.builder().maxNumSeqs(2).threads(1).artifacts(EngineOptions.NO_ARTIFACTS).build();
    private static final List<Integer> PROMPT = List.of(5, 6, 7);
    private static final int TOKENS = 200;
    private static final Duration SOON = Duration.ofSeconds(60);

    private static Engine open() {
        return Engine.open(MODEL, OPTIONS);
    }

    private static SamplingParams tokens(int count) {
        return SamplingParams.greedy(count).toBuilder().ignoreEos(true).build();
    }

    @Test
    void anEngineThatIsDroppedIsClosedAndReportedOnce() throws Exception {
        Set<Thread> before = engineThreads();
        try (Warnings warnings = new Warnings()) {
            WeakReference<Engine> dropped = openAndDrop();
            collectUntil(() -> !warnings.messages().isEmpty());
            assertThat(warnings.messages()).containsExactly(
                    "an Engine for " + MODEL + " was dropped without close(); it was closed now");
            assertThat(dropped.get()).isNull();
            assertThat(engineThreads()).isSubsetOf(before);
        }
    }

    private static WeakReference<Engine> openAndDrop() {
        Engine engine = open();
        assertThat(engine.generate(PROMPT, tokens(3)).tokens()).hasSize(3);
        return new WeakReference<>(engine);
    }

    @Test
    void anEngineThatIsDroppedWithItsStreamsEndsThem() throws Exception {
        Set<Thread> before = engineThreads();
        try (Warnings warnings = new Warnings()) {
            dropWithStreams();
            collectUntil(() -> !warnings.messages().isEmpty());
            assertThat(warnings.messages()).hasSize(1);
            assertThat(engineThreads()).isSubsetOf(before);
        }
    }

    private static void dropWithStreams() {
        Engine engine = open();
        for (int i = 0; i < 50; i++) {
            engine.stream(PROMPT, tokens(TOKENS));
        }
    }

    @Test
    void anEngineIsNotDroppedWhileAStreamOfItIsRead() throws Exception {
        try (Warnings warnings = new Warnings()) {
            List<Integer> expected;
            try (Engine engine = open()) {
                expected = engine.generate(PROMPT, tokens(TOKENS)).tokens();
            }
            readSlowly(expected);
            assertThat(warnings.messages()).isEmpty();
            collectUntil(() -> !warnings.messages().isEmpty());
        }
    }

    private static void readSlowly(List<Integer> expected) throws InterruptedException {
        TokenStream stream = streamOfDropped();
        for (int i = 0; i < TOKENS; i++) {
            if (i % 20 == 0) {
                System.gc();
                Thread.sleep(5); // for what the collector found to be closed
            }
            assertThat(stream.next().id()).isEqualTo(expected.get(i));
        }
        assertThat(stream.completion().finishReason()).isEqualTo(FinishReason.LENGTH);
    }

    private static TokenStream streamOfDropped() {
        return open().stream(PROMPT, tokens(TOKENS));
    }

    @Test
    void anEngineIsNotDroppedWhileItGenerates() throws Exception {
        AtomicBoolean done = new AtomicBoolean();
        try (Warnings warnings = new Warnings()) {
            Thread collector = Thread.ofPlatform().start(() -> {
                while (!done.get()) {
                    System.gc();
                    LockSupport.parkNanos(3_000_000);
                }
            });
            try {
                for (int i = 0; i < 4; i++) {
                    assertThat(open().generate(PROMPT, tokens(TOKENS)).tokens()).hasSize(TOKENS);
                    assertThat(open().logits(PROMPT)).isNotEmpty();
                }
            } finally {
                done.set(true);
                collector.join();
            }
            collectUntil(() -> warnings.messages().size() == 8);
        }
    }

    @Test
    void anEngineThatWasClosedIsNotReported() throws Exception {
        try (Warnings warnings = new Warnings()) {
            WeakReference<Engine> closed = openAndClose();
            openAndDrop();
            collectUntil(() -> closed.get() == null && !warnings.messages().isEmpty());
            System.gc();
            Thread.sleep(50);
            assertThat(warnings.messages()).hasSize(1); // the second engine's
        }
    }

    private static WeakReference<Engine> openAndClose() {
        Engine engine = open();
        engine.close();
        return new WeakReference<>(engine);
    }

    @Test
    void streamsThatAreDroppedDoNotBlockTheEngine() {
        try (Warnings warnings = new Warnings(); Engine engine = open()) {
            List<Integer> expected = engine.generate(PROMPT, tokens(TOKENS)).tokens();
            for (int i = 0; i < 20; i++) {
                engine.stream(PROMPT, tokens(TOKENS));
                engine.stream(PROMPT, tokens(TOKENS)).next();
            }
            System.gc();
            assertThat(engine.generate(PROMPT, tokens(TOKENS)).tokens()).isEqualTo(expected);
            assertThat(warnings.messages()).isEmpty();
        }
    }

    private static void collectUntil(BooleanSupplier condition) throws InterruptedException {
        Instant end = Instant.now().plus(SOON);
        while (!condition.getAsBoolean()) {
            assertThat(Instant.now()).as("nothing was collected").isBefore(end);
            System.gc();
            Thread.sleep(5);
        }
    }

    private static Set<Thread> engineThreads() {
        return Thread.getAllStackTraces().keySet().stream()
                .filter(thread -> thread.getName().startsWith("intarsia-engine"))
                .collect(Collectors.toSet());
    }
}
