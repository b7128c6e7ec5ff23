package dev.intarsia.fuzz;

import dev.intarsia.CheckpointException;
import dev.intarsia.IntarsiaException;
import java.io.PrintWriter;
import java.io.StringWriter;

/**
 * How an input ended.
 *
 * @param ending    {@code accepted}, or the kind of exception
 * @param complaint what is wrong with that; empty where it is right
 */
record Verdict(String ending, String complaint) {

    private static final int MAX_MESSAGE = 1_000;

    static Verdict accepted() {
        return new Verdict("accepted", "");
    }

    /** An exception of the library with one readable sentence is right; what shows that a check is missing is not. */
    static Verdict of(Throwable thrown) {
        return new Verdict(thrown.getClass().getSimpleName(), complaint(thrown));
    }

    private static String complaint(Throwable thrown) {
        boolean ours = thrown instanceof IntarsiaException || thrown.getClass() == IllegalArgumentException.class;
        StackTraceElement[] trace = thrown.getStackTrace();
        if (!ours || trace.length == 0 || !trace[0].getClassName().startsWith("dev.intarsia.")) {
            return "ended in " + traced(thrown);
        }
        for (Throwable cause = thrown.getCause(); cause != null; cause = cause.getCause()) {
            if (cause instanceof Error || isMistake(cause)) {
                return "hides " + traced(cause);
            }
        }
        String message = thrown.getMessage();
        if (message == null || message.isBlank()) {
            return "has no message: " + traced(thrown);
        }
        if (message.length() > MAX_MESSAGE) {
            return "has a message of " + message.length() + " chars: " + message.substring(0, MAX_MESSAGE);
        }
        if (message.codePoints().anyMatch(Verdict::doesNotShow)) {
            return "has characters in its message that do not show: " + WeightsFile.JSON.writeValueAsString(message);
        }
        return "";
    }

    /** Line breaks and other control characters, what turns the writing around, half a character. */
    private static boolean doesNotShow(int c) {
        return switch (Character.getType(c)) {
            case Character.CONTROL, Character.FORMAT, Character.SURROGATE, Character.LINE_SEPARATOR,
                    Character.PARAGRAPH_SEPARATOR -> true;
            default -> false;
        };
    }

    private static boolean isMistake(Throwable cause) {
        return cause instanceof NullPointerException
                || cause instanceof IndexOutOfBoundsException
                || cause instanceof ClassCastException
                || cause instanceof NegativeArraySizeException
                || cause instanceof IllegalStateException && !(cause instanceof CheckpointException);
    }

    private static String traced(Throwable thrown) {
        StringWriter text = new StringWriter();
        thrown.printStackTrace(new PrintWriter(text));
        return text.toString();
    }
}
