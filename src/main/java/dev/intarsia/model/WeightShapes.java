package dev.intarsia.model;

import dev.intarsia.checkpoint.ModelConfig;
import dev.intarsia.runtime.Value;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/** The weights that a family asks for, without building anything: what a model of some shape needs can be known before it is there. */
public final class WeightShapes extends ModelBuilder {
    private static final Value NOTHING = new Value(0);

    private final Map<String, long[]> shapes = new LinkedHashMap<>();

    private WeightShapes(ModelConfig config) {
        super(config);
    }

    /**
     * Names and shapes, in the order in which they are asked for.
     *
     * @throws dev.intarsia.CheckpointException if no family serves the architecture
     */
    public static Map<String, long[]> of(ModelConfig config) {
        config.checkServable(Families.architectures());
        WeightShapes list = new WeightShapes(config);
        Families.of(config.architecture()).build(list);
        return Collections.unmodifiableMap(list.shapes);
    }

    /** Elements of all weights together. */
    public static long elements(ModelConfig config) {
        long all = 0;
        for (long[] shape : of(config).values()) {
            long elements = 1;
            for (long dimension : shape) {
                elements = Math.multiplyExact(elements, dimension);
            }
            all = Math.addExact(all, elements);
        }
        return all;
    }

    private Value add(String name, long... shape) {
        shapes.put(name, shape);
        return NOTHING;
    }

    @Override
    public Value embedding(String weight) {
        return add(weight, config().vocabSize(), config().hiddenSize());
    }

    @Override
    public Value ropeTable() {
        return NOTHING;
    }

    @Override
    public Value norm(Value x, String name, int size) {
        return add(name + ".weight", size);
    }

    @Override
    public Value linear(Value x, String name, int outputs, int inputs, boolean bias) {
        add(name + ".weight", outputs, inputs);
        return bias ? add(name + ".bias", outputs) : NOTHING;
    }

    @Override
    public Value rope(Value x, Value table) {
        return NOTHING;
    }

    @Override
    public void cacheAppend(Value k, Value v, int layer) {}

    @Override
    public Value attention(Value q, int layer) {
        return NOTHING;
    }

    @Override
    public Value siluMul(Value gate, Value up) {
        return NOTHING;
    }

    @Override
    public Value add(Value a, Value b) {
        return NOTHING;
    }

    @Override
    public Value selectRows(Value x) {
        return NOTHING;
    }

    @Override
    public void logits(Value x, String name) {
        linear(x, name, config().vocabSize(), config().hiddenSize(), false);
    }
}
