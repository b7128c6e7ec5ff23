package dev.intarsia.runtime;

import dev.intarsia.ffi.Intarsia;
import dev.intarsia.ffi.intarsia_device_info;
import dev.intarsia.ffi.intarsia_device_options;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * An opened device. On the CPU: a team of threads, parked when idle, and the kernels of one instruction-set tier; the
 * thread that executes is one of the team. A CUDA device: a stream and a pool of memory on one GPU, and such a team for what is
 * sampled on the host. Any thread may use it; executions on one device take turns.
 *
 * <p>After a fault of a CUDA device ({@link NativeStatus#DEVICE_FAULT}) everything that uses this fails with the first fault's
 * message; closing works, and other devices go on.
 */
public final class Device extends Handle {

    private Device(MemorySegment pointer) {
        super("device", pointer, Intarsia::intarsia_device_destroy);
    }

    /**
     * All devices of this machine, those that cannot be opened too: the CPU, then every CUDA device; where there is none, one that is
     * not available, whose note says why.
     *
     * @throws dev.intarsia.NativeLibraryException if the native library cannot be used
     */
    public static List<DeviceInfo> list() {
        NativeLibrary.load();
        int count = Calls.askInt(Intarsia::intarsia_device_count);
        List<DeviceInfo> devices = new ArrayList<>(count);
        int[] ofKind = new int[DeviceKind.values().length];
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment info = Structs.allocate(arena, intarsia_device_info.layout());
            for (int index = 0; index < count; index++) {
                Status.check(Intarsia.intarsia_device_query(index, info));
                DeviceKind kind = DeviceKind.of(intarsia_device_info.kind(info));
                devices.add(DeviceInfo.of(info, ofKind[kind.ordinal()]++));
            }
        }
        return List.copyOf(devices);
    }

    /**
     * Opens a device.
     *
     * @throws NativeException if there is none such, if it is not available, if the CPU knows no such tier, or if the system
     *     gives no threads or the device no memory
     * @throws dev.intarsia.NativeLibraryException if the native library cannot be used
     */
    public static Device open(DeviceOptions options) {
        NativeLibrary.load();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment struct = Structs.allocate(arena, intarsia_device_options.layout());
            intarsia_device_options.kind(struct, options.kind().code);
            intarsia_device_options.ordinal(struct, options.ordinal());
            intarsia_device_options.threads(struct, options.threads());
            Structs.text(intarsia_device_options.tier(struct), options.tier(), "tier");
            intarsia_device_options.flags(
                    struct, options.deterministic() ? Intarsia.INTARSIA_DEVICE_DETERMINISTIC() : 0);
            intarsia_device_options.memory(struct, options.memory());
            return new Device(Calls.askHandle(out -> Intarsia.intarsia_device_open(struct, out)));
        }
    }

    /**
     * Measures how fast the threads of the device read memory together, a CUDA device its own: the median of five passes over {@code bytes}
     * bytes, to be chosen beyond the caches.
     *
     * @param bytes 1 MiB .. 16 GiB, and at most half of what is free
     * @return bytes per second
     * @throws NativeException if {@code bytes} is out of bounds or there is no memory
     */
    public double measureRead(long bytes) {
        MemorySegment pointer = pointer();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(Intarsia.C_DOUBLE);
            Status.check(Intarsia.intarsia_device_measure_read(pointer, bytes, out));
            return out.get(Intarsia.C_DOUBLE, 0);
        }
    }
}
