package dev.intarsia;

import java.util.OptionalLong;

/**
 * How tokens are chosen and when a completion ends. Immutable. Names and bounds are those of vLLM.
 *
 * @param temperature 0 = always the most likely token, ties to the lower id; else logits are divided by it; 1 by default
 * @param topP the most likely tokens whose probabilities sum to this are kept; in (0, 1], 1 = all
 * @param topK this many most likely tokens are kept; 0 = all
 * @param seed the same seed gives the same tokens, whatever else runs; empty = a fresh one for each completion
 * @param maxTokens most tokens of the completion; 128 by default
 * @param ignoreEos go on after an end-of-sequence token
 */
public record SamplingParams(
        double temperature, double topP, int topK, OptionalLong seed, int maxTokens, boolean ignoreEos) {

    /** @throws IllegalArgumentException naming the parameter, its value and its bound */
    public SamplingParams {
        Check.that(temperature >= 0 && temperature <= Float.MAX_VALUE, "temperature", temperature, "finite and >= 0");
        Check.that((float) topP > 0 && topP <= 1, "topP", topP, "in (0, 1]");
        Check.that(topK >= 0, "topK", topK, ">= 0, where 0 keeps all");
        Check.that(maxTokens >= 1, "maxTokens", maxTokens, ">= 1");
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
        builder.temperature = temperature;
        builder.topP = topP;
        builder.topK = topK;
        builder.seed = seed;
        builder.maxTokens = maxTokens;
        builder.ignoreEos = ignoreEos;
        return builder;
    }

    /** Sets single parameters; the rest keep their values. */
    public static final class Builder {
        private double temperature = 1;
        private double topP = 1;
        private int topK;
        private OptionalLong seed = OptionalLong.empty();
        private int maxTokens = 128;
        private boolean ignoreEos;

        private Builder() {}

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

        public Builder seed(long value) {
            seed = OptionalLong.of(value);
            return this;
        }

        public Builder maxTokens(int value) {
            maxTokens = value;
            return this;
        }

        public Builder ignoreEos(boolean value) {
            ignoreEos = value;
            return this;
        }

        /** @throws IllegalArgumentException naming the parameter, its value and its bound */
        public SamplingParams build() {
            return new SamplingParams(temperature, topP, topK, seed, maxTokens, ignoreEos);
        }
    }
}
