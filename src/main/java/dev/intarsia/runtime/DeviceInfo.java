package dev.intarsia.runtime;

import dev.intarsia.ffi.intarsia_device_info;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * A device of this machine, as it is now.
 *
 * @param kind           what it is
 * @param ordinal        which of its kind, from 0
 * @param available      whether it can be opened; if not, {@code note} says why
 * @param name           the maker's name for it
 * @param defaultThreads threads of a CPU device opened with 0 threads: what affinity and cgroup allow; 0 for others
 * @param memoryTotal    bytes of the device's own memory; of the CPU the cgroup's limit where that is lower
 * @param memoryFree     bytes of it that can be had now
 * @param tiers          instruction-set tiers that this CPU can run, best first; empty for others
 * @param tier           the tier a CPU device opened now would use; "" for others
 * @param note           why the device is not available, or a remark; "" if there is nothing to say
 */
public record DeviceInfo(
        DeviceKind kind,
        int ordinal,
        boolean available,
        String name,
        int defaultThreads,
        long memoryTotal,
        long memoryFree,
        List<String> tiers,
        String tier,
        String note) {

    public DeviceInfo {
        tiers = List.copyOf(tiers);
    }

    static DeviceInfo of(MemorySegment info, int ordinal) {
        String tiers = intarsia_device_info.tiers(info).getString(0);
        return new DeviceInfo(
                DeviceKind.of(intarsia_device_info.kind(info)),
                ordinal,
                intarsia_device_info.available(info) != 0,
                intarsia_device_info.name(info).getString(0),
                intarsia_device_info.default_threads(info),
                intarsia_device_info.memory_total(info),
                intarsia_device_info.memory_free(info),
                tiers.isBlank() ? List.of() : List.of(tiers.strip().split(" +")),
                intarsia_device_info.tier(info).getString(0),
                intarsia_device_info.note(info).getString(0));
    }
}
