package dev.intarsia.runtime;

import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * Random weights of a transformer layer, small and with sizes that all differ, and two graphs over them, each beside
 * its own reference: plain loops in double over a whole sequence at once, with no cache, no pieces and no batch.
 */
final class TinyModel {
    static final int VOCABULARY = 37;
    static final int HIDDEN = 24;
    static final int HEADS = 4;
    static final int KV_HEADS = 2;
    static final int HEAD_DIM = 8;
    static final int INNER = 40;
    static final int LAYER = 1; // of a cache of two: a wrong layer is found out
    static final float EPS = 1e-5f;
    static final float SCALE = (float) (1 / Math.sqrt(HEAD_DIM));

    private record Tensor(long[] shape, float[] data) {}

    private final Map<String, Tensor> tensors = new LinkedHashMap<>();
    private final Map<String, WeightId> ids = new LinkedHashMap<>();
    private final Random random = new Random(7);

    final Weights weights;

    TinyModel(Device device) {
        matrix("embedding", VOCABULARY, HIDDEN);
        vector("norm1", HIDDEN);
        matrix("q", HEADS * HEAD_DIM, HIDDEN);
        vector("q.bias", HEADS * HEAD_DIM);
        matrix("k", KV_HEADS * HEAD_DIM, HIDDEN);
        matrix("v", KV_HEADS * HEAD_DIM, HIDDEN);
        vector("q.norm", HEAD_DIM);
        tensors.put("frequencies", new Tensor(new long[] {HEAD_DIM / 2}, new float[] {1, 0.5f, 0.25f, 0.01f}));
        matrix("o", HIDDEN, HEADS * HEAD_DIM);
        vector("norm2", HIDDEN);
        matrix("gate", INNER, HIDDEN);
        matrix("up", INNER, HIDDEN);
        matrix("down", HIDDEN, INNER);
        vector("norm3", HIDDEN);
        matrix("head", VOCABULARY, HIDDEN);
        weights = Weights.create(device, Precision.F32);
        tensors.forEach((name, tensor) -> ids.put(
                name, weights.add(name, ElementType.F32, tensor.shape, MemorySegment.ofArray(tensor.data))));
    }

    private void matrix(String name, int rows, int columns) {
        tensors.put(name, new Tensor(new long[] {rows, columns}, gaussian(rows * columns, 0.3f)));
    }

    private void vector(String name, int length) {
        tensors.put(name, new Tensor(new long[] {length}, gaussian(length, 1)));
    }

    private float[] gaussian(int length, float deviation) {
        float[] values = new float[length];
        for (int i = 0; i < length; i++) {
            values[i] = deviation * (float) random.nextGaussian();
        }
        return values;
    }

    WeightId id(String name) {
        return ids.get(name);
    }

    // --------------------------------------------------------------------------------------- a graph without attention

    /** embedding → norm → linear → select rows → linear. */
    Graph plain() {
        Graph graph = Graph.create(weights);
        Value x = graph.embedding(graph.input(GraphInput.TOKENS), id("embedding"));
        Value h = graph.linear(graph.rmsNorm(x, id("norm1"), EPS), id("gate"));
        Value row = graph.selectRows(h, graph.input(GraphInput.ROWS));
        graph.output(graph.linear(graph.linear(row, id("down")), id("head")));
        return graph;
    }

    double[] plainLogits(int token) {
        double[] h = linear(norm(embedding(token), "norm1"), "gate");
        return linear(linear(h, "down"), "head");
    }

    // --------------------------------------------------------------------------------------------------- a whole layer

    Graph layer() {
        Graph graph = Graph.create(weights);
        Value positions = graph.input(GraphInput.POSITIONS);
        Value x = graph.embedding(graph.input(GraphInput.TOKENS), id("embedding"));
        Value h = graph.rmsNorm(x, id("norm1"), EPS);
        Value q = graph.rmsNorm(graph.linear(h, id("q"), id("q.bias")), id("q.norm"), EPS);
        Value k = graph.linear(h, id("k"));
        Value v = graph.linear(h, id("v"));
        Value table = graph.ropeTable(positions, id("frequencies"), 1);
        q = graph.rope(q, table);
        k = graph.rope(k, table);
        graph.cacheAppend(k, v, graph.input(GraphInput.SLOTS), LAYER, KV_HEADS);
        Value a = graph.attention(q, new AttentionOptions(LAYER, HEADS, KV_HEADS, HEAD_DIM, 0, SCALE));
        x = graph.add(x, graph.linear(a, id("o")));
        h = graph.rmsNorm(x, id("norm2"), EPS);
        Value mlp = graph.siluMul(graph.linear(h, id("gate")), graph.linear(h, id("up")));
        x = graph.add(x, graph.linear(mlp, id("down")));
        Value rows = graph.selectRows(x, graph.input(GraphInput.ROWS));
        graph.output(graph.linear(graph.rmsNorm(rows, id("norm3"), EPS), id("head")));
        return graph;
    }

    /** The cache that {@link #layer} needs. */
    static KvOptions cache(int blocks) {
        return new KvOptions(Precision.F32, LAYER + 1, KV_HEADS, HEAD_DIM, blocks);
    }

    /** Logits after each token of a sequence: [tokens, vocabulary]. */
    double[][] layerLogits(int... tokens) {
        int length = tokens.length;
        double[][] k = new double[length][];
        double[][] v = new double[length][];
        double[][] logits = new double[length][];
        for (int p = 0; p < length; p++) {
            double[] x = embedding(tokens[p]);
            double[] h = norm(x, "norm1");
            double[] q = rope(norm(plus(linear(h, "q"), values("q.bias")), "q.norm"), p);
            k[p] = rope(linear(h, "k"), p);
            v[p] = linear(h, "v");
            x = plus(x, linear(attend(q, k, v, p), "o"));
            h = norm(x, "norm2");
            double[] gate = linear(h, "gate");
            double[] up = linear(h, "up");
            double[] mlp = IntStream.range(0, INNER)
                    .mapToDouble(i -> gate[i] / (1 + Math.exp(-gate[i])) * up[i])
                    .toArray();
            x = plus(x, linear(mlp, "down"));
            logits[p] = linear(norm(x, "norm3"), "head");
        }
        return logits;
    }

    private static double[] attend(double[] q, double[][] k, double[][] v, int last) {
        double[] out = new double[HEADS * HEAD_DIM];
        for (int head = 0; head < HEADS; head++) {
            int kvHead = head / (HEADS / KV_HEADS);
            double[] weight = new double[last + 1];
            double sum = 0;
            for (int p = 0; p <= last; p++) {
                double dot = 0;
                for (int i = 0; i < HEAD_DIM; i++) {
                    dot += q[head * HEAD_DIM + i] * k[p][kvHead * HEAD_DIM + i];
                }
                weight[p] = Math.exp(dot * SCALE);
                sum += weight[p];
            }
            for (int p = 0; p <= last; p++) {
                for (int i = 0; i < HEAD_DIM; i++) {
                    out[head * HEAD_DIM + i] += weight[p] / sum * v[p][kvHead * HEAD_DIM + i];
                }
            }
        }
        return out;
    }

    private double[] rope(double[] x, int position) {
        float[] frequencies = tensors.get("frequencies").data;
        double[] out = new double[x.length];
        int half = HEAD_DIM / 2;
        for (int at = 0; at < x.length; at += HEAD_DIM) {
            for (int i = 0; i < half; i++) {
                double angle = position * (double) frequencies[i];
                out[at + i] = x[at + i] * Math.cos(angle) - x[at + half + i] * Math.sin(angle);
                out[at + half + i] = x[at + half + i] * Math.cos(angle) + x[at + i] * Math.sin(angle);
            }
        }
        return out;
    }

    private double[] embedding(int token) {
        double[] x = new double[HIDDEN];
        for (int i = 0; i < HIDDEN; i++) {
            x[i] = tensors.get("embedding").data[token * HIDDEN + i];
        }
        return x;
    }

    private double[] linear(double[] x, String name) {
        Tensor w = tensors.get(name);
        double[] out = new double[(int) w.shape[0]];
        for (int n = 0; n < out.length; n++) {
            for (int i = 0; i < x.length; i++) {
                out[n] += x[i] * w.data[n * x.length + i];
            }
        }
        return out;
    }

    private double[] norm(double[] x, String name) {
        double[] weight = values(name);
        double[] out = new double[x.length];
        for (int at = 0; at < x.length; at += weight.length) {
            double squares = 0;
            for (int i = 0; i < weight.length; i++) {
                squares += x[at + i] * x[at + i];
            }
            for (int i = 0; i < weight.length; i++) {
                out[at + i] = x[at + i] / Math.sqrt(squares / weight.length + EPS) * weight[i];
            }
        }
        return out;
    }

    private double[] values(String name) {
        float[] data = tensors.get(name).data;
        return IntStream.range(0, data.length).mapToDouble(i -> data[i]).toArray();
    }

    private static double[] plus(double[] a, double[] b) {
        return IntStream.range(0, a.length).mapToDouble(i -> a[i] + b[i]).toArray();
    }
}
