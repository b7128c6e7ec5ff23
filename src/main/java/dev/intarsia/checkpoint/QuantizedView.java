package dev.intarsia.checkpoint;

import java.lang.foreign.MemorySegment;

/**
 * A quantized matrix where it lies in its mapped file.
 *
 * @param values row-major: I8, or U8 with two inputs in each
 * @param scales row-major: F32 of each output, or F16 of each output and 32 inputs
 */
public record QuantizedView(MemorySegment values, MemorySegment scales) {

    /** What follows the name of a weight in the name of its scales. */
    static final String SCALE = "_scale";
    /** Inputs under one scale of INT4. */
    static final int GROUP = 32;
}
