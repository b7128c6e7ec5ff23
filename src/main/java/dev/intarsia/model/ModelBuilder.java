package dev.intarsia.model;

import dev.intarsia.checkpoint.ModelConfig;
import dev.intarsia.checkpoint.QuantizedView;
import dev.intarsia.checkpoint.TensorView;
import dev.intarsia.checkpoint.WeightSource;
import dev.intarsia.runtime.AttentionOptions;
import dev.intarsia.runtime.ElementType;
import dev.intarsia.runtime.Graph;
import dev.intarsia.runtime.GraphInput;
import dev.intarsia.runtime.Value;
import dev.intarsia.runtime.WeightId;
import dev.intarsia.runtime.Weights;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * What a family builds with: ops by their role in a decoder, weights by their name in the checkpoint. A weight is laid out
 * when it is first named, in the shape that the config implies. Used by one thread.
 */
public class ModelBuilder {
    private final WeightSource source;
    private final ModelConfig config;
    private final Weights weights;
    private final Graph graph;
    private final Map<String, WeightId> added = new HashMap<>();

    public ModelBuilder(WeightSource source, Weights weights, Graph graph) {
        this.source = source;
        this.config = source.config();
        this.weights = weights;
        this.graph = graph;
    }

    /** For a builder that overrides everything that builds. */
    ModelBuilder(ModelConfig config) {
        this.source = null;
        this.config = config;
        this.weights = null;
        this.graph = null;
    }

    public ModelConfig config() {
        return config;
    }

    /** Token ids of the step to {@code [T, hidden]}. */
    public Value embedding(String weight) {
        return graph.embedding(graph.input(GraphInput.TOKENS), weight(weight, config.vocabSize(), config.hiddenSize()));
    }

    /** Cosines and sines of the step's positions: {@code [T, headDim]}. */
    public Value ropeTable() {
        float[] frequencies = InverseFrequencies.of(config.rope(), config.headDim());
        WeightId id = added.computeIfAbsent(
                "rope.inverse_frequencies",
                name -> weights.add(name, ElementType.F32, new long[] {frequencies.length}, bytes(frequencies)));
        return graph.ropeTable(graph.input(GraphInput.POSITIONS), id, 1f);
    }

    /** RMS norm over groups of {@code size} elements with {@code <name>.weight}. */
    public Value norm(Value x, String name, int size) {
        return graph.rmsNorm(x, weight(name + ".weight", size), (float) config.rmsNormEps());
    }

    /** {@code [*, inputs]} to {@code [*, outputs]} with {@code <name>.weight} and, if asked for, {@code <name>.bias}. */
    public Value linear(Value x, String name, int outputs, int inputs, boolean bias) {
        WeightId weight = weight(name + ".weight", outputs, inputs);
        return bias ? graph.linear(x, weight, weight(name + ".bias", outputs)) : graph.linear(x, weight);
    }

    public Value rope(Value x, Value table) {
        return graph.rope(x, table);
    }

    /** Puts k and v, {@code [T, numKvHeads * headDim]}, into the cache of a layer. */
    public void cacheAppend(Value k, Value v, int layer) {
        graph.cacheAppend(k, v, graph.input(GraphInput.SLOTS), layer, config.numKvHeads());
    }

    /** Causal attention of q, {@code [T, numHeads * headDim]}, over the cache of a layer, through its window if it has one. */
    public Value attention(Value q, int layer) {
        int window = config.slides(layer) ? config.slidingWindow().orElse(0) : 0;
        float scale = (float) (1 / Math.sqrt(config.headDim()));
        return graph.attention(
                q,
                new AttentionOptions(
                        layer, config.numHeads(), config.numKvHeads(), config.headDim(), window, scale));
    }

    public Value siluMul(Value gate, Value up) {
        return graph.siluMul(gate, up);
    }

    public Value add(Value a, Value b) {
        return graph.add(a, b);
    }

    /** {@code [T, W]} to {@code [R, W]}: the rows whose logits are wanted. */
    public Value selectRows(Value x) {
        return graph.selectRows(x, graph.input(GraphInput.ROWS));
    }

    /** {@code [R, hidden]} to the output of the graph, {@code [R, vocabulary]}. */
    public void logits(Value x, String name) {
        graph.output(linear(x, name, config.vocabSize(), config.hiddenSize(), false));
    }

    private WeightId weight(String name, long... shape) {
        WeightId known = added.get(name);
        if (known != null) {
            return known;
        }
        Optional<QuantizedView> quantized =
                shape.length == 2 ? source.quantized(name, shape[0], shape[1]) : Optional.empty();
        WeightId id = quantized.isPresent() ? add(name, shape, quantized.get()) : add(name, shape, source.weight(name, shape));
        added.put(name, id);
        return id;
    }

    private WeightId add(String name, long[] shape, TensorView tensor) {
        return weights.add(name, elementType(tensor), shape, tensor.data());
    }

    private WeightId add(String name, long[] shape, QuantizedView matrix) {
        return weights.addQuantized(name, shape[0], shape[1], matrix.values(), matrix.scales());
    }

    static ElementType elementType(TensorView tensor) {
        return switch (tensor.dtype()) {
            case F32 -> ElementType.F32;
            case F16 -> ElementType.F16;
            case BF16 -> ElementType.BF16;
            default -> throw new IllegalArgumentException(
                    "tensor " + tensor.name() + " has dtype " + tensor.dtype() + "; F32, F16 and BF16 can be served");
        };
    }

    private static MemorySegment bytes(float[] values) {
        MemorySegment segment = MemorySegment.ofArray(new byte[values.length * Float.BYTES]);
        ValueLayout.OfFloat layout = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.nativeOrder());
        for (int i = 0; i < values.length; i++) {
            segment.set(layout, (long) i * Float.BYTES, values[i]);
        }
        return segment;
    }
}
