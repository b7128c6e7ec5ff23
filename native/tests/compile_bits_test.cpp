// However a graph is split, fused and sized, its logits and its cache hold the same bits.
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "compile/executable.h"
#include "graph_support.h"
#include "runtime/step.h"

namespace intarsia {
namespace {

using cpu::Storage;
using testing::build;
using testing::cut;
using testing::Decoder;
using testing::RandomGraph;

struct Variant {
    std::vector<OpKind> splitting;
    bool fused;
    bool exact; // compiled for the very size, else for a range around it
};

struct Outcome {
    std::vector<float> logits;
    std::vector<uint32_t> cache;
};

// Two sequences of 19 and 5 tokens and one token of padding; rows 0, 18 and 23. Keys of the first sequence reach into a
// second block.
Outcome run(const std::shared_ptr<Graph> &graph, uint32_t kv_heads, uint32_t layers, const Variant &variant) {
    const auto partition = cut(graph, variant.splitting);
    const auto &weights = graph->weights();
    const auto cache =
        std::make_shared<KvCache>(weights->device(), weights->storage(), std::max(layers, 1u), kv_heads, 16, 4);
    Step step(partition, cache, {.max_tokens = 32, .max_sequences = 4, .max_rows = 8, .max_blocks = 2});
    const auto fill = [&](uint32_t buffer, const std::vector<int32_t> &content) {
        std::memcpy(step.buffer(buffer).address, content.data(), content.size() * 4);
    };
    std::vector<int32_t> tokens(25), positions(25), slots(25, -1);
    for (int32_t t = 0; t < 25; t++) tokens[static_cast<size_t>(t)] = t * 7 % 40;
    std::iota(positions.begin(), positions.begin() + 19, 0);
    std::iota(positions.begin() + 19, positions.begin() + 24, 0);
    std::iota(slots.begin(), slots.begin() + 16, 2 * 16);      // block 2
    std::iota(slots.begin() + 16, slots.begin() + 19, 0);      // block 0
    std::iota(slots.begin() + 19, slots.begin() + 24, 3 * 16); // block 3
    fill(INTARSIA_BUFFER_TOKENS, tokens);
    fill(INTARSIA_BUFFER_POSITIONS, positions);
    fill(INTARSIA_BUFFER_SLOTS, slots);
    fill(INTARSIA_BUFFER_ROWS, {0, 18, 23});
    fill(INTARSIA_BUFFER_QUERY_STARTS, {0, 19, 24});
    fill(INTARSIA_BUFFER_LENGTHS, {19, 5});
    fill(INTARSIA_BUFFER_BLOCK_TABLES, {2, 0, 3, 0});
    step.begin(25, 2, 3);
    for (uint32_t p = 0; p < partition->pieces().size(); p++) {
        const Piece &piece = partition->piece(p);
        const uint32_t n = piece.dim == Dim::TOKENS ? 25 : 3;
        step.execute(
            Executable(partition, piece.class_id, variant.exact ? n : 1, variant.exact ? n : 32, variant.fused), p);
    }
    Outcome outcome;
    const auto *logits = static_cast<const float *>(step.buffer(INTARSIA_BUFFER_LOGITS).address);
    outcome.logits.assign(logits, logits + 3 * graph->values()[graph->output()].width);
    if (layers != 0) {
        const auto *words = static_cast<const uint32_t *>(cache->layer(0).keys); // layers follow each other
        outcome.cache.assign(words, words + cache->bytes() / 4);
    }
    return outcome;
}

const std::vector<Variant> kVariants{
    {{}, true, false},
    {{}, true, true},
    {{OpKind::ATTENTION}, false, false},
    {{OpKind::ATTENTION}, true, false},
    {{OpKind::ATTENTION}, true, true},
    {{OpKind::ROPE, OpKind::ADD}, true, false},
    {{OpKind::LINEAR}, false, true},
};

// NaN equals NaN: which of two an addition passes on is not said.
void expect_same_bits(const Outcome &expected, const Outcome &actual) {
    ASSERT_EQ(expected.logits.size(), actual.logits.size());
    for (size_t i = 0; i < expected.logits.size(); i++) {
        if (std::isnan(expected.logits[i])) {
            ASSERT_TRUE(std::isnan(actual.logits[i])) << i;
        } else {
            ASSERT_EQ(0, std::memcmp(&expected.logits[i], &actual.logits[i], 4))
                << i << ": " << expected.logits[i] << ", " << actual.logits[i];
        }
    }
}

constexpr std::pair<Storage, Storage> kFormats[] = {
    {Storage::BF16, Storage::BF16}, {Storage::F32, Storage::F32},  {Storage::BF16, Storage::INT8},
    {Storage::BF16, Storage::INT4}, {Storage::F32, Storage::INT8}, {Storage::F32, Storage::INT4},
};

TEST(Bits, OfADecoderAreTheSameHoweverItIsCompiled) {
    for (const auto &[storage, matrices] : kFormats) {
        for (bool option : {false, true}) {
            const auto graph =
                build({.layers = 3, .storage = storage, .matrices = matrices, .head_norm = option, .bias = !option});
            const Outcome expected = run(graph, Decoder::kv_heads, 3, {{}, false, false});
            for (float logit : expected.logits) ASSERT_TRUE(std::isfinite(logit));
            ASSERT_NE(expected.logits.front(), expected.logits.back());
            for (const Variant &variant : kVariants) {
                const Outcome actual = run(graph, Decoder::kv_heads, 3, variant);
                expect_same_bits(expected, actual);
                ASSERT_EQ(expected.cache, actual.cache);
            }
        }
    }
}

TEST(Bits, OfRandomGraphsAreTheSameHoweverTheyAreCompiled) {
    uint32_t finite = 0;
    for (uint32_t seed = 0; seed < 60 && !HasFailure(); seed++) {
        SCOPED_TRACE(text("seed ", seed));
        const auto [storage, matrices] = kFormats[seed % 6];
        const RandomGraph random(seed, storage, matrices, 50);
        uint32_t layers = 0;
        for (const Op &op : random.graph->ops()) layers += op.kind == OpKind::CACHE_APPEND;
        const Outcome expected = run(random.graph, 2, layers, {{}, false, false});
        finite += std::isfinite(expected.logits[0]) && expected.logits[0] != 0;
        for (const Variant &variant : kVariants) {
            const Outcome actual = run(random.graph, 2, layers, variant);
            expect_same_bits(expected, actual);
            ASSERT_EQ(expected.cache, actual.cache);
        }
    }
    EXPECT_GT(finite, 45u);
}

} // namespace
} // namespace intarsia
