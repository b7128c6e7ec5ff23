package dev.intarsia.runtime;

import dev.intarsia.ffi.Intarsia;

/** What a device is. */
public enum DeviceKind {
    /** The processor and its memory. */
    CPU(Intarsia.INTARSIA_DEVICE_CPU()),
    /** An NVIDIA GPU. */
    CUDA(Intarsia.INTARSIA_DEVICE_CUDA());

    private static final DeviceKind[] VALUES = values();

    final int code;

    DeviceKind(int code) {
        this.code = code;
    }

    static DeviceKind of(int code) {
        for (DeviceKind kind : VALUES) {
            if (kind.code == code) {
                return kind;
            }
        }
        throw new IllegalStateException("the native library knows a device kind " + code + ", these bindings do not");
    }
}
