package dev.intarsia.engine;

import dev.intarsia.SamplingParams;
import dev.intarsia.runtime.SamplerState;
import dev.intarsia.runtime.Step;
import java.util.Arrays;
import java.util.List;

/**
 * The native sampler states of running sequences that need one: penalties, biases, bans. A sequence has a slot while
 * it runs. Used by the engine's thread.
 */
final class Samplers {
    private static final int[] NONE = {};

    private final Step step;
    private final int[] free; // a stack of slots
    private int count;

    Samplers(Step step) {
        this.step = step;
        count = step.maxSequences();
        free = new int[count];
        for (int i = 0; i < count; i++) {
            free[i] = count - 1 - i;
        }
    }

    /** Whether a request's parameters ask for more than what each row says. */
    static boolean needed(SamplingParams params) {
        return params.presencePenalty() != 0
                || params.frequencyPenalty() != 0
                || params.repetitionPenalty() != 1
                || params.minTokens() > 0
                || !params.logitBias().isEmpty()
                || !params.allowedTokenIds().isEmpty()
                || !params.badWordsTokenIds().isEmpty();
    }

    /** Before the first step of a sequence, and before the next one after it was put back. */
    void join(Sequence sequence) {
        if (sequence.request.needsSampler && sequence.slot < 0) {
            step.samplerState(free[count - 1], state(sequence));
            sequence.slot = free[--count];
        }
    }

    /** It has ended or was put back. */
    void leave(Sequence sequence) {
        if (sequence.slot >= 0) {
            step.clearSamplerState(sequence.slot);
            free[count++] = sequence.slot;
            sequence.slot = -1;
        }
    }

    private static SamplerState state(Sequence sequence) {
        SamplingParams params = sequence.request.params;
        SamplerState state = new SamplerState()
                .output(Arrays.copyOfRange(sequence.tokens, sequence.promptLength(), sequence.length))
                .allowed(ints(params.allowedTokenIds()))
                .badWords(params.badWordsTokenIds().stream().map(Samplers::ints).toList())
                .biases(biasIds(params), biases(params))
                .penalties(
                        (float) params.presencePenalty(),
                        (float) params.frequencyPenalty(),
                        (float) params.repetitionPenalty())
                .minTokens(params.minTokens(), params.minTokens() > 0 ? sequence.request.late : NONE);
        return params.repetitionPenalty() == 1 ? state : state.prompt(sequence.request.prompt);
    }

    private static int[] biasIds(SamplingParams params) {
        return params.logitBias().keySet().stream().mapToInt(Integer::intValue).toArray();
    }

    private static float[] biases(SamplingParams params) {
        float[] biases = new float[params.logitBias().size()];
        int at = 0;
        for (double bias : params.logitBias().values()) {
            biases[at++] = (float) bias;
        }
        return biases;
    }

    private static int[] ints(List<Integer> values) {
        return values.stream().mapToInt(Integer::intValue).toArray();
    }
}
