package dev.intarsia.runtime;

/**
 * The shape of an attention op.
 *
 * @param layer   layer of the KV cache that is read, from 0
 * @param heads   query heads, a multiple of {@code kvHeads}
 * @param kvHeads key and value heads
 * @param headDim elements of a head, even, 2..1024
 * @param window  a query at position p sees keys p - window + 1 .. p; 0 = all up to p
 * @param scale   multiplies q·k before the softmax
 */
public record AttentionOptions(int layer, int heads, int kvHeads, int headDim, int window, float scale) {

    /** @throws IllegalArgumentException if a count is below its least value */
    public AttentionOptions {
        Calls.atLeast(0, layer, "layer");
        Calls.atLeast(1, heads, "heads");
        Calls.atLeast(1, kvHeads, "kvHeads");
        Calls.atLeast(2, headDim, "headDim");
        Calls.atLeast(0, window, "window");
    }
}
