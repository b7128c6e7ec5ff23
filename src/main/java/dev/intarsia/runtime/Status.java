package dev.intarsia.runtime;

import dev.intarsia.ffi.Intarsia;
import java.lang.foreign.MemorySegment;

/** Turns the status of a native call into an exception. Every call goes through here. */
final class Status {
    private Status() {}

    /** @throws NativeException unless the status is that of success; call it on the thread that made the call */
    static void check(int status) {
        if (status != Intarsia.INTARSIA_OK()) {
            throw failure(status);
        }
    }

    private static NativeException failure(int code) {
        NativeStatus status = NativeStatus.of(code);
        String message = lastError();
        return new NativeException(
                status, message.isEmpty() ? "native call failed: status " + code + " (" + status + ")" : message);
    }

    /** The text that the native side holds for this thread: "" if there is none. */
    static String lastError() {
        return text(Intarsia.intarsia_last_error());
    }

    /** A zero-terminated UTF-8 string. */
    static String text(MemorySegment address) {
        return address.equals(MemorySegment.NULL) ? "" : address.getString(0);
    }
}
