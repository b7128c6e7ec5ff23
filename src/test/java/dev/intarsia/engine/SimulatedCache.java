package dev.intarsia.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.runtime.KvCache;
import java.util.Arrays;

/**
 * A scheduler run without a model. What the KV cache would hold is a number for each position that stands for all
 * tokens up to it and for the salt; each planned token writes its number, and every number before it must be that of
 * its own sequence, as attention would read it.
 */
final class SimulatedCache {
    private final Scheduler scheduler;
    private final long[] contents;

    SimulatedCache(Scheduler scheduler) {
        this.scheduler = scheduler;
        contents = new long[scheduler.blocks().count() * KvCache.BLOCK];
    }

    /** Plans and runs one step; a sequence whose last known token was run gets another one. */
    StepPlan step() {
        StepPlan plan = scheduler.schedule();
        for (int i = 0; i < plan.size; i++) {
            Sequence sequence = plan.sequences[i];
            long prefix = Arrays.hashCode(sequence.request.root);
            for (int position = 0; position < sequence.computed + plan.counts[i]; position++) {
                prefix = 31 * prefix + 1 + sequence.tokens[position];
                if (position < sequence.computed) {
                    assertThat(contents[sequence.cacheSlot(position)])
                            .as("what %d reads at %d", i, position)
                            .isEqualTo(prefix);
                } else {
                    contents[sequence.cacheSlot(position)] = prefix;
                }
            }
        }
        scheduler.ran();
        for (int i = 0; i < plan.size; i++) {
            Sequence sequence = plan.sequences[i];
            if (sequence.remaining() == 0) {
                sequence.append(next(sequence));
            }
        }
        return plan;
    }

    /** What a model would sample: it depends on all tokens. */
    private static int next(Sequence sequence) {
        int hash = 7;
        for (int i = 0; i < sequence.length; i++) {
            hash = 31 * hash + sequence.tokens[i];
        }
        return hash >>> 24;
    }
}
