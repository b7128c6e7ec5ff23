package dev.intarsia.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.Completion;
import dev.intarsia.EngineOptions;
import dev.intarsia.FinishReason;
import dev.intarsia.GenerationRequest;
import dev.intarsia.SamplingParams;
import dev.intarsia.TestModels;
import dev.intarsia.TokenStream;
import dev.intarsia.cuda.OnCuda;
import dev.intarsia.piecewise.GraphMode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Steps that are enqueued before the tokens of the one before them are known give the tokens of steps that are not. */
@OnCuda
@Timeout(300)
class EnqueuedStepsTest {
    private static final Path QWEN = TestModels.checkpoint("qwen3-tied");
    private static final SamplingParams GREEDY =
            SamplingParams.greedy(60).toBuilder().ignoreEos(true).build();

    private static final SamplingParams SAMPLED = GREEDY.toBuilder().temperature(1).seed(11).build();

    private static EngineOptions.Builder options() {
        return EngineOptions.builder()
                .device("cuda")
                .deterministic(true)
                .maxNumSeqs(4)
                .artifacts(EngineOptions.NO_ARTIFACTS);
    }

    private static TokenStream submit(EngineCore core, List<Integer> prompt, SamplingParams params) {
        return core.submit(GenerationRequest.of(prompt, params), params, true);
    }

    private static List<Integer> tokens(EngineCore core, List<Integer> prompt, SamplingParams params) {
        return submit(core, prompt, params).completion().tokens();
    }

    private static List<Integer> prompt(int first) {
        return List.of(first, first + 1, first + 2);
    }

    @Test
    void oneSequenceGetsTheTokensOfStepsThatAreWaitedFor() {
        List<Integer> expected;
        try (EngineCore core = EngineCore.open(QWEN, options().graphMode(GraphMode.NONE).build())) {
            expected = tokens(core, prompt(5), GREEDY);
            assertThat(core.loop().departures()).isZero();
        }
        try (EngineCore core = EngineCore.open(QWEN, options().build())) {
            assertThat(tokens(core, prompt(5), GREEDY)).isEqualTo(expected);
            assertThat(core.loop().departures()).isEqualTo(59); // the first token is the prompt's
            // log-probabilities are wanted: nothing is enqueued
            assertThat(tokens(core, prompt(5), GREEDY.toBuilder().logprobs(0).build())).isEqualTo(expected);
            assertThat(core.loop().departures()).isEqualTo(59);
        }
    }

    @Test
    void whatTheDeviceSamplesIsEnqueuedAndGetsTheTokensOfTheHost() {
        List<SamplingParams> sampled = List.of(
                SAMPLED,
                SAMPLED.toBuilder().topP(0.9).build(),
                SAMPLED.toBuilder().topK(20).minP(0.01).build(),
                SAMPLED.toBuilder().topK(40).topP(0.7).temperature(1.6).build());
        try (EngineCore core = EngineCore.open(QWEN, options().build())) {
            for (SamplingParams params : sampled) {
                int before = core.loop().departures();
                List<Integer> tokens = tokens(core, prompt(5), params);
                assertThat(core.loop().departures()).isEqualTo(before + 59);
                // log-probabilities are the host's
                assertThat(tokens(core, prompt(5), params.toBuilder().logprobs(0).build())).isEqualTo(tokens);
                assertThat(core.loop().departures()).isEqualTo(before + 59);
            }
            assertThat(tokens(core, prompt(5), SAMPLED.toBuilder().seed(12).build())).isNotEqualTo(tokens(core, prompt(5), SAMPLED));
        }
    }

    @Test
    void whatSamplerStatesMakeOfTheLogitsIsThatOfTheHost() {
        List<SamplingParams> sampled = List.of(
                GREEDY.toBuilder().repetitionPenalty(1.4).build(),
                SAMPLED.toBuilder().frequencyPenalty(0.7).presencePenalty(0.3).topP(0.9).build(),
                SAMPLED.toBuilder().logitBias(Map.of(7, 4.0, 300, -2.5)).topK(20).build(),
                SAMPLED.toBuilder().allowedTokenIds(List.of(3, 99, 200, 411)).build(),
                SAMPLED.toBuilder().badWordsTokenIds(List.of(List.of(7), List.of(7, 300))).logitBias(Map.of(7, 9.0, 300, 9.0)).build(),
                GREEDY.toBuilder().stopTokenIds(List.of(9)).logitBias(Map.of(9, 50.0)).minTokens(30).build());
        try (EngineCore core = EngineCore.open(QWEN, options().build())) {
            for (SamplingParams params : sampled) {
                // log-probabilities are the host's
                assertThat(tokens(core, prompt(5), params)).isEqualTo(tokens(core, prompt(5), params.toBuilder().logprobs(0).build()));
            }
            assertThat(core.loop().departures()).isZero();
        }
    }

    @Test
    void aPrefixThatEndsWhereSumsAreRoundedIsTheHosts() {
        try (EngineCore core = EngineCore.open(QWEN, options().build())) {
            SamplingParams params = SAMPLED.toBuilder().topP(0.9999999).build();
            assertThat(tokens(core, prompt(5), params)).hasSize(60);
            assertThat(core.loop().departures()).isZero();
        }
    }

    @Test
    void aStopTokenEndsASequenceThoughItsNextStepRuns() {
        try (EngineCore core = EngineCore.open(QWEN, options().build())) {
            List<Integer> all = tokens(core, prompt(5), GREEDY);
            int stop = all.get(20);
            int first = all.indexOf(stop);
            SamplingParams params = GREEDY.toBuilder().stopTokenIds(List.of(stop)).build();
            for (int i = 0; i < 3; i++) {
                Completion completion = submit(core, prompt(5), params).completion();
                assertThat(completion.tokens()).isEqualTo(all.subList(0, first));
                assertThat(completion.finishReason()).isEqualTo(FinishReason.STOP);
            }
            assertThat(tokens(core, prompt(5), GREEDY)).isEqualTo(all);
            assertThat(core.stats().kvBlocksUsed()).isZero();
        }
    }

    @Test
    void sequencesThatComeAndGoAndAreSampledBesideThemChangeNothing() {
        Random random = new Random(7);
        List<SamplingParams> kinds = List.of(
                GREEDY,
                GREEDY.toBuilder().maxTokens(17).build(),
                GREEDY.toBuilder().temperature(1).seed(3).maxTokens(12).build(),
                GREEDY.toBuilder().temperature(0.8).topP(0.95).seed(4).maxTokens(30).build(),
                GREEDY.toBuilder().temperature(1).frequencyPenalty(0.5).seed(5).maxTokens(15).build(),
                GREEDY.toBuilder().logprobs(2).maxTokens(9).build(),
                GREEDY.toBuilder().maxTokens(1).build());
        try (EngineCore core = EngineCore.open(QWEN, options().build())) {
            List<List<Integer>> alone = new ArrayList<>();
            for (int i = 0; i < 40; i++) {
                alone.add(tokens(core, prompt(i), kinds.get(i % kinds.size())));
            }
            List<TokenStream> streams = new ArrayList<>();
            for (int i = 0; i < 40; i++) {
                streams.add(submit(core, prompt(i), kinds.get(i % kinds.size())));
                if (random.nextInt(3) == 0) { // one that is given up
                    try (TokenStream dropped = submit(core, prompt(90 + i), GREEDY)) {
                        dropped.next();
                    }
                }
            }
            for (int i = 0; i < 40; i++) {
                assertThat(streams.get(i).completion().tokens()).as("request %d", i).isEqualTo(alone.get(i));
            }
            assertThat(core.loop().departures()).isGreaterThan(100);
        }
    }

    @Test
    void sequencesAsLongAsTheEngineHoldsEndThere() {
        try (EngineCore core = EngineCore.open(QWEN, options().maxModelLen(40).build())) {
            Completion completion = submit(core, prompt(5), GREEDY).completion();
            assertThat(completion.tokens()).hasSize(37);
            assertThat(completion.finishReason()).isEqualTo(FinishReason.LENGTH);
        }
    }
}
