package dev.intarsia.engine;

import dev.intarsia.EngineStats;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/** What is counted while the engine runs. Any thread may count and read; nothing is allocated by counting. */
final class Meters {
    final AtomicInteger running = new AtomicInteger();
    final AtomicInteger putBack = new AtomicInteger();
    final AtomicInteger waitingRequests = new AtomicInteger(); // for their first step
    final AtomicInteger blocksUsed = new AtomicInteger();
    final AtomicInteger blocksCached = new AtomicInteger();
    final AtomicLong accepted = new AtomicLong();
    final AtomicLong rejected = new AtomicLong();
    final AtomicLong finished = new AtomicLong();
    final AtomicLong cancelled = new AtomicLong();
    final AtomicLong expired = new AtomicLong();
    final AtomicLong failed = new AtomicLong();
    final AtomicLong promptTokens = new AtomicLong();
    final AtomicLong cachedTokens = new AtomicLong();
    final AtomicLong generatedTokens = new AtomicLong();
    final AtomicLong preemptions = new AtomicLong();
    final AtomicLong recomputedTokens = new AtomicLong();
    final AtomicLong steps = new AtomicLong();
    final AtomicLong stepTokens = new AtomicLong();
    final AtomicLong paddingTokens = new AtomicLong();
    final Tally queue = new Tally();
    final Tally firstToken = new Tally();
    final Tally interToken = new Tally();
    final Tally step = new Tally();

    EngineStats stats(int kvBlocks) {
        return new EngineStats(
                running.get(),
                waitingRequests.get() + putBack.get(),
                kvBlocks,
                blocksUsed.get(),
                blocksCached.get(),
                accepted.get(),
                rejected.get(),
                finished.get(),
                cancelled.get(),
                expired.get(),
                failed.get(),
                promptTokens.get(),
                cachedTokens.get(),
                generatedTokens.get(),
                preemptions.get(),
                recomputedTokens.get(),
                steps.get(),
                stepTokens.get(),
                paddingTokens.get(),
                queue.histogram(),
                firstToken.histogram(),
                interToken.histogram(),
                step.histogram());
    }
}
