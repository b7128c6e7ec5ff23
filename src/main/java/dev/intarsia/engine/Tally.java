package dev.intarsia.engine;

import dev.intarsia.Histogram;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicLongArray;

/** A histogram of times that is being filled: adding allocates nothing; any thread may read. */
final class Tally {
    /** Upper bounds in nanoseconds: 1, 2 and 5 times every power of ten from 10 µs to 1000 s. */
    private static final long[] BOUNDS = bounds();

    private static final List<Double> SECONDS =
            Arrays.stream(BOUNDS).mapToObj(nanos -> nanos / 1e9).toList();

    private final AtomicLongArray counts = new AtomicLongArray(BOUNDS.length + 1);
    private final AtomicLong sum = new AtomicLong();

    private static long[] bounds() {
        long[] bounds = new long[25];
        long power = 10_000;
        for (int i = 0; i < bounds.length; i++) {
            bounds[i] = power * new int[] {1, 2, 5}[i % 3];
            power *= i % 3 == 2 ? 10 : 1;
        }
        return bounds;
    }

    void add(long nanos) {
        int at = Arrays.binarySearch(BOUNDS, nanos);
        counts.getAndIncrement(at >= 0 ? at : -at - 1);
        sum.getAndAdd(nanos);
    }

    Histogram histogram() {
        List<Long> values = new ArrayList<>();
        for (int i = 0; i < counts.length(); i++) {
            values.add(counts.get(i));
        }
        return new Histogram(SECONDS, values, sum.get() / 1e9);
    }
}
