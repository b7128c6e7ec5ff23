package dev.intarsia;

import java.util.List;

/**
 * How likely a token was, and which were the most likely ones, before penalties, temperature and the rest.
 *
 * @param id the token that was chosen, or that the prompt has
 * @param logprob natural logarithm of its probability
 * @param rank 1 for the most likely token
 * @param top the most likely tokens in falling order, as many as were asked for
 */
public record TokenLogprobs(int id, float logprob, int rank, List<Candidate> top) {
    public TokenLogprobs {
        top = List.copyOf(top);
    }

    /**
     * A token and the natural logarithm of its probability.
     *
     * @param id of the token
     * @param logprob 0 or below
     */
    public record Candidate(int id, float logprob) {}
}
