package dev.intarsia.model;

import dev.intarsia.checkpoint.ModelConfig;
import java.util.Set;

/** Qwen2 and 2.5, dense: q, k and v have a bias, the projection after attention has none. */
final class Qwen2 extends Decoder {
    @Override
    public Set<String> architectures() {
        return Set.of("Qwen2ForCausalLM");
    }

    @Override
    protected boolean attentionInputBias(ModelConfig config) {
        return true;
    }

    @Override
    protected boolean attentionOutputBias(ModelConfig config) {
        return false;
    }
}
