package dev.intarsia.piecewise;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.TreeSet;

/**
 * What to compile. Immutable; made with {@link #builder(int)}.
 *
 * @param mode                how much of the layer is used
 * @param dynamicShapes       how a dimension that may vary is treated
 * @param maxNumBatchedTokens largest number of tokens in a step, at least 1
 * @param userEndpoints       range endpoints as asked for, in the given order; {@link #endpoints()} are those in force
 * @param compileSizes        exact sizes, ascending and distinct; each adds an entry of its own, also above the maximum
 * @param splittingOps        names of the ops at which the graph is cut; empty: one piece
 */
public record CompilationConfig(
        CompilationMode mode,
        DynamicShapes dynamicShapes,
        int maxNumBatchedTokens,
        List<Integer> userEndpoints,
        List<Integer> compileSizes,
        List<String> splittingOps) {

    /** The op at which graphs are cut unless configured otherwise. */
    public static final String ATTENTION = "attention";

    /**
     * @throws IllegalArgumentException if {@code maxNumBatchedTokens}, an endpoint or a compile size is below 1
     */
    public CompilationConfig {
        Objects.requireNonNull(mode, "mode");
        Objects.requireNonNull(dynamicShapes, "dynamicShapes");
        if (maxNumBatchedTokens < 1) {
            throw new IllegalArgumentException("maxNumBatchedTokens must be >= 1, was " + maxNumBatchedTokens);
        }
        for (int size : compileSizes) {
            if (size < 1) {
                throw new IllegalArgumentException("compileSizes must be >= 1, found " + size);
            }
        }
        userEndpoints = List.copyOf(userEndpoints);
        compileSizes = List.copyOf(new TreeSet<>(compileSizes));
        splittingOps = List.copyOf(splittingOps);
        RangeEndpoints.derive(maxNumBatchedTokens, userEndpoints);
    }

    /** Defaults: PIECEWISE, BACKED, one range, no exact sizes, split at attention. */
    public static Builder builder(int maxNumBatchedTokens) {
        return new Builder(maxNumBatchedTokens);
    }

    /** The endpoints in force: ascending, distinct, ending in {@code maxNumBatchedTokens}. */
    public List<Integer> endpoints() {
        return RangeEndpoints.derive(maxNumBatchedTokens, userEndpoints).endpoints();
    }

    /** The ranges from 1 to {@code maxNumBatchedTokens}: contiguous, without overlap; none in mode NONE. */
    public List<CompileRange> ranges() {
        return mode == CompilationMode.NONE
                ? List.of()
                : RangeEndpoints.derive(maxNumBatchedTokens, userEndpoints).ranges();
    }

    /** What was decided while deriving the ranges: one event for each endpoint dropped. */
    public List<CompilationEvent> events() {
        return RangeEndpoints.derive(maxNumBatchedTokens, userEndpoints).events();
    }

    /** Whether the tokens dimension is frozen to 1, so that pieces have no symbolic argument. */
    public boolean freezesTokens() {
        return dynamicShapes == DynamicShapes.BACKED && maxNumBatchedTokens == 1;
    }

    /** Collects the settings of a {@link CompilationConfig}; whatever is not set keeps its default. */
    public static final class Builder {
        private final int maxNumBatchedTokens;
        private CompilationMode mode = CompilationMode.PIECEWISE;
        private DynamicShapes dynamicShapes = DynamicShapes.BACKED;
        private List<Integer> endpoints = List.of();
        private List<Integer> compileSizes = List.of();
        private List<String> splittingOps = List.of(ATTENTION);

        private Builder(int maxNumBatchedTokens) {
            this.maxNumBatchedTokens = maxNumBatchedTokens;
        }

        public Builder mode(CompilationMode value) {
            mode = value;
            return this;
        }

        public Builder dynamicShapes(DynamicShapes value) {
            dynamicShapes = value;
            return this;
        }

        /** Ends of ranges, in any order. */
        public Builder endpoints(List<Integer> values) {
            endpoints = new ArrayList<>(values);
            return this;
        }

        /** Ends of ranges, in any order. */
        public Builder endpoints(int... values) {
            return endpoints(boxed(values));
        }

        /** Exact sizes, in any order. */
        public Builder compileSizes(List<Integer> values) {
            compileSizes = new ArrayList<>(values);
            return this;
        }

        /** Exact sizes, in any order. */
        public Builder compileSizes(int... values) {
            return compileSizes(boxed(values));
        }

        public Builder splittingOps(List<String> values) {
            splittingOps = new ArrayList<>(values);
            return this;
        }

        /** @throws IllegalArgumentException if a size or an endpoint is below 1 */
        public CompilationConfig build() {
            return new CompilationConfig(
                    mode, dynamicShapes, maxNumBatchedTokens, endpoints, compileSizes, splittingOps);
        }

        private static List<Integer> boxed(int[] values) {
            return Arrays.stream(values).boxed().toList();
        }
    }
}
