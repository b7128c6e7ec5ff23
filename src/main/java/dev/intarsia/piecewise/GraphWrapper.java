package dev.intarsia.piecewise;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;

/**
 * Records what it wraps, once per batch descriptor, and replays it afterwards. Bound to one runtime mode: a step in any
 * other mode calls through. It copies no inputs, so they must stay where they were when they were recorded; that is
 * checked on the first replay of every recording.
 *
 * <p>For the one thread that runs steps. A replay allocates nothing.
 */
public final class GraphWrapper implements AutoCloseable {

    /** What a call did. */
    public enum Action {
        /** Called what is wrapped. */
        BYPASS,
        /** Made a recording. */
        CAPTURE,
        /** Ran a recording. */
        REPLAY
    }

    private static final class Entry {
        private final Recording recording;
        /** Of the inputs when recorded; null once a replay has found them unmoved. */
        private long[] addresses;

        Entry(Recording recording, long[] addresses) {
            this.recording = recording;
            this.addresses = addresses;
        }
    }

    private final RuntimeMode bound;
    private final Recordable target;
    private final CaptureLock lock;
    private final CompilationTracker tracker;
    private final Map<BatchDescriptor, Entry> entries = new HashMap<>();

    /**
     * @param bound  FULL or PIECEWISE
     * @param target what is wrapped
     * @param lock   once locked, a key that was not captured is an error
     */
    public GraphWrapper(RuntimeMode bound, Recordable target, CaptureLock lock, CompilationTracker tracker) {
        if (bound == RuntimeMode.NONE) {
            throw new IllegalArgumentException("bound must be FULL or PIECEWISE, was NONE");
        }
        this.bound = bound;
        this.target = Objects.requireNonNull(target, "target");
        this.lock = Objects.requireNonNull(lock, "lock");
        this.tracker = Objects.requireNonNull(tracker, "tracker");
    }

    /**
     * Runs one step.
     *
     * @throws IllegalStateException if a recording would have to be made and captures are locked, or if inputs have
     *                               moved since they were recorded
     */
    public Action call(RuntimeMode mode, BatchDescriptor batch) {
        if (mode != bound) {
            target.run(batch);
            return Action.BYPASS;
        }
        Entry entry = entries.get(batch);
        if (entry == null) {
            capture(batch);
            return Action.CAPTURE;
        }
        if (entry.addresses != null) {
            checkAddresses(batch, entry);
        }
        entry.recording.replay();
        tracker.countReplay();
        return Action.REPLAY;
    }

    private void capture(BatchDescriptor batch) {
        if (lock.isLocked()) {
            throw new IllegalStateException("No " + bound + " graph was captured for " + batch
                    + ", and captures are locked; captured: " + entries.keySet());
        }
        long[] addresses = target.inputAddresses().clone();
        Recording recording = Objects.requireNonNull(target.record(batch), "the target recorded nothing");
        entries.put(batch, new Entry(recording, addresses));
        tracker.countCapture();
    }

    private void checkAddresses(BatchDescriptor batch, Entry entry) {
        long[] now = target.inputAddresses();
        int moved = Arrays.mismatch(entry.addresses, now);
        if (moved >= 0) {
            throw new IllegalStateException(bound + " graph for " + batch + ": " + describe(entry.addresses, now, moved)
                    + "; a replay reads its inputs where they were recorded");
        }
        entry.addresses = null;
    }

    private static String describe(long[] recorded, long[] now, int moved) {
        return recorded.length != now.length
                ? "it was recorded with " + recorded.length + " inputs and now has " + now.length
                : "input " + moved + " was recorded at 0x" + Long.toHexString(recorded[moved]) + " and is now at 0x"
                        + Long.toHexString(now[moved]);
    }

    /** Number of recordings. */
    public int size() {
        return entries.size();
    }

    /** Closes every recording. */
    @Override
    public void close() {
        try {
            Closing.all(entries.values(), entry -> entry.recording.close());
        } finally {
            entries.clear();
        }
    }
}
