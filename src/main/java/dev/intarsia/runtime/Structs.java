package dev.intarsia.runtime;

import dev.intarsia.ffi.Intarsia;
import java.lang.foreign.AddressLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.GroupLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;

/** What all structs of the C ABI have in common. */
final class Structs {
    static final ValueLayout.OfInt INT = Intarsia.C_INT;
    static final ValueLayout.OfLong LONG = Intarsia.C_LONG;
    static final ValueLayout.OfFloat FLOAT = Intarsia.C_FLOAT;
    static final AddressLayout POINTER = Intarsia.C_POINTER;

    private Structs() {}

    /** A zeroed struct whose first field, {@code struct_size}, is set. */
    static MemorySegment allocate(Arena arena, GroupLayout layout) {
        MemorySegment struct = arena.allocate(layout);
        struct.set(INT, 0, Math.toIntExact(layout.byteSize()));
        return struct;
    }

    /**
     * Writes a string into a fixed {@code char} array, zero-terminated.
     *
     * @throws IllegalArgumentException if it does not fit, or holds a zero
     */
    static void text(MemorySegment field, String value, String name) {
        byte[] bytes = value.getBytes(StandardCharsets.UTF_8);
        if (bytes.length >= field.byteSize()) {
            throw new IllegalArgumentException(name + " must have at most " + (field.byteSize() - 1)
                    + " bytes in UTF-8, had " + bytes.length);
        }
        checkNoZero(value, name);
        field.setString(0, value);
    }

    /** @throws IllegalArgumentException if the string would end early on the native side */
    static String checkNoZero(String value, String name) {
        if (value.indexOf('\0') >= 0) {
            throw new IllegalArgumentException(name + " must not contain a zero character");
        }
        return value;
    }
}
