package dev.intarsia.cli.bench;

import java.io.PrintWriter;
import java.util.Locale;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/** Says what a long run is at: the first word comes after two seconds, then one every five seconds. Any thread may use it. */
public final class Progress implements AutoCloseable {
    private static final long FIRST_SECONDS = 2;
    private static final long EVERY_SECONDS = 5;

    private final PrintWriter to;
    private final long start = System.nanoTime();
    private final ScheduledExecutorService clock = Executors.newSingleThreadScheduledExecutor(
            Thread.ofPlatform().name("intarsia-progress").daemon(true).factory());
    private volatile String phase = "starting";

    public Progress(PrintWriter to) {
        this.to = to;
        clock.scheduleAtFixedRate(this::say, FIRST_SECONDS, EVERY_SECONDS, TimeUnit.SECONDS);
    }

    /** What comes now, such as {@code "repeat 2 of 5: prefill"}. */
    public void phase(String what) {
        phase = what;
    }

    private void say() {
        to.printf(Locale.ROOT, "intarsia: %s (%.0f s)%n", phase, (System.nanoTime() - start) * 1e-9);
        to.flush();
    }

    @Override
    public void close() {
        clock.shutdownNow();
    }
}
