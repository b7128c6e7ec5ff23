package dev.intarsia.checkpoint;

import dev.intarsia.CheckpointException;
import dev.intarsia.Quantize;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;

/**
 * What {@code config.json} says of a decoder model, in the layouts of transformers 4 ({@code rope_theta},
 * {@code rope_scaling}) and 5 ({@code rope_parameters}, {@code layer_types}) alike. Numbers are within bounds; names
 * that this library may not serve are kept for {@link #checkServable} to judge.
 *
 * @param architecture          first of {@code architectures}, such as {@code LlamaForCausalLM}
 * @param modelType             {@code model_type}, such as {@code llama}
 * @param vocabSize             rows of the embedding; may exceed the tokenizer's vocabulary
 * @param hiddenSize            width of the residual stream
 * @param intermediateSize      width inside the MLP
 * @param numLayers             decoder layers
 * @param numHeads              query heads
 * @param numKvHeads            key/value heads; divides {@code numHeads}
 * @param headDim               elements of a head, even; {@code numHeads · headDim} need not be {@code hiddenSize}
 * @param rmsNormEps            added to the mean square in RMS norms
 * @param maxPositionEmbeddings longest sequence, in tokens
 * @param tieWordEmbeddings     whether the output projection is the embedding
 * @param attentionBias         {@code attention_bias}; families that always have one do not write it
 * @param mlpBias               {@code mlp_bias}
 * @param hiddenAct             activation of the MLP's gate
 * @param rope                  rotary embedding of every layer
 * @param slidingWindow         positions that a sliding layer attends to, its own included; empty where no layer slides
 * @param layerTypes            one of {@link #FULL_ATTENTION}, {@link #SLIDING_ATTENTION} or another name per layer
 * @param bosTokenId            token that begins a text, if the file names one
 * @param eosTokenIds           tokens that end a text; may be empty
 * @param quantization          {@code quant_method} of a quantized checkpoint
 */
public record ModelConfig(
        String architecture,
        String modelType,
        int vocabSize,
        int hiddenSize,
        int intermediateSize,
        int numLayers,
        int numHeads,
        int numKvHeads,
        int headDim,
        double rmsNormEps,
        int maxPositionEmbeddings,
        boolean tieWordEmbeddings,
        boolean attentionBias,
        boolean mlpBias,
        String hiddenAct,
        RopeConfig rope,
        OptionalInt slidingWindow,
        List<String> layerTypes,
        OptionalInt bosTokenId,
        List<Integer> eosTokenIds,
        Optional<String> quantization) {

    public static final String FULL_ATTENTION = "full_attention";
    public static final String SLIDING_ATTENTION = "sliding_attention";

    private static final List<String> ROPE_TYPES = List.of(RopeConfig.DEFAULT, RopeConfig.LINEAR, RopeConfig.LLAMA3);
    private static final List<String> ACTIVATIONS = List.of("silu");
    private static final List<String> LAYER_TYPES = List.of(FULL_ATTENTION, SLIDING_ATTENTION);

    public ModelConfig {
        layerTypes = List.copyOf(layerTypes);
        eosTokenIds = List.copyOf(eosTokenIds);
    }

    /**
     * Reads a configuration file.
     *
     * @throws CheckpointException if it is missing, is no JSON object, or a key is missing, mistyped or out of bounds
     */
    public static ModelConfig read(Path file) {
        return ModelConfigReader.read(file);
    }

    /** Whether a layer, counted from 0, attends only to the last {@link #slidingWindow()} positions. */
    public boolean slides(int layer) {
        return layerTypes.get(layer).equals(SLIDING_ATTENTION);
    }

    /**
     * Checks that everything the file asks for is something this library computes.
     *
     * @param supportedArchitectures the architectures there are model classes for
     * @throws CheckpointException naming what is not supported, and what is
     */
    public void checkServable(Set<String> supportedArchitectures) {
        check("architecture", architecture, new TreeSet<>(supportedArchitectures));
        if (quantization.isPresent() && quantized() == Quantize.NONE) {
            throw new CheckpointException("the checkpoint is quantized (" + Json.quote(quantization.get())
                    + "); supported are unquantized F32, F16 and BF16 weights, and those that `intarsia quantize` wrote");
        }
        check("rotary embedding type", rope.type(), ROPE_TYPES);
        if (rope.rotaryFraction() != 1) {
            throw new CheckpointException("partial_rotary_factor is " + rope.rotaryFraction() + "; supported is 1");
        }
        check("activation", hiddenAct, ACTIVATIONS);
        layerTypes.forEach(type -> check("layer type", type, LAYER_TYPES));
    }

    /** The format that {@code intarsia quantize} wrote the matrices in; NONE for every other checkpoint. */
    public Quantize quantized() {
        return Stream.of(Quantize.INT8, Quantize.INT4)
                .filter(format -> quantization.equals(Optional.of(method(format))))
                .findFirst()
                .orElse(Quantize.NONE);
    }

    /** The {@code quant_method} of a format. */
    static String method(Quantize format) {
        return "intarsia_" + format.name().toLowerCase(Locale.ROOT);
    }

    private static void check(String what, String value, Collection<String> supported) {
        if (!supported.contains(value)) {
            throw new CheckpointException(what + " " + Json.quote(value) + " is not supported; supported are "
                    + String.join(", ", supported));
        }
    }
}
