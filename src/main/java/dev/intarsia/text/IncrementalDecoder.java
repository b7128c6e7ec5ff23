package dev.intarsia.text;

import java.util.Arrays;

/**
 * Decodes tokens as they arrive: the pieces, put together, are {@link Tokenizer#decode(int[], boolean)} of all tokens.
 *
 * <p>Text is given out once no later token can change it: an unfinished UTF-8 character waits for its last byte, and
 * where a decoder falls back to byte tokens, a run of them waits for its end, since one bad byte turns the whole run
 * into U+FFFD. Each call decodes a window of the last few tokens, never all of them; whatever a decoder does to the
 * beginning of a text, such as dropping a space, it does to every window alike, and only what a token adds to it is
 * given out.
 *
 * <p>One decoder serves one sequence and one thread at a time.
 */
public final class IncrementalDecoder {

    /** Tokens a window keeps when it moves on: more than the 4 bytes of a character. */
    private static final int KEEP = 8;
    private static final String REPLACEMENT = "\uFFFD";

    private final Tokenizer tokenizer;
    private final boolean skipSpecial;
    private int[] window = new int[4 * KEEP];
    private int size;
    /** Chars of the window's text that were given out. */
    private int given;
    private int slideAt = 2 * KEEP;
    private boolean finished;

    /** Leaves special tokens out. */
    public IncrementalDecoder(Tokenizer tokenizer) {
        this(tokenizer, true);
    }

    /** @param skipSpecial whether special tokens are left out; else they are written out */
    public IncrementalDecoder(Tokenizer tokenizer, boolean skipSpecial) {
        this.tokenizer = tokenizer;
        this.skipSpecial = skipSpecial;
    }

    /**
     * The text that this token completes; often empty.
     *
     * @throws IllegalStateException after {@link #finish()}
     */
    public String append(int tokenId) {
        if (finished) {
            throw new IllegalStateException("the text is finished");
        }
        if (!tokenizer.hasText(tokenId, skipSpecial)) {
            return "";
        }
        if (size == window.length) {
            window = Arrays.copyOf(window, 2 * size);
        }
        window[size++] = tokenId;
        if (tokenizer.isByte(tokenId)) {
            return "";
        }
        String text = decode(0);
        int settled = text.endsWith(REPLACEMENT) ? text.length() - 1 : text.length();
        String piece = take(text, settled);
        if (size >= slideAt) {
            slide(text.length() - settled);
        }
        return piece;
    }

    /** The text that was still waiting; afterwards nothing more can be appended. */
    public String finish() {
        finished = true;
        String text = decode(0);
        return take(text, text.length());
    }

    private String take(String text, int end) {
        String piece = text.substring(Math.min(given, end), end);
        given = Math.max(given, end);
        return piece;
    }

    /** Moves the window on to its last tokens, if they show text that was given out and what is still waiting. */
    private void slide(int waiting) {
        String tail = decode(size - KEEP);
        if (tail.length() > waiting && (waiting == 0 || tail.endsWith(REPLACEMENT))) {
            System.arraycopy(window, size - KEEP, window, 0, KEEP);
            size = KEEP;
            given = tail.length() - waiting;
            slideAt = 2 * KEEP;
        } else {
            slideAt = 2 * size;
        }
    }

    private String decode(int from) {
        return tokenizer.decode(window, from, size, skipSpecial);
    }
}
