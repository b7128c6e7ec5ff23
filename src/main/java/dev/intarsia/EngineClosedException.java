package dev.intarsia;

/** The engine was closed before or during the call; its cause, where there is one, says why it closed itself. */
public final class EngineClosedException extends IntarsiaException {
    private static final long serialVersionUID = 1L;

    public EngineClosedException(String message) {
        super(message);
    }

    public EngineClosedException(String message, Throwable cause) {
        super(message, cause);
    }
}
