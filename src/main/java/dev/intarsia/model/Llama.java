package dev.intarsia.model;

import java.util.Set;

/** Llama 2, 3 and 3.1+, whose difference is in the config: grouping of heads, tied embedding, scaling of the rotary frequencies. */
final class Llama extends Decoder {
    @Override
    public Set<String> architectures() {
        return Set.of("LlamaForCausalLM");
    }
}
