package dev.intarsia.engine;

import dev.intarsia.SamplingParams;
import dev.intarsia.TokenLogprobs;
import java.util.ArrayList;
import java.util.List;

/**
 * One prompt and its continuations. The engine's thread changes it, once it was submitted; what is final may be read
 * by any.
 */
final class Request {
    /** No deadline. */
    static final long NEVER = Long.MAX_VALUE;

    final int[] prompt;
    final SamplingParams params;
    final int priority;
    final long arrival; // rises from request to request
    final long submitted = System.nanoTime();
    final long allowed; // nanoseconds from the submission to the deadline, NEVER if there is none
    final long[] root; // two words: the hash of the salt
    final boolean needsSampler;
    final boolean logitsOnly;
    final boolean plain; // its next token depends on its logits alone, and nothing else is wanted of it
    final Sequence[] sequences;
    final Answer answer;

    int[] ends = {}; // tokens that end a sequence: stop tokens, and end-of-sequence tokens unless these are ignored
    int[] late = {}; // tokens that may not come before the least number of tokens: stop and end-of-sequence tokens, ignored or not
    boolean added; // to the step loop
    boolean held; // all sequences but the first wait until its prompt is in the prefix cache
    boolean started; // its first step was planned
    long start; // of that step, System.nanoTime()
    int cachedTokens; // of the prompt, found in the prefix cache at that step
    int unfinished; // sequences
    int undelivered; // sequences whose end the outputs' thread, which this is for, has not seen
    float[] logits; // if they are all that is wanted
    final List<TokenLogprobs> promptLogprobs = new ArrayList<>();

    /** What a request is made of. */
    record Asked(
            int[] prompt, SamplingParams params, int priority, long allowed, long[] root, boolean logitsOnly, boolean streamed) {}

    /** @param seed of the first sequence; the others' are derived from it */
    Request(Asked asked, long arrival, long seed) {
        prompt = asked.prompt();
        params = asked.params();
        priority = asked.priority();
        allowed = asked.allowed();
        root = asked.root();
        logitsOnly = asked.logitsOnly();
        this.arrival = arrival;
        needsSampler = Samplers.needed(params);
        plain = !needsSampler
                && !logitsOnly
                && params.logprobs().isEmpty()
                && params.promptLogprobs().isEmpty();
        sequences = new Sequence[params.n()];
        for (int i = 0; i < sequences.length; i++) {
            sequences[i] = new Sequence(this, i, i == 0 ? seed : derived(seed, i));
        }
        unfinished = sequences.length;
        undelivered = sequences.length;
        answer = new Answer(this, asked.streamed());
    }

    /** The seed of another sequence: the output of SplitMix64, begun at the request's seed, after so many draws. */
    static long derived(long seed, int index) {
        long z = seed + index * 0x9E3779B97F4A7C15L;
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }

    /** Whether a sequence still has to compute log-probabilities of the prompt. */
    boolean scoresPrompt(Sequence sequence) {
        return sequence.index == 0 && params.promptLogprobs().isPresent() && scored() < prompt.length - 1;
    }

    /** Positions of the prompt whose successor's log-probability is known. */
    int scored() {
        return promptLogprobs.size();
    }

    /** Whether the deadline has passed. */
    boolean isLate(long now) {
        return allowed != NEVER && now - submitted > allowed;
    }
}
