package dev.intarsia.bench.peers;

import dev.intarsia.checkpoint.Checkpoint;
import dev.intarsia.checkpoint.DType;
import dev.intarsia.checkpoint.ModelConfig;
import dev.intarsia.checkpoint.TensorView;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/** A bf16 checkpoint of the Llama or Qwen3 family, embeddings tied, as a GGUF file that llama.cpp reads. */
final class GgufModel {
    private static final ValueLayout.OfShort LITTLE =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final Checkpoint checkpoint;
    private final ModelConfig config;
    private final GgufType type;
    private final Gguf file = new Gguf();

    private GgufModel(Checkpoint checkpoint, GgufType type) {
        this.checkpoint = checkpoint;
        this.config = checkpoint.config();
        this.type = type;
    }

    /** Writes every matrix as {@code type}, the embedding too; norms are F32. */
    static void write(Checkpoint checkpoint, GgufType type, Path file) throws IOException {
        GgufModel model = new GgufModel(checkpoint, type);
        model.metadata();
        model.tensors();
        model.file.write(file);
    }

    private void metadata() {
        String family = config.modelType();
        if (!family.equals("llama") && !family.equals("qwen3") || !config.tieWordEmbeddings()) {
            throw new IllegalArgumentException(
                    "model type " + family + ", tied " + config.tieWordEmbeddings() + ": only tied llama and qwen3 are written");
        }
        file.put("general.architecture", family);
        file.put("general.name", "random weights");
        file.put("general.file_type", type.fileType());
        file.put(family + ".context_length", config.maxPositionEmbeddings());
        file.put(family + ".embedding_length", config.hiddenSize());
        file.put(family + ".block_count", config.numLayers());
        file.put(family + ".feed_forward_length", config.intermediateSize());
        file.put(family + ".attention.head_count", config.numHeads());
        file.put(family + ".attention.head_count_kv", config.numKvHeads());
        file.put(family + ".attention.key_length", config.headDim());
        file.put(family + ".attention.value_length", config.headDim());
        file.put(family + ".attention.layer_norm_rms_epsilon", (float) config.rmsNormEps());
        file.put(family + ".rope.dimension_count", config.headDim());
        file.put(family + ".rope.freq_base", (float) config.rope().theta());
        file.put(family + ".vocab_size", config.vocabSize());

        int[] kinds = new int[config.vocabSize()];
        Arrays.fill(kinds, 1); // ordinary tokens
        file.put("tokenizer.ggml.model", "gpt2");
        file.put("tokenizer.ggml.pre", "gpt-2");
        file.put("tokenizer.ggml.tokens", ByteVocabulary.tokens(config.vocabSize()));
        file.put("tokenizer.ggml.token_type", kinds);
        file.put("tokenizer.ggml.merges", List.of("\u0120 \u0120")); // readers want one: two blanks
        file.put("tokenizer.ggml.bos_token_id", 256);
        file.put("tokenizer.ggml.eos_token_id", 257);
        file.put("tokenizer.ggml.add_bos_token", false);
    }

    private void tensors() {
        copy("token_embd", "model.embed_tokens", 0);
        copy("output_norm", "model.norm", 0);
        boolean llama = config.modelType().equals("llama");
        for (int layer = 0; layer < config.numLayers(); layer++) {
            String to = "blk." + layer + ".";
            String from = "model.layers." + layer + ".";
            copy(to + "attn_norm", from + "input_layernorm", 0);
            copy(to + "attn_q", from + "self_attn.q_proj", llama ? config.numHeads() : 0);
            copy(to + "attn_k", from + "self_attn.k_proj", llama ? config.numKvHeads() : 0);
            copy(to + "attn_v", from + "self_attn.v_proj", 0);
            copy(to + "attn_output", from + "self_attn.o_proj", 0);
            if (!llama) {
                copy(to + "attn_q_norm", from + "self_attn.q_norm", 0);
                copy(to + "attn_k_norm", from + "self_attn.k_norm", 0);
            }
            copy(to + "ffn_norm", from + "post_attention_layernorm", 0);
            copy(to + "ffn_gate", from + "mlp.gate_proj", 0);
            copy(to + "ffn_up", from + "mlp.up_proj", 0);
            copy(to + "ffn_down", from + "mlp.down_proj", 0);
        }
    }

    /**
     * @param turned heads whose rows are put in the order of llama.cpp's rope, which for this family turns neighbours where
     *               Hugging Face turns element i with i + headDim / 2; 0 leaves rows where they are
     */
    private void copy(String to, String from, int turned) {
        TensorView tensor = checkpoint.tensor(from + ".weight");
        if (tensor.dtype() != DType.BF16) {
            throw new IllegalArgumentException(tensor.name() + " is " + tensor.dtype() + ", not BF16");
        }
        long[] shape = tensor.shape();
        GgufType as = shape.length == 1 ? GgufType.F32 : type;
        file.tensor(to + ".weight", shape, as, out -> rows(tensor, as, turned, out));
    }

    private static void rows(TensorView tensor, GgufType as, int turned, OutputStream out) throws IOException {
        long[] shape = tensor.shape();
        int width = (int) shape[shape.length - 1];
        int rows = shape.length == 1 ? 1 : (int) shape[0];
        int headDim = turned == 0 ? 0 : rows / turned;
        float[] row = new float[width];
        for (int r = 0; r < rows; r++) {
            long from = turned == 0 ? r : r / headDim * headDim + r % headDim / 2 + r % 2 * (headDim / 2);
            for (int i = 0; i < width; i++) {
                short bf16 = tensor.data().get(LITTLE, (from * width + i) * 2);
                row[i] = Float.intBitsToFloat(bf16 << 16);
            }
            out.write(as.encode(row));
        }
    }
}
