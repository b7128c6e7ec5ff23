package dev.intarsia;

/** A checkpoint directory that cannot be read or cannot be served; the message names the file. */
public class CheckpointException extends IntarsiaException {

    private static final long serialVersionUID = 1L;

    public CheckpointException(String message) {
        super(message);
    }

    public CheckpointException(String message, Throwable cause) {
        super(message, cause);
    }
}
