package dev.intarsia.piecewise;

import java.util.function.BiConsumer;

/** Makes every recording at start-up. */
public final class Captures {
    private Captures() {}

    /**
     * Runs a step for every key in capture order, then locks captures and lets the dispatcher use them. If a step
     * throws, captures stay open and the dispatcher keeps answering NONE.
     *
     * @param step runs a step in a runtime mode for a key; the wrappers it reaches record it
     */
    public static void run(
            GraphKeys keys,
            BiConsumer<RuntimeMode, BatchDescriptor> step,
            CaptureLock lock,
            Dispatcher dispatcher,
            CompilationTracker tracker) {
        tracker.time(CompilationPhase.CAPTURE, () -> {
            for (GraphKeys.Group group : keys.captureOrder()) {
                group.keys().forEach(key -> step.accept(group.mode(), key));
            }
            return null;
        });
        lock.lock();
        dispatcher.activate();
    }
}
