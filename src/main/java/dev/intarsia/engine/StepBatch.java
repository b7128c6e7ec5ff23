package dev.intarsia.engine;

import dev.intarsia.SamplingParams;
import dev.intarsia.runtime.Step;
import java.util.Arrays;

/**
 * Writes a planned step into the native step's buffers, block tables only as far as they changed. Allocates nothing.
 * Used by the engine's thread.
 */
final class StepBatch {
    private final Step step;
    private final long[] tables; // the admission (see Sequence) that each block table was written for
    private final int[] blocks; // entries of each table that were written
    private final Sequence[] rowOwners;
    private final int[] rowPositions; // of the token after which each row's logits are
    private int rows;

    StepBatch(Step step) {
        this.step = step;
        tables = new long[step.maxSequences()];
        blocks = new int[step.maxSequences()];
        rowOwners = new Sequence[step.maxRows()];
        rowPositions = new int[step.maxRows()];
    }

    void write(StepPlan plan) {
        rows = 0;
        int token = 0;
        step.queryStart(0, 0);
        for (int i = 0; i < plan.size; i++) {
            Sequence sequence = plan.sequences[i];
            int end = sequence.computed + plan.counts[i];
            int scored = sequence.request.scoresPrompt(sequence) ? sequence.request.scored() : Integer.MAX_VALUE;
            table(i, sequence);
            for (int position = sequence.computed; position < end; position++) {
                step.token(token, sequence.tokens[position], position, sequence.cacheSlot(position));
                if (position == sequence.length - 1) {
                    sample(sequence, token, position);
                } else if (position >= scored) {
                    score(sequence, token, position);
                }
                token++;
            }
            step.queryStart(i + 1, token);
            step.length(i, end);
        }
    }

    /** One token of each sequence: that which the row of the same number has in the step before. */
    void follow(StepPlan plan) {
        rows = 0;
        step.queryStart(0, 0);
        for (int i = 0; i < plan.size; i++) {
            Sequence sequence = plan.sequences[i];
            int position = sequence.computed;
            table(i, sequence);
            step.token(i, -1 - i, position, sequence.cacheSlot(position));
            sample(sequence, i, position);
            step.queryStart(i + 1, i + 1);
            step.length(i, position + 1);
        }
    }

    private void table(int index, Sequence sequence) {
        if (tables[index] != sequence.admission) {
            tables[index] = sequence.admission;
            blocks[index] = 0;
        }
        for (int i = blocks[index]; i < sequence.blockCount; i++) {
            step.block(index, i, sequence.blocks[i]);
        }
        blocks[index] = sequence.blockCount;
    }

    private void sample(Sequence sequence, int token, int position) {
        SamplingParams params = sequence.request.params;
        step.sampling(
                row(sequence, token, position),
                (float) params.temperature(),
                (float) params.topP(),
                params.topK(),
                (float) params.minP(),
                sequence.seed,
                position + 1,
                sequence.slot,
                params.logprobs().orElse(-1));
    }

    /** How likely the prompt's next token was. */
    private void score(Sequence sequence, int token, int position) {
        int count = sequence.request.params.promptLogprobs().orElse(0);
        step.score(row(sequence, token, position), sequence.tokens[position + 1], count);
    }

    private int row(Sequence sequence, int token, int position) {
        step.row(rows, token);
        rowOwners[rows] = sequence;
        rowPositions[rows] = position;
        return rows++;
    }

    int rows() {
        return rows;
    }

    Sequence rowOwner(int row) {
        return rowOwners[row];
    }

    /** Position in its sequence of the token that a row's logits follow. */
    int rowPosition(int row) {
        return rowPositions[row];
    }

    /** The rows were read. */
    void done() {
        Arrays.fill(rowOwners, 0, rows, null);
    }
}
