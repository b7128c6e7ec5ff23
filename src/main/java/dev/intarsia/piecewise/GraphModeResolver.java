package dev.intarsia.piecewise;

import java.util.ArrayList;
import java.util.List;

/** Fits the graph mode that was asked for to what the device's attention can do inside a recording. */
public final class GraphModeResolver {
    private GraphModeResolver() {}

    /**
     * What to record in the end.
     *
     * @param mode   the mode in force
     * @param sizes  the capture sizes, multiples of the query length where whole decode steps are recorded
     * @param events each change, with its reason
     */
    public record Resolved(GraphMode mode, CaptureSizes sizes, List<CompilationEvent> events) {
        public Resolved {
            events = List.copyOf(events);
        }
    }

    /**
     * @param asked          the mode asked for
     * @param support        what the device's attention can do
     * @param attentionSplit whether the graph is cut at attention, so that pieces can be recorded without it
     * @param queryLength    tokens per request in a uniform decode batch
     * @param sizes          capture sizes as derived
     * @throws IllegalArgumentException if the mode is FULL and attention can never be recorded, or no capture size is
     *                                  left after rounding
     */
    public static Resolved resolve(
            GraphMode asked, AttentionSupport support, boolean attentionSplit, int queryLength, CaptureSizes sizes) {
        List<CompilationEvent> events = new ArrayList<>();
        GraphMode mode = asked;
        if (mode.mixed() == RuntimeMode.FULL && support != AttentionSupport.ALWAYS) {
            if (support == AttentionSupport.NEVER) {
                throw new IllegalArgumentException("graph mode " + mode + " is not supported: this device's attention "
                        + "cannot be recorded (support NEVER); use PIECEWISE or NONE");
            }
            GraphMode next = attentionSplit ? GraphMode.FULL_AND_PIECEWISE : GraphMode.FULL_DECODE_ONLY;
            String why = "attention support " + support + " does not cover mixed batches";
            events.add(change(mode, next, why, attentionSplit));
            mode = next;
        }
        if (mode.decode() == RuntimeMode.FULL) {
            String why = whyNoDecode(support, queryLength);
            if (why != null) {
                GraphMode next = attentionSplit ? GraphMode.PIECEWISE : GraphMode.NONE;
                events.add(change(mode, next, why, attentionSplit));
                mode = next;
            }
        }
        CaptureSizes rounded = sizes;
        if (mode.decode() == RuntimeMode.FULL) {
            rounded = sizes.roundedTo(queryLength);
            events.addAll(rounded.events().subList(sizes.events().size(), rounded.events().size()));
        }
        return new Resolved(mode, rounded, events);
    }

    /** Why whole decode steps cannot be recorded, or null if they can. */
    private static String whyNoDecode(AttentionSupport support, int queryLength) {
        if (support == AttentionSupport.NEVER) {
            return "attention support NEVER: attention cannot be recorded";
        }
        if (queryLength > 1 && !support.atLeast(AttentionSupport.UNIFORM_BATCH)) {
            return "attention support " + support + " does not cover " + queryLength + " tokens per request";
        }
        return null;
    }

    private static CompilationEvent change(GraphMode from, GraphMode to, String why, boolean attentionSplit) {
        return new CompilationEvent("graph mode", from + " lowered to " + to + ": " + why + ", and the graph is "
                + (attentionSplit ? "" : "not ") + "split at attention");
    }
}
