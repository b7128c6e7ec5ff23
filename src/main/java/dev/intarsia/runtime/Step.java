package dev.intarsia.runtime;

import static dev.intarsia.runtime.Bounds.checkFrom;
import static dev.intarsia.runtime.Bounds.checkIndex;
import static dev.intarsia.runtime.Bounds.checkSize;

import dev.intarsia.ffi.Intarsia;
import dev.intarsia.ffi.intarsia_step_options;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * The buffers of steps over the pieces of one partition, and everything that their execution writes. A step is
 * described in place ({@link #token}, {@link #row}, {@link #queryStart}, {@link #length}, {@link #block}, {@link
 * #sampling}), fixed by {@link #begin}, run piece by piece by {@link #execute}, and sampled by {@link #sample}. What
 * was written stays until it is overwritten, from step to step.
 *
 * <p>A step belongs to the thread that made it: any other thread gets {@link IllegalStateException}, from {@link
 * #close()} too, unless the owner has ended, so that none writes into a buffer that another has just released. None of
 * the methods of the step path allocates, unless it throws.
 *
 * <p>Indices out of bounds are {@link IndexOutOfBoundsException}, which names the bound. Everything written is checked
 * by {@link #begin}, the sampling parameters by {@link #sample}.
 */
public final class Step extends Handle {
    /** Most of the likeliest tokens whose log-probabilities a row can have. */
    public static final int MAX_LOGPROBS = Intarsia.INTARSIA_MAX_LOGPROBS();

    private static final long INT_BYTES = Structs.INT.byteSize();
    private static final long FLOAT_BYTES = Structs.FLOAT.byteSize();

    private final Thread owner = Thread.currentThread();
    private final int maxTokens;
    private final int maxSequences;
    private final int maxRows;
    private final int maxBlocks;
    private final int vocabulary;

    private final MemorySegment tokens; // i32 [maxTokens]
    private final MemorySegment positions; // i32 [maxTokens]
    private final MemorySegment slots; // i32 [maxTokens]
    private final MemorySegment rows; // i32 [maxRows]
    private final MemorySegment queryStarts; // i32 [maxSequences + 1]
    private final MemorySegment lengths; // i32 [maxSequences]
    private final MemorySegment blockTables; // i32 [maxSequences, maxBlocks]
    private final SamplingBuffers sampling;
    private final MemorySegment logits; // f32 [maxRows, vocabulary]

    private int begunRows;
    private boolean logitsRead; // of what the step has run

    private Step(MemorySegment pointer, StepOptions options) {
        super("step", pointer, Intarsia::intarsia_step_destroy);
        try {
            maxTokens = options.maxTokens();
            maxSequences = options.maxSequences();
            maxRows = options.maxRows();
            maxBlocks = options.maxBlocks();
            tokens = ints(Intarsia.INTARSIA_BUFFER_TOKENS(), maxTokens);
            positions = ints(Intarsia.INTARSIA_BUFFER_POSITIONS(), maxTokens);
            slots = ints(Intarsia.INTARSIA_BUFFER_SLOTS(), maxTokens);
            rows = ints(Intarsia.INTARSIA_BUFFER_ROWS(), maxRows);
            queryStarts = ints(Intarsia.INTARSIA_BUFFER_QUERY_STARTS(), maxSequences + 1L);
            lengths = ints(Intarsia.INTARSIA_BUFFER_LENGTHS(), maxSequences);
            blockTables = ints(Intarsia.INTARSIA_BUFFER_BLOCK_TABLES(), (long) maxSequences * maxBlocks);
            sampling = new SamplingBuffers(this::sized, maxRows);
            logits = buffer(Intarsia.INTARSIA_BUFFER_LOGITS());
            vocabulary = Math.toIntExact(logits.byteSize() / FLOAT_BYTES / maxRows);
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    /**
     * The buffers of steps up to a size, owned by the calling thread.
     *
     * @param partition whose pieces are run
     * @param cache     null for a graph that neither appends to a cache nor attends
     * @param options   the largest step
     * @throws NativeException if the cache does not fit the graph, or there is no memory
     */
    public static Step create(Partition partition, KvCache cache, StepOptions options) {
        MemorySegment pieces = Calls.pointerOf(partition, "partition");
        MemorySegment kv = Calls.pointerOrNull(cache);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment struct = Structs.allocate(arena, intarsia_step_options.layout());
            intarsia_step_options.max_tokens(struct, options.maxTokens());
            intarsia_step_options.max_sequences(struct, options.maxSequences());
            intarsia_step_options.max_rows(struct, options.maxRows());
            intarsia_step_options.max_blocks(struct, options.maxBlocks());
            return new Step(Calls.askHandle(out -> Intarsia.intarsia_step_create(pieces, kv, struct, out)), options);
        }
    }

    // ------------------------------------------------------------------------------------------------- describe a step

    /**
     * One token of the step.
     *
     * @param index    0 .. {@link #maxTokens()} - 1
     * @param token    its id, 0 .. vocabulary - 1
     * @param position its position in its sequence, from 0
     * @param slot     where its k and v go, {@code block * KvCache.BLOCK + offset}, or -1 for nowhere (padding)
     */
    public void token(int index, int token, int position, int slot) {
        checkOwner();
        checkIndex("token", index, maxTokens);
        tokens.setAtIndex(Structs.INT, index, token);
        positions.setAtIndex(Structs.INT, index, position);
        slots.setAtIndex(Structs.INT, index, slot);
    }

    /**
     * A position whose logits are wanted.
     *
     * @param row   0 .. {@link #maxRows()} - 1
     * @param token index of the token in the step
     */
    public void row(int row, int token) {
        checkOwner();
        checkIndex("row", row, maxRows);
        rows.setAtIndex(Structs.INT, row, token);
    }

    /**
     * Where the tokens of a sequence begin: those of sequence s are {@code queryStart(s) .. queryStart(s + 1) - 1}.
     *
     * @param sequence 0 .. {@link #maxSequences()}, the last being the end of the last sequence
     * @param token    index of the token in the step, 0 for sequence 0
     */
    public void queryStart(int sequence, int token) {
        checkOwner();
        checkIndex("sequence", sequence, maxSequences + 1); // one start more: the end of the last sequence
        queryStarts.setAtIndex(Structs.INT, sequence, token);
    }

    /**
     * How much of a sequence is in the cache after this step's append.
     *
     * @param sequence 0 .. {@link #maxSequences()} - 1
     * @param length   in tokens
     */
    public void length(int sequence, int length) {
        checkOwner();
        checkIndex("sequence", sequence, maxSequences);
        lengths.setAtIndex(Structs.INT, sequence, length);
    }

    /**
     * One entry of the block table of a sequence.
     *
     * @param sequence 0 .. {@link #maxSequences()} - 1
     * @param index    0 .. {@link #maxBlocks()} - 1: positions {@code index * KvCache.BLOCK} and following
     * @param block    the block of the cache that holds them
     */
    public void block(int sequence, int index, int block) {
        checkOwner();
        checkIndex("sequence", sequence, maxSequences);
        checkIndex("block index", index, maxBlocks);
        blockTables.setAtIndex(Structs.INT, (long) sequence * maxBlocks + index, block);
    }

    /** {@link #sampling(int, float, float, int, float, long, long, int, int)} with no min-p, state or log-probabilities. */
    public void sampling(int row, float temperature, float topP, int topK, long seed, long position) {
        sampling(row, temperature, topP, topK, 0, seed, position, -1, -1);
    }

    /**
     * How a row is sampled. Temperature 0 takes the largest logit, ties to the lower id; else the same seed, position,
     * logits and state give the same token for ever. No two rows of a step may share a slot.
     *
     * @param row         0 .. {@link #maxRows()} - 1
     * @param temperature at least 0, finite
     * @param topP        0 exclusive .. 1: keeps the shortest prefix of the ids by falling probability that reaches it
     * @param topK        keeps that many most probable ids; 0 = all
     * @param minP        0 .. 1: drops ids whose probability is below so much of the largest; 0 = none
     * @param seed        any
     * @param position    position in its sequence of the token to be sampled
     * @param slot        slot of the sequence's {@link SamplerState}, -1 = it has none
     * @param logprobs    how many of the likeliest tokens' log-probabilities are wanted beside the sampled one's: 0 ..
     *     {@link #MAX_LOGPROBS}, -1 = not even that
     */
    public void sampling(int row, float temperature, float topP, int topK, float minP, long seed, long position,
            int slot, int logprobs) {
        checkOwner();
        checkIndex("row", row, maxRows);
        checkFrom(-1, "slot", slot, maxSequences - 1);
        checkFrom(-1, "logprobs", logprobs, MAX_LOGPROBS);
        sampling.set(row, temperature, topP, topK, minP, seed, position, slot, logprobs, -1);
    }

    /**
     * A row that is not sampled: a given token is scored.
     *
     * @param row      0 .. {@link #maxRows()} - 1
     * @param token    what {@link #sampled} then answers, and {@link #logprob} and {@link #rank} are of
     * @param logprobs how many of the likeliest tokens' log-probabilities are wanted beside it, 0 .. {@link #MAX_LOGPROBS}
     */
    public void score(int row, int token, int logprobs) {
        checkOwner();
        checkIndex("row", row, maxRows);
        checkIndex("token", token, vocabulary);
        checkFrom(0, "logprobs", logprobs, MAX_LOGPROBS);
        sampling.set(row, 0, 1, 0, 0, 0, 0, -1, logprobs, token);
    }

    /**
     * Gives a sequence its sampler state, in place of any earlier one of the slot. Rows with this slot sample with it and
     * append what they sample.
     *
     * @param slot 0 .. {@link #maxSequences()} - 1
     * @throws NativeException ({@link NativeStatus#INVALID_ARGUMENT}) for an id outside the vocabulary or a number out
     *     of bounds
     */
    public void samplerState(int slot, SamplerState state) {
        checkOwner();
        checkIndex("slot", slot, maxSequences);
        try (Arena arena = Arena.ofConfined()) {
            Status.check(Intarsia.intarsia_step_sampler_set(pointer(), slot, state.allocate(arena)));
        }
    }

    /** Forgets the sampler state of a slot, if it has one. */
    public void clearSamplerState(int slot) {
        checkOwner();
        checkIndex("slot", slot, maxSequences);
        Status.check(Intarsia.intarsia_step_sampler_clear(pointer(), slot));
    }

    // ------------------------------------------------------------------------------------------------------ run a step

    /**
     * Fixes the sizes of the step that the buffers describe, and checks every token id, position, slot, row, query
     * start, length and block. Tokens past the last query start are padding.
     *
     * @throws IllegalArgumentException if a size is out of bounds
     * @throws NativeException ({@link NativeStatus#INVALID_ARGUMENT}) if the step is not well-formed; then no step is
     *     begun
     */
    public void begin(int tokens, int sequences, int rows) {
        checkOwner();
        checkSize("tokens", tokens, maxTokens);
        checkSize("sequences", sequences, maxSequences);
        checkSize("rows", rows, maxRows);
        begunRows = 0;
        logitsRead = false;
        Status.check(Intarsia.intarsia_step_begin(pointer(), tokens, sequences, rows));
        begunRows = rows;
    }

    /**
     * Runs one piece of the step. On the CPU it is done when this returns; a CUDA device may still be at it, and may report its failure in
     * a later call.
     *
     * @param executable compiled from this step's partition, for the class of the piece and a range that holds its size
     * @param piece      0 .. pieces - 1
     */
    public void execute(Executable executable, int piece) {
        checkOwner();
        Calls.atLeast(0, piece, "piece");
        logitsRead = false;
        Status.check(Intarsia.intarsia_execute(pointer(), executable.pointer(), piece));
    }

    /** Samples every row of the step from its logits; {@link #sampled} has the answers. */
    public void sample() {
        checkOwner();
        Status.check(Intarsia.intarsia_sample(pointer()));
    }

    // ------------------------------------------------------------------------------------------------- record, replay

    /**
     * Resolves what executing pieces of the begun step would run into a recording of exactly its numbers of tokens and rows; runs
     * nothing. Record large sizes first, then all recordings share one arena.
     *
     * @param executables the executable of each piece
     * @param pieces      as many, in order of execution
     * @param sample      whether the recording ends with {@link #sample()}
     */
    public Recording record(List<Executable> executables, int[] pieces, boolean sample) {
        checkOwner();
        if (executables.size() != pieces.length) {
            throw new IllegalArgumentException(
                    "executables and pieces must be as many, were " + executables.size() + " and " + pieces.length);
        }
        MemorySegment step = pointer();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment indices = arena.allocateFrom(Structs.INT, pieces);
            MemorySegment compiled = arena.allocate(Structs.POINTER, pieces.length);
            for (int i = 0; i < pieces.length; i++) {
                compiled.setAtIndex(Structs.POINTER, i, executables.get(i).pointer());
            }
            int flags = sample ? Intarsia.INTARSIA_RECORD_SAMPLE() : 0;
            return new Recording(
                    Calls.askHandle(out ->
                            Intarsia.intarsia_record(step, indices, compiled, pieces.length, flags, out)),
                    begunRows);
        }
    }

    /** Runs a recording within the begun step, which must have its numbers of tokens and rows. */
    public void replay(Recording recording) {
        checkOwner();
        logitsRead = false;
        Status.check(Intarsia.intarsia_replay(pointer(), recording.pointer()));
    }

    /**
     * {@link #begin} with the recording's tokens and rows, and {@link #replay}, in one downcall.
     *
     * @param sequences of this step; it may differ from that at recording
     */
    public void replayStep(Recording recording, int sequences) {
        checkOwner();
        checkSize("sequences", sequences, maxSequences);
        begunRows = 0;
        logitsRead = false;
        Status.check(Intarsia.intarsia_replay_step(pointer(), recording.pointer(), sequences));
        begunRows = recording.rows;
    }

    /** Whether a CUDA device itself samples rows with such parameters, if they have neither sampler state nor log-probabilities. */
    public boolean samplesThere(float temperature, float topP) {
        return temperature < Float.MIN_NORMAL || topP == 1 || (1 - (double) topP) * (1 << 27) >= vocabulary();
    }

    /**
     * {@link #replayStep} on a CUDA device without waiting for the tokens. Every row must have neither sampler state nor log-probabilities, and be one
     * that {@link #samplesThere}. A token {@code -1 - i} stands for the one that row i of the step before it gets. At most two steps are in flight; until
     * all are collected nothing else can be run.
     *
     * @param sequences of this step; it may differ from that at recording
     */
    public void enqueueStep(Recording recording, int sequences) {
        checkOwner();
        checkSize("sequences", sequences, maxSequences);
        begunRows = 0;
        logitsRead = false;
        Status.check(Intarsia.intarsia_step_enqueue(pointer(), recording.pointer(), sequences));
    }

    /**
     * Waits for the step that was enqueued first: {@link #sampled} has its tokens.
     *
     * @param rows of that step
     */
    public void collect(int rows) {
        checkOwner();
        checkSize("rows", rows, maxRows);
        begunRows = 0;
        Status.check(Intarsia.intarsia_step_collect(pointer()));
        begunRows = rows;
    }

    /**
     * Replays within the begun step with a clock around every kernel.
     *
     * @return nanoseconds of the slowest thread in each kernel call, and in sampling as one more if the recording samples
     */
    public long[] profile(Recording recording) {
        checkOwner();
        RecordingInfo info = recording.info();
        int calls = info.kernels() + (info.samples() ? 1 : 0);
        logitsRead = false;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment nanoseconds = arena.allocate(Structs.LONG, calls);
            Status.check(Intarsia.intarsia_replay_profile(pointer(), recording.pointer(), nanoseconds, calls));
            return nanoseconds.toArray(Structs.LONG);
        }
    }

    /** Where the buffers that a replay reads and writes lie: tokens, positions, slots, rows, starts, lengths, tables, logits. */
    public long[] addresses() {
        checkOwner();
        return new long[] {
            tokens.address(),
            positions.address(),
            slots.address(),
            rows.address(),
            queryStarts.address(),
            lengths.address(),
            blockTables.address(),
            logits.address()
        };
    }

    // -------------------------------------------------------------------------------------------------------- answers

    /**
     * The token that {@link #sample()} chose.
     *
     * @param row 0 .. rows of the step - 1
     */
    public int sampled(int row) {
        checkOwner();
        checkBegunRow(row);
        return sampling.sampled(row);
    }

    /**
     * A log-probability of the row: of the logits as computed, before any temperature, penalty or bias.
     *
     * @param row   0 .. rows of the step - 1
     * @param entry 0 = the row's own token; 1 .. the logprobs asked for = the likeliest tokens in falling order
     */
    public float logprob(int row, int entry) {
        checkOwner();
        checkBegunRow(row);
        checkIndex("entry", entry, SamplingBuffers.ENTRIES);
        return sampling.logprob(row, entry);
    }

    /** The token of {@link #logprob}; -1 if there are not so many. */
    public int logprobToken(int row, int entry) {
        checkOwner();
        checkBegunRow(row);
        checkIndex("entry", entry, SamplingBuffers.ENTRIES);
        return sampling.logprobToken(row, entry);
    }

    /** How many tokens are at least as likely as the row's own, itself included; defined if logprobs were asked for. */
    public int rank(int row) {
        checkOwner();
        checkBegunRow(row);
        return sampling.rank(row);
    }

    /**
     * Copies the logits of a row. The first time after something ran, those of all rows are fetched from the device.
     *
     * @param row  0 .. rows of the step - 1
     * @param into exactly {@link #vocabulary()} long
     */
    public void logits(int row, float[] into) {
        checkOwner();
        checkBegunRow(row);
        if (into.length != vocabulary) {
            throw new IllegalArgumentException(
                    "into must have the vocabulary's length " + vocabulary + ", has " + into.length);
        }
        if (!logitsRead) {
            Status.check(Intarsia.intarsia_step_logits(pointer(), begunRows));
            logitsRead = true;
        }
        MemorySegment.copy(logits, Structs.FLOAT, row * FLOAT_BYTES * vocabulary, into, 0, vocabulary);
    }

    // -------------------------------------------------------------------------------------------------------- the rest

    /** Most tokens of a step, padding included. */
    public int maxTokens() {
        return maxTokens;
    }

    /** Most sequences of a step. */
    public int maxSequences() {
        return maxSequences;
    }

    /** Most rows of a step. */
    public int maxRows() {
        return maxRows;
    }

    /** Blocks of the longest sequence. */
    public int maxBlocks() {
        return maxBlocks;
    }

    /** Width of the graph's output; 0 if it has none. */
    public int vocabulary() {
        return vocabulary;
    }

    /** Bytes held by the step. */
    public long bytes() {
        checkOwner();
        MemorySegment step = pointer();
        return Calls.askLong(out -> Intarsia.intarsia_step_bytes(step, out));
    }

    /**
     * Releases the buffers; closing again does nothing.
     *
     * @throws IllegalStateException on another thread than the owner, unless that has ended
     */
    @Override
    public void close() {
        if (Thread.currentThread() != owner && owner.isAlive()) {
            throw foreignThread();
        }
        super.close();
    }

    /** On the owner's thread nothing can close the step between this and the access that follows. */
    private void checkOwner() {
        if (Thread.currentThread() != owner) {
            throw foreignThread();
        }
        pointer();
    }

    private IllegalStateException foreignThread() {
        return new IllegalStateException(
                "step belongs to thread " + owner + ", but was used by " + Thread.currentThread());
    }

    private void checkBegunRow(int row) {
        if (row < 0 || row >= begunRows) {
            throw new IndexOutOfBoundsException(
                    "row must be >= 0 and below the step's number of rows " + begunRows + ", was " + row);
        }
    }

    private MemorySegment ints(int buffer, long count) {
        return sized(buffer, count * INT_BYTES);
    }

    private MemorySegment sized(int buffer, long bytes) {
        MemorySegment segment = buffer(buffer);
        if (segment.byteSize() != bytes) {
            throw new IllegalStateException(
                    "step buffer " + buffer + " has " + segment.byteSize() + " bytes natively, not " + bytes);
        }
        return segment;
    }

    /** A buffer of the step, as long as the native side says; valid until the step is destroyed. */
    private MemorySegment buffer(int buffer) {
        MemorySegment step = pointer();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment address = arena.allocate(Structs.POINTER);
            MemorySegment bytes = arena.allocate(Structs.LONG);
            Status.check(Intarsia.intarsia_step_buffer(step, buffer, address, bytes));
            return address.get(Structs.POINTER, 0).reinterpret(bytes.get(Structs.LONG, 0));
        }
    }
}
