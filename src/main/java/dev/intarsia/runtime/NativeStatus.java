package dev.intarsia.runtime;

import dev.intarsia.ffi.Intarsia;

/** Why a native call failed. */
public enum NativeStatus {
    /** A value, shape, count or combination is not allowed. */
    INVALID_ARGUMENT(Intarsia.INTARSIA_INVALID_ARGUMENT()),
    /** A handle is not valid, for example because another thread has just closed it. */
    INVALID_HANDLE(Intarsia.INTARSIA_INVALID_HANDLE()),
    /** The call is not allowed now, for example an op added to a graph that was split. */
    INVALID_STATE(Intarsia.INTARSIA_INVALID_STATE()),
    /** The system or the device gave no memory, or no thread. */
    OUT_OF_MEMORY(Intarsia.INTARSIA_OUT_OF_MEMORY()),
    /** This machine or this build of the library cannot do it. */
    UNSUPPORTED(Intarsia.INTARSIA_UNSUPPORTED()),
    /** The device failed; what was open on it is lost. */
    DEVICE_FAULT(Intarsia.INTARSIA_DEVICE_FAULT()),
    /** A defect of the library. */
    INTERNAL(Intarsia.INTARSIA_INTERNAL());

    private static final NativeStatus[] VALUES = values();

    private final int code;

    NativeStatus(int code) {
        this.code = code;
    }

    /** The status of a code that is not that of success; a code of no name is {@link #INTERNAL}. */
    static NativeStatus of(int code) {
        for (NativeStatus status : VALUES) {
            if (status.code == code) {
                return status;
            }
        }
        return INTERNAL;
    }
}
