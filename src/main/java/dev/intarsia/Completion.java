package dev.intarsia;

import java.time.Duration;
import java.util.List;

/**
 * What a prompt was continued with. Immutable.
 *
 * @param text the tokens as text, special tokens left out; empty where the checkpoint has no tokenizer
 * @param tokens ids of the completion
 * @param promptTokens ids of the prompt as the model saw it
 * @param finishReason why it ended
 * @param timings how long it took
 */
public record Completion(
        String text, List<Integer> tokens, List<Integer> promptTokens, FinishReason finishReason, Timings timings) {

    public Completion {
        tokens = List.copyOf(tokens);
        promptTokens = List.copyOf(promptTokens);
    }

    /**
     * Wall-clock times of one completion.
     *
     * @param queued from the call to the start of the first step
     * @param firstToken from the start of the first step to the first token: the prompt
     * @param decode from the first token to the last
     */
    public record Timings(Duration queued, Duration firstToken, Duration decode) {

        /** Tokens a second between the first and the last of {@code tokens}; 0 for fewer than two. */
        public double decodeRate(int tokens) {
            return tokens < 2 || decode.isZero() ? 0 : (tokens - 1) / (decode.toNanos() * 1e-9);
        }
    }
}
