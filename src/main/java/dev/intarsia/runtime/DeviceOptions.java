package dev.intarsia.runtime;

import java.util.Objects;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Which device to open, and how.
 *
 * @param kind          what it is
 * @param ordinal       which of its kind, from 0; always 0 for the CPU
 * @param threads       threads of the team that runs the CPU's kernels, or samples on the host for a CUDA device; the calling one
 *                      included, 1..256; 0 = {@link DeviceInfo#defaultThreads()} of the CPU
 * @param tier          instruction-set tier of that team, one of {@link DeviceInfo#tiers()} of the CPU; "" = the environment's
 *                      {@code INTARSIA_CPU_TIER}, else the best
 * @param deterministic CUDA: only kernels whose bits do not depend on how a step is dispatched; the CPU has no others
 * @param memory        CUDA: bytes of device memory that may be taken in all; 0 = nine tenths of what is free; always 0 for the CPU
 */
public record DeviceOptions(
        DeviceKind kind, int ordinal, int threads, String tier, boolean deterministic, long memory) {
    private static final Pattern CUDA = Pattern.compile("cuda(?::(0|[1-9]\\d{0,3}))?");

    /** @throws IllegalArgumentException if a number is negative or {@code tier} holds a zero character */
    public DeviceOptions {
        Objects.requireNonNull(kind, "kind");
        Objects.requireNonNull(tier, "tier");
        Calls.atLeast(0, ordinal, "ordinal");
        Calls.atLeast(0, threads, "threads");
        Structs.checkNoZero(tier, "tier");
        if (memory < 0) {
            throw new IllegalArgumentException("memory must be >= 0, was " + memory);
        }
    }

    /** The CPU with all the threads it allows and its best tier. */
    public static DeviceOptions cpu() {
        return new DeviceOptions(DeviceKind.CPU, 0, 0, "", false, 0);
    }

    /** A CUDA device with nine tenths of its free memory. */
    public static DeviceOptions cuda(int ordinal) {
        return new DeviceOptions(DeviceKind.CUDA, ordinal, 0, "", false, 0);
    }

    /**
     * A device by name: {@code "cpu"}, {@code "cuda"} for the first CUDA device, or {@code "cuda:N"}.
     *
     * @throws IllegalArgumentException for any other name
     */
    public static DeviceOptions named(String name) {
        if (name.equals("cpu")) {
            return cpu();
        }
        Matcher cuda = CUDA.matcher(name);
        if (!cuda.matches()) {
            throw new IllegalArgumentException(
                    "device is " + name + "; it must be cpu, cuda, or cuda:N with the number of a device, such as cuda:0");
        }
        return cuda(cuda.group(1) == null ? 0 : Integer.parseInt(cuda.group(1)));
    }

    /** The same with another number of threads. */
    public DeviceOptions withThreads(int threads) {
        return new DeviceOptions(kind, ordinal, threads, tier, deterministic, memory);
    }

    /** The same with another tier. */
    public DeviceOptions withTier(String tier) {
        return new DeviceOptions(kind, ordinal, threads, tier, deterministic, memory);
    }

    /** The same, deterministic or not. */
    public DeviceOptions withDeterministic(boolean deterministic) {
        return new DeviceOptions(kind, ordinal, threads, tier, deterministic, memory);
    }

    /** The same with another bound of its memory, in bytes. */
    public DeviceOptions withMemory(long memory) {
        return new DeviceOptions(kind, ordinal, threads, tier, deterministic, memory);
    }

    /** {@code cpu} or {@code cuda:N}. */
    public String name() {
        return kind == DeviceKind.CPU ? "cpu" : "cuda:" + ordinal;
    }
}
