package dev.intarsia.piecewise;

/** Ends capturing for good: recording during service would stall every request. Shared by all wrappers of an engine. */
public final class CaptureLock {
    private boolean locked;

    /** From now on nothing may be captured. */
    public void lock() {
        locked = true;
    }

    public boolean isLocked() {
        return locked;
    }
}
