package dev.intarsia.runtime;

import java.util.Objects;

/**
 * The shape of a KV cache.
 *
 * @param precision that of the weights
 * @param layers    number of layers
 * @param kvHeads   key and value heads of a layer
 * @param headDim   elements of a head
 * @param blocks    blocks of {@link KvCache#BLOCK} positions, shared by all sequences
 */
public record KvOptions(Precision precision, int layers, int kvHeads, int headDim, int blocks) {

    /** @throws IllegalArgumentException if a count is below 1 */
    public KvOptions {
        Objects.requireNonNull(precision, "precision");
        Calls.atLeast(1, layers, "layers");
        Calls.atLeast(1, kvHeads, "kvHeads");
        Calls.atLeast(1, headDim, "headDim");
        Calls.atLeast(1, blocks, "blocks");
    }
}
