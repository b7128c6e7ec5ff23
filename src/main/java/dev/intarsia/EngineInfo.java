package dev.intarsia;

import dev.intarsia.runtime.DeviceKind;
import dev.intarsia.runtime.Precision;
import dev.intarsia.runtime.WeightFormat;
import java.nio.file.Path;
import java.util.Locale;

/**
 * What an engine runs on; nothing is chosen silently.
 *
 * @param version of the native library
 * @param library file of the native library
 * @param device the maker's name of the device
 * @param deviceKind what it is
 * @param deviceOrdinal which of its kind, from 0
 * @param deviceNote a remark of the device, such as its compute capability; "" if there is nothing to say
 * @param noCuda why this machine has no CUDA device that can be opened; "" if it has one
 * @param deterministic whether the bits of a result do not depend on how its steps are dispatched; on the CPU they never do
 * @param cpuTier instruction-set tier of the kernels, on a CUDA device of what is sampled on the host
 * @param threads of these
 * @param precision numeric mode
 * @param format how the matrices are held
 * @param architecture of the checkpoint, such as {@code Qwen3ForCausalLM}
 * @param vocabulary token ids are 0 .. vocabulary - 1
 * @param maxModelLen longest sequence in tokens
 * @param maxNumBatchedTokens most tokens of a step
 * @param maxNumSeqs most sequences of a step
 * @param weightBytes bytes of the weights as laid out for the kernels
 * @param kvCacheBytes bytes of the KV cache
 * @param kvBlocks blocks of 16 positions in the KV cache
 */
public record EngineInfo(
        String version,
        Path library,
        String device,
        DeviceKind deviceKind,
        int deviceOrdinal,
        String deviceNote,
        String noCuda,
        boolean deterministic,
        String cpuTier,
        int threads,
        Precision precision,
        WeightFormat format,
        String architecture,
        int vocabulary,
        int maxModelLen,
        int maxNumBatchedTokens,
        int maxNumSeqs,
        long weightBytes,
        long kvCacheBytes,
        int kvBlocks) {

    /** The numeric mode in words: {@code "bf16"}, or {@code "bf16, int8 weights"}. */
    public String mode() {
        String mode = precision.name().toLowerCase(Locale.ROOT);
        return format == WeightFormat.NATIVE ? mode : mode + ", " + format.name().toLowerCase(Locale.ROOT) + " weights";
    }
}
