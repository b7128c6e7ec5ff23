package dev.intarsia;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Every bound of the sampling parameters from both sides, and what it says. */
class SamplingParamsTest {
    private static Arguments wrong(String message, UnaryOperator<SamplingParams.Builder> builder) {
        return Arguments.of(message, builder);
    }

    static Stream<Arguments> outOfBounds() {
        return Stream.of(
                wrong("n is 0, not in 1..16384", p -> p.n(0)),
                wrong("n is 16385, not in 1..16384", p -> p.n(16_385)),
                wrong("n is 2; it must be 1 with temperature 0, which has but one completion", p -> p.n(2).temperature(0)),
                wrong("temperature is -0.1; it must be finite and >= 0", p -> p.temperature(-0.1)),
                wrong("temperature is NaN; it must be finite and >= 0", p -> p.temperature(Double.NaN)),
                wrong("temperature is Infinity; it must be finite and >= 0", p -> p.temperature(1 / 0.0)),
                wrong("temperature is 1.0E39; it must be finite and >= 0", p -> p.temperature(1e39)),
                wrong("topP is 0.0; it must be in (0, 1]", p -> p.topP(0)),
                wrong("topP is 1.0E-60; it must be in (0, 1]", p -> p.topP(1e-60)),
                wrong("topP is 1.01; it must be in (0, 1]", p -> p.topP(1.01)),
                wrong("topP is NaN; it must be in (0, 1]", p -> p.topP(Double.NaN)),
                wrong("topK is -1; it must be >= 0, where 0 keeps all", p -> p.topK(-1)),
                wrong("minP is -0.01; it must be in [0, 1]", p -> p.minP(-0.01)),
                wrong("minP is 1.01; it must be in [0, 1]", p -> p.minP(1.01)),
                wrong("minP is NaN; it must be in [0, 1]", p -> p.minP(Double.NaN)),
                wrong("presencePenalty is 2.1; it must be in [-2, 2]", p -> p.presencePenalty(2.1)),
                wrong("presencePenalty is NaN; it must be in [-2, 2]", p -> p.presencePenalty(Double.NaN)),
                wrong("frequencyPenalty is -2.1; it must be in [-2, 2]", p -> p.frequencyPenalty(-2.1)),
                wrong("repetitionPenalty is 0.0; it must be finite and > 0", p -> p.repetitionPenalty(0)),
                wrong("repetitionPenalty is 1.0E-60; it must be finite and > 0", p -> p.repetitionPenalty(1e-60)),
                wrong("repetitionPenalty is NaN; it must be finite and > 0", p -> p.repetitionPenalty(Double.NaN)),
                wrong("repetitionPenalty is 1.0E39; it must be finite and > 0", p -> p.repetitionPenalty(1e39)),
                wrong("logitBias is -1; it must be of token ids, >= 0", p -> p.logitBias(Map.of(-1, 1.0))),
                wrong("logitBias[7] is 100.5; it must be in [-100, 100]", p -> p.logitBias(Map.of(7, 100.5))),
                wrong("logitBias[7] is NaN; it must be in [-100, 100]", p -> p.logitBias(Map.of(7, Double.NaN))),
                wrong("allowedTokenIds is []; it must be a list of one id at least", p -> p.allowedTokenIds(List.of())),
                wrong("allowedTokenIds[1] is -3; it must be a token id, >= 0", p -> p.allowedTokenIds(List.of(1, -3))),
                wrong("badWords is [a, ]; it must be strings of one character at least", p -> p.badWords("a", "")),
                wrong("badWordsTokenIds[0] is -1; it must be a token id, >= 0", p -> p.badWordsTokenIds(List.of(List.of(-1)))),
                wrong("badWordsTokenIds is [[1], []]; it must be words of one token at least",
                        p -> p.badWordsTokenIds(List.of(List.of(1), List.of()))),
                wrong("stop is [a, ]; it must be strings of one character at least", p -> p.stop("a", "")),
                wrong("stopTokenIds[0] is -2; it must be a token id, >= 0", p -> p.stopTokenIds(List.of(-2))),
                wrong("maxTokens is 0; it must be >= 1", p -> p.maxTokens(0)),
                wrong("minTokens is -1; it must be in 0..maxTokens, 128", p -> p.minTokens(-1)),
                wrong("minTokens is 9; it must be in 0..maxTokens, 8", p -> p.minTokens(9).maxTokens(8)),
                wrong("logprobs is -1, not in 0..20", p -> p.logprobs(-1)),
                wrong("logprobs is 21, not in 0..20", p -> p.logprobs(21)),
                wrong("promptLogprobs is 21, not in 0..20", p -> p.promptLogprobs(21)),
                wrong("maxPatternSize is -1; it must be >= 0, where 0 detects nothing",
                        p -> p.repetitionDetection(new RepetitionDetection(-1, 0, 2))),
                wrong("minPatternSize is -1; it must be in 0..maxPatternSize, 4",
                        p -> p.repetitionDetection(new RepetitionDetection(4, -1, 2))),
                wrong("minPatternSize is 5; it must be in 0..maxPatternSize, 4",
                        p -> p.repetitionDetection(new RepetitionDetection(4, 5, 2))),
                wrong("minCount is 1; it must be >= 2", p -> p.repetitionDetection(new RepetitionDetection(4, 0, 1))));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("outOfBounds")
    void areRefusedOutOfBounds(String message, UnaryOperator<SamplingParams.Builder> builder) {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> builder.apply(SamplingParams.builder()).build())
                .withMessage(message);
    }

    private static SamplingParams everything() {
        return SamplingParams.builder()
                .n(16_384)
                .temperature(Float.MAX_VALUE)
                .topP(1e-30)
                .topK(Integer.MAX_VALUE)
                .minP(1)
                .seed(-1)
                .presencePenalty(-2)
                .frequencyPenalty(2)
                .repetitionPenalty(1e-30)
                .logitBias(Map.of(0, -100.0, 5, 100.0))
                .allowedTokenIds(List.of(0, 3))
                .badWords("moor", " fog")
                .badWordsTokenIds(List.of(List.of(1, 2), List.of(0)))
                .stop("\n", "end")
                .includeStopStrInOutput(true)
                .stopTokenIds(List.of(0))
                .ignoreEos(true)
                .maxTokens(5)
                .minTokens(5)
                .logprobs(20)
                .promptLogprobs(0)
                .skipSpecialTokens(false)
                .repetitionDetection(new RepetitionDetection(3, 3, 2))
                .build();
    }

    @Test
    void areTakenAtTheirBounds() {
        SamplingParams params = everything();
        assertThat(params.toBuilder().build()).isEqualTo(params);
        assertThat(params.logitBias()).containsExactly(Map.entry(0, -100.0), Map.entry(5, 100.0));
        assertThat(params.stop()).containsExactly("\n", "end");
        SamplingParams least = params.toBuilder().n(1).temperature(0).topP(1).topK(0).minP(0).minTokens(0).build();
        assertThat(least).isNotEqualTo(params);
        new RepetitionDetection(0, 0, 0);
    }

    @Test
    void defaultsChangeNothing() {
        SamplingParams params = SamplingParams.defaults();
        assertThat(params).isEqualTo(SamplingParams.builder().build());
        assertThat(params.n()).isEqualTo(1);
        assertThat(params.temperature()).isEqualTo(1);
        assertThat(params.minP()).isZero();
        assertThat(params.repetitionPenalty()).isEqualTo(1);
        assertThat(params.seed()).isEmpty();
        assertThat(params.allowedTokenIds()).isEmpty();
        assertThat(params.logprobs()).isEmpty();
        assertThat(params.skipSpecialTokens()).isTrue();
        assertThat(params.repetitionDetection()).isEmpty();
        assertThat(SamplingParams.greedy(7).maxTokens()).isEqualTo(7);
    }

    @Test
    void areCopied() {
        List<Integer> ids = new ArrayList<>(List.of(1));
        List<Integer> word = new ArrayList<>(List.of(2));
        Map<Integer, Double> biases = new HashMap<>(Map.of(9, 1.0, 3, 2.0));
        SamplingParams params = SamplingParams.builder()
                .allowedTokenIds(ids)
                .stopTokenIds(ids)
                .badWordsTokenIds(List.of(word))
                .logitBias(biases)
                .build();
        ids.add(5);
        word.clear();
        biases.put(4, 4.0);
        assertThat(params.allowedTokenIds()).containsExactly(1);
        assertThat(params.stopTokenIds()).containsExactly(1);
        assertThat(params.badWordsTokenIds()).containsExactly(List.of(2));
        assertThat(params.logitBias().keySet()).containsExactly(3, 9); // by rising id
        assertThatExceptionOfType(UnsupportedOperationException.class)
                .isThrownBy(() -> params.logitBias().put(1, 1.0));
    }
}
