package dev.intarsia.model;

import dev.intarsia.checkpoint.ModelConfig;
import dev.intarsia.runtime.Value;

/**
 * The decoder that Llama set and most families follow: norm before each half of a layer, grouped-query attention with rotary
 * embedding, a gated MLP. Subclasses say where they differ. Shapes: T tokens, R rows, H hidden, D head dimension.
 */
public abstract class Decoder implements ModelFamily {

    /** Whether the projections to q, k and v have a bias. */
    protected boolean attentionInputBias(ModelConfig config) {
        return config.attentionBias();
    }

    /** Whether the projection after attention has a bias. */
    protected boolean attentionOutputBias(ModelConfig config) {
        return config.attentionBias();
    }

    /** Whether each head of q and k is normalized before the rotation. */
    protected boolean headNorm() {
        return false;
    }

    @Override
    public final void build(ModelBuilder model) {
        ModelConfig config = model.config();
        Value hidden = model.embedding("model.embed_tokens.weight"); // [T, H]
        Value table = model.ropeTable(); // [T, D]
        for (int layer = 0; layer < config.numLayers(); layer++) {
            String name = "model.layers." + layer;
            Value x = model.norm(hidden, name + ".input_layernorm", config.hiddenSize());
            hidden = model.add(hidden, attention(model, x, table, layer, name + ".self_attn"));
            x = model.norm(hidden, name + ".post_attention_layernorm", config.hiddenSize());
            hidden = model.add(hidden, mlp(model, x, name + ".mlp"));
        }
        Value rows = model.selectRows(hidden); // [R, H]
        Value x = model.norm(rows, "model.norm", config.hiddenSize());
        model.logits(x, config.tieWordEmbeddings() ? "model.embed_tokens" : "lm_head");
    }

    private Value attention(ModelBuilder model, Value x, Value table, int layer, String name) {
        ModelConfig config = model.config();
        int queryWidth = config.numHeads() * config.headDim();
        int kvWidth = config.numKvHeads() * config.headDim();
        boolean bias = attentionInputBias(config);
        Value q = model.linear(x, name + ".q_proj", queryWidth, config.hiddenSize(), bias);
        Value k = model.linear(x, name + ".k_proj", kvWidth, config.hiddenSize(), bias);
        Value v = model.linear(x, name + ".v_proj", kvWidth, config.hiddenSize(), bias);
        if (headNorm()) {
            q = model.norm(q, name + ".q_norm", config.headDim());
            k = model.norm(k, name + ".k_norm", config.headDim());
        }
        q = model.rope(q, table);
        k = model.rope(k, table);
        model.cacheAppend(k, v, layer);
        Value attended = model.attention(q, layer);
        return model.linear(
                attended, name + ".o_proj", config.hiddenSize(), queryWidth, attentionOutputBias(config));
    }

    private static Value mlp(ModelBuilder model, Value x, String name) {
        ModelConfig config = model.config();
        int inner = config.intermediateSize();
        Value gate = model.linear(x, name + ".gate_proj", inner, config.hiddenSize(), config.mlpBias());
        Value up = model.linear(x, name + ".up_proj", inner, config.hiddenSize(), config.mlpBias());
        return model.linear(
                model.siluMul(gate, up), name + ".down_proj", config.hiddenSize(), inner, config.mlpBias());
    }
}
