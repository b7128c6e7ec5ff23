package dev.intarsia.piecewise;

import java.util.Comparator;
import java.util.List;
import java.util.TreeSet;
import java.util.function.IntConsumer;

/** Runs, before capture, what captures will not run, so that no first request pays for first-use work. */
public final class WarmUp {
    private WarmUp() {}

    /**
     * The sizes to run, descending: every compile size that is not a capture size, and the end of each range in which
     * there is neither a capture size nor one of those.
     */
    public static List<Integer> sizes(CompilationConfig config, CaptureSizes captured) {
        TreeSet<Integer> sizes = new TreeSet<>(Comparator.reverseOrder());
        sizes.addAll(config.compileSizes());
        captured.sizes().forEach(sizes::remove);
        TreeSet<Integer> seen = new TreeSet<>(sizes);
        seen.addAll(captured.sizes());
        for (CompileRange range : config.ranges()) {
            if (seen.stream().noneMatch(range::contains)) {
                sizes.add(range.end());
            }
        }
        return List.copyOf(sizes);
    }

    /**
     * Runs one step of each size.
     *
     * @param step runs a step of so many tokens
     * @throws IllegalStateException if a step compiled something: everything should have been compiled up front
     */
    public static void run(List<Integer> sizes, IntConsumer step, CompilationTracker tracker) {
        long before = tracker.counters().compilations();
        tracker.time(CompilationPhase.WARM_UP, () -> {
            sizes.forEach(step::accept);
            return null;
        });
        long compiled = tracker.counters().compilations() - before;
        if (compiled != 0) {
            throw new IllegalStateException("warm-up compiled " + compiled
                    + " executables: all ranges should be compiled or loaded up front");
        }
    }
}
