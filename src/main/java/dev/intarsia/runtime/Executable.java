package dev.intarsia.runtime;

import dev.intarsia.ffi.Intarsia;
import dev.intarsia.ffi.intarsia_executable_info;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * A class of equal pieces, compiled for a range of sizes; {@link Step#execute} runs it. Immutable; any thread may use
 * it, and steps may share it.
 */
public final class Executable extends Handle {

    Executable(MemorySegment pointer) {
        super("executable", pointer, Intarsia::intarsia_executable_destroy);
    }

    /** What was compiled. */
    public ExecutableInfo info() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment info = Structs.allocate(arena, intarsia_executable_info.layout());
            Status.check(Intarsia.intarsia_executable_query(pointer(), info));
            return ExecutableInfo.of(info);
        }
    }

    /** What was chosen by measuring, to be given to {@link Partition#compileWith} another time. */
    public byte[] artifact() {
        MemorySegment executable = pointer();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment needed = arena.allocate(Structs.LONG);
            Status.check(Intarsia.intarsia_executable_artifact(executable, MemorySegment.NULL, 0, needed));
            MemorySegment bytes = arena.allocate(needed.get(Structs.LONG, 0));
            Status.check(Intarsia.intarsia_executable_artifact(executable, bytes, bytes.byteSize(), needed));
            return bytes.toArray(ValueLayout.JAVA_BYTE);
        }
    }

    /** The kernel calls in order, one a line, for people. */
    public String describe() {
        MemorySegment executable = pointer();
        return Calls.askText((buffer, capacity, needed) ->
                Intarsia.intarsia_executable_describe(executable, buffer, capacity, needed));
    }
}
