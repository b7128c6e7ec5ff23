package dev.intarsia;

/**
 * What an engine does and has done since it was opened, as {@link Engine#stats()} found it. Immutable. What counts up
 * never falls; once nothing runs or waits, {@code accepted} = {@code finished + cancelled + expired + failed}.
 *
 * @param running sequences that take part in steps now
 * @param waiting requests that wait for their first step, and sequences that were put back
 * @param kvBlocks blocks of the KV cache
 * @param kvBlocksUsed blocks that sequences hold now
 * @param kvBlocksCached blocks that no sequence holds, but whose contents can be found by a prompt that begins like
 *     theirs
 * @param accepted requests taken in
 * @param rejected requests refused with {@link QueueFullException}
 * @param finished requests that ended by a stop or at their length
 * @param cancelled requests that their caller cancelled
 * @param expired requests whose deadline passed
 * @param failed requests that ended with an exception
 * @param promptTokens tokens of the prompts of requests whose first step has begun
 * @param cachedTokens those of them that were found in the prefix cache
 * @param generatedTokens tokens sampled, among them those that ended an output and those that came after a stop
 *     string, of which a step or two can be sampled before it is found
 * @param preemptions times that a running sequence was put back because the KV cache was full
 * @param recomputedTokens tokens that were run again for that reason
 * @param steps steps run
 * @param stepTokens tokens of all steps, without padding
 * @param paddingTokens tokens that were run only to fill a recorded size: {@code paddingTokens / (stepTokens +
 *     paddingTokens)} of the work was wasted
 * @param queueSeconds from the call to the start of the first step, of each request
 * @param firstTokenSeconds from the call to the first token, of each output
 * @param interTokenSeconds between two tokens of an output
 * @param stepSeconds of each step
 */
public record EngineStats(
        int running,
        int waiting,
        int kvBlocks,
        int kvBlocksUsed,
        int kvBlocksCached,
        long accepted,
        long rejected,
        long finished,
        long cancelled,
        long expired,
        long failed,
        long promptTokens,
        long cachedTokens,
        long generatedTokens,
        long preemptions,
        long recomputedTokens,
        long steps,
        long stepTokens,
        long paddingTokens,
        Histogram queueSeconds,
        Histogram firstTokenSeconds,
        Histogram interTokenSeconds,
        Histogram stepSeconds) {

    /** Share of the KV cache that sequences hold now, 0..1. */
    public double kvUse() {
        return (double) kvBlocksUsed / kvBlocks;
    }

    /** Share of the prompts' tokens that were found in the prefix cache, 0..1. */
    public double prefixHitRate() {
        return promptTokens == 0 ? 0 : (double) cachedTokens / promptTokens;
    }

    /** Share of the tokens run that were padding, 0..1. */
    public double paddingWaste() {
        return paddingTokens == 0 ? 0 : (double) paddingTokens / (stepTokens + paddingTokens);
    }
}
