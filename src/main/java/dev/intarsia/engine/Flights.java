package dev.intarsia.engine;

import dev.intarsia.jfr.CompileEvent;
import dev.intarsia.jfr.DowngradeEvent;
import dev.intarsia.jfr.RecordEvent;
import dev.intarsia.jfr.ReplayEvent;
import dev.intarsia.jfr.StepEvent;
import dev.intarsia.piecewise.BatchDescriptor;
import dev.intarsia.piecewise.CompilationEvent;
import dev.intarsia.piecewise.CompilationState;
import dev.intarsia.piecewise.CompileRange;
import dev.intarsia.piecewise.Dispatch;
import dev.intarsia.piecewise.RuntimeMode;
import dev.intarsia.runtime.ExecutableInfo;
import java.util.List;
import jdk.jfr.EventType;
import jdk.jfr.FlightRecorder;

/**
 * Flight recorder events, begun and committed here. While nothing records, an event is null, nothing is allocated, and the recorder is not
 * even initialized, which would cost a start-up some tenths of a second.
 */
final class Flights {
    private Flights() {}

    /** Looked up once a recorder is there. */
    private static final class Types {
        static final EventType STEP = EventType.getEventType(StepEvent.class);
        static final EventType REPLAY = EventType.getEventType(ReplayEvent.class);
    }

    private static boolean off() {
        return !FlightRecorder.isInitialized();
    }

    @SafeVarargs
    static void downgrades(List<CompilationEvent>... changes) {
        if (off()) {
            return;
        }
        for (List<CompilationEvent> list : changes) {
            for (CompilationEvent change : list) {
                DowngradeEvent event = new DowngradeEvent();
                event.subject = change.subject();
                event.reason = change.message();
                event.commit();
            }
        }
    }

    static CompileEvent compile() {
        if (off()) {
            return null;
        }
        CompileEvent event = new CompileEvent();
        event.begin();
        return event;
    }

    static void commit(
            CompileEvent event, int pieceClass, CompileRange range, boolean fromArtifact, ExecutableInfo made) {
        event.pieceClass = pieceClass;
        event.rangeStart = range.start();
        event.rangeEnd = range.end();
        event.fromArtifact = fromArtifact;
        event.kernels = made.kernels();
        event.arenaBytes = made.arenaBytes();
        event.commit();
    }

    static RecordEvent record() {
        if (off()) {
            return null;
        }
        RecordEvent event = new RecordEvent();
        event.begin();
        return event;
    }

    static void commit(RecordEvent event, CompilationState.Recorded made) {
        event.mode = made.mode().name();
        event.piece = made.piece();
        event.tokens = made.batch().tokens();
        event.kernels = made.kernels();
        event.bytes = made.bytes();
        event.arenaBytes = made.arenaBytes();
        event.commit();
    }

    static ReplayEvent replay() {
        if (off() || !Types.REPLAY.isEnabled()) {
            return null;
        }
        ReplayEvent event = new ReplayEvent();
        event.begin();
        return event;
    }

    static void commit(ReplayEvent event, RuntimeMode mode, int piece, BatchDescriptor batch) {
        event.mode = mode.name();
        event.piece = piece;
        event.tokens = batch.tokens();
        event.commit();
    }

    static StepEvent step() {
        if (off() || !Types.STEP.isEnabled()) {
            return null;
        }
        StepEvent event = new StepEvent();
        event.begin();
        return event;
    }

    static void commit(StepEvent event, Dispatch how, int sequences, int rows) {
        event.tokens = how.tokens();
        event.paddedTokens = how.paddedTokens();
        event.sequences = sequences;
        event.rows = rows;
        event.mode = how.mode().name();
        event.reason = how.reason().toString();
        event.commit();
    }
}
