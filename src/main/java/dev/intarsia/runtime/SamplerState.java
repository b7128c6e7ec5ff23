package dev.intarsia.runtime;

import dev.intarsia.ffi.intarsia_sampler_state;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/**
 * What sampling needs to know of a sequence beyond its logits: filled in, then given to {@link Step#samplerState}, which
 * copies and checks it. Without any setting it changes nothing. Not for use by several threads at once.
 *
 * <p>The native side processes a copy of the logits in this order: allowed ids, bad words, stop ids before the least
 * number of tokens, biases, repetition penalty, frequency penalty, presence penalty. Every token that is then sampled
 * counts as the sequence's next.
 */
public final class SamplerState {
    private static final int[] NONE = {};

    private int[] prompt = NONE;
    private int[] output = NONE;
    private int[] allowed = NONE;
    private int[] stops = NONE;
    private int minTokens;
    private int[] biasIds = NONE;
    private float[] biases = {};
    private List<int[]> badWords = List.of();
    private float presencePenalty;
    private float frequencyPenalty;
    private float repetitionPenalty = 1;

    /** Ids of the prompt, for the repetition penalty. The array is read when the state is given to a step, as all are. */
    public SamplerState prompt(int[] ids) {
        prompt = Objects.requireNonNull(ids, "ids");
        return this;
    }

    /** Ids sampled so far, if the sequence goes on from elsewhere. */
    public SamplerState output(int[] ids) {
        output = Objects.requireNonNull(ids, "ids");
        return this;
    }

    /** The only ids that may be sampled; empty = all. */
    public SamplerState allowed(int[] ids) {
        allowed = Objects.requireNonNull(ids, "ids");
        return this;
    }

    /** Ids that are not sampled while the output is shorter than {@code minTokens}. */
    public SamplerState minTokens(int minTokens, int[] stops) {
        this.minTokens = Calls.atLeast(0, minTokens, "minTokens");
        this.stops = Objects.requireNonNull(stops, "stops");
        return this;
    }

    /**
     * What is added to the logits of ids.
     *
     * @param ids    as many as biases
     * @param biases finite
     */
    public SamplerState biases(int[] ids, float[] biases) {
        if (ids.length != biases.length) {
            throw new IllegalArgumentException(
                    "ids and biases must be as many, were " + ids.length + " and " + biases.length);
        }
        biasIds = ids;
        this.biases = biases;
        return this;
    }

    /** Sequences of at least one id; where the output ends with all of one but its last, that last is not sampled. */
    public SamplerState badWords(List<int[]> words) {
        badWords = List.copyOf(words);
        return this;
    }

    /**
     * What repeating costs.
     *
     * @param presence   subtracted from the logits of ids of the output; 0 = none
     * @param frequency  subtracted from these as often as they occur there; 0 = none
     * @param repetition logits above 0 of ids of prompt and output are divided by it, others multiplied; above 0, 1 = none
     */
    public SamplerState penalties(float presence, float frequency, float repetition) {
        presencePenalty = presence;
        frequencyPenalty = frequency;
        repetitionPenalty = repetition;
        return this;
    }

    /** The native struct, with its arrays, for one call. */
    MemorySegment allocate(Arena arena) {
        int[] lengths = badWords.stream().mapToInt(word -> word.length).toArray();
        int[] words = badWords.stream().flatMapToInt(Arrays::stream).toArray();
        MemorySegment struct = Structs.allocate(arena, intarsia_sampler_state.layout());
        intarsia_sampler_state.prompt(struct, ints(arena, prompt));
        intarsia_sampler_state.prompt_count(struct, prompt.length);
        intarsia_sampler_state.output(struct, ints(arena, output));
        intarsia_sampler_state.output_count(struct, output.length);
        intarsia_sampler_state.allowed(struct, ints(arena, allowed));
        intarsia_sampler_state.allowed_count(struct, allowed.length);
        intarsia_sampler_state.stops(struct, ints(arena, stops));
        intarsia_sampler_state.stop_count(struct, stops.length);
        intarsia_sampler_state.min_tokens(struct, minTokens);
        intarsia_sampler_state.bias_ids(struct, ints(arena, biasIds));
        intarsia_sampler_state.biases(struct, arena.allocateFrom(Structs.FLOAT, biases));
        intarsia_sampler_state.bias_count(struct, biases.length);
        intarsia_sampler_state.bad_lengths(struct, ints(arena, lengths));
        intarsia_sampler_state.bad_words(struct, ints(arena, words));
        intarsia_sampler_state.bad_count(struct, lengths.length);
        intarsia_sampler_state.presence_penalty(struct, presencePenalty);
        intarsia_sampler_state.frequency_penalty(struct, frequencyPenalty);
        intarsia_sampler_state.repetition_penalty(struct, repetitionPenalty);
        return struct;
    }

    private static MemorySegment ints(Arena arena, int[] values) {
        return arena.allocateFrom(Structs.INT, values);
    }
}
