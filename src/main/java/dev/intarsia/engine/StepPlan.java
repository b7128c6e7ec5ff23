package dev.intarsia.engine;

import java.util.Arrays;

/**
 * What one step runs: sequences and how many tokens of each, from the first that is not in the cache. Reused from step
 * to step.
 */
final class StepPlan {
    final Sequence[] sequences;
    final int[] counts;
    int size;
    int tokens; // in all
    final Sequence[] putBack; // to make room
    int preempted; // how many

    StepPlan(int maxSequences) {
        sequences = new Sequence[maxSequences];
        counts = new int[maxSequences];
        putBack = new Sequence[maxSequences];
    }

    void clear() {
        Arrays.fill(sequences, 0, size, null);
        Arrays.fill(putBack, 0, preempted, null);
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
