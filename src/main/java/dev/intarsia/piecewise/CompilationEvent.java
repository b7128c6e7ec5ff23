package dev.intarsia.piecewise;

import java.util.Objects;

/**
 * Something the layer decided on its own and that a user may want to know: a dropped endpoint, an ignored artifact, a
 * changed mode. Meant to be read by people.
 *
 * @param subject what it is about, e.g. {@code "ranges"}
 * @param message what happened and why, one sentence
 */
public record CompilationEvent(String subject, String message) {

    public CompilationEvent {
        Objects.requireNonNull(subject, "subject");
        Objects.requireNonNull(message, "message");
    }

    @Override
    public String toString() {
        return subject + ": " + message;
    }
}
