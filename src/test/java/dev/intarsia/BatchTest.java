package dev.intarsia;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.piecewise.GraphMode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Consumer;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What a request is answered does not depend on what else runs, nor on how the scheduler cut it up: 64 requests alone
 * and together.
 */
@Timeout(300)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class BatchTest {
    private static final Path CONFIG = TestModels.resource("/configs/qwen3-small.json");
    private static final int REQUESTS = 64;
    private static final int VOCABULARY = 512;

    private final List<GenerationRequest> requests = requests();
    private List<Completion> alone;

    /** Prompts of 1..400 tokens, of which a third begins as an earlier one does; greedy, and sampled in many ways. */
    private static List<GenerationRequest> requests() {
        Random random = new Random(11);
        List<List<Integer>> prompts = new ArrayList<>();
        List<GenerationRequest> requests = new ArrayList<>();
        for (int i = 0; i < REQUESTS; i++) {
            int length = i == 0 ? 400 : i == 1 ? 1 : 1 + random.nextInt(400);
            List<Integer> prompt = new ArrayList<>();
            if (i > 2 && random.nextInt(3) == 0) {
                List<Integer> earlier = prompts.get(random.nextInt(prompts.size()));
                prompt.addAll(earlier.subList(0, 1 + random.nextInt(earlier.size())));
            }
            while (prompt.size() < length) {
                prompt.add(3 + random.nextInt(VOCABULARY - 3));
            }
            prompts.add(prompt);
            SamplingParams.Builder params = SamplingParams.builder()
                    .maxTokens(1 + random.nextInt(60))
                    .ignoreEos(random.nextBoolean())
                    .seed(random.nextLong());
            if (random.nextInt(3) == 0) {
                params.temperature(0);
            } else {
                params.temperature(0.5 + 2 * random.nextDouble())
                        .topP(0.5 + random.nextDouble() / 2)
                        .topK(random.nextInt(60));
                params.n(random.nextInt(5) == 0 ? 3 : 1).minP(random.nextBoolean() ? 0 : 0.01);
            }
            rest(params, random, prompt);
            requests.add(GenerationRequest.of(prompt, params.build()));
        }
        return requests;
    }

    /** All that makes the sampling of a token depend on those before it, and all that is told of it. */
    private static void rest(SamplingParams.Builder params, Random random, List<Integer> prompt) {
        if (random.nextInt(3) == 0) {
            params.presencePenalty(random.nextDouble()).frequencyPenalty(random.nextDouble()).repetitionPenalty(1.2);
        }
        if (random.nextInt(4) == 0) {
            params.logitBias(Map.of(8 + random.nextInt(400), 3.5, 7, -100.0))
                    .badWordsTokenIds(List.of(List.of(prompt.getFirst()), List.of(9, 10)));
        }
        if (random.nextInt(6) == 0) {
            params.allowedTokenIds(List.of(2, 50, 51, 52, 53, 400));
        }
        if (random.nextInt(4) == 0) {
            params.minTokens(1).stopTokenIds(List.of(random.nextInt(VOCABULARY), 50));
        }
        if (random.nextInt(4) == 0) {
            params.logprobs(random.nextInt(5));
        }
        if (random.nextInt(5) == 0) {
            params.promptLogprobs(random.nextInt(3));
        }
        if (random.nextInt(5) == 0) {
            params.repetitionDetection(new RepetitionDetection(4, 1, 3));
        }
    }

    private static Engine open(EngineOptions.Builder options) {
        return Engine.openRandom(CONFIG, 5, options.build());
    }

    private static EngineOptions.Builder options() {
        return TestDevice.options().maxNumSeqs(32).maxNumBatchedTokens(512);
    }

    @BeforeAll
    void runAlone() {
        try (Engine engine = open(TestDevice.options().maxNumSeqs(1).enablePrefixCaching(false))) {
            alone = requests.stream().map(engine::generate).toList();
        }
        assertThat(alone).anyMatch(completion -> !completion.promptLogprobs().isEmpty());
        assertThat(alone.stream().flatMap(c -> c.outputs().stream()).map(Completion.Output::finishReason))
                .contains(FinishReason.STOP, FinishReason.LENGTH, FinishReason.REPETITION);
        assertThat(alone.stream().map(Completion::tokens).distinct().count()).as("different answers").isGreaterThan(50);
    }

    /** Runs all together and looks at the counts of what happened. */
    private void together(EngineOptions.Builder options, Consumer<EngineStats> what) {
        try (Engine engine = open(options)) {
            List<Completion> together = engine.generateAll(requests);
            for (int i = 0; i < REQUESTS; i++) {
                assertThat(together.get(i).outputs()).as("request %d", i).isEqualTo(alone.get(i).outputs());
                assertThat(together.get(i).promptLogprobs()).as("request %d", i).isEqualTo(alone.get(i).promptLogprobs());
            }
            EngineStats stats = engine.stats();
            assertThat(stats.running()).isZero();
            assertThat(stats.waiting()).isZero();
            assertThat(stats.kvBlocksUsed()).isZero();
            assertThat(stats.finished()).isEqualTo(REQUESTS);
            assertThat(stats.accepted()).isEqualTo(REQUESTS);
            what.accept(stats);
        }
    }

    private static void busy(EngineStats stats) {
        assertThat(stats.stepTokens()).isGreaterThan(4 * stats.steps());
    }

    @ParameterizedTest
    @CsvSource({"0, true", "0, false", "1, true", "1, false", "7, true", "7, false", "64, true", "64, false"})
    void chunked(int chunk, boolean prefixes) {
        together(options().longPrefillTokenThreshold(chunk).enablePrefixCaching(prefixes), stats -> {
            busy(stats);
            if (prefixes) {
                assertThat(stats.cachedTokens()).isPositive();
            } else {
                assertThat(stats.cachedTokens()).isZero();
            }
        });
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void putBackWhenTheCacheIsFull(boolean prefixes) {
        long blockBytes;
        try (Engine engine = open(options())) {
            blockBytes = engine.info().kvCacheBytes() / engine.info().kvBlocks();
        }
        together(options().kvCacheBytes(36 * blockBytes).enablePrefixCaching(prefixes), stats -> {
            assertThat(stats.kvBlocks()).isEqualTo(36);
            assertThat(stats.preemptions()).isGreaterThan(3);
            if (!prefixes) {
                assertThat(stats.recomputedTokens()).isPositive();
            }
        });
    }

    @ParameterizedTest
    @EnumSource
    void inEveryGraphMode(GraphMode mode) {
        for (int threads : new int[] {1, 2}) {
            together(options().graphMode(mode).threads(threads).captureSizes(List.of(5, 24, 100)), BatchTest::busy);
        }
    }

    @Test
    void inFewTokensAStep() {
        together(options().maxNumBatchedTokens(9), stats -> {});
    }

    @Test
    void byPriority() {
        together(options().schedulingPolicy(SchedulingPolicy.PRIORITY), BatchTest::busy);
    }
}
