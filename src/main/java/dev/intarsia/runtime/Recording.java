package dev.intarsia.runtime;

import dev.intarsia.ffi.Intarsia;
import dev.intarsia.ffi.intarsia_recording_info;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * The resolved kernel calls of pieces at one exact size, made by {@link Step#record}; only that step can replay it. Immutable.
 */
public final class Recording extends Handle {

    /** Rows of the steps that it serves. */
    final int rows;

    Recording(MemorySegment pointer, int rows) {
        super("recording", pointer, Intarsia::intarsia_recording_destroy);
        this.rows = rows;
    }

    /** What was recorded. */
    public RecordingInfo info() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment info = Structs.allocate(arena, intarsia_recording_info.layout());
            Status.check(Intarsia.intarsia_recording_query(pointer(), info));
            return RecordingInfo.of(info);
        }
    }
}
