package dev.intarsia.engine;

import dev.intarsia.SchedulingPolicy;
import dev.intarsia.runtime.KvCache;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.TreeSet;

/**
 * Decides what each step runs. Sequences that decode come first, one token each; then the prompts that are on their
 * way, in chunks; then those that wait, as far as tokens, sequences and blocks of the cache go. When a sequence that
 * decodes finds no free block, the one that is last in order is put back: its blocks are freed and all of its tokens
 * are computed again later. Used by the engine's thread; a step without arrivals and departures allocates nothing.
 */
final class Scheduler {
    private static final int BLOCK = KvCache.BLOCK;

    private final Limits limits;
    private final KvBlocks blocks;
    private final PrefixCache cache; // null if off
    private final Comparator<Sequence> order;
    private final TreeSet<Sequence> waiting; // one that ends leaves it fast, however many there are
    private final List<Sequence> running; // in order
    private final StepPlan plan;
    private int spareRows;
    private int putBack;
    private long admissions;

    /**
     * What a step may hold.
     *
     * @param tokens most tokens
     * @param sequences most sequences, not above {@code tokens}; also the rows whose logits can be wanted
     * @param chunk most tokens of one sequence, 0 = as many as fit
     * @param policy order of sequences
     */
    record Limits(int tokens, int sequences, int chunk, SchedulingPolicy policy) {
        Limits {
            if (sequences < 1 || sequences > tokens) {
                throw new IllegalArgumentException("sequences is " + sequences + "; it must be in 1.." + tokens);
            }
        }
    }

    /**
     * @param blocks at least as many as the longest sequence needs
     * @param cache null if prefixes are not to be found
     */
    Scheduler(Limits limits, KvBlocks blocks, PrefixCache cache) {
        this.limits = limits;
        this.blocks = blocks;
        this.cache = cache;
        Comparator<Sequence> arrival =
                Comparator.<Sequence>comparingLong(s -> s.request.arrival).thenComparingInt(s -> s.index);
        order = limits.policy() == SchedulingPolicy.FCFS
                ? arrival
                : Comparator.<Sequence>comparingInt(s -> s.request.priority).thenComparing(arrival);
        waiting = new TreeSet<>(order);
        running = new ArrayList<>(limits.sequences());
        plan = new StepPlan(limits.sequences());
    }

    /** A sequence waits for its place from now on. */
    void add(Sequence sequence) {
        sequence.state = Sequence.State.WAITING;
        waiting.add(sequence);
    }

    /** A sequence has ended, wherever it was; its blocks are free. */
    void end(Sequence sequence) {
        if (sequence.state == Sequence.State.WAITING) {
            waiting.remove(sequence);
            putBack -= sequence.admission > 0 ? 1 : 0;
        } else if (sequence.state == Sequence.State.RUNNING) {
            running.remove(sequence);
        }
        sequence.state = Sequence.State.ENDED;
        free(sequence);
    }

    int waiting() {
        return waiting.size();
    }

    /** Those that wait because they were put back. */
    int putBack() {
        return putBack;
    }

    int running() {
        return running.size();
    }

    /** Whether a second sequence of a prompt finds something of it in the cache, once the first has computed it. */
    boolean sharesPrefixes(int promptLength) {
        return cache != null && promptLength > BLOCK;
    }

    boolean isIdle() {
        return waiting.isEmpty() && running.isEmpty();
    }

    KvBlocks blocks() {
        return blocks;
    }

    // -------------------------------------------------------------------------------------------------------- planning

    /** What the next step runs; empty only if there is nothing to run. Valid until the next call. */
    StepPlan schedule() {
        plan.clear();
        spareRows = limits.sequences() - running.size();
        decodes();
        chunks();
        if (plan.preempted == 0) {
            admit();
        }
        return plan;
    }

    /**
     * What runs after a step whose tokens are not known yet: one token more of each sequence. Empty where they would have to make room for others or
     * for each other. Valid until the next call.
     */
    StepPlan follow() {
        plan.clear();
        if (!waiting.isEmpty() && running.size() < limits.sequences()) {
            return plan;
        }
        int needed = 0;
        for (int i = 0; i < running.size(); i++) {
            Sequence sequence = running.get(i);
            if (sequence.remaining() != 0) {
                return plan; // it was not in that step
            }
            needed += Math.ceilDiv(sequence.length + 1, BLOCK) - sequence.blockCount;
        }
        if (needed <= blocks.free()) {
            for (int i = 0; i < running.size(); i++) {
                reserve(running.get(i), running.get(i).length + 1);
                plan.add(running.get(i), 1);
            }
        }
        return plan;
    }

    private void decodes() {
        for (int i = 0; i < running.size(); i++) {
            Sequence sequence = running.get(i);
            if (sequence.remaining() == 1) {
                while (!reserve(sequence, sequence.length)) {
                    preempt(running.getLast()); // itself, if it is the last
                }
                if (sequence.state == Sequence.State.RUNNING) {
                    plan.add(sequence, 1);
                }
            }
        }
    }

    private void chunks() {
        for (int i = 0; i < running.size() && plan.tokens < limits.tokens(); i++) {
            Sequence sequence = running.get(i);
            if (sequence.remaining() > 1) {
                int count = chunk(sequence, 1 + spareRows);
                int held = sequence.blockCount * BLOCK - sequence.computed;
                int room = held + Math.min(blocks.free(), count) * BLOCK;
                while (room == 0 && plan.size == 0 && running.getLast() != sequence) {
                    preempt(running.getLast()); // nothing else runs that could free a block
                    room = Math.min(blocks.free(), count) * BLOCK;
                }
                count = Math.min(count, room);
                if (count > 0) {
                    reserve(sequence, sequence.computed + count);
                    plan(sequence, count);
                }
            }
        }
    }

    private void admit() {
        while (!waiting.isEmpty() && spareRows > 0 && plan.tokens < limits.tokens()) {
            Sequence sequence = waiting.first();
            int found = prefix(sequence);
            int needed = Math.ceilDiv(sequence.length, BLOCK) - found;
            int available = blocks.free();
            for (int i = 0; i < found; i++) {
                available -= blocks.isFree(sequence.blocks[i]) ? 1 : 0;
            }
            if (needed > available) {
                sequence.blockCount = 0;
                return; // first in order: nobody goes before it
            }
            waiting.remove(sequence);
            putBack -= sequence.admission > 0 ? 1 : 0;
            for (int i = 0; i < found; i++) {
                blocks.share(sequence.blocks[i]);
            }
            sequence.computed = found * BLOCK;
            sequence.committed = found;
            sequence.state = Sequence.State.RUNNING;
            sequence.admission = ++admissions;
            insert(sequence);
            spareRows--;
            int count = chunk(sequence, 1 + spareRows);
            reserve(sequence, sequence.computed + count);
            plan(sequence, count);
        }
    }

    /**
     * The blocks of the longest prefix that is in the cache, into the sequence's table; at least its last token is
     * left to compute.
     */
    private int prefix(Sequence sequence) {
        sequence.blockCount = 0;
        if (cache == null || !sequence.readsCache()) {
            return 0;
        }
        int most = (sequence.length - 1) / BLOCK;
        sequence.hashUpTo(most, cache);
        for (int i = 0; i < most; i++) {
            int block = cache.find(sequence.hashes, 2 * i, sequence.tokens, i * BLOCK);
            if (block < 0) {
                break;
            }
            sequence.addBlock(block);
        }
        return sequence.blockCount;
    }

    /**
     * Tokens that a sequence may run in this step. Where the logits of the prompt's tokens are wanted too, they need
     * rows.
     */
    private int chunk(Sequence sequence, int rows) {
        int count = Math.min(sequence.remaining(), limits.tokens() - plan.tokens);
        if (limits.chunk() > 0) {
            count = Math.min(count, limits.chunk());
        }
        if (sequence.request.scoresPrompt(sequence)) {
            count = Math.min(count, rows + Math.max(0, sequence.request.scored() - sequence.computed));
        }
        return count;
    }

    private void plan(Sequence sequence, int count) {
        if (sequence.request.scoresPrompt(sequence)) {
            int rows = sequence.computed + count - Math.max(sequence.computed, sequence.request.scored());
            spareRows -= Math.max(0, rows - 1); // one is set aside for every sequence
        }
        plan.add(sequence, count);
    }

    /** Blocks for the first {@code length} tokens; false if there are not so many, and then none is taken. */
    private boolean reserve(Sequence sequence, int length) {
        int wanted = Math.ceilDiv(length, BLOCK);
        if (sequence.state != Sequence.State.RUNNING) {
            return true; // it was put back itself
        }
        if (wanted - sequence.blockCount > blocks.free()) {
            return false;
        }
        while (sequence.blockCount < wanted) {
            sequence.addBlock(blocks.take());
        }
        return true;
    }

    private void preempt(Sequence sequence) {
        running.remove(sequence);
        free(sequence);
        add(sequence);
        putBack++;
        plan.putBack[plan.preempted++] = sequence;
        spareRows++;
    }

    private void free(Sequence sequence) {
        // The last first: the beginning of a sequence is what another is most likely to share.
        while (sequence.blockCount > 0) {
            blocks.release(sequence.blocks[--sequence.blockCount]);
        }
        sequence.reached = Math.max(sequence.reached, sequence.computed);
        sequence.computed = 0;
        sequence.committed = 0;
    }

    private void insert(Sequence sequence) {
        int at = running.size();
        while (at > 0 && order.compare(running.get(at - 1), sequence) > 0) {
            at--;
        }
        running.add(at, sequence);
    }

    // ---------------------------------------------------------------------------------------------------- after a step

    /** The planned tokens are in the cache; blocks that became full can be found. */
    void ran() {
        for (int i = 0; i < plan.size; i++) {
            Sequence sequence = plan.sequences[i];
            sequence.computed += plan.counts[i];
            int full = Math.min(sequence.computed, sequence.length) / BLOCK; // of tokens that are known
            if (cache != null && full > sequence.committed) {
                sequence.hashUpTo(full, cache);
                for (; sequence.committed < full; sequence.committed++) {
                    int block = sequence.committed;
                    cache.put(sequence.blocks[block], sequence.hashes, 2 * block, sequence.tokens, block * BLOCK);
                }
            }
        }
    }
}
