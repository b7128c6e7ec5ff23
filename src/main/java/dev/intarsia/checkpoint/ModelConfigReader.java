package dev.intarsia.checkpoint;

import dev.intarsia.CheckpointException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.stream.IntStream;

/** Reads {@code config.json} in both layouts, with the defaults that transformers gives absent keys. */
final class ModelConfigReader {

    private static final long MAX_BYTES = 4 << 20;
    private static final int MAX_SIZE = 1_000_000;
    private static final int MAX_LAYERS = 1024;
    private static final int MAX_HEAD_DIM = 1024;
    private static final int MAX_POSITIONS = 100_000_000;

    /** Families whose embeddings are not tied unless the file says so; the common default is that they are. */
    private static final Set<String> UNTIED =
            Set.of("llama", "mistral", "mixtral", "ministral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe");
    /** Families in which the last layers slide, from {@code max_window_layers} on, and only if switched on. */
    private static final Set<String> SLIDES_LATE = Set.of("qwen2", "qwen2_moe", "qwen3", "qwen3_moe");
    /** Families in which every layer slides as soon as there is a window. */
    private static final Set<String> SLIDES_ALWAYS = Set.of("mistral", "mixtral", "ministral");
    private static final Set<String> WIDE_HEADS = Set.of("qwen3", "qwen3_moe");
    private static final int WIDE_HEAD_DIM = 128;
    private static final int DEFAULT_MAX_WINDOW_LAYERS = 28;
    private static final double DEFAULT_THETA = 10_000;
    private static final double MIN_FREQ_FACTOR = 1e-6;
    private static final double DEFAULT_EPS = 1e-6;
    private static final double MIN_EPS = 1e-20;

    private final JsonObject config;
    private final String modelType;

    private ModelConfigReader(JsonObject config) {
        this.config = config;
        this.modelType = config.requireString("model_type");
    }

    static ModelConfig read(Path file) {
        return new ModelConfigReader(Json.read(file, MAX_BYTES)).read();
    }

    private ModelConfig read() {
        int vocabSize = config.requireInteger("vocab_size", 1, MAX_SIZE);
        int hiddenSize = config.requireInteger("hidden_size", 1, MAX_SIZE);
        int numLayers = config.requireInteger("num_hidden_layers", 1, MAX_LAYERS);
        int numHeads = config.requireInteger("num_attention_heads", 1, MAX_SIZE);
        int numKvHeads = config.integer("num_key_value_heads", 1, MAX_SIZE).orElse(numHeads);
        if (numHeads % numKvHeads != 0) {
            throw config.wrong("num_attention_heads", "a multiple of num_key_value_heads, " + numKvHeads);
        }
        OptionalInt window = slidingWindow();
        List<String> layerTypes = layerTypes(numLayers, window);
        return new ModelConfig(
                architecture(),
                modelType,
                vocabSize,
                hiddenSize,
                config.requireInteger("intermediate_size", 1, MAX_SIZE),
                numLayers,
                numHeads,
                numKvHeads,
                headDim(hiddenSize, numHeads),
                config.number("rms_norm_eps", MIN_EPS, 1, DEFAULT_EPS),
                config.requireInteger("max_position_embeddings", 1, MAX_POSITIONS),
                config.flag("tie_word_embeddings").orElse(!UNTIED.contains(modelType)),
                config.flag("attention_bias").orElse(false),
                config.flag("mlp_bias").orElse(false),
                config.string("hidden_act").orElse("silu"),
                rope(),
                layerTypes.contains(ModelConfig.SLIDING_ATTENTION) ? window : OptionalInt.empty(),
                layerTypes,
                config.integer("bos_token_id", 0, vocabSize - 1),
                config.integers("eos_token_id", 0, vocabSize - 1),
                quantization());
    }

    private String architecture() {
        List<String> architectures = config.strings("architectures");
        if (architectures.isEmpty()) {
            throw new CheckpointException(config.file() + ": architectures names no architecture");
        }
        return architectures.getFirst();
    }

    private int headDim(int hiddenSize, int numHeads) {
        OptionalInt written = config.integer("head_dim", 1, MAX_HEAD_DIM);
        if (written.isEmpty() && !WIDE_HEADS.contains(modelType) && hiddenSize % numHeads != 0) {
            throw config.wrong("hidden_size", "a multiple of num_attention_heads, " + numHeads
                    + ", where head_dim is absent");
        }
        int headDim = written.orElse(WIDE_HEADS.contains(modelType) ? WIDE_HEAD_DIM : hiddenSize / numHeads);
        if (headDim % 2 != 0 || headDim > MAX_HEAD_DIM || (long) headDim * numHeads > MAX_SIZE) {
            throw new CheckpointException(config.file() + ": the head dimension is " + headDim
                    + " but must be even, at most " + MAX_HEAD_DIM + ", and times num_attention_heads, " + numHeads
                    + ", at most " + MAX_SIZE);
        }
        return headDim;
    }

    private OptionalInt slidingWindow() {
        boolean on = config.flag("use_sliding_window").orElse(!SLIDES_LATE.contains(modelType));
        OptionalInt window = config.integer("sliding_window", 1, MAX_POSITIONS);
        return on ? window : OptionalInt.empty();
    }

    private List<String> layerTypes(int numLayers, OptionalInt window) {
        List<String> written = config.strings("layer_types");
        if (written.isEmpty()) {
            int firstSliding = firstSlidingLayer(numLayers, window);
            return IntStream.range(0, numLayers)
                    .mapToObj(i -> i < firstSliding ? ModelConfig.FULL_ATTENTION : ModelConfig.SLIDING_ATTENTION)
                    .toList();
        }
        if (written.size() != numLayers) {
            throw config.wrong("layer_types", "a list of num_hidden_layers, " + numLayers + ", names");
        }
        if (written.contains(ModelConfig.SLIDING_ATTENTION) && window.isEmpty()) {
            throw config.wrong("layer_types", "without " + ModelConfig.SLIDING_ATTENTION
                    + " where sliding_window is absent or switched off");
        }
        return written;
    }

    private int firstSlidingLayer(int numLayers, OptionalInt window) {
        if (window.isPresent() && SLIDES_ALWAYS.contains(modelType)) {
            return 0;
        }
        if (window.isPresent() && SLIDES_LATE.contains(modelType)) {
            return config.integer("max_window_layers", 0, MAX_SIZE).orElse(DEFAULT_MAX_WINDOW_LAYERS);
        }
        return numLayers;
    }

    /** {@code rope_parameters}, one or by layer type, or else {@code rope_theta} and {@code rope_scaling}. */
    private RopeConfig rope() {
        Optional<JsonObject> parameters = config.object("rope_parameters");
        if (parameters.isEmpty()) {
            return rope(config.object("rope_scaling"));
        }
        Set<String> nested = new HashSet<>(parameters.get().keys());
        nested.removeIf(key -> parameters.get().value(key).filter(value -> value.isObject()).isEmpty());
        if (nested.isEmpty()) {
            return rope(parameters);
        }
        List<RopeConfig> distinct =
                nested.stream().map(type -> rope(parameters.get().object(type))).distinct().toList();
        return distinct.size() == 1
                ? distinct.getFirst()
                : new RopeConfig(DEFAULT_THETA, RopeConfig.MIXED, 1, 0, 0, 0, 1);
    }

    private RopeConfig rope(Optional<JsonObject> written) {
        JsonObject rope = written.orElse(config);
        String type = written.flatMap(w -> w.string("rope_type").or(() -> w.string("type")))
                .orElse(RopeConfig.DEFAULT);
        double theta = rope.number("rope_theta", 1, 1e12, config.number("rope_theta", 1, 1e12, DEFAULT_THETA));
        double fraction = rope.number("partial_rotary_factor", 0, 1,
                config.number("partial_rotary_factor", 0, 1, 1));
        return switch (type) {
            case RopeConfig.LINEAR -> new RopeConfig(theta, type, factor(rope), 0, 0, 0, fraction);
            case RopeConfig.LLAMA3 -> llama3(rope, theta, fraction);
            default -> new RopeConfig(theta, type, 1, 0, 0, 0, fraction);
        };
    }

    private static RopeConfig llama3(JsonObject rope, double theta, double fraction) {
        double low = required(rope, "low_freq_factor", MIN_FREQ_FACTOR);
        double high = required(rope, "high_freq_factor", MIN_FREQ_FACTOR);
        if (high <= low) {
            throw rope.wrong("high_freq_factor", "above low_freq_factor, " + low);
        }
        int original = rope.requireInteger("original_max_position_embeddings", 1, MAX_POSITIONS);
        return new RopeConfig(theta, RopeConfig.LLAMA3, factor(rope), low, high, original, fraction);
    }

    private static double factor(JsonObject rope) {
        return required(rope, "factor", 1);
    }

    private static double required(JsonObject rope, String key, double min) {
        rope.require(key);
        return rope.number(key, min, MAX_SIZE, min);
    }

    private Optional<String> quantization() {
        return config.object("quantization_config")
                .map(quantization -> quantization.string("quant_method").orElse("unnamed"));
    }
}
