// Builders: the shapes that they answer and the errors that they give.
#include <gtest/gtest.h>

#include <limits>

#include "graph_support.h"

namespace intarsia {
namespace {

using testing::error_of;
using testing::WeightSet;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class GraphTest : public ::testing::Test {
protected:
    const Value &value(uint32_t id) const { return graph.values()[id]; }
    std::string shape_of(uint32_t id) const { return shape(value(id), graph.frozen(value(id).dim)); }
    static intarsia_attention_options attention(uint32_t layer, uint32_t heads, uint32_t kv_heads, uint32_t head_dim,
                                                float scale = 1) {
        return {sizeof(intarsia_attention_options), layer, heads, kv_heads, head_dim, 0, scale, 0};
    }
    // The error of a builder call, which must leave the graph as it was.
    std::string refused(const std::function<void()> &call) {
        const size_t ops = graph.ops().size(), values = graph.values().size();
        std::string error = error_of(call);
        EXPECT_EQ(ops, graph.ops().size());
        EXPECT_EQ(values, graph.values().size());
        return error;
    }

    WeightSet set{cpu::Storage::F32};
    uint32_t embed = set.matrix(40, 64, "embed");
    uint32_t up = set.matrix(160, 96, "up");
    uint32_t square = set.matrix(64, 64, "square");
    uint32_t norm64 = set.vector(64, "norm64");
    uint32_t norm16 = set.vector(16, "norm16");
    uint32_t norm5 = set.vector(5, "norm5");
    uint32_t freq8 = set.vector(8, "freq8");
    Graph graph{set.get(), 0, 0};
    uint32_t tokens = graph.input(INTARSIA_INPUT_TOKENS);       // op 0
    uint32_t positions = graph.input(INTARSIA_INPUT_POSITIONS); // op 1
    uint32_t slots = graph.input(INTARSIA_INPUT_SLOTS);         // op 2
    uint32_t rows = graph.input(INTARSIA_INPUT_ROWS);           // op 3
    uint32_t x = graph.embedding(tokens, embed);                // op 4: [tokens, 64]
    uint32_t picked = graph.select_rows(x, rows);               // op 5: [rows, 64]
};

TEST_F(GraphTest, BuildersAnswerTheShapesOfTheHeader) {
    EXPECT_EQ("[tokens] i32", shape_of(tokens));
    EXPECT_EQ("[rows] i32", shape_of(rows));
    EXPECT_EQ("[tokens, 64]", shape_of(x));
    EXPECT_EQ("[rows, 64]", shape_of(picked));
    EXPECT_EQ("[tokens, 64]", shape_of(graph.rms_norm(x, norm16, 1e-6f)));
    EXPECT_EQ("[rows, 40]", shape_of(graph.linear(picked, embed, kNone)));
    EXPECT_EQ("[tokens, 64]", shape_of(graph.linear(x, square, norm64)));
    const uint32_t table = graph.rope_table(positions, freq8, 1);
    EXPECT_EQ("[tokens, 16]", shape_of(table));
    EXPECT_EQ("[tokens, 64]", shape_of(graph.rope(x, table)));
    graph.cache_append(x, x, slots, 3, 4);
    EXPECT_EQ(16u, graph.ops().back().head_dim);
    EXPECT_EQ(kNone, graph.ops().back().output);
    EXPECT_EQ("[tokens, 64]", shape_of(graph.attention(x, attention(3, 4, 4, 16))));
    EXPECT_EQ("[rows, 64]", shape_of(graph.silu_mul(picked, picked)));
    EXPECT_EQ("[tokens, 64]", shape_of(graph.add(x, x)));
    EXPECT_EQ("[rows, 7]", shape_of(graph.empty(INTARSIA_DIM_ROWS, 7)));
    EXPECT_EQ("[tokens, 16777216]", shape_of(graph.empty(INTARSIA_DIM_TOKENS, 1 << 24)));
    for (uint32_t id = 0; id < graph.values().size(); id++) {
        EXPECT_EQ(id, graph.ops()[value(id).producer].output);
    }
}

TEST_F(GraphTest, AnInputAskedTwiceIsTheSameValue) {
    EXPECT_EQ(tokens, graph.input(INTARSIA_INPUT_TOKENS));
    EXPECT_EQ(rows, graph.input(INTARSIA_INPUT_ROWS));
    EXPECT_EQ("op 6 input: 4 is no input; inputs are 0 .. 3", refused([&] { graph.input(4); }));
}

TEST_F(GraphTest, FrozenDimensionsShowTheirSize) {
    Graph frozen(set.get(), 8, 1);
    const uint32_t value = frozen.embedding(frozen.input(INTARSIA_INPUT_TOKENS), embed);
    EXPECT_EQ("op 2 linear: x is [tokens=8, 64] but weight 'up' is [160, 96]: the inner sizes 64 and 96 differ",
              error_of([&] { frozen.linear(value, up, kNone); }));
    EXPECT_EQ(8u, frozen.frozen(Dim::TOKENS));
    EXPECT_EQ(1u, frozen.frozen(Dim::ROWS));
    EXPECT_EQ("graph: rows is frozen to 16777217, but a dimension holds at most 16777216",
              error_of([&] { Graph(set.get(), 8, (1 << 24) + 1); }));
    EXPECT_EQ("graph: tokens is frozen to 4294967295, but a dimension holds at most 16777216",
              error_of([&] { Graph(set.get(), UINT32_MAX, 1); }));
}

TEST_F(GraphTest, EmbeddingErrors) {
    EXPECT_EQ("op 6 embedding: tokens must be the input 'tokens' but is the input 'positions'",
              refused([&] { graph.embedding(positions, embed); }));
    EXPECT_EQ("op 6 embedding: tokens must be the input 'tokens' but is [tokens, 64] of op 4 embedding",
              refused([&] { graph.embedding(x, embed); }));
    EXPECT_EQ("op 6 embedding: tokens is value 99 but the graph has 6 values",
              refused([&] { graph.embedding(99, embed); }));
    EXPECT_EQ("op 6 embedding: weight 'norm64' is [64] but must be a matrix",
              refused([&] { graph.embedding(tokens, norm64); }));
    EXPECT_EQ("op 6 embedding: weight is weight 7 but the set has 7 weights",
              refused([&] { graph.embedding(tokens, 7); }));
}

TEST_F(GraphTest, NormErrors) {
    EXPECT_EQ("op 6 rms_norm: x is [tokens] i32 but must be an f32 matrix",
              refused([&] { graph.rms_norm(tokens, norm64, 1); }));
    EXPECT_EQ("op 6 rms_norm: weight 'square' is [64, 64] but must be a vector",
              refused([&] { graph.rms_norm(x, square, 1); }));
    EXPECT_EQ("op 6 rms_norm: x is [tokens, 64] but weight 'norm5' is [5]: the width 64 is no multiple of 5",
              refused([&] { graph.rms_norm(x, norm5, 1); }));
    EXPECT_EQ("op 6 rms_norm: eps must be finite and above 0, not 0", refused([&] { graph.rms_norm(x, norm64, 0); }));
    EXPECT_EQ("op 6 rms_norm: eps must be finite and above 0, not -1", refused([&] { graph.rms_norm(x, norm64, -1); }));
    EXPECT_EQ("op 6 rms_norm: eps must be finite and above 0, not inf",
              refused([&] { graph.rms_norm(x, norm64, kInfinity); }));
    EXPECT_NE("", refused([&] { graph.rms_norm(x, norm64, kNan); }));
}

TEST_F(GraphTest, LinearErrors) {
    EXPECT_EQ("op 6 linear: x is [tokens, 64] but weight 'up' is [160, 96]: the inner sizes 64 and 96 differ",
              refused([&] { graph.linear(x, up, kNone); }));
    EXPECT_EQ("op 6 linear: weight 'square' is [64, 64] but bias 'norm16' is [16]: the outputs 64 and 16 differ",
              refused([&] { graph.linear(x, square, norm16); }));
    EXPECT_EQ("op 6 linear: bias 'square' is [64, 64] but must be a vector",
              refused([&] { graph.linear(x, square, square); }));
    EXPECT_EQ("op 6 linear: bias is weight 8 but the set has 7 weights", refused([&] { graph.linear(x, square, 8); }));
    EXPECT_EQ("op 6 linear: weight is weight 4294967295 but the set has 7 weights",
              refused([&] { graph.linear(x, kNone, kNone); }));
    EXPECT_EQ("op 6 linear: x is value 4294967295 but the graph has 6 values",
              refused([&] { graph.linear(kNone, square, kNone); }));
}

TEST_F(GraphTest, ALinearCannotBeTooWide) {
    const int64_t dims[] = {(1 << 24) + 1, 1};
    const std::vector<uint16_t> zeros((1 << 24) + 1);
    const uint32_t wide = set.get()->add("wide", INTARSIA_DTYPE_BF16, dims, 2, zeros.data(), zeros.size() * 2);
    const uint32_t narrow = graph.empty(INTARSIA_DIM_TOKENS, 1);
    EXPECT_EQ("op 7 linear: the width of a value must be 1 .. 16777216, not 16777217",
              refused([&] { graph.linear(narrow, wide, kNone); }));
}

TEST_F(GraphTest, RopeErrors) {
    EXPECT_EQ("op 6 rope_table: positions must be the input 'positions' but is the input 'slots'",
              refused([&] { graph.rope_table(slots, freq8, 1); }));
    EXPECT_EQ("op 6 rope_table: scale must be finite, not inf",
              refused([&] { graph.rope_table(positions, freq8, kInfinity); }));
    const uint32_t freq513 = set.vector(513);
    EXPECT_EQ("op 6 rope_table: head_dim must be even and 2 .. 1024, not 1026",
              refused([&] { graph.rope_table(positions, freq513, 1); }));

    const uint32_t table = graph.rope_table(positions, freq8, 1);
    EXPECT_EQ("op 7 rope: x is [rows, 64] but must be over tokens", refused([&] { graph.rope(picked, table); }));
    EXPECT_EQ("op 7 rope: table must come from rope_table but is [tokens, 64] of op 4 embedding",
              refused([&] { graph.rope(x, x); }));
    const uint32_t odd = graph.empty(INTARSIA_DIM_TOKENS, 24);
    EXPECT_EQ("op 8 rope: x is [tokens, 24] but table is [tokens, 16]: the width 24 is no multiple of 16",
              refused([&] { graph.rope(odd, table); }));
}

TEST_F(GraphTest, CacheAppendErrors) {
    const uint32_t narrow = graph.empty(INTARSIA_DIM_TOKENS, 32);
    auto append = [&](uint32_t k, uint32_t v, uint32_t at, uint32_t layer, uint32_t kv_heads) {
        return refused([&] { graph.cache_append(k, v, at, layer, kv_heads); });
    };
    EXPECT_EQ("op 7 cache_append: k is [tokens, 64] but v is [tokens, 32]: the widths 64 and 32 differ",
              append(x, narrow, slots, 0, 4));
    EXPECT_EQ("op 7 cache_append: k is [rows, 64] but must be over tokens", append(picked, x, slots, 0, 4));
    EXPECT_EQ("op 7 cache_append: slots must be the input 'slots' but is the input 'rows'", append(x, x, rows, 0, 4));
    EXPECT_EQ("op 7 cache_append: layer must be below 65536, not 65536", append(x, x, slots, 65536, 4));
    EXPECT_EQ("op 7 cache_append: k is [tokens, 64]: the width 64 is no multiple of 0 kv_heads",
              append(x, x, slots, 0, 0));
    EXPECT_EQ("op 7 cache_append: k is [tokens, 64]: the width 64 is no multiple of 5 kv_heads",
              append(x, x, slots, 0, 5));
    EXPECT_EQ("op 7 cache_append: head_dim must be even and 2 .. 1024, not 1", append(x, x, slots, 0, 64));
    EXPECT_EQ("", error_of([&] { graph.cache_append(x, x, slots, 65535, 4); }));
    EXPECT_EQ("op 8 cache_append: layer 65535 is already appended to by op 7", append(x, x, slots, 65535, 4));
    const uint32_t wide = graph.empty(INTARSIA_DIM_TOKENS, 2050);
    EXPECT_EQ("op 9 cache_append: head_dim must be even and 2 .. 1024, not 1025", append(wide, wide, slots, 0, 2));
}

TEST_F(GraphTest, AttentionErrors) {
    auto attend = [&](uint32_t q, intarsia_attention_options options) {
        return refused([&] { graph.attention(q, options); });
    };
    EXPECT_EQ("op 6 attention: no cache_append of layer 2 comes before it", attend(x, attention(2, 4, 2, 16)));
    const uint32_t kv = graph.empty(INTARSIA_DIM_TOKENS, 32);
    graph.cache_append(kv, kv, slots, 2, 2);
    EXPECT_EQ("op 8 attention: reads layer 2 as 4 kv_heads of 16, but op 7 cache_append writes 2 of 16",
              attend(x, attention(2, 4, 4, 16)));
    EXPECT_EQ("op 8 attention: reads layer 2 as 2 kv_heads of 32, but op 7 cache_append writes 2 of 16",
              attend(x, attention(2, 2, 2, 32)));
    EXPECT_EQ("op 8 attention: heads must be a multiple of kv_heads, but they are 4 and 3",
              attend(x, attention(2, 4, 3, 16)));
    EXPECT_EQ("op 8 attention: heads must be a multiple of kv_heads, but they are 0 and 2",
              attend(x, attention(2, 0, 2, 16)));
    EXPECT_EQ("op 8 attention: heads must be a multiple of kv_heads, but they are 4 and 0",
              attend(x, attention(2, 4, 0, 16)));
    EXPECT_EQ("op 8 attention: head_dim must be even and 2 .. 1024, not 15", attend(x, attention(2, 4, 2, 15)));
    EXPECT_EQ("op 8 attention: head_dim must be even and 2 .. 1024, not 0", attend(x, attention(2, 4, 2, 0)));
    EXPECT_EQ("op 8 attention: q is [tokens, 64] but 6 heads of 16 need a width of 96",
              attend(x, attention(2, 6, 2, 16)));
    EXPECT_EQ("op 8 attention: q is [tokens, 64] but 2147483648 heads of 16 need a width of 34359738368",
              attend(x, attention(2, 1u << 31, 2, 16)));
    EXPECT_EQ("op 8 attention: q is [rows, 64] but must be over tokens", attend(picked, attention(2, 4, 2, 16)));
    EXPECT_NE("", attend(x, attention(2, 4, 2, 16, kNan)));
    EXPECT_EQ("op 8 attention: layer must be below 65536, not 70000", attend(x, attention(70000, 4, 2, 16)));
    EXPECT_EQ("", error_of([&] { graph.attention(x, attention(2, 4, 2, 16)); }));
}

TEST_F(GraphTest, ElementwiseErrors) {
    const uint32_t narrow = graph.empty(INTARSIA_DIM_TOKENS, 32);
    EXPECT_EQ("op 7 add: a is [tokens, 64] but b is [rows, 64]: the dimensions differ",
              refused([&] { graph.add(x, picked); }));
    EXPECT_EQ("op 7 add: a is [tokens, 64] but b is [tokens, 32]: the widths 64 and 32 differ",
              refused([&] { graph.add(x, narrow); }));
    EXPECT_EQ("op 7 silu_mul: gate is [rows, 64] but up is [tokens, 64]: the dimensions differ",
              refused([&] { graph.silu_mul(picked, x); }));
    EXPECT_EQ("op 7 silu_mul: up is [tokens] i32 but must be an f32 matrix",
              refused([&] { graph.silu_mul(x, slots); }));
}

TEST_F(GraphTest, SelectRowsErrors) {
    EXPECT_EQ("op 6 select_rows: x is [rows, 64] but must be over tokens",
              refused([&] { graph.select_rows(picked, rows); }));
    EXPECT_EQ("op 6 select_rows: rows must be the input 'rows' but is the input 'tokens'",
              refused([&] { graph.select_rows(x, tokens); }));
}

TEST_F(GraphTest, EmptyErrors) {
    EXPECT_EQ("op 6 empty: 2 is no dimension; they are 0 (tokens) and 1 (rows)", refused([&] { graph.empty(2, 4); }));
    EXPECT_EQ("op 6 empty: the width of a value must be 1 .. 16777216, not 0", refused([&] { graph.empty(0, 0); }));
    EXPECT_EQ("op 6 empty: the width of a value must be 1 .. 16777216, not 16777217",
              refused([&] { graph.empty(0, (1 << 24) + 1); }));
}

TEST_F(GraphTest, OutputErrors) {
    EXPECT_EQ("output: value 77, but the graph has 6 values", refused([&] { graph.output(77); }));
    EXPECT_EQ("output: value 4 is [tokens, 64] but must be an f32 matrix over rows", refused([&] { graph.output(x); }));
    EXPECT_EQ("output: value 3 is [rows] i32 but must be an f32 matrix over rows",
              refused([&] { graph.output(rows); }));
    graph.output(picked);
    EXPECT_EQ(picked, graph.output());
    EXPECT_EQ("output: the graph already has value 5 as its result", refused([&] { graph.output(picked); }));
}

TEST_F(GraphTest, ASealedGraphTakesNoMoreOps) {
    graph.seal();
    EXPECT_EQ("op 6 add: the graph was sealed by its first split and takes no more ops",
              error_of([&] { graph.add(x, x); }, INTARSIA_INVALID_STATE));
    EXPECT_EQ("output: the graph was sealed by its first split",
              error_of([&] { graph.output(picked); }, INTARSIA_INVALID_STATE));
    EXPECT_EQ(tokens, graph.input(INTARSIA_INPUT_TOKENS));
}

TEST_F(GraphTest, AGraphHoldsAHundredThousandOps) {
    while (graph.ops().size() < 100000) graph.add(x, x);
    EXPECT_EQ("op 100000 add: a graph holds at most 100000 ops", refused([&] { graph.add(x, x); }));
}

TEST(OpNames, AreThoseOfTheHeader) {
    EXPECT_STREQ("input", name(OpKind::INPUT));
    EXPECT_STREQ("rms_norm", name(OpKind::RMS_NORM));
    EXPECT_STREQ("silu_mul", name(OpKind::SILU_MUL));
    EXPECT_STREQ("empty", name(OpKind::EMPTY));
}

} // namespace
} // namespace intarsia
