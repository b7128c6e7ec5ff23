package dev.intarsia;

/**
 * The base of everything this library throws for reasons other than an illegal argument. The message is one sentence
 * that says what was wrong, where, and where it can be known what to do about it.
 */
public class IntarsiaException extends RuntimeException {

    private static final long serialVersionUID = 1L;

    public IntarsiaException(String message) {
        super(message);
    }

    public IntarsiaException(String message, Throwable cause) {
        super(message, cause);
    }
}
