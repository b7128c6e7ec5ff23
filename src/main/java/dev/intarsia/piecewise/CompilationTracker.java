package dev.intarsia.piecewise;

import java.time.Duration;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.function.Supplier;

/**
 * Collects counters, events and phase times while an engine starts and runs. Written by the engine's thread, read by
 * any: every method is safe for concurrent use, and counting allocates nothing.
 */
public final class CompilationTracker {
    private final AtomicLong graphsSeen = new AtomicLong();
    private final AtomicLong piecesSeen = new AtomicLong();
    private final AtomicLong capturablePiecesSeen = new AtomicLong();
    private final AtomicLong compilations = new AtomicLong();
    private final AtomicLong artifactsLoaded = new AtomicLong();
    private final AtomicLong artifactsSaved = new AtomicLong();
    private final AtomicLong captures = new AtomicLong();
    private final AtomicLong replays = new AtomicLong();
    private final AtomicLongArray phaseNanos = new AtomicLongArray(CompilationPhase.values().length);
    private final List<CompilationEvent> events = new CopyOnWriteArrayList<>();
    private final List<String> artifacts = new CopyOnWriteArrayList<>();

    /** Counts a graph and the pieces it was cut into. */
    public void countGraph(SplitPlan plan) {
        graphsSeen.incrementAndGet();
        piecesSeen.addAndGet(plan.size());
        capturablePiecesSeen.addAndGet(plan.compilableCount());
    }

    public void countCompilation() {
        compilations.incrementAndGet();
    }

    public void countArtifactLoaded() {
        artifactsLoaded.incrementAndGet();
    }

    public void countArtifactSaved() {
        artifactsSaved.incrementAndGet();
    }

    public void countCapture() {
        captures.incrementAndGet();
    }

    public void countReplay() {
        replays.incrementAndGet();
    }

    /** Notes what became of one look-up in the artifact store, and why. */
    public void artifact(String outcome) {
        artifacts.add(outcome);
    }

    /** The outcomes of look-ups in the artifact store, in order. */
    public List<String> artifacts() {
        return List.copyOf(artifacts);
    }

    /** Notes a decision that a user may want to know. */
    public void event(String subject, String message) {
        events.add(new CompilationEvent(subject, message));
    }

    /** Notes decisions made elsewhere, e.g. {@link CompilationConfig#events()}. */
    public void events(List<CompilationEvent> more) {
        events.addAll(more);
    }

    /** Runs {@code work} and adds its wall time to {@code phase}, also when it throws. */
    public <T> T time(CompilationPhase phase, Supplier<T> work) {
        long start = System.nanoTime();
        try {
            return work.get();
        } finally {
            phaseNanos.addAndGet(phase.ordinal(), System.nanoTime() - start);
        }
    }

    /** The counters as they stand now. */
    public CompilationCounters counters() {
        return new CompilationCounters(
                graphsSeen.get(),
                piecesSeen.get(),
                capturablePiecesSeen.get(),
                compilations.get(),
                artifactsLoaded.get(),
                artifactsSaved.get(),
                captures.get(),
                replays.get());
    }

    /** Wall time of each phase so far; every phase is there. */
    public Map<CompilationPhase, Duration> timings() {
        Map<CompilationPhase, Duration> timings = new EnumMap<>(CompilationPhase.class);
        for (CompilationPhase phase : CompilationPhase.values()) {
            timings.put(phase, Duration.ofNanos(phaseNanos.get(phase.ordinal())));
        }
        return Collections.unmodifiableMap(timings);
    }

    /** The events so far, in order. */
    public List<CompilationEvent> events() {
        return List.copyOf(events);
    }
}
