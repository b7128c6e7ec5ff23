// Equal pieces, and what is said of a piece.
#include <gtest/gtest.h>

#include <map>

#include "graph/partition.h"
#include "graph_support.h"

namespace intarsia {
namespace {

using cpu::Storage;
using testing::build;
using testing::cut;
using testing::Decoder;
using testing::RandomGraph;
using testing::WeightSet;

std::vector<uint32_t> classes_of(const Partition &partition) {
    std::vector<uint32_t> ids;
    for (const Piece &piece : partition.pieces()) ids.push_back(piece.class_id);
    return ids;
}

TEST(Classes, OfADecoderDoNotGrowWithItsDepth) {
    for (Storage storage : {Storage::F32, Storage::BF16}) {
        const auto of = [&](uint32_t layers) {
            return cut(build({.layers = layers, .storage = storage}), {OpKind::ATTENTION});
        };
        // first, attention, last, logits
        EXPECT_EQ((std::vector<uint32_t>{0, 1, 2, 3}), classes_of(*of(1)));
        // first, attention, middle, last, logits
        EXPECT_EQ((std::vector<uint32_t>{0, 1, 2, 1, 3, 4}), classes_of(*of(2)));
        EXPECT_EQ((std::vector<uint32_t>{0, 1, 2, 1, 2, 1, 3, 4}), classes_of(*of(3)));
        const auto deep = of(28);
        EXPECT_EQ(58u, deep->pieces().size());
        EXPECT_EQ(5u, deep->classes().size());
        EXPECT_EQ(classes_of(*deep)[2], classes_of(*deep)[54]);
    }
}

TEST(Classes, SplitByOtherOpsRepeatToo) {
    const auto partition = cut(build({.layers = 12}), {OpKind::ROPE});
    EXPECT_EQ(12u * 2 + 2, partition->pieces().size()); // the ropes of q and k are neighbours
    EXPECT_EQ(5u, partition->classes().size());
}

// The class with the binding of the piece put in is the piece.
TEST(Classes, StandForTheirPieces) {
    for (uint32_t seed = 0; seed < 60; seed++) {
        const auto graph = seed == 0 ? build({.layers = 4}) : RandomGraph(seed, Storage::BF16, 90).graph;
        const auto partition = cut(graph, {seed % 2 ? OpKind::LINEAR : OpKind::ATTENTION});
        for (const Piece &piece : partition->pieces()) {
            const PieceClass &made = partition->classes()[piece.class_id];
            ASSERT_EQ(piece.ops.size(), made.ops.size());
            ASSERT_EQ(made.externals, piece.binding.values.size());
            ASSERT_EQ(made.weights.size(), piece.binding.weights.size());
            EXPECT_EQ(piece.splitting, made.splitting);
            EXPECT_EQ(piece.dim, made.dim);
            std::map<uint32_t, uint32_t> locals; // of the class -> of the graph, one to one
            std::map<uint32_t, uint32_t> backwards;
            const auto same_value = [&](uint32_t number, uint32_t value) {
                if (number < made.externals) {
                    EXPECT_EQ(value, piece.binding.values[number]);
                } else {
                    EXPECT_EQ(value, locals.emplace(number, value).first->second);
                    EXPECT_EQ(number, backwards.emplace(value, number).first->second);
                    EXPECT_EQ(Placement::Where::NOWHERE, partition->placement(value).where);
                }
                EXPECT_EQ(graph->values()[value].width, made.values[number].width);
                EXPECT_EQ(graph->values()[value].dim, made.values[number].dim);
                EXPECT_EQ(partition->storage(value), made.storage[number]);
            };
            for (uint32_t i = 0; i < made.ops.size(); i++) {
                const Op &op = graph->ops()[piece.ops[i]], &other = made.ops[i];
                ASSERT_EQ(op.kind, other.kind);
                EXPECT_EQ(op.scalar, other.scalar);
                EXPECT_EQ(op.window, other.window);
                ASSERT_EQ(op.inputs.size(), other.inputs.size());
                for (size_t v = 0; v < op.inputs.size(); v++) same_value(other.inputs[v], op.inputs[v]);
                ASSERT_EQ(op.output == kNone, other.output == kNone);
                if (op.output != kNone) {
                    same_value(other.output, op.output);
                    EXPECT_EQ(i, made.values[other.output].producer);
                }
                ASSERT_EQ(op.weights.size(), other.weights.size());
                for (size_t w = 0; w < op.weights.size(); w++) {
                    ASSERT_EQ(op.weights[w] == kNone, other.weights[w] == kNone);
                    if (op.weights[w] == kNone) continue;
                    ASSERT_EQ(op.weights[w], piece.binding.weights[other.weights[w]]);
                    const Weight &weight = graph->weights()->at(op.weights[w]);
                    EXPECT_EQ((std::pair{weight.n, weight.rank == 2 ? weight.k : 0}), made.weights[other.weights[w]]);
                }
                if (op.kind == OpKind::CACHE_APPEND || op.kind == OpKind::ATTENTION) {
                    EXPECT_EQ(op.layer, piece.binding.layers[other.layer]);
                }
            }
            for (uint32_t e = 0; e < made.externals; e++) EXPECT_EQ(made.written[e], made.values[e].producer != kNone);
            EXPECT_EQ(made.externals, piece.inputs.size() + piece.outputs.size());
        }
    }
}

enum class Change { NONE, EPS, SAME_WEIGHT_TWICE, SAME_VALUE_TWICE, READ_LATER };

// Two pieces between ropes, the second with a change; are they of one class?
bool one_class(Change change) {
    WeightSet set(Storage::BF16);
    const uint32_t embedding = set.matrix(8, 32), norm = set.vector(32), frequencies = set.vector(8);
    auto graph = std::make_shared<Graph>(set.get(), 0, 0);
    uint32_t x = graph->embedding(graph->input(INTARSIA_INPUT_TOKENS), embedding), y = x;
    const uint32_t table = graph->rope_table(graph->input(INTARSIA_INPUT_POSITIONS), frequencies, 1);
    for (Change now : {Change::NONE, change}) {
        const uint32_t a = set.matrix(32, 32), b = set.matrix(32, 32);
        const uint32_t normed = graph->rms_norm(graph->rope(x, table), norm, now == Change::EPS ? 2e-6f : 1e-6f);
        y = graph->linear(normed, a, kNone);
        const uint32_t z = graph->linear(normed, now == Change::SAME_WEIGHT_TWICE ? a : b, kNone);
        x = graph->add(y, now == Change::SAME_VALUE_TWICE ? y : z);
    }
    x = graph->rope(x, table);
    graph->add(x, change == Change::READ_LATER ? y : x);
    const auto partition = cut(graph, {OpKind::ROPE});
    EXPECT_EQ(7u, partition->pieces().size());
    return partition->piece(2).class_id == partition->piece(4).class_id;
}

TEST(Classes, DifferWhereThePiecesDo) {
    EXPECT_TRUE(one_class(Change::NONE));
    EXPECT_FALSE(one_class(Change::EPS));
    EXPECT_FALSE(one_class(Change::SAME_WEIGHT_TWICE));
    EXPECT_FALSE(one_class(Change::SAME_VALUE_TWICE));
    EXPECT_FALSE(one_class(Change::READ_LATER));
}

TEST(Classes, TellApartTheStorageOfWhatTheyRead) {
    WeightSet set(Storage::BF16);
    const uint32_t table = set.matrix(8, 32), norm = set.vector(32), square = set.matrix(32, 32);
    auto graph = std::make_shared<Graph>(set.get(), 0, 0);
    const uint32_t x = graph->embedding(graph->input(INTARSIA_INPUT_TOKENS), table);
    const uint32_t rounded = graph->rms_norm(x, norm, 1e-6f); // only linears read it: bf16
    const uint32_t first = graph->linear(rounded, square, kNone);
    const uint32_t exact = graph->rms_norm(first, norm, 1e-6f); // an add reads it too: f32
    const uint32_t second = graph->linear(exact, square, kNone);
    graph->add(graph->rms_norm(second, norm, 1e-6f), exact);
    const auto partition = cut(graph, {OpKind::LINEAR});
    ASSERT_EQ(5u, partition->pieces().size());
    EXPECT_NE(partition->piece(1).class_id, partition->piece(3).class_id);
}

TEST(Classes, TellLayersApartOnlyWithinAPiece) {
    WeightSet set(Storage::F32);
    const uint32_t table = set.matrix(8, 32);
    auto graph = std::make_shared<Graph>(set.get(), 0, 0);
    const uint32_t x = graph->embedding(graph->input(INTARSIA_INPUT_TOKENS), table);
    for (uint32_t layer : {0, 1}) graph->cache_append(x, x, graph->input(INTARSIA_INPUT_SLOTS), layer, 2);
    const auto attend = [&](uint32_t q, uint32_t layer) {
        return graph->attention(q, {sizeof(intarsia_attention_options), layer, 2, 2, 16, 0, 1, 0});
    };
    uint32_t y = x;
    for (uint32_t layer : {0, 1}) y = graph->add(attend(attend(y, layer), layer), x); // one layer twice
    y = graph->add(attend(attend(y, 0), 1), x);                                       // two layers
    const auto partition = cut(graph, {OpKind::ATTENTION});
    EXPECT_EQ((std::vector<uint32_t>{0, 1, 2, 1, 2, 3, 4}), classes_of(*partition)); // the last sum is read by none
    EXPECT_EQ((std::vector<uint32_t>{1}), partition->piece(3).binding.layers);
    EXPECT_EQ((std::vector<uint32_t>{0, 1}), partition->piece(5).binding.layers);
}

TEST(Classes, KnowTheFrozenSize) {
    const auto partition = cut(build({.tokens = 8, .rows = 1}), {OpKind::ATTENTION});
    EXPECT_EQ(8u, partition->classes()[0].frozen);
    EXPECT_EQ(1u, partition->classes().back().frozen);
    EXPECT_EQ(0u, cut(build({}), {})->classes()[0].frozen);
}

TEST(PieceFacts, CountWeightsOnceAndRowsOfEmbeddings) {
    const auto partition = cut(build({.layers = 2, .storage = Storage::BF16}), {OpKind::ATTENTION});
    // 16 x 2 bf16 tiles: q [64, 48], k and v [32, 48]; f32 norms [48], [16], [16], inverse frequencies [8]; one row of
    // the embedding
    const uint64_t qkv = (64 + 32 + 32) * 48 * 2 + (48 + 16 + 16) * 4;
    EXPECT_EQ(qkv + 8 * 4 + 48 * 2, partition->weight_bytes(0));
    EXPECT_EQ(0u, partition->weight_bytes(1));
    const uint64_t behind = (48 * 64 + 2 * 80 * 48 + 48 * 80) * 2 + 48 * 4;
    EXPECT_EQ(behind + qkv, partition->weight_bytes(2));
    EXPECT_EQ(112 * 48 * 2 + 48 * 4u, partition->weight_bytes(5)); // 100 logits in tiles of 16

    EXPECT_EQ(2u * (64 + 32 + 32) * 48, partition->flops_per_row(0));
    EXPECT_EQ(0u, partition->flops_per_row(1));
    EXPECT_EQ(2u * 100 * 48, partition->flops_per_row(5));

    // As one piece the tied embedding is a matrix of the logits' piece only.
    const auto whole = cut(build({.layers = 2, .storage = Storage::F32}), {});
    EXPECT_EQ(2 * ((qkv - 320) * 2 + 320 + (behind - 192) * 2 + 192) + 8 * 4 + 48 * 4, whole->weight_bytes(0));
}

TEST(PieceFacts, AreDescribedAnOpALine) {
    const auto partition = cut(build({.layers = 2, .bias = true}), {OpKind::ATTENTION});
    EXPECT_EQ("piece 1 of 6: splitting, class 1, over tokens, 1 ops\n"
              "in  %10 [tokens, 64] bf16 in slot 2\n"
              "%13 = attention %10 layer=0 heads=4 kv_heads=2 head_dim=16 scale=0.25 -> [tokens, 64] bf16\n"
              "out %13 [tokens, 64] bf16 in slot 3\n",
              partition->describe(1));
    EXPECT_EQ("piece 5 of 6: plain, class 4, over rows, 3 ops\n"
              "in  %38 [tokens, 48] in slot 0\n"
              "in  %39 [rows] i32 from input 'rows'\n"
              "%40 = select_rows %38 %39 -> [rows, 48]\n"
              "%41 = rms_norm %40 'norm' [48] eps=1e-06 -> [rows, 48] bf16\n"
              "%42 = linear %41 'embed_tokens' [100, 48] -> [rows, 100]\n"
              "out %42 [rows, 100] in the logits\n",
              partition->describe(5));
    const std::string first = partition->describe(0);
    EXPECT_NE(std::string::npos,
              first.find("= linear %4 'layers.0.q_proj' [64, 48] 'layers.0.q_proj.bias' [64] -> [tokens, 64]\n"))
        << first;
    EXPECT_NE(std::string::npos, first.find("\ncache_append %11 %7 %12 layer=0 kv_heads=2 head_dim=16\n")) << first;
}

} // namespace
} // namespace intarsia
