package dev.intarsia.runtime;

import java.util.Objects;

/**
 * Which device to open, and how.
 *
 * @param kind    what it is
 * @param ordinal which of its kind, from 0; always 0 for the CPU
 * @param threads CPU: threads of the team, the calling one included, 1..256; 0 = {@link DeviceInfo#defaultThreads()}
 * @param tier    CPU: instruction-set tier, one of {@link DeviceInfo#tiers()}; "" = the environment's
 *                {@code INTARSIA_CPU_TIER}, else the best
 */
public record DeviceOptions(DeviceKind kind, int ordinal, int threads, String tier) {

    /** @throws IllegalArgumentException if a number is negative or {@code tier} holds a zero character */
    public DeviceOptions {
        Objects.requireNonNull(kind, "kind");
        Objects.requireNonNull(tier, "tier");
        Calls.atLeast(0, ordinal, "ordinal");
        Calls.atLeast(0, threads, "threads");
        Structs.checkNoZero(tier, "tier");
    }

    /** The CPU with all the threads it allows and its best tier. */
    public static DeviceOptions cpu() {
        return new DeviceOptions(DeviceKind.CPU, 0, 0, "");
    }

    /** The same with another number of threads. */
    public DeviceOptions withThreads(int threads) {
        return new DeviceOptions(kind, ordinal, threads, tier);
    }

    /** The same with another tier. */
    public DeviceOptions withTier(String tier) {
        return new DeviceOptions(kind, ordinal, threads, tier);
    }
}
