package dev.intarsia;

/**
 * So many requests wait already that the engine takes no more for now; nothing was started. Try again later, or open
 * it with a larger maxQueued.
 */
public final class QueueFullException extends IntarsiaException {
    private static final long serialVersionUID = 1L;

    private final int maxQueued;

    /** @param maxQueued {@link EngineOptions#maxQueued()} of the engine */
    public QueueFullException(int maxQueued) {
        super("the engine's queue is full: " + maxQueued
                + " requests wait already; try again later, or open the engine with a larger maxQueued");
        this.maxQueued = maxQueued;
    }

    /** Most requests that may wait. */
    public int maxQueued() {
        return maxQueued;
    }
}
