package dev.intarsia;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;

/**
 * What parameters do to a completion: where it ends, what its text is, how many there are, and what is told of its
 * tokens.
 */
@Timeout(120)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class CompletionTest {
    private static final String PROMPT = "It was a dark and stormy night; the rain fell in torrents";

    private Engine engine;

    @BeforeAll
    void open() {
        engine = Engine.open(TestModels.holmes(), EngineOptions.builder().maxNumSeqs(8).build());
    }

    @AfterAll
    void close() {
        engine.close();
    }

    private static SamplingParams.Builder greedy(int tokens) {
        return SamplingParams.greedy(tokens).toBuilder().ignoreEos(true);
    }

    private static SamplingParams.Builder sampled(int tokens) {
        return SamplingParams.builder().temperature(0.9).seed(5).maxTokens(tokens).ignoreEos(true);
    }

    /** The completion as a stream gives it: the texts add up to its text, and at no time is there more than that. */
    private Completion streamed(SamplingParams params) {
        try (TokenStream stream = engine.stream(PROMPT, params)) {
            List<String> texts = new ArrayList<>();
            List<Integer> ids = new ArrayList<>();
            stream.forEachRemaining(token -> {
                texts.add(token.text());
                if (token.id() != Token.NONE) {
                    ids.add(token.id());
                }
            });
            Completion completion = stream.completion();
            assertThat(String.join("", texts)).isEqualTo(completion.text());
            assertThat(ids).isEqualTo(completion.tokens());
            Completion whole = engine.generate(PROMPT, params);
            assertThat(completion.outputs()).isEqualTo(whole.outputs());
            return completion;
        }
    }

    @Test
    void aStopStringEndsTheTextBeforeItWhereverItBegins() {
        Completion all = streamed(greedy(40).build());
        String text = all.text();
        for (int at = 3; at + 12 < text.length(); at += 5) {
            String stop = text.substring(at, at + 1 + at % 11);
            Completion cut = streamed(greedy(40).stop(List.of("never to be seen", stop)).build());
            assertThat(cut.text()).isEqualTo(text.substring(0, text.indexOf(stop)));
            assertThat(cut.finishReason()).isEqualTo(FinishReason.STOP);
            assertThat(cut.outputs().getFirst().stopString()).contains(stop);
            assertThat(all.tokens().subList(0, cut.tokens().size()))
                    .as("tokens, with those of the stop string")
                    .isEqualTo(cut.tokens());
            Completion included = streamed(greedy(40).stop(List.of(stop)).includeStopStrInOutput(true).build());
            assertThat(included.text()).isEqualTo(text.substring(0, text.indexOf(stop) + stop.length()));
        }
    }

    @Test
    void aStopStringThatDoesNotComeChangesNothing() {
        Completion all = streamed(greedy(30).build());
        Completion none = streamed(greedy(30).stop(List.of(all.text() + "!", "\u0000")).build());
        assertThat(none.outputs()).isEqualTo(all.outputs());
    }

    @Test
    void noStopBeforeTheLeastNumberOfTokens() {
        Completion all = streamed(greedy(40).build());
        String stop = all.text().substring(2, 4);
        Completion cut = streamed(greedy(40).stop(List.of(stop)).minTokens(10).build());
        assertThat(cut.tokens()).hasSizeGreaterThan(10);
        assertThat(cut.text()).startsWith(all.text().substring(0, 4));
        int banned = all.tokens().getFirst();
        Completion without = streamed(greedy(40).stopTokenIds(List.of(banned)).minTokens(6).build());
        assertThat(without.tokens().subList(0, 6)).doesNotContain(banned);
        assertThat(streamed(greedy(40).stopTokenIds(List.of(banned)).build()).tokens()).isEmpty();
    }

    @Test
    void aStopTokenEndsTheCompletionAndIsPartOfItOnlyIfAskedFor() {
        List<Integer> all = streamed(greedy(20).build()).tokens();
        int stop = all.get(7);
        int first = all.indexOf(stop);
        Completion cut = streamed(greedy(20).stopTokenIds(List.of(stop)).build());
        assertThat(cut.tokens()).isEqualTo(all.subList(0, first));
        assertThat(cut.outputs().getFirst().stopToken()).hasValue(stop);
        assertThat(cut.finishReason()).isEqualTo(FinishReason.STOP);
        Completion included = streamed(greedy(20).stopTokenIds(List.of(stop)).includeStopStrInOutput(true).build());
        assertThat(included.tokens()).isEqualTo(all.subList(0, first + 1));
    }

    @Test
    void manyOutputsOfOnePromptAreDifferentAndTheFirstIsThatOfOne() {
        SamplingParams params = sampled(12).n(5).logprobs(2).build();
        long cached = engine.stats().cachedTokens();
        Completion five = engine.generate(PROMPT, params);
        assertThat(five.outputs()).hasSize(5);
        assertThat(new HashSet<>(five.outputs().stream().map(Completion.Output::tokens).toList())).hasSize(5);
        assertThat(engine.generate(PROMPT, params).outputs()).isEqualTo(five.outputs());
        assertThat(engine.generate(PROMPT, params.toBuilder().n(1).build()).outputs()).isEqualTo(five.outputs().subList(0, 1));
        assertThat(engine.generate(PROMPT, params.toBuilder().n(3).build()).outputs()).isEqualTo(five.outputs().subList(0, 3));
        assertThat(engine.stats().cachedTokens()).isGreaterThan(cached);
        try (TokenStream stream = engine.stream(PROMPT, params)) {
            List<List<Integer>> ids = IntStream.range(0, 5).mapToObj(i -> (List<Integer>) new ArrayList<Integer>()).toList();
            stream.forEachRemaining(token -> {
                if (token.id() != Token.NONE) {
                    ids.get(token.index()).add(token.id());
                    assertThat(token.logprobs()).hasValueSatisfying(known -> assertThat(known.id()).isEqualTo(token.id()));
                }
            });
            assertThat(ids).isEqualTo(five.outputs().stream().map(Completion.Output::tokens).toList());
        }
    }

    @Test
    void logprobsAreThoseOfTheLogits() {
        Completion completion = engine.generate(PROMPT, sampled(6).presencePenalty(1).logprobs(4).promptLogprobs(3).build());
        List<TokenLogprobs> output = completion.outputs().getFirst().logprobs();
        List<TokenLogprobs> prompt = completion.promptLogprobs();
        assertThat(output).hasSize(6);
        assertThat(prompt).hasSize(completion.promptTokens().size() - 1);
        List<Integer> all = new ArrayList<>(completion.promptTokens());
        all.addAll(completion.tokens());
        for (int position = 1; position < all.size(); position++) {
            boolean given = position < completion.promptTokens().size();
            TokenLogprobs known = given ? prompt.get(position - 1) : output.get(position - 1 - prompt.size());
            check(known, all.get(position), engine.logits(all.subList(0, position)), given ? 3 : 4);
        }
        assertThat(engine.generate(PROMPT, sampled(3).logprobs(0).build()).outputs().getFirst().logprobs())
                .hasSize(3)
                .allMatch(known -> known.top().isEmpty());
        assertThat(engine.generate(PROMPT, sampled(3).build()).outputs().getFirst().logprobs()).isEmpty();
        assertThat(engine.generate(PROMPT, sampled(1).build()).promptLogprobs()).isEmpty();
    }

    private static void check(TokenLogprobs known, int token, float[] logits, int count) {
        double max = IntStream.range(0, logits.length).mapToDouble(i -> logits[i]).max().orElseThrow();
        double sum = IntStream.range(0, logits.length).mapToDouble(i -> Math.exp(logits[i] - max)).sum();
        assertThat(known.id()).isEqualTo(token);
        assertThat((double) known.logprob()).isCloseTo(logits[token] - max - Math.log(sum), Offset.offset(1e-5));
        assertThat((long) known.rank())
                .isEqualTo(IntStream.range(0, logits.length).filter(i -> logits[i] >= logits[token]).count());
        List<Integer> likeliest = IntStream.range(0, logits.length)
                .boxed()
                .sorted(Comparator.<Integer>comparingDouble(i -> -logits[i]).thenComparingInt(i -> i))
                .limit(count)
                .toList();
        assertThat(known.top().stream().map(TokenLogprobs.Candidate::id)).isEqualTo(likeliest);
    }

    @Test
    void aCompletionThatRepeatsItselfEndsThere() {
        // Penalties the wrong way round: what came once comes again and again.
        SamplingParams.Builder params = greedy(60).frequencyPenalty(-2).presencePenalty(-2);
        List<Integer> all = streamed(params.build()).tokens();
        Completion cut = streamed(params.repetitionDetection(new RepetitionDetection(5, 1, 4)).build());
        assertThat(cut.finishReason()).isEqualTo(FinishReason.REPETITION);
        List<Integer> tokens = cut.tokens();
        assertThat(tokens).isEqualTo(all.subList(0, tokens.size())).hasSizeLessThan(60);
        assertThat(repeats(tokens, 4)).isTrue();
        for (int shorter = 1; shorter < tokens.size(); shorter++) {
            assertThat(repeats(tokens.subList(0, shorter), 4)).isFalse();
        }
    }

    private static boolean repeats(List<Integer> tokens, int count) {
        for (int size = 1; size <= 5; size++) {
            if (size * count <= tokens.size()) {
                List<Integer> pattern = tokens.subList(tokens.size() - size, tokens.size());
                boolean all = true;
                for (int i = 1; i < count; i++) {
                    int end = tokens.size() - i * size;
                    all &= tokens.subList(end - size, end).equals(pattern);
                }
                if (all) {
                    return true;
                }
            }
        }
        return false;
    }

    @Test
    void biasesAndBansReachTheSampler() {
        assertThat(engine.generate(PROMPT, greedy(5).logitBias(Map.of(77, 100.0)).build()).tokens()).containsOnly(77);
        assertThat(engine.generate(PROMPT, sampled(20).allowedTokenIds(List.of(40, 41)).build()).tokens())
                .isSubsetOf(40, 41)
                .hasSize(20);
        List<Integer> all = engine.generate(PROMPT, greedy(10).build()).tokens();
        List<Integer> without = engine.generate(PROMPT, greedy(10).badWordsTokenIds(List.of(all.subList(2, 4))).build()).tokens();
        assertThat(without.subList(0, 3)).isEqualTo(all.subList(0, 3));
        assertThat(without.get(3)).isNotEqualTo(all.get(3));
    }

    @Test
    void badWordsDoNotComeWhereverTheyWouldStand() {
        String[] all = streamed(greedy(40).build()).text().strip().split("[^A-Za-z]+");
        for (String word : List.of(all[1], all[5])) {
            for (String given : List.of(word, " " + word)) {
                SamplingParams params = greedy(40).badWords(List.of("never to be seen", given)).build();
                assertThat(streamed(params).text()).doesNotContainPattern("\\b" + word + "\\b");
            }
        }
        assertThatThrownBy(() -> engine.generate(PROMPT, greedy(1).badWords(" ").build()))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("badWords has \" \"; it must be words of one token at least");
    }

    @Test
    void noEndOfSequenceBeforeTheLeastNumberOfTokensThoughItIsIgnored() {
        int end = engine.core().generation().eosTokenIds().getFirst();
        List<Integer> tokens = engine.generate(PROMPT, greedy(8).minTokens(5).logitBias(Map.of(end, 100.0)).build()).tokens();
        assertThat(tokens.subList(0, 5)).doesNotContain(end);
        assertThat(tokens.subList(5, 8)).containsOnly(end);
    }

    @Test
    void whatTheModelDoesNotHaveIsRefusedByName() {
        int beyond = engine.info().vocabulary();
        for (SamplingParams.Builder params : List.of(
                sampled(1).allowedTokenIds(List.of(beyond)),
                sampled(1).stopTokenIds(List.of(beyond)),
                sampled(1).badWordsTokenIds(List.of(List.of(1, beyond))),
                sampled(1).logitBias(Map.of(beyond, 1.0)))) {
            assertThatThrownBy(() -> engine.generate(PROMPT, params.build()))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageMatching("(allowedTokenIds|stopTokenIds|badWordsTokenIds|logitBias) has " + beyond
                            + ", not in the vocabulary.*");
        }
        try (Engine wordless = Engine.open(TestModels.checkpoint("qwen3-tied"))) {
            assertThatThrownBy(() -> wordless.generate(List.of(5), sampled(1).stop(List.of("x")).build()))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("stop is [x]")
                    .hasMessageContaining("tokenizer");
            assertThatThrownBy(() -> wordless.generate(List.of(5), sampled(1).badWords("x").build()))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("badWords is [x]")
                    .hasMessageContaining("tokenizer");
        }
    }
}
