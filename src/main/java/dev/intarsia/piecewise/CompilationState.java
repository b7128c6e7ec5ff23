package dev.intarsia.piecewise;

import java.time.Duration;
import java.util.List;
import java.util.Map;

/**
 * What an engine compiled and decided, as it stood at one moment. Immutable; holds no executable.
 *
 * @param config   what was asked for
 * @param ranges   the ranges in force, ascending
 * @param pieces   the compilable pieces, in graph order
 * @param counters what had happened
 * @param timings  wall time of each phase
 * @param events   what the layer decided on its own, in order
 */
public record CompilationState(
        CompilationConfig config,
        List<CompileRange> ranges,
        List<Piece> pieces,
        CompilationCounters counters,
        Map<CompilationPhase, Duration> timings,
        List<CompilationEvent> events) {

    public CompilationState {
        ranges = List.copyOf(ranges);
        pieces = List.copyOf(pieces);
        timings = Map.copyOf(timings);
        events = List.copyOf(events);
    }

    /**
     * A compilable piece.
     *
     * @param index    0-based, among the compilable pieces
     * @param isStatic whether it was frozen to one size
     * @param entries  its entries, exact sizes first
     */
    public record Piece(int index, boolean isStatic, List<Entry> entries) {
        public Piece {
            entries = List.copyOf(entries);
        }
    }

    /**
     * One entry of a piece.
     *
     * @param range    the sizes it serves
     * @param compiled whether its executable is there
     */
    public record Entry(CompileRange range, boolean compiled) {}

    /** The state of these backends, with what the tracker has collected so far. */
    public static CompilationState of(
            CompilationConfig config, List<? extends PiecewiseBackend<?>> backends, CompilationTracker tracker) {
        return new CompilationState(
                config,
                config.ranges(),
                backends.stream().map(CompilationState::piece).toList(),
                tracker.counters(),
                tracker.timings(),
                tracker.events());
    }

    private static Piece piece(PiecewiseBackend<?> backend) {
        return new Piece(
                backend.index(),
                backend.isStatic(),
                backend.entries().stream().map(entry -> new Entry(entry.range(), entry.compiled())).toList());
    }
}
