package dev.intarsia.engine;

import dev.intarsia.EngineOptions;
import dev.intarsia.IntarsiaException;
import dev.intarsia.Quantize;
import dev.intarsia.checkpoint.ModelConfig;
import dev.intarsia.model.WeightShapes;
import dev.intarsia.runtime.DeviceKind;
import dev.intarsia.runtime.DeviceOptions;
import dev.intarsia.runtime.Precision;
import java.util.Locale;

/** Compares what a model needs with what is free before anything is allocated: the system would end the process without a word. */
final class MemoryNeed {
    private MemoryNeed() {}

    /**
     * What the weights leave for the KV cache and the rest.
     *
     * @param free bytes of the device's memory that may be taken; 0 = the system does not say, and then nothing is checked
     * @throws IntarsiaException if the weights, or the KV cache that was asked for beside them, need more than is free
     */
    static long leftByWeights(ModelConfig model, EngineOptions options, long free) {
        if (free == 0) {
            return Long.MAX_VALUE;
        }
        long elements;
        try {
            elements = WeightShapes.elements(model);
        } catch (ArithmeticException e) {
            throw new IntarsiaException("the weights of this model are more than any memory holds", e);
        }
        Quantize quantize = options.quantize() == Quantize.NONE ? model.quantized() : options.quantize();
        double elementBytes = switch (quantize) {
            case NONE -> options.precision() == Precision.BF16 ? 2 : 4;
            case INT8 -> 1;
            case INT4 -> 0.5625; // a group of 32 has 2 bytes of scale
        };
        double bytes = elements * elementBytes;
        if (bytes >= free) {
            throw new IntarsiaException(String.format(
                    Locale.ROOT,
                    "the %,d weights of this model need %.1f GB in %s, but only %.1f GB of memory %s; %s",
                    elements,
                    bytes / 1e9,
                    (quantize == Quantize.NONE ? options.precision() : quantize).name().toLowerCase(Locale.ROOT),
                    free / 1e9,
                    onCpu(options) ? "are free" : "may be taken of " + options.device(),
                    advice(options, quantize)));
        }
        long left = free - (long) bytes;
        if (options.kvCacheBytes() > left) {
            throw new IntarsiaException(String.format(
                    Locale.ROOT,
                    "kvCacheBytes is %d, but of the %.1f GB of %s the weights leave %.1f GB",
                    options.kvCacheBytes(),
                    free / 1e9,
                    onCpu(options) ? "free memory" : "memory that may be taken of " + options.device(),
                    left / 1e9));
        }
        return left;
    }

    private static boolean onCpu(EngineOptions options) {
        return DeviceOptions.named(options.device()).kind() == DeviceKind.CPU;
    }

    private static String advice(EngineOptions options, Quantize quantize) {
        if (!onCpu(options) && options.precision() == Precision.BF16) {
            return "choose a smaller model, another device, or a larger deviceMemory";
        }
        return switch (quantize) {
            case NONE -> options.precision() == Precision.F32 ? "bf16 takes half" : "quantized to int8 or int4 they need half or a third";
            case INT8 -> "int4 takes little more than half";
            case INT4 -> "choose a smaller model or free some";
        };
    }
}
