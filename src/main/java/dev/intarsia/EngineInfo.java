package dev.intarsia;

import dev.intarsia.runtime.Precision;
import java.nio.file.Path;

/**
 * What an engine runs on; nothing is chosen silently.
 *
 * @param version of the native library
 * @param library file of the native library
 * @param device name of the device
 * @param cpuTier instruction-set tier of the kernels
 * @param threads of the kernels
 * @param precision numeric mode
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
        String cpuTier,
        int threads,
        Precision precision,
        String architecture,
        int vocabulary,
        int maxModelLen,
        int maxNumBatchedTokens,
        int maxNumSeqs,
        long weightBytes,
        long kvCacheBytes,
        int kvBlocks) {}
