package dev.intarsia.engine;

import java.util.Arrays;

/** A step that was enqueued and whose tokens are not known yet: one row of each of some sequences. */
final class Flight {
    private final Sequence[] owners;
    private int size;
    private int rows; // with padding
    private long begun; // System.nanoTime()

    Flight(int maxSequences) {
        owners = new Sequence[maxSequences];
    }

    void start(StepPlan plan, int paddedRows, long now) {
        System.arraycopy(plan.sequences, 0, owners, 0, plan.size);
        size = plan.size;
        rows = paddedRows;
        begun = now;
    }

    void clear() {
        Arrays.fill(owners, 0, size, null);
        size = 0;
    }

    int size() {
        return size;
    }

    Sequence owner(int row) {
        return owners[row];
    }

    int rows() {
        return rows;
    }

    long begun() {
        return begun;
    }
}
