package dev.intarsia.cli;

import java.util.concurrent.TimeUnit;

/**
 * Ctrl-C and other signals that end a process (SIGINT, SIGTERM, SIGHUP). The JVM answers them by running its shutdown
 * hooks and leaving with 128 + the signal's number, 130 for Ctrl-C. Ours asks the work at hand to stop, then waits a
 * moment until it has written what it has and closed what it holds. Where nothing can be stopped, as while a model
 * loads, the process just ends.
 *
 * <p>One thread works, any other may request.
 */
final class Interruption {
    private static final long GRACE_NANOS = TimeUnit.SECONDS.toNanos(5);

    private Runnable stop;
    private boolean requested;

    /** Makes the signals of this process arrive here. */
    void install() {
        Thread hook = Thread.ofPlatform().name("intarsia-interruption").unstarted(this::request);
        try {
            Runtime.getRuntime().addShutdownHook(hook);
        } catch (IllegalStateException e) {
            request(); // the signal came first: the process is on its way out
        }
    }

    /** Whether somebody has asked to stop. */
    synchronized boolean requested() {
        return requested;
    }

    /**
     * Work begins that can be stopped.
     *
     * @param action makes the work end soon; runs on another thread, or here and now if a stop was requested before
     */
    void stopWith(Runnable action) {
        synchronized (this) {
            stop = action;
            if (!requested) {
                return;
            }
        }
        action.run();
    }

    /** The work has ended: written what it had and closed what it held. */
    synchronized void ended() {
        stop = null;
        notifyAll();
    }

    /** Asks the work to stop and waits until it has ended, but not for long. */
    void request() {
        Runnable action;
        synchronized (this) {
            requested = true;
            action = stop;
        }
        if (action != null) {
            action.run();
            awaitEnd();
        }
    }

    private synchronized void awaitEnd() {
        long deadline = System.nanoTime() + GRACE_NANOS;
        try {
            for (long left = GRACE_NANOS; stop != null && left > 0; left = deadline - System.nanoTime()) {
                TimeUnit.NANOSECONDS.timedWait(this, left);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
