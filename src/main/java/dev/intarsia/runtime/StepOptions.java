package dev.intarsia.runtime;

/**
 * The largest step that a {@link Step} has room for.
 *
 * @param maxTokens    tokens of a step, padding included
 * @param maxSequences sequences of a step
 * @param maxRows      rows of a step: positions whose logits are wanted
 * @param maxBlocks    blocks of the longest sequence
 */
public record StepOptions(int maxTokens, int maxSequences, int maxRows, int maxBlocks) {

    /** @throws IllegalArgumentException if a count is below 1 */
    public StepOptions {
        Calls.atLeast(1, maxTokens, "maxTokens");
        Calls.atLeast(1, maxSequences, "maxSequences");
        Calls.atLeast(1, maxRows, "maxRows");
        Calls.atLeast(1, maxBlocks, "maxBlocks");
    }
}
