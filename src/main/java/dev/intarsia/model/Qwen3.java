package dev.intarsia.model;

import java.util.Set;

/** Qwen3, dense: each head of q and k is normalized before the rotation. */
final class Qwen3 extends Decoder {
    @Override
    public Set<String> architectures() {
        return Set.of("Qwen3ForCausalLM");
    }

    @Override
    protected boolean headNorm() {
        return true;
    }
}
