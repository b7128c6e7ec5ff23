package dev.intarsia.cli;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Locale;

/**
 * Standard output in UTF-8. Each text is there for the reader when {@link #print} returns. One thread writes.
 *
 * <p>{@link java.io.PrintStream} would swallow failures, and a command would go on for nobody.
 */
final class Output {

    /** The reader has gone, as {@code head} does: no failure, but no reason to go on either. */
    static final class ReaderGone extends RuntimeException {
        private static final long serialVersionUID = 1L;

        ReaderGone(IOException cause) {
            super(cause);
        }
    }

    private final OutputStream stream;

    Output(OutputStream stream) {
        this.stream = stream;
    }

    /**
     * Writes and flushes.
     *
     * @throws ReaderGone           if nobody reads any more
     * @throws UncheckedIOException if the text cannot be written for another reason, such as a full disk
     */
    void print(String text) {
        if (text.isEmpty()) {
            return;
        }
        try {
            stream.write(text.getBytes(StandardCharsets.UTF_8));
            stream.flush();
        } catch (IOException e) {
            if (isBrokenPipe(e)) {
                throw new ReaderGone(e);
            }
            throw new UncheckedIOException("cannot write to standard output: " + e.getMessage(), e);
        }
    }

    /** {@link #print} with a line end. */
    void println(String text) {
        print(text + "\n");
    }

    /** For the parser's own texts, help and versions; where they cannot be written nothing more is done. */
    PrintWriter writer() {
        return new PrintWriter(stream, true, StandardCharsets.UTF_8);
    }

    /** The JDK has no type for it, only the system's text; translations keep the English in brackets. */
    private static boolean isBrokenPipe(IOException e) {
        String message = String.valueOf(e.getMessage()).toLowerCase(Locale.ROOT);
        return message.contains("pipe") || message.contains("connection reset");
    }
}
