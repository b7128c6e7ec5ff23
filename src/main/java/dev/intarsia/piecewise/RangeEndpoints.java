package dev.intarsia.piecewise;

import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;

/**
 * Turns the endpoints a user asked for into the endpoints in force and the ranges between them.
 *
 * @param endpoints in force: ascending, distinct, the last one is the maximum
 * @param events    one for each endpoint that was dropped
 */
record RangeEndpoints(List<Integer> endpoints, List<CompilationEvent> events) {

    /**
     * Endpoints strictly between 1 and {@code max} are kept; 1 and {@code max} change nothing and those above
     * {@code max} cannot be reached, so they are dropped with an event.
     *
     * @throws IllegalArgumentException on the first endpoint below 1
     */
    static RangeEndpoints derive(int max, List<Integer> requested) {
        TreeSet<Integer> kept = new TreeSet<>();
        List<CompilationEvent> events = new ArrayList<>();
        for (int endpoint : requested) {
            if (endpoint < 1) {
                throw new IllegalArgumentException(
                        "Invalid compile range endpoint: " + endpoint + " (endpoints must be >= 1)");
            }
            if (endpoint == 1) {
                events.add(dropped(endpoint, "no range can end before it"));
            } else if (endpoint == max) {
                events.add(dropped(endpoint, "it is maxNumBatchedTokens, which ends the last range anyway"));
            } else if (endpoint > max) {
                events.add(dropped(endpoint, "it is above maxNumBatchedTokens = " + max));
            } else {
                kept.add(endpoint);
            }
        }
        kept.add(max);
        return new RangeEndpoints(List.copyOf(kept), List.copyOf(events));
    }

    /** {@code [1, e0] [e0 + 1, e1] …}: contiguous, without overlap, from 1 to the maximum. */
    List<CompileRange> ranges() {
        List<CompileRange> ranges = new ArrayList<>(endpoints.size());
        int start = 1;
        for (int end : endpoints) {
            ranges.add(new CompileRange(start, end));
            start = end + 1;
        }
        return List.copyOf(ranges);
    }

    private static CompilationEvent dropped(int endpoint, String why) {
        return new CompilationEvent("ranges", "endpoint " + endpoint + " dropped: " + why);
    }
}
