package dev.intarsia;

import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * What a prompt was continued with: one output, or as many as {@code n} of the parameters. Immutable.
 *
 * @param promptTokens ids of the prompt as the model saw it
 * @param outputs at least one, by rising index
 * @param cachedTokens tokens of the prompt whose keys and values were found in the prefix cache
 * @param promptLogprobs of the prompt's tokens from the second on, if they were asked for; else empty
 * @param timings how long it took
 */
public record Completion(
        List<Integer> promptTokens,
        List<Output> outputs,
        int cachedTokens,
        List<TokenLogprobs> promptLogprobs,
        Timings timings) {

    public Completion {
        promptTokens = List.copyOf(promptTokens);
        outputs = List.copyOf(outputs);
        promptLogprobs = List.copyOf(promptLogprobs);
    }

    /** The text of the first output. */
    public String text() {
        return outputs.getFirst().text();
    }

    /** The token ids of the first output. */
    public List<Integer> tokens() {
        return outputs.getFirst().tokens();
    }

    /** Why the first output ended. */
    public FinishReason finishReason() {
        return outputs.getFirst().finishReason();
    }

    /**
     * One continuation.
     *
     * @param text the tokens as text, special tokens left out, cut before a stop string unless that is to be included;
     *     empty where the checkpoint has no tokenizer
     * @param tokens its ids; an end-of-sequence or stop token that ended it is not one of them unless that is to be
     *     included, the tokens of a stop string are
     * @param finishReason why it ended
     * @param stopString the stop string that ended it
     * @param stopToken the end-of-sequence or stop token that ended it
     * @param logprobs of each token, if they were asked for; else empty
     */
    public record Output(
            String text,
            List<Integer> tokens,
            FinishReason finishReason,
            Optional<String> stopString,
            OptionalInt stopToken,
            List<TokenLogprobs> logprobs) {
        public Output {
            tokens = List.copyOf(tokens);
            logprobs = List.copyOf(logprobs);
        }
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
