package dev.intarsia;

import dev.intarsia.engine.EngineCore;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;

/**
 * What becomes of an engine that nobody can reach any more. It knows the core alone: neither the core nor its thread
 * nor this refers to the {@link Engine}, so that dropping that is noticed.
 */
final class Dropped implements Runnable {
    private static final Logger LOG = System.getLogger("dev.intarsia");

    private final EngineCore core;
    private volatile boolean closed;

    Dropped(EngineCore core) {
        this.core = core;
    }

    /** Closed by its owner: there is nothing to report. */
    void closed() {
        closed = true;
    }

    @Override
    public void run() {
        if (!closed) {
            core.close();
            LOG.log(Level.WARNING, () ->
                    "an Engine for " + core.origin() + " was dropped without close(); it was closed now");
        }
    }
}
