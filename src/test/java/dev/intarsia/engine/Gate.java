package dev.intarsia.engine;

import java.util.concurrent.Semaphore;
import java.util.function.BooleanSupplier;

/**
 * Lets an engine run no more steps than it is told to, so that a request lasts as long as a test wants it to. Put it up
 * before the engine's first request, and close it before the engine, which waits for its step.
 */
public final class Gate implements AutoCloseable {
    private static final int ALL = Integer.MAX_VALUE / 2;

    private final Semaphore steps = new Semaphore(0);

    public Gate(EngineCore core) {
        core.loop().beforeRun(steps::acquireUninterruptibly);
    }

    /** Lets so many more steps run, as soon as there is something to run. */
    public void let(int count) {
        steps.release(count);
    }

    /** Lets single steps run, far fewer than a thousand, until something holds. */
    public void letUntil(BooleanSupplier condition) throws InterruptedException {
        for (int i = 0; !condition.getAsBoolean(); i++) {
            if (i == 900) {
                throw new AssertionError("it does not hold after 900 steps");
            }
            let(1);
            Thread.sleep(5);
        }
    }

    /** Lets all steps run. */
    public void open() {
        steps.drainPermits();
        steps.release(ALL);
    }

    @Override
    public void close() {
        open();
    }
}
