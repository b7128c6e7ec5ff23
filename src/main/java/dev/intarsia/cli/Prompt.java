package dev.intarsia.cli;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;

/** A prompt from standard input. */
final class Prompt {
    private Prompt() {}

    /**
     * All of the stream as UTF-8, less one line end at its end: {@code echo} and editors put it there, nobody means it.
     *
     * @throws IllegalArgumentException if it is not UTF-8
     */
    static String read(InputStream stream) {
        byte[] bytes;
        try {
            bytes = stream.readAllBytes();
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read standard input: " + e.getMessage(), e);
        }
        try {
            String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
            return text.replaceFirst("\\r?\\n\\z", "");
        } catch (CharacterCodingException e) {
            throw new IllegalArgumentException("standard input is not UTF-8", e);
        }
    }
}
