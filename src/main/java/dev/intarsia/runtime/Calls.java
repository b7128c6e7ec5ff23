package dev.intarsia.runtime;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import java.util.function.ToIntFunction;

/** The shapes of calls off the step path: out parameters in memory of their own, arguments checked before they pass. */
final class Calls {
    private Calls() {}

    /** Makes a call that answers with a new native handle. */
    static MemorySegment askHandle(ToIntFunction<MemorySegment> call) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(Structs.POINTER);
            Status.check(call.applyAsInt(out));
            return out.get(Structs.POINTER, 0);
        }
    }

    /** Makes a call that answers with a {@code uint32_t}. */
    static int askInt(ToIntFunction<MemorySegment> call) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(Structs.INT);
            Status.check(call.applyAsInt(out));
            return out.get(Structs.INT, 0);
        }
    }

    /** Makes a call that answers with a {@code uint64_t}. */
    static long askLong(ToIntFunction<MemorySegment> call) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(Structs.LONG);
            Status.check(call.applyAsInt(out));
            return out.get(Structs.LONG, 0);
        }
    }

    /** A native function that writes a text of unknown length: {@code (buffer, capacity, out_needed)}. */
    @FunctionalInterface
    interface TextCall {
        int call(MemorySegment buffer, long capacity, MemorySegment needed);
    }

    /** Asks for the length of a text, then for the text. */
    static String askText(TextCall call) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment needed = arena.allocate(Structs.LONG);
            Status.check(call.call(MemorySegment.NULL, 0, needed));
            long capacity = needed.get(Structs.LONG, 0);
            MemorySegment buffer = arena.allocate(capacity);
            Status.check(call.call(buffer, capacity, needed));
            return buffer.getString(0);
        }
    }

    /** The pointer of an optional handle. */
    static MemorySegment pointerOrNull(Handle handle) {
        return handle == null ? MemorySegment.NULL : handle.pointer();
    }

    /** @throws IllegalArgumentException if the value is below the bound */
    static int atLeast(int bound, int value, String name) {
        if (value < bound) {
            throw new IllegalArgumentException(name + " must be >= " + bound + ", was " + value);
        }
        return value;
    }

    /** The pointer of a handle that a call needs. */
    static MemorySegment pointerOf(Handle handle, String name) {
        return Objects.requireNonNull(handle, name).pointer();
    }
}
