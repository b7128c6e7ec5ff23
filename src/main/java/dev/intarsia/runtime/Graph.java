package dev.intarsia.runtime;

import dev.intarsia.ffi.Intarsia;
import dev.intarsia.ffi.intarsia_attention_options;
import dev.intarsia.ffi.intarsia_graph_options;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import java.util.Set;
import java.util.function.ToIntFunction;

/**
 * A graph, built op by op in the order of execution. All activations are matrices over a {@link Dimension}, tokens (T)
 * or rows (R); {@code [*, W]} below is either. A builder method checks the shapes at once; a {@link NativeException}
 * names the op and the shapes. The first {@link #split} seals the graph. Any thread may use it; calls on one graph wait
 * for each other.
 */
public final class Graph extends Handle {

    private Graph(MemorySegment pointer) {
        super("graph", pointer, Intarsia::intarsia_graph_destroy);
    }

    /** An empty graph whose dimensions are both symbolic. */
    public static Graph create(Weights weights) {
        return create(weights, 0, 0);
    }

    /**
     * An empty graph.
     *
     * @param weights those that its ops refer to
     * @param tokens  0 = symbolic, else the size T is frozen to
     * @param rows    0 = symbolic, else the size R is frozen to
     */
    public static Graph create(Weights weights, int tokens, int rows) {
        MemorySegment pointer = Calls.pointerOf(weights, "weights");
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment struct = Structs.allocate(arena, intarsia_graph_options.layout());
            intarsia_graph_options.tokens(struct, Calls.atLeast(0, tokens, "tokens"));
            intarsia_graph_options.rows(struct, Calls.atLeast(0, rows, "rows"));
            return new Graph(Calls.askHandle(out -> Intarsia.intarsia_graph_create(pointer, struct, out)));
        }
    }

    /** An i32 vector of the step, {@code [T]} or {@code [R]}. Asked twice, the same value. */
    public Value input(GraphInput input) {
        MemorySegment graph = pointer();
        return value(out -> Intarsia.intarsia_graph_input(graph, input.code, out));
    }

    /** Rows of a matrix: i32 {@code [T]}, weight {@code [vocabulary, H]} → {@code [T, H]}. */
    public Value embedding(Value tokens, WeightId weight) {
        MemorySegment graph = pointer();
        return value(out -> Intarsia.intarsia_graph_embedding(graph, tokens.id(), weight.id(), out));
    }

    /**
     * {@code x / sqrt(mean(x²) + eps) * weight} over groups of the weight's length D: {@code [*, W]} with W a multiple
     * of D → {@code [*, W]}.
     */
    public Value rmsNorm(Value x, WeightId weight, float eps) {
        MemorySegment graph = pointer();
        return value(out -> Intarsia.intarsia_graph_rms_norm(graph, x.id(), weight.id(), eps, out));
    }

    /** {@code x W'}: {@code [*, K]}, weight {@code [N, K]} → {@code [*, N]}. */
    public Value linear(Value x, WeightId weight) {
        return linear(x, weight.id(), Intarsia.INTARSIA_NONE());
    }

    /** {@code x W' + bias}: {@code [*, K]}, weight {@code [N, K]}, bias {@code [N]} → {@code [*, N]}. */
    public Value linear(Value x, WeightId weight, WeightId bias) {
        return linear(x, weight.id(), bias.id());
    }

    private Value linear(Value x, int weight, int bias) {
        MemorySegment graph = pointer();
        return value(out -> Intarsia.intarsia_graph_linear(graph, x.id(), weight, bias, out));
    }

    /**
     * Cosines and sines of the angles position · frequency: i32 {@code [T]}, inverse frequencies {@code [D/2]} →
     * {@code [T, D]}, first D/2 cosines, then D/2 sines, each times {@code scale}.
     */
    public Value ropeTable(Value positions, WeightId inverseFrequencies, float scale) {
        MemorySegment graph = pointer();
        return value(out ->
                Intarsia.intarsia_graph_rope_table(graph, positions.id(), inverseFrequencies.id(), scale, out));
    }

    /**
     * Rotary embedding of the halves convention (element i with i + D/2) on heads of D: {@code [T, h·D]}, table
     * {@code [T, D]} → {@code [T, h·D]}.
     */
    public Value rope(Value x, Value table) {
        MemorySegment graph = pointer();
        return value(out -> Intarsia.intarsia_graph_rope(graph, x.id(), table.id(), out));
    }

    /**
     * Writes k and v, each {@code [T, kvHeads · headDim]}, of each token to its slot of a layer of the cache; slot -1
     * writes nothing.
     */
    public void cacheAppend(Value k, Value v, Value slots, int layer, int kvHeads) {
        Calls.atLeast(0, layer, "layer");
        Calls.atLeast(1, kvHeads, "kvHeads");
        Status.check(Intarsia.intarsia_graph_cache_append(pointer(), k.id(), v.id(), slots.id(), layer, kvHeads));
    }

    /** Causal grouped-query attention over the cache: q {@code [T, heads · headDim]} → the same shape. */
    public Value attention(Value q, AttentionOptions options) {
        MemorySegment graph = pointer();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment struct = Structs.allocate(arena, intarsia_attention_options.layout());
            intarsia_attention_options.layer(struct, options.layer());
            intarsia_attention_options.heads(struct, options.heads());
            intarsia_attention_options.kv_heads(struct, options.kvHeads());
            intarsia_attention_options.head_dim(struct, options.headDim());
            intarsia_attention_options.window(struct, options.window());
            intarsia_attention_options.scale(struct, options.scale());
            return value(out -> Intarsia.intarsia_graph_attention(graph, q.id(), struct, out));
        }
    }

    /** {@code silu(gate) * up}: both {@code [*, W]} → {@code [*, W]}. */
    public Value siluMul(Value gate, Value up) {
        MemorySegment graph = pointer();
        return value(out -> Intarsia.intarsia_graph_silu_mul(graph, gate.id(), up.id(), out));
    }

    /** {@code a + b}: both {@code [*, W]} → {@code [*, W]}. */
    public Value add(Value a, Value b) {
        MemorySegment graph = pointer();
        return value(out -> Intarsia.intarsia_graph_add(graph, a.id(), b.id(), out));
    }

    /**
     * Picks rows: {@code [T, W]}, i32 {@code [R]} → {@code [R, W]}. What follows over R is a piece of its own, whatever
     * the splitting ops.
     */
    public Value selectRows(Value x, Value rows) {
        MemorySegment graph = pointer();
        return value(out -> Intarsia.intarsia_graph_select_rows(graph, x.id(), rows.id(), out));
    }

    /** An allocation {@code [*, width]} whose content is undefined. */
    public Value empty(Dimension dimension, int width) {
        Calls.atLeast(1, width, "width");
        MemorySegment graph = pointer();
        return value(out -> Intarsia.intarsia_graph_empty(graph, dimension.code, width, out));
    }

    /** Makes {@code [R, vocabulary]} the result of the graph, the logits of its steps. At most one. */
    public void output(Value value) {
        Status.check(Intarsia.intarsia_graph_output(pointer(), value.id()));
    }

    /**
     * Cuts the graph where the dimension changes from T to R and at the splitting ops: one opens a new piece and the
     * next plain op another, consecutive ones share a piece, and a piece that holds only {@link OpKind#EMPTY} merges
     * into the nearest earlier plain piece, if there is one.
     */
    public Partition split(Set<OpKind> splittingOps) {
        Objects.requireNonNull(splittingOps, "splittingOps");
        MemorySegment graph = pointer();
        int[] codes = splittingOps.stream().mapToInt(op -> op.code).sorted().toArray();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment ops = codes.length == 0 ? MemorySegment.NULL : arena.allocateFrom(Structs.INT, codes);
            return new Partition(Calls.askHandle(out -> Intarsia.intarsia_graph_split(graph, ops, codes.length, out)));
        }
    }

    private static Value value(ToIntFunction<MemorySegment> call) {
        return new Value(Calls.askInt(call));
    }
}
