// Splitting, storage and placement.
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
using testing::error_of;
using testing::RandomGraph;
using testing::WeightSet;

// --------------------------------------------------------------------------------------------------------------- split

// a: a plain op, S: a splitting op, e: an allocation.
constexpr OpKind kPlain = OpKind::EMBEDDING, kSplitting = OpKind::ROPE_TABLE;

std::vector<std::string> groups_of(const std::string &ops) {
    WeightSet set(Storage::F32);
    const uint32_t table = set.matrix(8, 4), frequencies = set.vector(2);
    auto graph = std::make_shared<Graph>(set.get(), 0, 0);
    const uint32_t tokens = graph->input(INTARSIA_INPUT_TOKENS), positions = graph->input(INTARSIA_INPUT_POSITIONS);
    for (char op : ops) {
        if (op == 'a') graph->embedding(tokens, table);
        if (op == 'S') graph->rope_table(positions, frequencies, 1);
        if (op == 'e') graph->empty(INTARSIA_DIM_TOKENS, 4);
    }
    const auto partition = cut(graph, {kSplitting});
    std::vector<std::string> groups;
    for (const Piece &piece : partition->pieces()) {
        groups.emplace_back();
        for (uint32_t index : piece.ops) {
            const OpKind kind = graph->ops()[index].kind;
            groups.back() += kind == kPlain ? 'a' : kind == kSplitting ? 'S' : 'e';
        }
        EXPECT_EQ(piece.splitting, groups.back()[0] == 'S') << ops;
    }
    return groups;
}

using Groups = std::vector<std::string>;

TEST(Split, OpensAPieceAtEverySplittingOpAndAfterIt) {
    EXPECT_EQ((Groups{"aae", "S", "aae", "S", "a"}), groups_of("aaeSaaeSa"));
    EXPECT_EQ((Groups{"ae", "S", "a"}), groups_of("aeSa"));
    EXPECT_EQ((Groups{"S", "a"}), groups_of("Sa"));
    EXPECT_EQ((Groups{"a", "S"}), groups_of("aS"));
}

TEST(Split, ConsecutiveSplittingOpsShareAPiece) {
    EXPECT_EQ((Groups{"a", "SS", "a"}), groups_of("aSSa"));
    EXPECT_EQ((Groups{"SSS"}), groups_of("SSS"));
}

TEST(Split, AnAllocationAloneMergesIntoTheNearestEarlierPlainPiece) {
    EXPECT_EQ((Groups{"S", "e", "S"}), groups_of("SeS"));
    EXPECT_EQ((Groups{"ae", "S", "S", "a"}), groups_of("aSeSa"));
    EXPECT_EQ((Groups{"aee", "S", "S", "a"}), groups_of("aeSeSa"));
    EXPECT_EQ((Groups{"aee", "S", "S", "S"}), groups_of("aSeSeS"));
    EXPECT_EQ((Groups{"a", "S", "aee", "S"}), groups_of("aSaSee"));
    EXPECT_EQ((Groups{"ee", "S", "S", "a"}), groups_of("eSeSa"));
}

TEST(Split, WithoutSplittingOpsAllIsOnePiece) {
    EXPECT_EQ((Groups{"aaa"}), groups_of("aaa"));
    EXPECT_EQ((Groups{"e"}), groups_of("e"));
}

TEST(Split, TwelveAttentionsMakeTwentyFivePieces) {
    std::string ops;
    Groups expected;
    for (int layer = 0; layer < 12; layer++) {
        ops += "aeS";
        expected.insert(expected.end(), {"ae", "S"});
    }
    expected.push_back("a");
    EXPECT_EQ(25u, expected.size());
    EXPECT_EQ(expected, groups_of(ops + "a"));
}

TEST(Split, RefusesKindsThatCannotSplitAndLeavesTheGraphOpen) {
    const auto graph = build({.storage = Storage::F32});
    EXPECT_EQ("split: input cannot be a splitting op",
              error_of([&] { cut(graph, {OpKind::ATTENTION, OpKind::INPUT}); }));
    EXPECT_EQ("split: select_rows cannot be a splitting op", error_of([&] { cut(graph, {OpKind::SELECT_ROWS}); }));
    EXPECT_EQ("split: empty cannot be a splitting op", error_of([&] { cut(graph, {OpKind::EMPTY}); }));
    EXPECT_FALSE(graph->sealed());
    cut(graph, {OpKind::ATTENTION});
    EXPECT_TRUE(graph->sealed());
    EXPECT_EQ(2u, cut(graph, {})->pieces().size()); // again, in another way

    WeightSet set(Storage::F32);
    const auto bare = std::make_shared<Graph>(set.get(), 0, 0);
    bare->input(INTARSIA_INPUT_TOKENS);
    EXPECT_EQ("split: the graph has no ops", error_of([&] { cut(bare, {}); }));
}

TEST(Split, RowsAreAPieceOfTheirOwn) {
    const auto one = cut(build({.layers = 2}), {});
    ASSERT_EQ(2u, one->pieces().size());
    EXPECT_EQ(Dim::TOKENS, one->piece(0).dim);
    EXPECT_EQ(Dim::ROWS, one->piece(1).dim);
    EXPECT_EQ(OpKind::SELECT_ROWS, one->graph()->ops()[one->piece(1).ops[0]].kind);

    const auto layers = cut(build({.layers = 2}), {OpKind::ATTENTION});
    EXPECT_EQ(6u, layers->pieces().size()); // 2 k + 1 and the rows
    EXPECT_EQ("there is no piece 6: the partition has 6", error_of([&] { layers->piece(6); }));
}

TEST(Split, RowsOpsAmongTokensOpsComeLast) {
    WeightSet set(Storage::F32);
    const uint32_t table = set.matrix(8, 4), norm = set.vector(4);
    auto graph = std::make_shared<Graph>(set.get(), 0, 0);
    const uint32_t x = graph->embedding(graph->input(INTARSIA_INPUT_TOKENS), table);               // op 1
    const uint32_t rows = graph->select_rows(x, graph->input(INTARSIA_INPUT_ROWS));                // op 3
    const uint32_t y = graph->rms_norm(x, norm, 1e-6f);                                            // op 4
    const uint32_t z = graph->rms_norm(rows, norm, 1e-6f);                                         // op 5
    const uint32_t more = graph->select_rows(graph->add(x, y), graph->input(INTARSIA_INPUT_ROWS)); // ops 6, 7
    graph->output(graph->add(z, more));                                                            // op 8
    const auto partition = cut(graph, {});
    ASSERT_EQ(2u, partition->pieces().size());
    EXPECT_EQ((std::vector<uint32_t>{1, 4, 6}), partition->piece(0).ops);
    EXPECT_EQ((std::vector<uint32_t>{3, 5, 7, 8}), partition->piece(1).ops);

    const auto norms = cut(graph, {OpKind::RMS_NORM}); // over rows too
    ASSERT_EQ(6u, norms->pieces().size());
    EXPECT_EQ((std::vector<uint32_t>{4}), norms->piece(1).ops);
    EXPECT_TRUE(norms->piece(4).splitting);
    EXPECT_EQ((std::vector<uint32_t>{5}), norms->piece(4).ops);
}

TEST(Split, AllocationsOverRowsDoNotMergeIntoPiecesOverTokens) {
    WeightSet set(Storage::F32);
    const uint32_t table = set.matrix(8, 4);
    auto graph = std::make_shared<Graph>(set.get(), 0, 0);
    graph->empty(INTARSIA_DIM_ROWS, 4);
    graph->embedding(graph->input(INTARSIA_INPUT_TOKENS), table);
    const auto partition = cut(graph, {});
    ASSERT_EQ(2u, partition->pieces().size());
    EXPECT_EQ(Dim::ROWS, partition->piece(1).dim);
}

// Whatever is split, every op is in one piece, and comes after the ops that it reads.
TEST(Split, KeepsEveryOpAndTheOrderOfReading) {
    for (uint32_t seed = 0; seed < 60; seed++) {
        const RandomGraph random(seed, Storage::BF16, 80);
        const std::vector<OpKind> kinds[] = {{OpKind::ATTENTION}, {OpKind::ROPE, OpKind::ADD}, {OpKind::LINEAR}, {}};
        const auto partition = cut(random.graph, kinds[seed % 4]);
        std::vector<uint32_t> place(random.graph->ops().size(), kNone);
        uint32_t at = 0;
        for (const Piece &piece : partition->pieces()) {
            ASSERT_FALSE(piece.ops.empty());
            for (uint32_t op : piece.ops) {
                ASSERT_EQ(kNone, place[op]);
                place[op] = at++;
            }
        }
        std::map<uint32_t, uint32_t> appends; // of each layer
        for (uint32_t i = 0; i < random.graph->ops().size(); i++) {
            const Op &op = random.graph->ops()[i];
            ASSERT_EQ(op.kind == OpKind::INPUT, place[i] == kNone);
            for (uint32_t value : op.inputs) {
                const uint32_t producer = random.graph->values()[value].producer;
                ASSERT_TRUE(place[producer] == kNone || place[producer] < place[i]);
            }
            if (op.kind == OpKind::CACHE_APPEND) appends[op.layer] = place[i];
            if (op.kind == OpKind::ATTENTION) {
                ASSERT_LT(appends.at(op.layer), place[i]);
            }
        }
    }
}

// ------------------------------------------------------------------------------------------------------------- storage

TEST(Storage, IsBf16OnlyWhereEveryReaderRounds) {
    WeightSet set(Storage::BF16);
    const uint32_t table = set.matrix(8, 32), square = set.matrix(32, 32), norm = set.vector(32),
                   frequencies = set.vector(8);
    auto graph = std::make_shared<Graph>(set.get(), 0, 0);
    const uint32_t x = graph->embedding(graph->input(INTARSIA_INPUT_TOKENS), table);
    const uint32_t angles = graph->rope_table(graph->input(INTARSIA_INPUT_POSITIONS), frequencies, 1);
    const uint32_t to_linear = graph->rms_norm(x, norm, 1e-6f);
    const uint32_t to_linear_and_add = graph->rms_norm(x, norm, 1e-6f);
    const uint32_t low = graph->linear(to_linear, square, kNone);
    const uint32_t high = graph->linear(low, square, kNone);
    const uint32_t sum = graph->add(to_linear_and_add, graph->linear(to_linear_and_add, square, kNone));
    const uint32_t summed = graph->linear(sum, square, kNone);
    const uint32_t gated = graph->silu_mul(high, summed);
    const uint32_t q = graph->rope(graph->linear(gated, square, kNone), angles);
    const uint32_t k = graph->rope(x, angles);
    graph->cache_append(k, x, graph->input(INTARSIA_INPUT_SLOTS), 0, 2);
    const uint32_t attended = graph->attention(q, {sizeof(intarsia_attention_options), 0, 2, 2, 16, 0, 1, 0});
    const uint32_t unread = graph->rms_norm(x, norm, 1e-6f);
    const uint32_t picked =
        graph->select_rows(graph->linear(attended, square, kNone), graph->input(INTARSIA_INPUT_ROWS));
    const uint32_t result = graph->linear(picked, square, kNone);
    graph->linear(result, square, kNone); // the only reader rounds, but the result of a graph is f32
    graph->output(result);

    const auto partition = cut(graph, {});
    for (uint32_t value : {to_linear, low, gated, q, attended})
        EXPECT_EQ(Storage::BF16, partition->storage(value)) << value;
    for (uint32_t value : {x, angles, to_linear_and_add, high, sum, summed, k, unread, picked, result})
        EXPECT_EQ(Storage::F32, partition->storage(value)) << value;
}

TEST(Storage, IsF32WhereTheWeightsAre) {
    const auto partition = cut(build({.storage = Storage::F32}), {OpKind::ATTENTION});
    for (uint32_t value = 0; value < partition->graph()->values().size(); value++)
        EXPECT_EQ(Storage::F32, partition->storage(value));
}

// ----------------------------------------------------------------------------------------------------------- placement

// Walks the pieces and writes each value into its slot, which must still hold it when it is read.
void check_placement(const Partition &partition) {
    const Graph &graph = *partition.graph();
    std::vector<std::set<uint32_t>> readers(graph.values().size()), writers(graph.values().size()); // pieces
    for (uint32_t p = 0; p < partition.pieces().size(); p++) {
        for (uint32_t index : partition.piece(p).ops) {
            const Op &op = graph.ops()[index];
            for (uint32_t value : op.inputs) readers[value].insert(p);
            if (op.output != kNone) writers[op.output].insert(p);
        }
    }
    std::vector<uint32_t> content(partition.slots().size(), kNone);
    for (uint32_t p = 0; p < partition.pieces().size(); p++) {
        std::set<uint32_t> touched; // slots of this piece: one value each
        for (uint32_t value : partition.piece(p).inputs) {
            const Placement &placement = partition.placement(value);
            if (placement.where != Placement::Where::SLOT) continue;
            EXPECT_TRUE(touched.insert(placement.index).second) << "value " << value;
            EXPECT_EQ(value, content[placement.index]) << "piece " << p;
        }
        for (uint32_t value : partition.piece(p).outputs) {
            const Placement &placement = partition.placement(value);
            if (placement.where != Placement::Where::SLOT) continue;
            EXPECT_TRUE(touched.insert(placement.index).second) << "value " << value;
            content[placement.index] = value;
        }
    }
    for (uint32_t value = 0; value < graph.values().size(); value++) {
        const Placement &placement = partition.placement(value);
        const Op &producer = graph.ops()[graph.values()[value].producer];
        const bool crosses =
            !writers[value].empty() && !readers[value].empty() && *readers[value].rbegin() > *writers[value].begin();
        if (producer.kind == OpKind::INPUT) {
            EXPECT_EQ(Placement::Where::INPUT, placement.where);
            EXPECT_EQ(producer.input, placement.index);
        } else if (value == graph.output()) {
            EXPECT_EQ(Placement::Where::LOGITS, placement.where);
        } else if (crosses) {
            ASSERT_EQ(Placement::Where::SLOT, placement.where);
            const Slot &slot = partition.slots()[placement.index];
            EXPECT_EQ(graph.values()[value].dim, slot.dim);
            EXPECT_GE(slot.row_bytes, row_bytes(graph.values()[value].width, partition.storage(value)));
            EXPECT_EQ(0u, slot.row_bytes % 4);
        } else {
            EXPECT_EQ(Placement::Where::NOWHERE, placement.where);
        }
    }
}

TEST(Placement, NoTwoLiveValuesShareASlot) {
    for (uint32_t seed = 0; seed < 120; seed++) {
        const RandomGraph random(seed, seed % 3 ? Storage::BF16 : Storage::F32, 100);
        const std::vector<OpKind> kinds[] = {
            {OpKind::ATTENTION}, {OpKind::LINEAR}, {OpKind::ADD, OpKind::ROPE, OpKind::RMS_NORM}};
        check_placement(*cut(random.graph, kinds[seed % 3]));
    }
}

TEST(Placement, TheSlotsOfADecoderDoNotGrowWithItsDepth) {
    const auto shallow = cut(build({.layers = 3}), {OpKind::ATTENTION}),
               deep = cut(build({.layers = 28}), {OpKind::ATTENTION});
    check_placement(*deep);
    const auto bytes = [](const Partition &partition) {
        uint64_t sum = 0;
        for (const Slot &slot : partition.slots()) sum += slot.row_bytes;
        return sum;
    };
    EXPECT_EQ(bytes(*shallow), bytes(*deep));
    // table f32 [16]; residual streams f32 [48], the old and the new one; q and attention bf16 [64]
    EXPECT_EQ(16u * 4 + 2 * 48 * 4 + 2 * 64 * 2, bytes(*deep));
}

TEST(Placement, AnAllocationOfAnEarlierPieceHasASlot) {
    WeightSet set(Storage::F32);
    const uint32_t table = set.matrix(8, 4), norm = set.vector(4);
    auto graph = std::make_shared<Graph>(set.get(), 0, 0);
    const uint32_t x = graph->embedding(graph->input(INTARSIA_INPUT_TOKENS), table);
    const uint32_t y = graph->rms_norm(x, norm, 1e-6f);
    const uint32_t empty = graph->empty(INTARSIA_DIM_TOKENS, 4);
    const uint32_t z = graph->rms_norm(y, norm, 1e-6f);
    graph->add(graph->add(empty, z), x);
    const auto partition = cut(graph, {OpKind::RMS_NORM});
    ASSERT_EQ(4u, partition->pieces().size()); // embedding and empty, norm, norm, adds
    EXPECT_EQ(Placement::Where::SLOT, partition->placement(empty).where);
    check_placement(*partition);
    EXPECT_EQ((std::vector<uint32_t>{x, empty}), partition->piece(0).outputs);
}

TEST(Placement, TheResultStaysInTheLogitsForLaterReaders) {
    WeightSet set(Storage::F32);
    const uint32_t table = set.matrix(8, 4), norm = set.vector(4);
    auto graph = std::make_shared<Graph>(set.get(), 0, 0);
    const uint32_t x = graph->embedding(graph->input(INTARSIA_INPUT_TOKENS), table);
    const uint32_t picked = graph->select_rows(x, graph->input(INTARSIA_INPUT_ROWS));
    graph->output(picked);
    const uint32_t after = graph->rms_norm(picked, norm, 1e-6f);
    graph->add(after, picked);
    const auto partition = cut(graph, {OpKind::RMS_NORM});
    check_placement(*partition);
    EXPECT_EQ((std::vector<uint32_t>{picked}), partition->piece(1).outputs);
    EXPECT_EQ((std::vector<uint32_t>{picked}), partition->piece(2).inputs);
}

} // namespace
} // namespace intarsia
