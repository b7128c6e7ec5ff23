package dev.intarsia.runtime;

import dev.intarsia.ffi.intarsia_executable_info;
import java.lang.foreign.MemorySegment;

/**
 * A compiled piece.
 *
 * @param lo         smallest size served
 * @param hi         largest size served
 * @param kernels    kernel calls of one execution
 * @param arenaBytes bytes of scratch for a step of {@code hi}
 */
public record ExecutableInfo(int lo, int hi, int kernels, long arenaBytes) {

    static ExecutableInfo of(MemorySegment info) {
        return new ExecutableInfo(
                intarsia_executable_info.lo(info),
                intarsia_executable_info.hi(info),
                intarsia_executable_info.kernels(info),
                intarsia_executable_info.arena_bytes(info));
    }
}
