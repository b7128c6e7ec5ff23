package dev.intarsia.engine;

import dev.intarsia.inspect.ModelReport.Steps;
import dev.intarsia.piecewise.Dispatcher;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLongArray;

/** Counts steps by their number of tokens. The engine's thread counts, which allocates nothing; any thread may read. */
final class StepCounts {
    private final AtomicLongArray mixed;
    private final AtomicLongArray uniform;

    /** @param maxTokens most tokens of a step */
    StepCounts(int maxTokens) {
        mixed = new AtomicLongArray(maxTokens + 1);
        uniform = new AtomicLongArray(maxTokens + 1);
    }

    void count(int tokens, boolean isUniform) {
        (isUniform ? uniform : mixed).getAndIncrement(tokens);
    }

    /** The counts so far with the answers that steps of each size get. */
    List<Steps> steps(Dispatcher dispatcher) {
        List<Steps> steps = new ArrayList<>();
        for (int tokens = 0; tokens < mixed.length(); tokens++) {
            for (boolean isUniform : new boolean[] {false, true}) {
                long count = (isUniform ? uniform : mixed).get(tokens);
                if (count > 0) {
                    steps.add(new Steps(dispatcher.dispatch(tokens, isUniform), isUniform, count));
                }
            }
        }
        return steps;
    }
}
