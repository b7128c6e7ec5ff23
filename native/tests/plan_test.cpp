// Recordings whose members seldom wait for each other: the bits of calls made one by one, and the meetings that are left. Under ThreadSanitizer
// the same tests find a meeting that is missing.
#include "runtime/plan.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>

#include "graph_support.h"
#include "runtime/step.h"

namespace intarsia {
namespace {

using cpu::Storage;
using testing::build;
using testing::cut;
using testing::Decoder;
using testing::RandomGraph;

constexpr uint32_t kContext = 19; // tokens of the sequence before the step that is recorded

enum class Way { CALLED, REPLAYED_BY_PIECE, REPLAYED_WHOLE };

struct Outcome {
    std::vector<uint32_t> logits; // bits; any NaN is one and the same, for which of two an addition passes on is not said
    std::vector<uint32_t> cache;
};

// A sequence whose first tokens are in the cache, and steps of its next ones.
class Sequence {
public:
    Sequence(const std::shared_ptr<Graph> &graph, const std::vector<OpKind> &splitting, uint32_t kv_heads, uint32_t layers)
        : partition_(cut(graph, splitting)), cache_(cache(graph, kv_heads, layers)),
          step_(partition_, cache_, {.max_tokens = 32, .max_sequences = 2, .max_rows = 4, .max_blocks = 2}) {
        std::vector<int32_t> tokens(kContext);
        for (int32_t &token : tokens) token = static_cast<int32_t>(&token - tokens.data()) * 7 % 40;
        begin(tokens, 0);
        execute(kContext);
    }

    // The logits of the last token and the cache, after a step of some tokens.
    Outcome run(const std::vector<int32_t> &tokens, Way way) {
        const auto n = static_cast<uint32_t>(tokens.size());
        begin(tokens, kContext);
        if (way == Way::CALLED) {
            execute(n);
        } else {
            for (const auto &recording : record(n, way)) step_.replay(*recording);
        }
        Outcome outcome;
        const auto *logits = static_cast<const float *>(step_.buffer(INTARSIA_BUFFER_LOGITS).address);
        for (uint32_t i = 0; i < partition_->graph()->values()[partition_->graph()->output()].width; i++)
            outcome.logits.push_back(std::isnan(logits[i]) ? 0x7FC00000u : std::bit_cast<uint32_t>(logits[i]));
        const auto *words = static_cast<const uint32_t *>(cache_->layer(0).keys); // layers follow each other
        outcome.cache.assign(words, words + cache_->bytes() / 4);
        return outcome;
    }

    // The plan of a whole step.
    std::vector<CallPlan> plan(const std::vector<int32_t> &tokens) {
        begin(tokens, kContext);
        return record(static_cast<uint32_t>(tokens.size()), Way::REPLAYED_WHOLE).at(0)->plan();
    }

private:
    std::vector<std::shared_ptr<Recording>> record(uint32_t n, Way way) {
        std::vector<Executable> executables = compile(n);
        std::vector<std::shared_ptr<Recording>> recordings;
        std::vector<Step::Part> parts;
        for (uint32_t p = 0; p < executables.size(); p++) {
            parts.push_back({&executables[p], p});
            if (way == Way::REPLAYED_WHOLE && p + 1 < executables.size()) continue;
            recordings.push_back(step_.record(parts, false));
            parts.clear();
        }
        return recordings;
    }

    static std::shared_ptr<KvCache> cache(const std::shared_ptr<Graph> &graph, uint32_t kv_heads, uint32_t layers) {
        const auto &weights = graph->weights();
        return std::make_shared<KvCache>(weights->device(), weights->storage(), std::max(layers, 1u), kv_heads, 16, 3);
    }

    void begin(const std::vector<int32_t> &tokens, int32_t context) {
        const auto fill = [&](uint32_t buffer, const std::vector<int32_t> &content) {
            std::memcpy(step_.buffer(buffer).address, content.data(), content.size() * 4);
        };
        const auto n = static_cast<int32_t>(tokens.size());
        std::vector<int32_t> positions(tokens.size()), slots(tokens.size());
        std::iota(positions.begin(), positions.end(), context);
        for (size_t t = 0; t < slots.size(); t++) slots[t] = positions[t] < 16 ? 32 + positions[t] : positions[t] - 16; // blocks 2 and 0
        fill(INTARSIA_BUFFER_TOKENS, tokens);
        fill(INTARSIA_BUFFER_POSITIONS, positions);
        fill(INTARSIA_BUFFER_SLOTS, slots);
        fill(INTARSIA_BUFFER_ROWS, {n - 1});
        fill(INTARSIA_BUFFER_QUERY_STARTS, {0, n});
        fill(INTARSIA_BUFFER_LENGTHS, {context + n});
        fill(INTARSIA_BUFFER_BLOCK_TABLES, {2, 0});
        step_.begin(static_cast<uint32_t>(n), 1, 1);
    }

    // For the size alone or, every other piece, for a range that it is in.
    std::vector<Executable> compile(uint32_t n) const {
        std::vector<Executable> executables;
        for (uint32_t p = 0; p < partition_->pieces().size(); p++) {
            const Piece &piece = partition_->piece(p);
            const uint32_t size = piece.dim == Dim::TOKENS ? n : 1;
            executables.emplace_back(partition_, piece.class_id, p % 2 == 0 ? size : 1, p % 2 == 0 ? size : 32, true);
        }
        return executables;
    }

    void execute(uint32_t n) {
        const std::vector<Executable> executables = compile(n);
        for (uint32_t p = 0; p < executables.size(); p++) step_.execute(executables[p], p);
    }

    std::shared_ptr<Partition> partition_;
    std::shared_ptr<KvCache> cache_;
    Step step_;
};

const std::vector<std::vector<OpKind>> kCuts = {{}, {OpKind::ATTENTION}, {OpKind::ROPE, OpKind::ADD}};

// make(threads): the same graph for a device of so many threads.
template <typename Make> void expect_same_bits(Make make, uint32_t kv_heads, uint32_t layers) {
    for (const std::vector<int32_t> &tokens : {std::vector<int32_t>{5}, {5, 11, 2}}) {
        const Outcome wanted = Sequence(make(1), {}, kv_heads, layers).run(tokens, Way::CALLED);
        for (const uint32_t threads : {1u, 2u, 3u, 4u})
            for (const auto &splitting : kCuts)
                for (const Way way : {Way::CALLED, Way::REPLAYED_BY_PIECE, Way::REPLAYED_WHOLE}) {
                    Sequence sequence(make(threads), splitting, kv_heads, layers);
                    for (int again = 0; again < 3; again++) {
                        const Outcome made = sequence.run(tokens, way);
                        SCOPED_TRACE(text(tokens.size(), " tokens, ", threads, " threads, way ", static_cast<int>(way), ", run ", again));
                        ASSERT_EQ(made.logits, wanted.logits);
                        ASSERT_EQ(made.cache, wanted.cache);
                    }
                }
    }
}

TEST(Plan, TheBitsOfADecoder) {
    for (const Storage storage : {Storage::BF16, Storage::F32})
        for (const bool bias : {false, true}) {
            const auto make = [&](uint32_t threads) { return build(Decoder{.layers = 2, .storage = storage, .bias = bias, .threads = threads}); };
            expect_same_bits(make, Decoder::kv_heads, 2);
        }
}

TEST(Plan, TheBitsOfRandomGraphs) {
    for (uint32_t seed = 0; seed < 8; seed++) {
        const auto make = [&](uint32_t threads) {
            return RandomGraph(seed, seed % 2 == 0 ? Storage::BF16 : Storage::F32, 30, threads).graph;
        };
        uint32_t layers = 0;
        const auto graph = make(1);
        for (const Op &op : graph->ops())
            if (op.kind == OpKind::CACHE_APPEND) layers = std::max(layers, op.layer + 1);
        expect_same_bits(make, 2, layers);
    }
}

// Numbers of the calls before which members meet.
std::vector<size_t> meetings(const std::vector<CallPlan> &plan) {
    std::vector<size_t> calls;
    for (size_t i = 0; i < plan.size(); i++)
        if (plan[i].meets) calls.push_back(i);
    return calls;
}

TEST(Plan, MeetsFourTimesALayerForASingleToken) {
    // 0 embedding, 1 rope table; a layer: 2 norm, 3 q, k and v, 4 heads, 5 attention, 6 output and add, 7 norm, 8 gate and up, 9 down and add;
    // 18 rows, 19 norm, 20 logits.
    Sequence two(build(Decoder{.layers = 2, .threads = 2}), {OpKind::ATTENTION}, Decoder::kv_heads, 2);
    const std::vector<CallPlan> whole = two.plan({5});
    EXPECT_EQ(meetings(whole), (std::vector<size_t>{2, 6, 7, 9, 10, 14, 15, 17, 18, 19}));
    EXPECT_TRUE(whole[3].by_head);
    EXPECT_TRUE(whole[3].own_row);
    EXPECT_TRUE(whole[8].own_row);

    // Two heads of the cache cannot be dealt out evenly to three members, so they meet between projection, heads and attention.
    Sequence three(build(Decoder{.layers = 2, .threads = 3}), {OpKind::ATTENTION}, Decoder::kv_heads, 2);
    EXPECT_EQ(meetings(three.plan({5})),
              (std::vector<size_t>{2, 4, 5, 6, 7, 9, 10, 12, 13, 14, 15, 17, 18, 19}));

    // Several rows: each call deals them out in its own way; only the table of angles waits for nothing.
    EXPECT_EQ(meetings(two.plan({5, 11, 2})),
              (std::vector<size_t>{2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}));
}

TEST(Plan, MeetsWhereMemoryIsUsedAgain) {
    float a[64], b[64], c[64];
    const auto copy = [](const float *from, float *to) { return cpu::AddArgs{from, from, to, 4, 16}; };
    // The second reads what the first writes; the third writes what the second reads; the fourth has nothing to do with it.
    std::vector<KernelArgs> calls = {copy(a, b), copy(b, c), copy(a, b), copy(a + 1, a + 1)};
    EXPECT_EQ(meetings(plan_calls(calls, 4, 2)), (std::vector<size_t>{1, 2, 3}));
    // A single row is the last member's in every call.
    std::vector<KernelArgs> single = {cpu::AddArgs{a, a, b, 1, 16}, cpu::AddArgs{b, b, c, 1, 16}, cpu::AddArgs{a, a, b, 1, 16}};
    EXPECT_EQ(meetings(plan_calls(single, 1, 2)), std::vector<size_t>{});
    // Independent of each other.
    std::vector<KernelArgs> apart = {copy(a, b), copy(a, c)};
    EXPECT_EQ(meetings(plan_calls(apart, 4, 2)), std::vector<size_t>{});
}

} // namespace
} // namespace intarsia
