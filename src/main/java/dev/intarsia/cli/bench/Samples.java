package dev.intarsia.cli.bench;

import java.util.Arrays;
import java.util.Collection;

/** Measured values. Immutable; may be empty, and then every figure is NaN. */
public final class Samples {
    private final double[] sorted;

    private Samples(double[] values) {
        sorted = values;
        Arrays.sort(sorted);
    }

    public static Samples of(Collection<Double> values) {
        return new Samples(values.stream().mapToDouble(Double::doubleValue).toArray());
    }

    public static Samples of(double... values) {
        return new Samples(values.clone());
    }

    public int count() {
        return sorted.length;
    }

    /** The middle one, or the mean of the two in the middle. */
    public double median() {
        return percentile(50);
    }

    /** Between the two nearest ranks in proportion: 0 is the least, 100 the greatest. */
    public double percentile(double percent) {
        if (sorted.length == 0) {
            return Double.NaN;
        }
        double rank = percent / 100 * (sorted.length - 1);
        int below = (int) rank;
        int above = Math.min(below + 1, sorted.length - 1);
        return sorted[below] + (rank - below) * (sorted[above] - sorted[below]);
    }

    public double mean() {
        return Arrays.stream(sorted).average().orElse(Double.NaN);
    }

    public double least() {
        return percentile(0);
    }

    public double greatest() {
        return percentile(100);
    }

    /** Rising. */
    public double[] values() {
        return sorted.clone();
    }
}
