package dev.intarsia.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatNullPointerException;

import java.util.List;
import java.util.Set;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Building, splitting and compiling: what comes out, and what is said when it cannot be done. */
class GraphTest {
    private final Device device = Device.open(DeviceOptions.cpu().withThreads(1));
    private final TinyModel model = new TinyModel(device);
    private final Graph graph = Graph.create(model.weights);
    private final Value tokens = graph.input(GraphInput.TOKENS);
    private final Value positions = graph.input(GraphInput.POSITIONS);
    private final Value slots = graph.input(GraphInput.SLOTS);
    private final Value rows = graph.input(GraphInput.ROWS);
    private final Value x = graph.embedding(tokens, id("embedding")); // [tokens, 24]

    @AfterEach
    void close() {
        List.of(graph, model.weights, device).forEach(Handle::close);
    }

    private WeightId id(String weight) {
        return model.id(weight);
    }

    // ------------------------------------------------------------------------------------------ what a builder refuses

    @Test
    void anInputIsOneValue() {
        assertThat(graph.input(GraphInput.TOKENS)).isEqualTo(tokens).isNotEqualTo(positions);
    }

    @Test
    void everyOpNamesItselfAndTheShapes() {
        assertRefused(() -> graph.embedding(x, id("embedding")), "embedding", "tokens");
        assertRefused(() -> graph.embedding(tokens, id("norm1")), "embedding", "norm1", "[24]");
        assertRefused(() -> graph.rmsNorm(x, id("embedding"), 1e-5f), "rms_norm", "embedding", "[37, 24]");
        assertRefused(() -> graph.rmsNorm(x, id("q.bias"), 1e-5f), "rms_norm", "[tokens, 24]", "[32]");
        assertRefused(() -> graph.rmsNorm(x, id("norm1"), Float.NaN), "rms_norm", "nan");
        assertRefused(() -> graph.linear(x, id("down")), "linear", "[tokens, 24]", "down", "[24, 40]");
        assertRefused(() -> graph.linear(x, id("q"), id("norm1")), "linear", "norm1", "[24]", "[32, 24]");
        assertRefused(() -> graph.ropeTable(tokens, id("frequencies"), 1), "rope_table", "positions", "tokens");
        Value table = graph.ropeTable(positions, id("frequencies"), 1); // [tokens, 8]
        Value gate = graph.linear(x, id("gate")); // [tokens, 40]
        Value twelve = graph.empty(Dimension.TOKENS, 12);
        assertRefused(() -> graph.rope(twelve, table), "rope", "[tokens, 12]", "[tokens, 8]");
        assertRefused(() -> graph.cacheAppend(x, gate, slots, 0, 3), "cache_append", "[tokens, 24]", "[tokens, 40]");
        assertRefused(() -> graph.cacheAppend(x, x, positions, 0, 3), "cache_append", "slots", "positions");
        assertRefused(() -> graph.attention(x, new AttentionOptions(0, 4, 2, 8, 0, 1)), "attention", "[tokens, 24]");
        assertRefused(() -> graph.attention(x, new AttentionOptions(0, 3, 2, 8, 0, 1)), "attention", "3", "2");
        assertRefused(() -> graph.siluMul(x, gate), "silu_mul", "[tokens, 24]", "[tokens, 40]");
        assertRefused(() -> graph.add(x, gate), "add", "[tokens, 24]", "[tokens, 40]");
        assertRefused(() -> graph.selectRows(x, tokens), "select_rows", "rows", "tokens");
        assertRefused(() -> graph.empty(Dimension.ROWS, Integer.MAX_VALUE), "empty", "2147483647");
        assertRefused(() -> graph.output(x), "output", "[tokens, 24]");
        assertRefused(() -> graph.add(x, new Value(4711)), "add", "4711");
        assertRefused(() -> graph.linear(x, new WeightId(-1)), "linear", "weight");
    }

    @Test
    void aRefusedOpLeavesTheGraphAsItWas() {
        assertRefused(() -> graph.linear(x, id("down")), "linear");
        Value row = graph.selectRows(graph.linear(x, id("gate")), rows);
        graph.output(graph.linear(row, id("down")));
        assertRefused(() -> graph.output(row), "output");
        try (Partition partition = graph.split(Set.of())) {
            assertThat(partition.info().pieces()).isEqualTo(2);
        }
    }

    @Test
    void whatCannotBeACallIsIllegal() {
        assertIllegal(() -> Graph.create(model.weights, -1, 0), "tokens must be >= 0, was -1");
        assertIllegal(() -> Graph.create(model.weights, 0, -2), "rows must be >= 0, was -2");
        assertIllegal(() -> graph.empty(Dimension.TOKENS, 0), "width must be >= 1, was 0");
        assertIllegal(() -> graph.cacheAppend(x, x, slots, -1, 3), "layer must be >= 0, was -1");
        assertIllegal(() -> new AttentionOptions(0, 1, 1, 8, -1, 1), "window must be >= 0, was -1");
        assertThatNullPointerException().isThrownBy(() -> graph.add(x, null));
        assertThatNullPointerException().isThrownBy(() -> graph.linear(x, id("gate"), null));
        assertThatNullPointerException().isThrownBy(() -> graph.split(null)).withMessage("splittingOps");
        assertThatNullPointerException().isThrownBy(() -> Graph.create(null)).withMessage("weights");
    }

    @Test
    void aSplitSealsTheGraph() {
        try (Partition partition = graph.split(Set.of())) {
            assertThat(partition.info().pieces()).isOne();
            assertThatExceptionOfType(NativeException.class)
                    .isThrownBy(() -> graph.add(x, x))
                    .withMessageContaining("sealed")
                    .satisfies(e -> assertThat(e.status()).isEqualTo(NativeStatus.INVALID_STATE));
        }
        graph.split(Set.of(OpKind.EMBEDDING)).close(); // the same graph, cut elsewhere
    }

    // ----------------------------------------------------------------------------------------------- split and compile

    @Test
    void aLayerIsCutAroundItsAttention() {
        try (Graph layer = model.layer();
                Partition partition = layer.split(Set.of(OpKind.ATTENTION))) {
            PartitionInfo info = partition.info();
            assertThat(info.pieces()).isEqualTo(4);
            assertThat(info.classes()).isEqualTo(4);
            assertThat(info.values()).isPositive();
            assertThat(info.bytesPerToken()).isPositive();
            PieceInfo before = partition.piece(0);
            assertThat(before.splitting()).isFalse();
            assertThat(before.dimension()).isEqualTo(Dimension.TOKENS);
            assertThat(before.symbolic()).isTrue();
            assertThat(before.frozen()).isZero();
            assertThat(before.classId()).isZero();
            assertThat(before.ops()).isEqualTo(10); // embedding, 2 norms, q, k, v, table, 2 ropes, append
            assertThat(before.flopsPerRow()).isEqualTo(2L * TinyModel.HIDDEN * TinyModel.HEAD_DIM
                    * (TinyModel.HEADS + 2 * TinyModel.KV_HEADS));
            assertThat(before.weightBytes()).isPositive();
            PieceInfo attention = partition.piece(1);
            assertThat(attention.splitting()).isTrue();
            assertThat(attention.ops()).isOne();
            assertThat(attention.flopsPerRow()).isZero();
            assertThat(attention.classId()).isOne();
            assertThat(partition.piece(2).dimension()).isEqualTo(Dimension.TOKENS);
            PieceInfo logits = partition.piece(3);
            assertThat(logits.dimension()).isEqualTo(Dimension.ROWS);
            assertThat(logits.splitting()).isFalse();
            assertThat(partition.describe(0)).contains("embedding", "rms_norm", "cache_append");
            assertThat(partition.describe(1))
                    .contains("attention", "kv_heads=2", "head_dim=8")
                    .doesNotContain("linear");
        }
    }

    @Test
    void aFrozenDimensionIsBakedIn() {
        try (Graph frozen = Graph.create(model.weights, 8, 0)) {
            Value embedded = frozen.embedding(frozen.input(GraphInput.TOKENS), id("embedding"));
            frozen.output(frozen.selectRows(embedded, frozen.input(GraphInput.ROWS)));
            try (Partition partition = frozen.split(Set.of())) {
                assertThat(partition.piece(0).symbolic()).isFalse();
                assertThat(partition.piece(0).frozen()).isEqualTo(8);
                try (Executable executable = partition.compile(0, 1, 16, true)) {
                    assertThat(executable.info().kernels()).isPositive();
                }
                assertRefused(() -> partition.compile(0, 1, 7, true), "8");
            }
        }
    }

    @Test
    void anExecutableSaysWhatItIs() {
        try (Graph layer = model.layer();
                Partition partition = layer.split(Set.of(OpKind.ATTENTION));
                Executable fused = partition.compile(2, 3, 64, true);
                Executable single = partition.compile(2, 3, 64, false)) {
            ExecutableInfo info = fused.info();
            assertThat(info.lo()).isEqualTo(3);
            assertThat(info.hi()).isEqualTo(64);
            assertThat(info.arenaBytes()).isGreaterThanOrEqualTo(0);
            assertThat(single.info().kernels()).isGreaterThan(info.kernels());
            assertThat(single.describe()).contains("3..64", "linear", "silu_mul");
        }
    }

    @Test
    void piecesAndRangesAreChecked() {
        try (Graph layer = model.layer();
                Partition partition = layer.split(Set.of(OpKind.ATTENTION))) {
            assertRefused(() -> partition.piece(4), "4");
            assertRefused(() -> partition.describe(17), "17");
            assertRefused(() -> partition.compile(4, 1, 1, true), "4");
            assertIllegal(() -> partition.piece(-1), "piece must be >= 0, was -1");
            assertIllegal(() -> partition.compile(0, 0, 1, true), "lo must be >= 1, was 0");
            assertIllegal(() -> partition.compile(0, 5, 4, true), "hi must be >= 5, was 4");
        }
    }

    private static void assertIllegal(ThrowingCallable call, String message) {
        assertThatIllegalArgumentException().isThrownBy(call).withMessage(message);
    }

    private static void assertRefused(ThrowingCallable call, String... named) {
        assertThatExceptionOfType(NativeException.class).isThrownBy(call).satisfies(e -> {
            assertThat(e.status()).isEqualTo(NativeStatus.INVALID_ARGUMENT);
            assertThat(e.getMessage()).contains(named);
        });
    }
}
