package dev.intarsia.artifact;

/** A file of the store is not what the store wrote; the message says how it is not. Never leaves the package. */
final class DamagedException extends Exception {
    private static final long serialVersionUID = 1L;

    DamagedException(String message) {
        super(message);
    }

    DamagedException(String message, Throwable cause) {
        super(message, cause);
    }
}
