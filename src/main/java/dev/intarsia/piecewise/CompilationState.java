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
 * @param artifacts what became of each look-up in the artifact store, and why; empty where it is off
 * @param graphs   what was recorded, and how steps are dispatched
 */
public record CompilationState(
        CompilationConfig config,
        List<CompileRange> ranges,
        List<Piece> pieces,
        CompilationCounters counters,
        Map<CompilationPhase, Duration> timings,
        List<CompilationEvent> events,
        List<String> artifacts,
        Graphs graphs) {

    public CompilationState {
        ranges = List.copyOf(ranges);
        pieces = List.copyOf(pieces);
        timings = Map.copyOf(timings);
        events = List.copyOf(events);
        artifacts = List.copyOf(artifacts);
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

    /**
     * Recordings and dispatch.
     *
     * @param mode         in force, after what the device's attention can do was taken into account
     * @param captureSizes numbers of tokens that were recorded, ascending
     * @param recorded     every recording, in the order in which they were made
     * @param mixed        for each number of tokens, from 0: how a step runs
     * @param uniform      the same for steps in which every request has the query length of decoding
     */
    public record Graphs(
            GraphMode mode,
            List<Integer> captureSizes,
            List<Recorded> recorded,
            List<Dispatch> mixed,
            List<Dispatch> uniform) {
        public Graphs {
            captureSizes = List.copyOf(captureSizes);
            recorded = List.copyOf(recorded);
            mixed = List.copyOf(mixed);
            uniform = List.copyOf(uniform);
        }
    }

    /**
     * One recording.
     *
     * @param mode       that it serves
     * @param piece      index of the piece in the cut graph, or {@link #WHOLE_STEP}
     * @param batch      its key
     * @param kernels    kernel calls of one replay
     * @param bytes      of the resolved calls
     * @param arenaBytes scratch; all recordings share one arena, as large as the largest of these
     */
    public record Recorded(
            RuntimeMode mode, int piece, BatchDescriptor batch, int kernels, long bytes, long arenaBytes) {
        /** Stands for the piece in recordings of whole steps. */
        public static final int WHOLE_STEP = -1;
    }

    /** The state of these backends, with what the tracker has collected so far. */
    public static CompilationState of(
            CompilationConfig config,
            List<? extends PiecewiseBackend<?>> backends,
            CompilationTracker tracker,
            GraphKeys keys,
            Dispatcher dispatcher,
            List<Recorded> recorded) {
        return new CompilationState(
                config,
                config.ranges(),
                backends.stream().map(CompilationState::piece).toList(),
                tracker.counters(),
                tracker.timings(),
                tracker.events(),
                tracker.artifacts(),
                new Graphs(
                        keys.mode(),
                        keys.sizes().sizes(),
                        recorded,
                        dispatcher.answers(false),
                        dispatcher.answers(true)));
    }

    private static Piece piece(PiecewiseBackend<?> backend) {
        return new Piece(
                backend.index(),
                backend.isStatic(),
                backend.entries().stream().map(entry -> new Entry(entry.range(), entry.compiled())).toList());
    }
}
