package dev.intarsia.runtime;

import dev.intarsia.IntarsiaException;

/**
 * A native call failed. Nothing has changed by it. The message is the native side's own: the function, what was wrong
 * and where, with the shapes or values and their bounds.
 */
public final class NativeException extends IntarsiaException {

    private static final long serialVersionUID = 1L;

    private final NativeStatus status;

    NativeException(NativeStatus status, String message) {
        super(message);
        this.status = status;
    }

    /** The kind of failure. */
    public NativeStatus status() {
        return status;
    }
}
