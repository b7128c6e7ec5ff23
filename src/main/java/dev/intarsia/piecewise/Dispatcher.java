package dev.intarsia.piecewise;

import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/**
 * Decides how each step runs: which recording is replayed, how far the step is padded, and why. The answers exist from
 * the start, so asking allocates nothing; without restrictions it is one array access.
 *
 * <p>For the one thread that runs steps.
 */
public final class Dispatcher {
    private static final Set<RuntimeMode> ALL = Set.copyOf(EnumSet.allOf(RuntimeMode.class));

    private final GraphMode mode;
    /** Largest size with a recording. */
    private final int maxCaptured;
    /** Per number of tokens, up to {@link #maxCaptured}: the answer in that runtime mode, or null. */
    private final Dispatch[] fullMixed;
    private final Dispatch[] fullUniform;
    private final Dispatch[] piecewise;
    /** Per number of tokens, up to the largest step: the answer once captured if nothing may or can be replayed. */
    private final Dispatch[] none;
    /** Per number of tokens, up to the largest step: the answer when every mode is allowed. */
    private Dispatch[] mixedAnswers;
    private Dispatch[] uniformAnswers;
    private boolean active;

    /**
     * @param keys                the recordings there will be
     * @param maxNumBatchedTokens largest number of tokens in a step
     */
    public Dispatcher(GraphKeys keys, int maxNumBatchedTokens) {
        mode = keys.mode();
        PaddingTable padding = new PaddingTable(keys.sizes());
        maxCaptured = padding.max();
        fullMixed = new Dispatch[maxCaptured + 1];
        fullUniform = new Dispatch[maxCaptured + 1];
        piecewise = new Dispatch[maxCaptured + 1];
        for (int n = 1; n <= maxCaptured; n++) {
            int size = padding.pad(n);
            fullMixed[n] = replay(n, RuntimeMode.FULL, keys.full(size, false));
            fullUniform[n] = replay(n, RuntimeMode.FULL, keys.full(size, true));
            piecewise[n] = replay(n, RuntimeMode.PIECEWISE, keys.piecewise(size));
        }
        int largest = Math.max(maxNumBatchedTokens, maxCaptured);
        none = new Dispatch[largest + 1];
        mixedAnswers = new Dispatch[largest + 1];
        for (int n = 0; n <= largest; n++) {
            none[n] = Dispatch.none(n, whyNone(n));
            mixedAnswers[n] = Dispatch.none(n, whyInactive());
        }
        uniformAnswers = mixedAnswers;
    }

    private static Dispatch replay(int n, RuntimeMode mode, BatchDescriptor key) {
        return key == null ? null : Dispatch.replay(n, mode, key);
    }

    private Dispatch.Reason whyNone(int n) {
        if (mode == GraphMode.NONE) {
            return Dispatch.Reason.GRAPHS_OFF;
        }
        return n > maxCaptured ? Dispatch.Reason.TOO_LARGE : Dispatch.Reason.NO_MATCHING_GRAPH;
    }

    private Dispatch.Reason whyInactive() {
        return mode == GraphMode.NONE ? Dispatch.Reason.GRAPHS_OFF : Dispatch.Reason.NOTHING_CAPTURED;
    }

    /** Says that every recording has been made. Until then every answer is NONE. */
    public void activate() {
        Dispatch[] mixed = none.clone();
        Dispatch[] uniform = none.clone();
        for (int n = 1; n <= maxCaptured; n++) {
            mixed[n] = first(fullMixed[n], piecewise[n], none[n]);
            uniform[n] = first(fullUniform[n], piecewise[n], none[n]);
        }
        mixedAnswers = mixed;
        uniformAnswers = uniform;
        active = true;
    }

    private static Dispatch first(Dispatch full, Dispatch piecewise, Dispatch none) {
        return full != null ? full : piecewise != null ? piecewise : none;
    }

    /**
     * How a step runs when every mode is allowed.
     *
     * @param n       tokens, at least 0
     * @param uniform whether every request has the query length that uniform recordings are for
     */
    public Dispatch dispatch(int n, boolean uniform) {
        Dispatch[] answers = uniform ? uniformAnswers : mixedAnswers;
        return n >= 0 && n < answers.length ? answers[n] : beyondTable(n);
    }

    /** The answers for 0, 1, 2, … tokens when every mode is allowed, up to the largest step. */
    public List<Dispatch> answers(boolean uniform) {
        return List.of(uniform ? uniformAnswers : mixedAnswers);
    }

    /**
     * How a step runs when only some modes are allowed: those in {@code valid} and not in {@code invalid}. What cannot
     * be replayed anyway (nothing captured, mode NONE, too large) runs in mode NONE even if that is not allowed.
     *
     * @param n       tokens, at least 0
     * @param uniform whether every request has the query length that uniform recordings are for
     * @param valid   null: all
     * @param invalid null: none
     * @throws IllegalArgumentException if no mode is allowed, or only modes that have no recording for the step
     */
    public Dispatch dispatch(int n, boolean uniform, Set<RuntimeMode> valid, Set<RuntimeMode> invalid) {
        boolean full = allowed(RuntimeMode.FULL, valid, invalid);
        boolean pieces = allowed(RuntimeMode.PIECEWISE, valid, invalid);
        boolean nothing = allowed(RuntimeMode.NONE, valid, invalid);
        if (!full && !pieces && !nothing) {
            throw new IllegalArgumentException("No allowed graph modes: valid " + (valid == null ? ALL : valid)
                    + ", invalid " + invalid);
        }
        if (!active || mode == GraphMode.NONE || n < 1 || n > maxCaptured) {
            return dispatch(n, uniform);
        }
        if (!full && !pieces) {
            return Dispatch.none(n, Dispatch.Reason.ONLY_NONE_ALLOWED);
        }
        Dispatch answer = first(
                full ? (uniform ? fullUniform : fullMixed)[n] : null,
                pieces ? piecewise[n] : null,
                nothing ? none[n] : null);
        if (answer == null) {
            throw new IllegalArgumentException("No matching graph found and NONE is not in the allowed modes: " + n
                    + (uniform ? " uniform" : "") + " tokens, graph mode " + mode + ", valid "
                    + (valid == null ? ALL : valid) + ", invalid " + invalid);
        }
        return answer;
    }

    private static boolean allowed(RuntimeMode mode, Set<RuntimeMode> valid, Set<RuntimeMode> invalid) {
        return (valid == null || valid.contains(mode)) && (invalid == null || !invalid.contains(mode));
    }

    private Dispatch beyondTable(int n) {
        if (n < 0) {
            throw new IllegalArgumentException("n must be >= 0, was " + n);
        }
        return Dispatch.none(n, active ? whyNone(n) : whyInactive());
    }
}
