package dev.intarsia;

import java.util.Optional;

/**
 * One token of a stream. The texts of all with the same index add up to the text of that output.
 *
 * @param index of the output that it belongs to: 0 .. n - 1
 * @param id its id; {@link #NONE} where text that had been held back comes at the end, without a token of its own
 * @param text the text that is complete with it and was not given out before; may be empty, since a character can take
 *     several tokens, and what may be the beginning of a stop string is held back
 * @param logprobs if {@link SamplingParams} ask for them
 */
public record Token(int index, int id, String text, Optional<TokenLogprobs> logprobs) {
    /** The id of text without a token. */
    public static final int NONE = -1;
}
