package dev.intarsia;

/**
 * When a completion that repeats itself is ended: as soon as its last tokens are one pattern, {@code minCount} times over.
 *
 * @param maxPatternSize tokens of the longest pattern that is looked for; 0 = none is
 * @param minPatternSize tokens of the shortest; 0 .. {@code maxPatternSize}, 0 = 1
 * @param minCount how often a pattern must come in a row; at least 2 unless {@code maxPatternSize} is 0
 */
public record RepetitionDetection(int maxPatternSize, int minPatternSize, int minCount) {

    /** @throws IllegalArgumentException naming the parameter, its value and its bound */
    public RepetitionDetection {
        Check.that(maxPatternSize >= 0, "maxPatternSize", maxPatternSize, ">= 0, where 0 detects nothing");
        Check.that(minPatternSize >= 0 && minPatternSize <= maxPatternSize,
                "minPatternSize", minPatternSize, "in 0..maxPatternSize, " + maxPatternSize);
        Check.that(minCount >= 2 || maxPatternSize == 0, "minCount", minCount, ">= 2");
    }
}
