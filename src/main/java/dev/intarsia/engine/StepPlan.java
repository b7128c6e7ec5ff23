package dev.intarsia.engine;

import java.util.Arrays;

/** What one step runs: sequences and how many tokens of each, from the first that is not in the cache. Reused from step to step. */
final class StepPlan {
    final Sequence[] sequences;
    final int[] counts;
    int size;
    int tokens; // in all
    int preempted; // sequences that were put back to make room

    StepPlan(int maxSequences) {
        sequences = new Sequence[maxSequences];
        counts = new int[maxSequences];
    }

    void clear() {
        Arrays.fill(sequences, 0, size, null);
        size = 0;
        tokens = 0;
        preempted = 0;
    }

    void add(Sequence sequence, int count) {
        sequences[size] = sequence;
        counts[size++] = count;
        tokens += count;
    }
}
