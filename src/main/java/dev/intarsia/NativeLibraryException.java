package dev.intarsia;

/**
 * The native library cannot be used: it was not found, cannot be loaded, was built from another header than the
 * bindings, or native access is not enabled. The message lists what was tried and says what to do.
 */
public class NativeLibraryException extends IntarsiaException {

    private static final long serialVersionUID = 1L;

    public NativeLibraryException(String message) {
        super(message);
    }

    public NativeLibraryException(String message, Throwable cause) {
        super(message, cause);
    }
}
