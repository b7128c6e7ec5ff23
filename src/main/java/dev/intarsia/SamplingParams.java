package dev.intarsia;

import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.TreeMap;

/**
 * How tokens are chosen and when a completion ends. Immutable. Names, bounds and order of application are those of vLLM: allowed ids, bad words,
 * least number of tokens, biases, penalties of repetition, frequency and presence; then temperature, min-p, top-k and top-p.
 *
 * @param n number of completions of the prompt, each with a seed of its own; 1 .. 16384, and 1 with temperature 0
 * @param temperature 0 = always the most likely token, ties to the lower id; else logits are divided by it; finite, at least 0
 * @param topP the most likely tokens whose probabilities sum to this are kept; in (0, 1], 1 = all
 * @param topK this many most likely tokens are kept; 0 = all
 * @param minP tokens less likely than this share of the most likely one's probability are dropped; in [0, 1], 0 = none
 * @param seed the same seed gives the same tokens, whatever else runs; empty = a fresh one for each completion
 * @param presencePenalty subtracted from the logits of tokens that the output holds; in [-2, 2], 0 = none
 * @param frequencyPenalty subtracted from the logits of tokens as often as the output holds them; in [-2, 2], 0 = none
 * @param repetitionPenalty logits above 0 of tokens of prompt and output are divided by it, others multiplied; above 0, 1 = none
 * @param logitBias added to the logits of token ids; in [-100, 100]
 * @param allowedTokenIds the only token ids that may be sampled; empty = all
 * @param badWords words that are not to come: where the output ends with all tokens of one but its last, that last is not sampled. Each is looked for as
 *     the tokenizer writes it at the start of a text and after a space
 * @param badWordsTokenIds the same as token ids, which need no tokenizer
 * @param stop strings that end the completion when they come up in its text, which ends before them
 * @param includeStopStrInOutput leave the stop string at the end of the text
 * @param stopTokenIds token ids that end the completion when they are sampled
 * @param ignoreEos go on after an end-of-sequence token
 * @param minTokens tokens of the output before an end-of-sequence token, ignored or not, or one of {@code stopTokenIds} may be sampled, or a stop
 *     string ends it; 0 .. {@code maxTokens}
 * @param maxTokens most tokens of the completion; 128 by default
 * @param logprobs log-probabilities of each sampled token and of this many of the likeliest; 0 .. 20, empty = none. They are the model's own: no
 *     temperature, penalty or bias is in them
 * @param promptLogprobs the same of the tokens of the prompt but the first
 * @param skipSpecialTokens special tokens leave no trace in the text
 * @param repetitionDetection ends the completion when its end repeats itself
 */
public record SamplingParams(
        int n,
        double temperature,
        double topP,
        int topK,
        double minP,
        OptionalLong seed,
        double presencePenalty,
        double frequencyPenalty,
        double repetitionPenalty,
        Map<Integer, Double> logitBias,
        List<Integer> allowedTokenIds,
        List<String> badWords,
        List<List<Integer>> badWordsTokenIds,
        List<String> stop,
        boolean includeStopStrInOutput,
        List<Integer> stopTokenIds,
        boolean ignoreEos,
        int minTokens,
        int maxTokens,
        OptionalInt logprobs,
        OptionalInt promptLogprobs,
        boolean skipSpecialTokens,
        Optional<RepetitionDetection> repetitionDetection) {

    /** Most log-probabilities of the likeliest tokens. */
    public static final int MAX_LOGPROBS = 20;

    private static final int MAX_N = 16_384;

    /** @throws IllegalArgumentException naming the parameter, its value and its bound */
    public SamplingParams {
        Check.that(temperature >= 0 && temperature <= Float.MAX_VALUE, "temperature", temperature, "finite and >= 0");
        Check.range("n", n, 1, MAX_N);
        Check.that(n == 1 || temperature > 0, "n", n, "1 with temperature 0, which has but one completion");
        Check.that((float) topP > 0 && topP <= 1, "topP", topP, "in (0, 1]");
        Check.that(topK >= 0, "topK", topK, ">= 0, where 0 keeps all");
        Check.that(minP >= 0 && minP <= 1, "minP", minP, "in [0, 1]");
        Check.that(Math.abs(presencePenalty) <= 2, "presencePenalty", presencePenalty, "in [-2, 2]");
        Check.that(Math.abs(frequencyPenalty) <= 2, "frequencyPenalty", frequencyPenalty, "in [-2, 2]");
        Check.that((float) repetitionPenalty > 0 && repetitionPenalty <= Float.MAX_VALUE,
                "repetitionPenalty", repetitionPenalty, "finite and > 0");
        logitBias = biases(logitBias);
        allowedTokenIds = ids("allowedTokenIds", allowedTokenIds);
        badWords = strings("badWords", badWords);
        badWordsTokenIds = words(badWordsTokenIds);
        stop = strings("stop", stop);
        stopTokenIds = ids("stopTokenIds", stopTokenIds);
        Check.that(maxTokens >= 1, "maxTokens", maxTokens, ">= 1");
        Check.that(minTokens >= 0 && minTokens <= maxTokens, "minTokens", minTokens, "in 0..maxTokens, " + maxTokens);
        logprobs.ifPresent(count -> Check.range("logprobs", count, 0, MAX_LOGPROBS));
        promptLogprobs.ifPresent(count -> Check.range("promptLogprobs", count, 0, MAX_LOGPROBS));
        Objects.requireNonNull(seed, "seed");
        Objects.requireNonNull(repetitionDetection, "repetitionDetection");
    }

    private static List<Integer> ids(String name, List<Integer> given) {
        List<Integer> ids = List.copyOf(given);
        for (int i = 0; i < ids.size(); i++) {
            Check.that(ids.get(i) >= 0, name + "[" + i + "]", ids.get(i), "a token id, >= 0");
        }
        return ids;
    }

    private static List<String> strings(String name, List<String> given) {
        List<String> strings = List.copyOf(given);
        Check.that(!strings.contains(""), name, strings, "strings of one character at least");
        return strings;
    }

    private static List<List<Integer>> words(List<List<Integer>> given) {
        List<List<Integer>> words = given.stream().map(word -> ids("badWordsTokenIds", word)).toList();
        Check.that(!words.contains(List.of()), "badWordsTokenIds", words, "words of one token at least");
        return words;
    }

    /** By rising id, so that the bits of a sum never depend on a map's order. */
    private static Map<Integer, Double> biases(Map<Integer, Double> given) {
        TreeMap<Integer, Double> biases = new TreeMap<>(given);
        biases.forEach((id, bias) -> {
            Check.that(id >= 0, "logitBias", id, "of token ids, >= 0");
            Check.that(Math.abs(bias) <= 100, "logitBias[" + id + "]", bias, "in [-100, 100]");
        });
        return Collections.unmodifiableMap(biases);
    }

    /** Temperature 1, nothing cut off, 128 tokens. */
    public static SamplingParams defaults() {
        return builder().build();
    }

    /** Temperature 0 and this many tokens. */
    public static SamplingParams greedy(int maxTokens) {
        return builder().temperature(0).maxTokens(maxTokens).build();
    }

    public static Builder builder() {
        return new Builder();
    }

    /** A builder that begins with these values. */
    public Builder toBuilder() {
        Builder builder = new Builder();
        builder.n = n;
        builder.temperature = temperature;
        builder.topP = topP;
        builder.topK = topK;
        builder.minP = minP;
        builder.seed = seed;
        builder.presencePenalty = presencePenalty;
        builder.frequencyPenalty = frequencyPenalty;
        builder.repetitionPenalty = repetitionPenalty;
        builder.logitBias = logitBias;
        builder.allowedTokenIds = allowedTokenIds;
        builder.badWords = badWords;
        builder.badWordsTokenIds = badWordsTokenIds;
        builder.stop = stop;
        builder.includeStopStrInOutput = includeStopStrInOutput;
        builder.stopTokenIds = stopTokenIds;
        builder.ignoreEos = ignoreEos;
        builder.minTokens = minTokens;
        builder.maxTokens = maxTokens;
        builder.logprobs = logprobs;
        builder.promptLogprobs = promptLogprobs;
        builder.skipSpecialTokens = skipSpecialTokens;
        builder.repetitionDetection = repetitionDetection;
        return builder;
    }

    /** Sets single parameters; the rest keep their values. */
    public static final class Builder {
        private int n = 1;
        private double temperature = 1;
        private double topP = 1;
        private int topK;
        private double minP;
        private OptionalLong seed = OptionalLong.empty();
        private double presencePenalty;
        private double frequencyPenalty;
        private double repetitionPenalty = 1;
        private Map<Integer, Double> logitBias = Map.of();
        private List<Integer> allowedTokenIds = List.of();
        private List<String> badWords = List.of();
        private List<List<Integer>> badWordsTokenIds = List.of();
        private List<String> stop = List.of();
        private boolean includeStopStrInOutput;
        private List<Integer> stopTokenIds = List.of();
        private boolean ignoreEos;
        private int minTokens;
        private int maxTokens = 128;
        private OptionalInt logprobs = OptionalInt.empty();
        private OptionalInt promptLogprobs = OptionalInt.empty();
        private boolean skipSpecialTokens = true;
        private Optional<RepetitionDetection> repetitionDetection = Optional.empty();

        private Builder() {}

        public Builder n(int value) {
            n = value;
            return this;
        }

        public Builder temperature(double value) {
            temperature = value;
            return this;
        }

        public Builder topP(double value) {
            topP = value;
            return this;
        }

        public Builder topK(int value) {
            topK = value;
            return this;
        }

        public Builder minP(double value) {
            minP = value;
            return this;
        }

        public Builder seed(long value) {
            seed = OptionalLong.of(value);
            return this;
        }

        public Builder presencePenalty(double value) {
            presencePenalty = value;
            return this;
        }

        public Builder frequencyPenalty(double value) {
            frequencyPenalty = value;
            return this;
        }

        public Builder repetitionPenalty(double value) {
            repetitionPenalty = value;
            return this;
        }

        public Builder logitBias(Map<Integer, Double> value) {
            logitBias = value;
            return this;
        }

        /** @throws IllegalArgumentException for an empty list, with which nothing could be sampled */
        public Builder allowedTokenIds(List<Integer> value) {
            Check.that(!value.isEmpty(), "allowedTokenIds", value, "a list of one id at least");
            allowedTokenIds = value;
            return this;
        }

        public Builder badWords(List<String> value) {
            badWords = value;
            return this;
        }

        public Builder badWords(String... values) {
            return badWords(List.of(values));
        }

        public Builder badWordsTokenIds(List<List<Integer>> value) {
            badWordsTokenIds = value;
            return this;
        }

        public Builder stop(List<String> value) {
            stop = value;
            return this;
        }

        public Builder stop(String... values) {
            return stop(List.of(values));
        }

        public Builder includeStopStrInOutput(boolean value) {
            includeStopStrInOutput = value;
            return this;
        }

        public Builder stopTokenIds(List<Integer> value) {
            stopTokenIds = value;
            return this;
        }

        public Builder ignoreEos(boolean value) {
            ignoreEos = value;
            return this;
        }

        public Builder minTokens(int value) {
            minTokens = value;
            return this;
        }

        public Builder maxTokens(int value) {
            maxTokens = value;
            return this;
        }

        public Builder logprobs(int value) {
            logprobs = OptionalInt.of(value);
            return this;
        }

        public Builder promptLogprobs(int value) {
            promptLogprobs = OptionalInt.of(value);
            return this;
        }

        public Builder skipSpecialTokens(boolean value) {
            skipSpecialTokens = value;
            return this;
        }

        public Builder repetitionDetection(RepetitionDetection value) {
            repetitionDetection = Optional.of(value);
            return this;
        }

        /** @throws IllegalArgumentException naming the parameter, its value and its bound */
        public SamplingParams build() {
            return new SamplingParams(
                    n,
                    temperature,
                    topP,
                    topK,
                    minP,
                    seed,
                    presencePenalty,
                    frequencyPenalty,
                    repetitionPenalty,
                    logitBias,
                    allowedTokenIds,
                    badWords,
                    badWordsTokenIds,
                    stop,
                    includeStopStrInOutput,
                    stopTokenIds,
                    ignoreEos,
                    minTokens,
                    maxTokens,
                    logprobs,
                    promptLogprobs,
                    skipSpecialTokens,
                    repetitionDetection);
        }
    }
}
