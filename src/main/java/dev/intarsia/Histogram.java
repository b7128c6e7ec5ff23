package dev.intarsia;

import java.util.List;

/**
 * How many values fell into each of some buckets. Immutable.
 *
 * @param bounds upper bounds of the buckets, rising, inclusive
 * @param counts values in each bucket, not cumulative; the last, beyond the bounds, holds what is larger
 * @param sum of all values
 */
public record Histogram(List<Double> bounds, List<Long> counts, double sum) {
    public Histogram {
        bounds = List.copyOf(bounds);
        counts = List.copyOf(counts);
        Check.that(
                counts.size() == bounds.size() + 1,
                "counts",
                counts.size() + " long",
                "one longer than bounds: " + (bounds.size() + 1));
    }

    /** Values in all buckets. */
    public long count() {
        return counts.stream().mapToLong(Long::longValue).sum();
    }

    /** Their mean; 0 if there are none. */
    public double mean() {
        return count() == 0 ? 0 : sum / count();
    }

    /**
     * The bound below which a share of the values lies, interpolated within its bucket; the largest bound if it lies
     * beyond, 0 if there are no values.
     *
     * @param share in 0..1: 0.5 for the median
     */
    public double quantile(double share) {
        Check.that(share >= 0 && share <= 1, "share", share, "in 0..1");
        double rank = share * count();
        double below = 0;
        for (int i = 0; i < bounds.size(); i++) {
            long here = counts.get(i);
            if (here > 0 && below + here >= rank) {
                double low = i == 0 ? 0 : bounds.get(i - 1);
                return low + (bounds.get(i) - low) * Math.max(0, rank - below) / here;
            }
            below += here;
        }
        return count() == 0 || bounds.isEmpty() ? 0 : bounds.getLast();
    }
}
