package dev.intarsia.engine;

import dev.intarsia.EngineOptions;
import dev.intarsia.IntarsiaException;
import dev.intarsia.Quantize;
import dev.intarsia.checkpoint.ModelConfig;
import dev.intarsia.runtime.Device;
import dev.intarsia.runtime.DeviceInfo;
import dev.intarsia.runtime.DeviceKind;
import dev.intarsia.runtime.DeviceOptions;
import java.util.List;

/**
 * The device that an engine is to run on, before it is opened.
 *
 * @param options to open it with, threads and tier decided
 * @param info what it is
 * @param noCuda why this machine has no CUDA device; "" if it has one
 */
record ChosenDevice(DeviceOptions options, DeviceInfo info, String noCuda) {

    /** Bytes that kernels of a CUDA device need beside weights, cache and what lies between kernels. */
    private static final long WORKSPACE = 512L << 20;

    /**
     * @throws IllegalArgumentException if there is no such device, or the CPU does not run such a tier
     * @throws IntarsiaException if the device is not available, or has less free memory than deviceMemory
     */
    static ChosenDevice of(EngineOptions engine) {
        DeviceOptions asked = DeviceOptions.named(engine.device());
        List<DeviceInfo> devices = Device.list();
        DeviceInfo cpu = devices.getFirst();
        if (!engine.cpuTier().isEmpty() && !cpu.tiers().contains(engine.cpuTier())) {
            throw new IllegalArgumentException(
                    "cpuTier is " + engine.cpuTier() + "; this machine runs " + String.join(", ", cpu.tiers()));
        }
        List<DeviceInfo> cuda =
                devices.stream().filter(device -> device.kind() == DeviceKind.CUDA).toList();
        String noCuda = cuda.stream().anyMatch(DeviceInfo::available)
                ? ""
                : cuda.stream().findFirst().map(DeviceInfo::note).orElse("the library knows no CUDA device");
        DeviceInfo info = asked.kind() == DeviceKind.CPU ? cpu : cuda(engine, cuda, asked.ordinal(), noCuda);
        return new ChosenDevice(
                asked.withThreads(engine.threads() == 0 ? Math.min(256, cpu.defaultThreads()) : engine.threads())
                        .withTier(engine.cpuTier().isEmpty() ? cpu.tier() : engine.cpuTier())
                        .withDeterministic(asked.kind() == DeviceKind.CPU || engine.deterministic())
                        .withMemory(engine.deviceMemory()),
                info,
                noCuda);
    }

    private static DeviceInfo cuda(EngineOptions engine, List<DeviceInfo> devices, int ordinal, String noCuda) {
        if (!noCuda.isEmpty()) {
            throw new IntarsiaException("device is " + engine.device() + ", but there is no CUDA device: " + noCuda);
        }
        if (ordinal >= devices.size()) {
            throw new IllegalArgumentException(
                    "device is " + engine.device() + ", but the last CUDA device is cuda:" + (devices.size() - 1));
        }
        DeviceInfo info = devices.get(ordinal);
        if (!info.available()) {
            throw new IntarsiaException("device is " + engine.device() + ", but it is not available: " + info.note());
        }
        if (engine.deviceMemory() > info.memoryFree()) {
            throw new IntarsiaException("deviceMemory is " + engine.deviceMemory() + ", but only " + info.memoryFree()
                    + " bytes of " + info.name() + " are free");
        }
        return info;
    }

    boolean isCpu() {
        return info.kind() == DeviceKind.CPU;
    }

    /** @throws IllegalArgumentException if the device cannot run matrices of this format */
    void check(ModelConfig model, Quantize quantize) {
        if (!isCpu() && quantize != Quantize.NONE) {
            throw new IllegalArgumentException("quantize is " + quantize
                    + ", but CUDA devices run matrices in their own precision only; leave it out, or choose device cpu");
        }
        if (!isCpu() && model.quantized() != Quantize.NONE) {
            throw new IllegalArgumentException("device is " + options.name() + ", but the checkpoint was written as "
                    + model.quantized() + ", which only the CPU runs; name the checkpoint that it was made of, or choose device cpu");
        }
    }

    /** Bytes that weights, cache and what lies between kernels may take together; 0 = the system does not say. */
    long memory() {
        if (isCpu()) {
            return info.memoryFree();
        }
        long all = options.memory() == 0 ? info.memoryFree() / 10 * 9 : options.memory();
        return Math.max(1, all - WORKSPACE);
    }
}
