package dev.intarsia.piecewise;

import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * What to record, as asked for. Immutable; made with {@link #builder(int, int)}.
 *
 * @param mode                what is recorded
 * @param captureSizes        sizes to record, in any order; empty optional: chosen by {@link CaptureSizes#derive}
 * @param maxCaptureSize      largest size to record; empty: derived
 * @param maxNumBatchedTokens largest number of tokens in a step, at least 1
 * @param maxNumSeqs          largest number of requests in a step, at least 1
 * @param queryLength         tokens per request in a uniform decode batch: 1 + speculative tokens, at least 1
 */
public record GraphConfig(
        GraphMode mode,
        Optional<List<Integer>> captureSizes,
        OptionalInt maxCaptureSize,
        int maxNumBatchedTokens,
        int maxNumSeqs,
        int queryLength) {

    /** @throws IllegalArgumentException if a limit or a given capture size is below 1 */
    public GraphConfig {
        Objects.requireNonNull(mode, "mode");
        Objects.requireNonNull(maxCaptureSize, "maxCaptureSize");
        requirePositive("maxNumBatchedTokens", maxNumBatchedTokens);
        requirePositive("maxNumSeqs", maxNumSeqs);
        requirePositive("queryLength", queryLength);
        captureSizes = captureSizes.map(List::copyOf);
        captureSizes.ifPresent(sizes -> sizes.forEach(size -> requirePositive("captureSizes", size)));
    }

    private static void requirePositive(String name, int value) {
        if (value < 1) {
            throw new IllegalArgumentException(name + " must be >= 1, was " + value);
        }
    }

    /** Defaults: FULL_AND_PIECEWISE, sizes and their maximum derived, query length 1. */
    public static Builder builder(int maxNumBatchedTokens, int maxNumSeqs) {
        return new Builder(maxNumBatchedTokens, maxNumSeqs);
    }

    /** Collects the settings of a {@link GraphConfig}; whatever is not set keeps its default. */
    public static final class Builder {
        private final int maxNumBatchedTokens;
        private final int maxNumSeqs;
        private GraphMode mode = GraphMode.FULL_AND_PIECEWISE;
        private Optional<List<Integer>> captureSizes = Optional.empty();
        private OptionalInt maxCaptureSize = OptionalInt.empty();
        private int queryLength = 1;

        private Builder(int maxNumBatchedTokens, int maxNumSeqs) {
            this.maxNumBatchedTokens = maxNumBatchedTokens;
            this.maxNumSeqs = maxNumSeqs;
        }

        public Builder mode(GraphMode value) {
            mode = value;
            return this;
        }

        /** Sizes to record, in any order. */
        public Builder captureSizes(List<Integer> values) {
            captureSizes = Optional.of(values);
            return this;
        }

        public Builder maxCaptureSize(int value) {
            maxCaptureSize = OptionalInt.of(value);
            return this;
        }

        /** Tokens per request in a uniform decode batch: 1 + speculative tokens. */
        public Builder queryLength(int value) {
            queryLength = value;
            return this;
        }

        /** @throws IllegalArgumentException if a limit or a capture size is below 1 */
        public GraphConfig build() {
            return new GraphConfig(mode, captureSizes, maxCaptureSize, maxNumBatchedTokens, maxNumSeqs, queryLength);
        }
    }
}
