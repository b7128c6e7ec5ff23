package dev.intarsia.runtime;

import dev.intarsia.ffi.Intarsia;
import dev.intarsia.ffi.intarsia_sampling;
import java.lang.foreign.MemorySegment;

/**
 * How the rows of a step are sampled, and what came of it: the buffers of {@link Step} that concern sampling. The step
 * checks indices and threads.
 */
final class SamplingBuffers {
    /** Entries of a row in the log-probability buffers: its own token, then the likeliest. */
    static final int ENTRIES = 1 + Intarsia.INTARSIA_MAX_LOGPROBS();

    private final MemorySegment sampling; // intarsia_sampling [maxRows]
    private final MemorySegment sampled; // i32 [maxRows]
    private final MemorySegment logprobs; // f32 [maxRows, ENTRIES]
    private final MemorySegment logprobTokens; // i32 [maxRows, ENTRIES]
    private final MemorySegment ranks; // i32 [maxRows]

    /** A buffer of a kind, checked to have so many bytes. */
    @FunctionalInterface
    interface Source {
        MemorySegment buffer(int kind, long bytes);
    }

    SamplingBuffers(Source source, int maxRows) {
        long words = maxRows * Structs.INT.byteSize();
        sampling = source.buffer(Intarsia.INTARSIA_BUFFER_SAMPLING(), maxRows * Sampling.BYTES);
        sampled = source.buffer(Intarsia.INTARSIA_BUFFER_SAMPLED(), words);
        logprobs = source.buffer(Intarsia.INTARSIA_BUFFER_LOGPROBS(), words * ENTRIES);
        logprobTokens = source.buffer(Intarsia.INTARSIA_BUFFER_LOGPROB_TOKENS(), words * ENTRIES);
        ranks = source.buffer(Intarsia.INTARSIA_BUFFER_RANKS(), words);
    }

    /** Writes every field; slot and logprobs may be -1, target too. */
    void set(int row, float temperature, float topP, int topK, float minP, long seed, long position, int slot,
            int logprobs, int target) {
        long at = row * Sampling.BYTES;
        sampling.set(Structs.FLOAT, at + Sampling.TEMPERATURE, temperature);
        sampling.set(Structs.FLOAT, at + Sampling.TOP_P, topP);
        sampling.set(Structs.INT, at + Sampling.TOP_K, topK);
        sampling.set(Structs.INT, at + Sampling.RESERVED, 0);
        sampling.set(Structs.LONG, at + Sampling.SEED, seed);
        sampling.set(Structs.LONG, at + Sampling.POSITION, position);
        sampling.set(Structs.FLOAT, at + Sampling.MIN_P, minP);
        sampling.set(Structs.INT, at + Sampling.LOGPROBS, logprobs + 1);
        sampling.set(Structs.INT, at + Sampling.STATE, slot + 1);
        sampling.set(Structs.INT, at + Sampling.TARGET, target + 1);
    }

    int sampled(int row) {
        return sampled.getAtIndex(Structs.INT, row);
    }

    float logprob(int row, int entry) {
        return logprobs.getAtIndex(Structs.FLOAT, (long) row * ENTRIES + entry);
    }

    int logprobToken(int row, int entry) {
        return logprobTokens.getAtIndex(Structs.INT, (long) row * ENTRIES + entry);
    }

    int rank(int row) {
        return ranks.getAtIndex(Structs.INT, row);
    }

    /** Offsets of the fields of {@code intarsia_sampling}, as constants that the compiler can fold. */
    private static final class Sampling {
        static final long BYTES = intarsia_sampling.layout().byteSize();
        static final long TEMPERATURE = intarsia_sampling.temperature$offset();
        static final long TOP_P = intarsia_sampling.top_p$offset();
        static final long TOP_K = intarsia_sampling.top_k$offset();
        static final long RESERVED = intarsia_sampling.reserved$offset();
        static final long SEED = intarsia_sampling.seed$offset();
        static final long POSITION = intarsia_sampling.position$offset();
        static final long MIN_P = intarsia_sampling.min_p$offset();
        static final long LOGPROBS = intarsia_sampling.logprobs$offset();
        static final long STATE = intarsia_sampling.state$offset();
        static final long TARGET = intarsia_sampling.target$offset();
    }
}
