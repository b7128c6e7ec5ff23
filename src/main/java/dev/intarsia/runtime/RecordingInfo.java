package dev.intarsia.runtime;

import dev.intarsia.ffi.intarsia_recording_info;
import java.lang.foreign.MemorySegment;

/**
 * A recording.
 *
 * @param tokens     of the steps that it serves, padding included
 * @param rows       of the steps that it serves, padding included
 * @param samples    whether it ends with sampling
 * @param kernels    kernel calls of one replay
 * @param bytes      of the resolved calls
 * @param arenaBytes scratch it needs; all recordings of a step share one arena, as large as the largest of these
 */
public record RecordingInfo(int tokens, int rows, boolean samples, int kernels, long bytes, long arenaBytes) {

    static RecordingInfo of(MemorySegment info) {
        return new RecordingInfo(
                intarsia_recording_info.tokens(info),
                intarsia_recording_info.rows(info),
                intarsia_recording_info.samples(info) != 0,
                intarsia_recording_info.kernels(info),
                intarsia_recording_info.bytes(info),
                intarsia_recording_info.arena_bytes(info));
    }
}
