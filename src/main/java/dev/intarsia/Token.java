package dev.intarsia;

/**
 * One token of a stream.
 *
 * @param id its id
 * @param text the text that is complete with it and was not given out before; may be empty, since a character can take several
 *     tokens. The texts of a stream, and {@link TokenStream#completion()}'s tail, add up to the text of the completion
 */
public record Token(int id, String text) {}
