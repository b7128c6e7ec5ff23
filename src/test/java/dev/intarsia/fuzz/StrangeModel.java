package dev.intarsia.fuzz;

import dev.intarsia.Quantize;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.random.RandomGenerator;
import tools.jackson.databind.node.ObjectNode;

/** A small checkpoint that is whole and true to its config, but of odd sizes and with any numbers for weights. */
final class StrangeModel {

    /** What the weights are. */
    private enum Fill {
        SMALL, SMALL_AGAIN, ANY_BITS, NOT_A_NUMBER, INFINITE, GREATEST, LEAST, ZERO, SOME_NOT_A_NUMBER
    }

    private static final int[] SIZES = {1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 100};
    private static final int[] HEAD_DIMS = {2, 4, 6, 8, 10, 16, 18, 30, 32, 34, 64, 66, 128};

    private final RandomGenerator random;
    private final Fill fill;
    private final Quantize format;
    private final ObjectNode config = WeightsFile.JSON.createObjectNode();
    private final List<WeightsFile.Tensor> tensors = new ArrayList<>();

    StrangeModel(RandomGenerator random) {
        this.random = random;
        this.fill = Fill.values()[random.nextInt(Fill.values().length)];
        this.format = Hostile.pick(List.of(Quantize.values()), random);
        String family = Hostile.pick(List.of("llama", "mistral", "qwen2", "qwen3"), random);
        int hidden = size();
        int inner = size();
        int vocabulary = size();
        int layers = random.nextInt(1, 4);
        int kvHeads = random.nextInt(1, 4);
        int heads = kvHeads * random.nextInt(1, 4);
        int headDim = HEAD_DIMS[random.nextInt(HEAD_DIMS.length)];
        boolean tied = random.nextBoolean();
        boolean llama = family.equals("llama");
        boolean attentionBias = llama && random.nextBoolean();
        boolean mlpBias = llama && random.nextBoolean();

        String name = Character.toUpperCase(family.charAt(0)) + family.substring(1);
        config.putArray("architectures").add(name + "ForCausalLM");
        config.put("model_type", family).put("vocab_size", vocabulary).put("hidden_size", hidden)
                .put("intermediate_size", inner).put("num_hidden_layers", layers).put("num_attention_heads", heads)
                .put("num_key_value_heads", kvHeads).put("head_dim", headDim).put("tie_word_embeddings", tied)
                .put("attention_bias", attentionBias).put("mlp_bias", mlpBias).put("hidden_act", "silu")
                .put("rms_norm_eps", Hostile.pick(List.of(1e-20, 1e-6, 1e-5, 1.0), random))
                .put("max_position_embeddings", Hostile.pick(List.of(1, 3, 8, 8, 100, 100, 4_096, 100_000_000), random))
                .put("rope_theta", Hostile.pick(List.of(1.0, 1.0000001, 1e4, 1e6, 1e12), random));
        if (random.nextInt(3) == 0) {
            config.put("sliding_window", random.nextInt(1, 6))
                    .put("use_sliding_window", true)
                    .put("max_window_layers", 1);
        }
        if (format != Quantize.NONE) {
            config.putObject("quantization_config")
                    .put("quant_method", format == Quantize.INT8 ? "intarsia_int8" : "intarsia_int4");
        }
        switch (random.nextInt(4)) {
            case 0 -> config.putObject("rope_scaling").put("rope_type", "linear")
                    .put("factor", Hostile.pick(List.of(1.0, 4.0, 1e6), random));
            case 1 -> config.putObject("rope_scaling").put("rope_type", "llama3").put("factor", 8)
                    .put("low_freq_factor", Hostile.pick(List.of(1e-6, 1.0), random))
                    .put("high_freq_factor", Hostile.pick(List.of(1.000001, 4.0, 1e6), random))
                    .put("original_max_position_embeddings", Hostile.pick(List.of(1, 64, 100_000_000), random));
            default -> { }
        }

        matrix("model.embed_tokens.weight", vocabulary, hidden);
        for (int layer = 0; layer < layers; layer++) {
            String prefix = "model.layers." + layer;
            tensor(prefix + ".input_layernorm.weight", hidden);
            tensor(prefix + ".post_attention_layernorm.weight", hidden);
            boolean inputBias = attentionBias || family.equals("qwen2");
            linear(prefix + ".self_attn.q_proj", heads * headDim, hidden, inputBias);
            linear(prefix + ".self_attn.k_proj", kvHeads * headDim, hidden, inputBias);
            linear(prefix + ".self_attn.v_proj", kvHeads * headDim, hidden, inputBias);
            linear(prefix + ".self_attn.o_proj", hidden, heads * headDim, attentionBias);
            if (family.equals("qwen3")) {
                tensor(prefix + ".self_attn.q_norm.weight", headDim);
                tensor(prefix + ".self_attn.k_norm.weight", headDim);
            }
            linear(prefix + ".mlp.gate_proj", inner, hidden, mlpBias);
            linear(prefix + ".mlp.up_proj", inner, hidden, mlpBias);
            linear(prefix + ".mlp.down_proj", hidden, inner, mlpBias);
        }
        tensor("model.norm.weight", hidden);
        if (!tied) {
            matrix("lm_head.weight", vocabulary, hidden);
        }
    }

    byte[] config() {
        return config.toString().getBytes(StandardCharsets.UTF_8);
    }

    byte[] weights() {
        return WeightsFile.of(tensors).join();
    }

    /** Whether all numbers are small, so that logits are finite. */
    boolean tame() {
        return fill == Fill.SMALL || fill == Fill.SMALL_AGAIN;
    }

    @Override
    public String toString() {
        return fill + " " + config;
    }

    private int size() {
        return SIZES[random.nextInt(SIZES.length)];
    }

    private void linear(String name, int outputs, int inputs, boolean bias) {
        matrix(name + ".weight", outputs, inputs);
        if (bias) {
            tensor(name + ".bias", outputs);
        }
    }

    private void matrix(String name, int outputs, int inputs) {
        if (format == Quantize.NONE) {
            tensor(name, outputs, inputs);
            return;
        }
        boolean int8 = format == Quantize.INT8;
        int row = int8 ? inputs : (inputs + 1) / 2;
        byte[] values = new byte[outputs * row];
        for (int i = 0; i < values.length; i++) {
            values[i] = (byte) random.nextInt(int8 ? -127 : -128, 128);
        }
        tensors.add(new WeightsFile.Tensor(name, int8 ? "I8" : "U8", new long[] {outputs, row}, values));
        if (int8) {
            filled(name + "_scale", "F32", outputs);
        } else {
            filled(name + "_scale", "F16", outputs, (inputs + 31) / 32);
        }
    }

    private void tensor(String name, long... shape) {
        filled(name, Hostile.pick(List.of("F32", "F16", "BF16"), random), shape);
    }

    private void filled(String name, String dtype, long... shape) {
        long elements = 1;
        for (long dim : shape) {
            elements *= dim;
        }
        int bytes = dtype.equals("F32") ? Float.BYTES : Short.BYTES;
        ByteBuffer data = ByteBuffer.allocate((int) elements * bytes).order(ByteOrder.LITTLE_ENDIAN);
        while (data.hasRemaining()) {
            int bits = Float.floatToRawIntBits(number());
            switch (dtype) {
                case "F32" -> data.putInt(fill == Fill.ANY_BITS ? random.nextInt() : bits);
                case "BF16" -> data.putShort((short) (fill == Fill.ANY_BITS ? random.nextInt() : bits >>> 16));
                default -> data.putShort(fill == Fill.ANY_BITS
                        ? (short) random.nextInt()
                        : Float.floatToFloat16(Float.intBitsToFloat(bits)));
            }
        }
        tensors.add(new WeightsFile.Tensor(name, dtype, shape, data.array()));
    }

    private float number() {
        return switch (fill) {
            case SMALL, SMALL_AGAIN, ANY_BITS -> random.nextFloat(-1, 1);
            case NOT_A_NUMBER -> Float.NaN;
            case INFINITE -> random.nextBoolean() ? Float.POSITIVE_INFINITY : Float.NEGATIVE_INFINITY;
            case GREATEST -> random.nextBoolean() ? Float.MAX_VALUE : -Float.MAX_VALUE;
            case LEAST -> random.nextBoolean() ? Float.MIN_VALUE : -Float.MIN_NORMAL;
            case ZERO -> random.nextBoolean() ? 0f : -0f;
            case SOME_NOT_A_NUMBER -> random.nextInt(64) == 0 ? Float.NaN : random.nextFloat(-1, 1);
        };
    }
}
