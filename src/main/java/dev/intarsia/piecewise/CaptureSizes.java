package dev.intarsia.piecewise;

import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * The sizes for which steps are recorded.
 *
 * @param sizes  ascending and distinct, in tokens; empty when nothing is recorded
 * @param events what differs from what was asked for
 */
public record CaptureSizes(List<Integer> sizes, List<CompilationEvent> events) {
    private static final CaptureSizes NONE = new CaptureSizes(List.of(), List.of());
    private static final int LARGEST_DEFAULT = 512;

    /** @throws IllegalArgumentException if a size is below 1 */
    public CaptureSizes {
        for (int size : sizes) {
            if (size < 1) {
                throw new IllegalArgumentException("capture sizes must be >= 1, found " + size);
            }
        }
        sizes = List.copyOf(new TreeSet<>(sizes));
        events = List.copyOf(events);
    }

    /** No sizes: nothing is recorded. */
    public static CaptureSizes none() {
        return NONE;
    }

    /** Exactly these sizes. */
    public static CaptureSizes of(List<Integer> sizes) {
        return new CaptureSizes(sizes, List.of());
    }

    /**
     * The sizes for a configuration. A given list is cut at {@code maxNumBatchedTokens}. Without one: 1, 2, 4, then
     * steps of 8 below 256 and of 16 from there, up to the maximum, and {@code maxNumBatchedTokens} itself when it is
     * not above it. The maximum is the one given, else {@code min(maxNumSeqs · queryLength · 2, 512)}, and never above
     * {@code maxNumBatchedTokens}.
     *
     * @throws IllegalArgumentException if graphs are used and the maximum is below 1, a given list keeps no size, or a
     *                                  given list and a given maximum disagree
     */
    public static CaptureSizes derive(GraphConfig config) {
        if (config.mode() == GraphMode.NONE) {
            return NONE;
        }
        int limit = config.maxNumBatchedTokens();
        long derived = Math.min((long) config.maxNumSeqs() * config.queryLength() * 2, LARGEST_DEFAULT);
        int max = Math.min(limit, config.maxCaptureSize().orElse((int) derived));
        if (max < 1) {
            throw new IllegalArgumentException("maxCaptureSize must be greater than or equal to 1 when graphs are "
                    + "used, was " + max + "; mode NONE turns them off");
        }
        return config.captureSizes().isPresent()
                ? given(config.captureSizes().get(), config)
                : chosen(max, config);
    }

    private static CaptureSizes given(List<Integer> asked, GraphConfig config) {
        int limit = config.maxNumBatchedTokens();
        List<Integer> kept = asked.stream().filter(size -> size <= limit).toList();
        if (kept.isEmpty()) {
            throw new IllegalArgumentException("captureSizes must contain at least one size up to "
                    + "maxNumBatchedTokens = " + limit + " when graphs are used, was " + asked);
        }
        int largest = kept.stream().mapToInt(Integer::intValue).max().getAsInt();
        if (config.maxCaptureSize().isPresent() && config.maxCaptureSize().getAsInt() != largest) {
            throw new IllegalArgumentException("maxCaptureSize = " + config.maxCaptureSize().getAsInt()
                    + " should be consistent with the max value of captureSizes, which is " + largest);
        }
        List<CompilationEvent> events = asked.stream()
                .filter(size -> size > limit)
                .distinct()
                .map(size -> event("size " + size + " dropped: it is above maxNumBatchedTokens = " + limit))
                .toList();
        return new CaptureSizes(kept, events);
    }

    private static CaptureSizes chosen(int max, GraphConfig config) {
        List<Integer> sizes = new ArrayList<>(List.of(1, 2, 4));
        for (int size = 8; size < 256; size += 8) {
            sizes.add(size);
        }
        for (int size = 256; size <= max; size += 16) {
            sizes.add(size);
        }
        sizes.add(config.maxNumBatchedTokens());
        List<Integer> kept = sizes.stream().filter(size -> size <= max).toList();
        CaptureSizes captured = of(kept);
        int asked = config.maxCaptureSize().orElse(captured.max());
        return asked == captured.max()
                ? captured
                : new CaptureSizes(kept, List.of(event("maxCaptureSize " + asked + " lowered to " + captured.max()
                        + ": the largest size of the default list within the limits")));
    }

    private static CompilationEvent event(String message) {
        return new CompilationEvent("capture sizes", message);
    }

    /**
     * Rounded up to multiples of {@code queryLength}, so that a uniform batch can be padded by whole requests; those
     * above the old maximum are cut. If none is left, the query length itself, when it is not above the maximum.
     *
     * @throws IllegalArgumentException if the query length is above the maximum
     */
    public CaptureSizes roundedTo(int queryLength) {
        if (queryLength <= 1 || sizes.isEmpty()) {
            return this;
        }
        if (queryLength > max()) {
            throw new IllegalArgumentException("No valid capture sizes after rounding to multiples of the query "
                    + "length " + queryLength + ": the largest of " + sizes + " is below it");
        }
        TreeSet<Integer> rounded = sizes.stream()
                .map(size -> Math.ceilDiv(size, queryLength) * (long) queryLength)
                .filter(size -> size <= max())
                .map(Long::intValue)
                .collect(Collectors.toCollection(TreeSet::new));
        if (rounded.isEmpty()) {
            rounded.add(queryLength);
        }
        List<CompilationEvent> all = new ArrayList<>(events);
        if (!List.copyOf(rounded).equals(sizes)) {
            all.add(event(sizes + " rounded to " + rounded + ": a uniform decode batch has " + queryLength
                    + " tokens per request"));
        }
        return new CaptureSizes(List.copyOf(rounded), all);
    }

    /** The largest size; 0 when there is none. */
    public int max() {
        return sizes.isEmpty() ? 0 : sizes.getLast();
    }
}
