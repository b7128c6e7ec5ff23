package dev.intarsia.model;

import java.util.Set;

/** Mistral 7B and its kin: Llama's decoder; the config may give attention a sliding window. */
final class Mistral extends Decoder {
    @Override
    public Set<String> architectures() {
        return Set.of("MistralForCausalLM");
    }
}
