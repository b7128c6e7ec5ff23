// Executables: their kernel calls, fused and not, what is patched into them, and their memory.
#include <gtest/gtest.h>

#include "compile/arena.h"
#include "graph_support.h"
#include "symbolic_machine.h"

namespace intarsia {
namespace {

using cpu::Storage;
using testing::build;
using testing::cut;
using testing::Decoder;
using testing::error_of;
using testing::evaluate;
using testing::Machine;
using testing::RandomGraph;
using testing::Terms;
using testing::WeightSet;

using Lines = std::vector<std::string>;

Lines calls_of(const std::shared_ptr<Partition> &partition, uint32_t class_id, bool fused, uint32_t lo = 1,
               uint32_t hi = 64) {
    const Executable executable(partition, class_id, lo, hi, fused);
    Lines lines;
    for (const Instruction &instruction : executable.instructions()) lines.push_back(instruction.text);
    return lines;
}

// -------------------------------------------------------------------------------------------------------------- ranges

TEST(Executables, RefuseRangesThatCannotBe) {
    const auto partition = cut(build({}), {OpKind::ATTENTION});
    const auto compile = [&](uint32_t class_id, uint32_t lo, uint32_t hi) {
        return error_of([&] { Executable(partition, class_id, lo, hi, true); });
    };
    EXPECT_EQ("compile: the range (0, 8) must hold 1 <= lo <= hi <= 16777216", compile(0, 0, 8));
    EXPECT_EQ("compile: the range (9, 8) must hold 1 <= lo <= hi <= 16777216", compile(0, 9, 8));
    EXPECT_EQ("compile: the range (1, 16777217) must hold 1 <= lo <= hi <= 16777216", compile(0, 1, (1 << 24) + 1));
    EXPECT_EQ("compile: there is no class 4: the partition has 4", compile(4, 1, 8));
    EXPECT_EQ("", compile(0, 1, 1 << 24));
}

TEST(Executables, RefuseArenasLargerThanAnyMemory) {
    WeightSet set(Storage::F32);
    const uint32_t table = set.matrix(8, 4), norm = set.vector(1);
    auto graph = std::make_shared<Graph>(set.get(), 0, 0);
    graph->embedding(graph->input(INTARSIA_INPUT_TOKENS), table);
    graph->rms_norm(graph->empty(INTARSIA_DIM_TOKENS, 1 << 24), norm, 1);
    const auto partition = cut(graph, {});
    EXPECT_EQ("compile: the arena for 16777216 tokens would be over 281474976710656 bytes",
              error_of([&] { Executable(partition, 0, 1, 1 << 24, true); }));
    EXPECT_EQ(uint64_t{2} << 26, Executable(partition, 0, 1, 1, true).arena_bytes());
}

TEST(Executables, BakeTheSizeOfAFrozenPieceIn) {
    const auto partition = cut(build({.tokens = 8}), {OpKind::ATTENTION});
    const Executable executable(partition, 0, 1, 64, true);
    EXPECT_EQ(8u, executable.lo());
    EXPECT_EQ(8u, executable.hi());
    EXPECT_EQ(8u, std::get<cpu::EmbeddingArgs>(executable.instructions()[0].args).n);
    EXPECT_EQ("compile: the range (1, 7) does not contain 8, the size that the class 0 is frozen to",
              error_of([&] { Executable(partition, 0, 1, 7, true); }));
    EXPECT_EQ("compile: the range (9, 9) does not contain 8, the size that the class 0 is frozen to",
              error_of([&] { Executable(partition, 0, 9, 9, true); }));
    // The rows of this graph are symbolic.
    EXPECT_EQ(1u, Executable(partition, 3, 1, 64, true).lo());
    // One size of a symbolic piece is baked in too.
    EXPECT_EQ(5u, std::get<cpu::SelectRowsArgs>(Executable(partition, 3, 5, 5, true).instructions()[0].args).n);
}

// A device may do a linear and the calls after it as one: these must be all that read its outs, and must not write over what it reads.
TEST(Executables, KeepWhatALinearReadsForTheCallAfterIt) {
    constexpr uint64_t kHi = 64;
    for (const auto &split : {std::vector<OpKind>{OpKind::ATTENTION}, std::vector<OpKind>{}}) {
        const auto partition = cut(build({.layers = 3, .storage = Storage::BF16, .head_norm = true}), split);
        uint32_t sums = 0, heads = 0;
        for (uint32_t id = 0; id < partition->classes().size(); id++) {
            const Executable executable(partition, id, 1, kHi, true);
            const auto &instructions = executable.instructions();
            const auto place = [&](uint32_t i, size_t at, uint64_t row_bytes) { // in the arena, first and last byte
                for (const Patch &patch : instructions[i].patches)
                    if (patch.at == at && patch.kind == Patch::Kind::ARENA) return std::pair(patch.index, patch.index + kHi * row_bytes - 1);
                return std::pair(UINT64_MAX, UINT64_MAX);
            };
            for (uint32_t i = 0; i + 1 < instructions.size(); i++) {
                SCOPED_TRACE(instructions[i].text);
                const auto *linear = std::get_if<cpu::LinearArgs>(&instructions[i].args);
                if (linear == nullptr) continue;
                const auto x = place(i, offsetof(cpu::LinearArgs, x), linear->parts[0].weight.k * 2);
                const auto residual = place(i, offsetof(cpu::LinearArgs, residual), linear->parts[0].weight.n * 4);
                const auto apart = [&](std::pair<uint64_t, uint64_t> out) {
                    for (const auto &in : {x, residual})
                        EXPECT_TRUE(in.first == UINT64_MAX || out.first == UINT64_MAX || out.second < in.first || in.second < out.first);
                };
                if (const auto *norm = std::get_if<cpu::NormArgs>(&instructions[i + 1].args)) {
                    apart(place(i + 1, offsetof(cpu::NormArgs, out), norm->width * 2));
                    sums++;
                } else if (const auto *qkv = std::get_if<cpu::QkvArgs>(&instructions[i + 1].args)) {
                    EXPECT_TRUE(qkv->passing);
                    apart(place(i + 1, offsetof(cpu::QkvArgs, q) + offsetof(cpu::HeadsArgs, out), qkv->q.heads * qkv->q.head_dim * 2));
                    heads++;
                }
            }
        }
        EXPECT_GT(sums, 1u);
        EXPECT_GT(heads, 1u);
    }
}

// --------------------------------------------------------------------------------------------------------------- calls

TEST(Calls, OfTheFirstPiece) {
    const auto partition = cut(build({.layers = 3}), {OpKind::ATTENTION});
    EXPECT_EQ((Lines{
                  "embedding [100, 48] -> [T, 48]",
                  "rope_table -> [T, 16]",
                  "rms_norm [T, 48] -> [T, 48] bf16",
                  "linear [T, 48] x [64, 48] -> [T, 64]",
                  "linear [T, 48] x [32, 48] -> [T, 32]",
                  "linear [T, 48] x [32, 48] -> [T, 32]",
                  "rms_norm [T, 64] in groups of 16 -> [T, 64]",
                  "rms_norm [T, 32] in groups of 16 -> [T, 32]",
                  "qkv [T] q 4 x 16 rope -> [T, 64] bf16",
                  "qkv [T] q 2 x 16 rope -> [T, 32]",
                  "qkv [T] k 2 x 16 append, v append",
              }),
              calls_of(partition, 0, false));
    EXPECT_EQ((Lines{
                  "embedding [100, 48] -> [T, 48]",
                  "rope_table -> [T, 16]",
                  "rms_norm [T, 48] -> [T, 48] bf16",
                  "linear [T, 48] x [64, 48] [32, 48] [32, 48] -> [T, 64]",
                  "qkv [T] q 4 x 16 norm rope -> [T, 64] bf16, k 2 x 16 norm rope append, v append",
              }),
              calls_of(partition, 0, true));
}

TEST(Calls, OfAttention) {
    const auto partition = cut(build({.layers = 3}), {OpKind::ATTENTION});
    const Lines attention{"attention [T] 4/2 heads x 16 -> [T, 64] bf16"};
    EXPECT_EQ(attention, calls_of(partition, 1, false));
    EXPECT_EQ(attention, calls_of(partition, 1, true));
}

TEST(Calls, OfAMiddlePiece) {
    const auto partition = cut(build({.layers = 3, .head_norm = false, .bias = true}), {OpKind::ATTENTION});
    EXPECT_EQ((Lines{
                  "linear+add [T, 64] x [48, 64] -> [T, 48]",
                  "rms_norm [T, 48] -> [T, 48] bf16",
                  "linear+silu_mul [T, 48] x [80, 48] [80, 48] -> [T, 80] bf16",
                  "linear+add [T, 80] x [48, 80] -> [T, 48]",
                  "rms_norm [T, 48] -> [T, 48] bf16",
                  "linear [T, 48] x [64, 48]+bias [32, 48]+bias [32, 48]+bias -> [T, 64]",
                  "qkv [T] q 4 x 16 rope -> [T, 64] bf16, k 2 x 16 rope append, v append",
              }),
              calls_of(partition, 2, true));
    EXPECT_EQ(15u, calls_of(partition, 2, false).size());
}

TEST(Calls, OfTheLastPieces) {
    const auto partition = cut(build({.layers = 3, .storage = Storage::F32}), {OpKind::ATTENTION});
    EXPECT_EQ((Lines{
                  "linear+add [T, 64] x [48, 64] -> [T, 48]",
                  "rms_norm [T, 48] -> [T, 48]",
                  "linear+silu_mul [T, 48] x [80, 48] [80, 48] -> [T, 80]",
                  "linear+add [T, 80] x [48, 80] -> [T, 48]",
              }),
              calls_of(partition, 3, true));
    EXPECT_EQ((Lines{
                  "select_rows -> [R, 48]",
                  "rms_norm [R, 48] -> [R, 48]",
                  "linear [R, 48] x [100, 48] -> [R, 100]",
              }),
              calls_of(partition, 4, true));
    EXPECT_EQ("select_rows -> [7, 48]", calls_of(partition, 4, true, 7, 7)[0]);
}

TEST(Calls, OfAWholeDecoderPairQueriesWithTheirLayer) {
    const auto partition = cut(build({.layers = 2}), {});
    const Lines lines = calls_of(partition, 0, true);
    EXPECT_EQ(2u + 2 * 8, lines.size());
    EXPECT_EQ(2, std::count(lines.begin(), lines.end(),
                            "qkv [T] q 4 x 16 norm rope -> [T, 64] bf16, k 2 x 16 norm rope append, v append"));
}

TEST(Calls, DescribeIsReadable) {
    const auto partition = cut(build({}), {OpKind::ATTENTION});
    EXPECT_EQ("class 3, 1..4 rows: 3 kernels, arena 1152 bytes\n" // f32 and bf16 [4, 48]
              "select_rows -> [R, 48]\n"
              "rms_norm [R, 48] -> [R, 48] bf16\n"
              "linear [R, 48] x [100, 48] -> [R, 100]\n",
              Executable(partition, 3, 1, 4, true).describe());
    EXPECT_EQ("class 3, 2 rows: 3 kernels, arena 576 bytes\n",
              Executable(partition, 3, 2, 2, true).describe().substr(0, 44));
}

// ------------------------------------------------------------------------------------------------------------ patterns

// A small graph of one piece: x [tokens, 32] and what the test adds.
class Patterns : public ::testing::Test {
protected:
    uint32_t matrix() { return set.matrix(32, 32); }
    uint32_t linear(uint32_t in) { return graph->linear(in, matrix(), kNone); }
    uint32_t norm(uint32_t in) { return graph->rms_norm(in, norm32, 1e-6f); }
    uint32_t head_norm(uint32_t in) { return graph->rms_norm(in, norm16, 1e-6f); }
    uint32_t rope(uint32_t in) { return graph->rope(in, table); }
    void append(uint32_t k, uint32_t v, uint32_t layer = 0) {
        graph->cache_append(k, v, graph->input(INTARSIA_INPUT_SLOTS), layer, 2);
    }
    uint32_t attention(uint32_t q, uint32_t layer = 0) {
        return graph->attention(q, {sizeof(intarsia_attention_options), layer, 2, 2, 16, 0, 1, 0});
    }
    // Without the embedding and the table.
    Lines fused() {
        Lines lines = calls_of(cut(graph, {}), 0, true);
        lines.erase(lines.begin(), lines.begin() + 2);
        return lines;
    }

    WeightSet set{Storage::BF16};
    std::shared_ptr<Graph> graph = std::make_shared<Graph>(set.get(), 0, 0);
    uint32_t norm32 = set.vector(32), norm16 = set.vector(16);
    uint32_t x = graph->embedding(graph->input(INTARSIA_INPUT_TOKENS), set.matrix(8, 32));
    uint32_t table = graph->rope_table(graph->input(INTARSIA_INPUT_POSITIONS), set.vector(8), 1);
};

TEST_F(Patterns, AValueIsRoundedOnceForAllItsReaders) {
    for (int i = 0; i < 4; i++) norm(linear(x));
    attention((append(x, x), x));
    EXPECT_EQ((Lines{
                  "round [T, 32] -> bf16",
                  "linear [T, 32] x [32, 32] [32, 32] [32, 32] -> [T, 32]",
                  "rms_norm [T, 32] -> [T, 32]",
                  "rms_norm [T, 32] -> [T, 32]",
                  "rms_norm [T, 32] -> [T, 32]",
                  "linear [T, 32] x [32, 32] -> [T, 32]",
                  "rms_norm [T, 32] -> [T, 32]",
                  "qkv [T] k 2 x 16 append, v append",
                  "attention [T] 2/2 heads x 16 -> [T, 32]",
              }),
              fused());
}

TEST_F(Patterns, LinearsStoredUnalikeAreNotOneCall) {
    const uint32_t in = norm(x), low = linear(in), high = linear(in);
    graph->add(high, linear(low));
    EXPECT_EQ((Lines{
                  "rms_norm [T, 32] -> [T, 32] bf16",
                  "linear [T, 32] x [32, 32] -> [T, 32] bf16",
                  "linear [T, 32] x [32, 32] -> [T, 32]",
                  "linear+add [T, 32] x [32, 32] -> [T, 32]",
              }),
              fused());
}

TEST_F(Patterns, ALinearBetweenPartsTheNeighbours) {
    const uint32_t in = norm(x), a = linear(in), other = linear(norm(a)), b = linear(in);
    graph->silu_mul(b, norm(other));
    EXPECT_EQ((Lines{
                  "rms_norm [T, 32] -> [T, 32] bf16",
                  "linear [T, 32] x [32, 32] -> [T, 32]",
                  "rms_norm [T, 32] -> [T, 32] bf16",
                  "linear [T, 32] x [32, 32] -> [T, 32]",
                  "linear [T, 32] x [32, 32] -> [T, 32]",
                  "rms_norm [T, 32] -> [T, 32]",
                  "silu_mul -> [T, 32]",
              }),
              fused());
}

TEST_F(Patterns, NeighboursRunWhereTheFirstStands) {
    const uint32_t in = norm(x), a = linear(in), used = norm(a), b = linear(in);
    graph->silu_mul(used, b);
    EXPECT_EQ((Lines{
                  "rms_norm [T, 32] -> [T, 32] bf16",
                  "linear [T, 32] x [32, 32] [32, 32] -> [T, 32]",
                  "rms_norm [T, 32] -> [T, 32]",
                  "silu_mul -> [T, 32]",
              }),
              fused());
}

TEST_F(Patterns, AGateThatIsReadElsewhereIsMade) {
    const uint32_t in = norm(x), gate = linear(in), up = linear(in);
    graph->add(graph->silu_mul(gate, up), gate);
    EXPECT_EQ((Lines{
                  "rms_norm [T, 32] -> [T, 32] bf16",
                  "linear [T, 32] x [32, 32] [32, 32] -> [T, 32]",
                  "silu_mul -> [T, 32]",
                  "add -> [T, 32]",
              }),
              fused());
}

TEST_F(Patterns, GateAndUpOfTwoValuesStayApart) {
    const uint32_t gate = linear(norm(x)), up = linear(head_norm(x));
    graph->silu_mul(gate, up);
    EXPECT_EQ((Lines{
                  "rms_norm [T, 32] -> [T, 32] bf16",
                  "linear [T, 32] x [32, 32] -> [T, 32]",
                  "rms_norm [T, 32] in groups of 16 -> [T, 32] bf16",
                  "linear [T, 32] x [32, 32] -> [T, 32]",
                  "silu_mul -> [T, 32]",
              }),
              fused());
}

TEST_F(Patterns, AResidualMayComeSecondAndMayBeX) {
    graph->add(linear(x), x);
    EXPECT_EQ((Lines{"round [T, 32] -> bf16", "linear+add [T, 32] x [32, 32] -> [T, 32]"}), fused());
}

TEST_F(Patterns, ALinearAddedToItselfIsMade) {
    const uint32_t y = linear(norm(x));
    graph->add(y, y);
    EXPECT_EQ((Lines{"rms_norm [T, 32] -> [T, 32] bf16", "linear [T, 32] x [32, 32] -> [T, 32]", "add -> [T, 32]"}),
              fused());
}

TEST_F(Patterns, HeadNormAndRopeWithoutACache) {
    norm(rope(head_norm(x)));
    EXPECT_EQ((Lines{"qkv [T] q 2 x 16 norm rope -> [T, 32]", "rms_norm [T, 32] -> [T, 32]"}), fused());
}

TEST_F(Patterns, ANormOverOtherGroupsIsNotOfHeads) {
    norm(rope(norm(x)));
    EXPECT_EQ((Lines{"rms_norm [T, 32] -> [T, 32]", "qkv [T] q 2 x 16 rope -> [T, 32]", "rms_norm [T, 32] -> [T, 32]"}),
              fused());
}

TEST_F(Patterns, KeysAreNormedWithoutRope) {
    append(head_norm(x), x);
    EXPECT_EQ((Lines{"qkv [T] k 2 x 16 norm append, v append"}), fused());
}

TEST_F(Patterns, KeysThatAreReadElsewhereAreMade) {
    const uint32_t k = rope(x);
    append(k, x);
    norm(k);
    EXPECT_EQ(
        (Lines{"qkv [T] q 2 x 16 rope -> [T, 32]", "qkv [T] k 2 x 16 append, v append", "rms_norm [T, 32] -> [T, 32]"}),
        fused());
}

TEST_F(Patterns, ARopeOfOtherHeadsIsNotOfTheKeys) {
    graph->cache_append(rope(x), x, graph->input(INTARSIA_INPUT_SLOTS), 0, 1); // one head of 32, the rope turns 16
    EXPECT_EQ((Lines{"qkv [T] q 2 x 16 rope -> [T, 32]", "qkv [T] k 1 x 32 append, v append"}), fused());
}

TEST_F(Patterns, QueriesReadBeforeTheAppendGoFirst) {
    const uint32_t q = rope(x);
    const uint32_t k = norm(q);
    append(rope(k), x);
    attention(q);
    EXPECT_EQ((Lines{
                  "qkv [T] q 2 x 16 rope -> [T, 32]",
                  "rms_norm [T, 32] -> [T, 32]",
                  "qkv [T] k 2 x 16 rope append, v append",
                  "round [T, 32] -> bf16",
                  "attention [T] 2/2 heads x 16 -> [T, 32]",
              }),
              fused());
}

TEST_F(Patterns, AnAppendWaitsForItsQueries) {
    append(rope(x), x);
    attention(rope(head_norm(x)));
    EXPECT_EQ((Lines{
                  "qkv [T] q 2 x 16 norm rope -> [T, 32] bf16, k 2 x 16 rope append, v append",
                  "attention [T] 2/2 heads x 16 -> [T, 32]",
              }),
              fused());
}

TEST_F(Patterns, AnAppendDoesNotWaitPastAnAttention) {
    append(rope(x), x);
    attention(x);
    attention(rope(x));
    EXPECT_EQ((Lines{
                  "qkv [T] k 2 x 16 rope append, v append",
                  "round [T, 32] -> bf16",
                  "attention [T] 2/2 heads x 16 -> [T, 32]",
                  "qkv [T] q 2 x 16 rope -> [T, 32] bf16",
                  "attention [T] 2/2 heads x 16 -> [T, 32]",
              }),
              fused());
}

TEST_F(Patterns, AllocationsNeedNoKernelButABufferForTheirReaders) {
    const uint32_t a = graph->empty(INTARSIA_DIM_TOKENS, 32), b = graph->empty(INTARSIA_DIM_TOKENS, 32);
    graph->empty(INTARSIA_DIM_TOKENS, 1 << 20); // read by none
    graph->add(graph->silu_mul(a, b), a);
    const auto partition = cut(graph, {});
    const Executable executable(partition, 0, 1, 16, true);
    ASSERT_EQ(4u, executable.instructions().size());
    const auto &patches = executable.instructions()[2].patches; // gate, up, out and the size
    std::set<uint64_t> offsets;
    for (const Patch &patch : patches)
        if (patch.kind == Patch::Kind::ARENA) offsets.insert(patch.index);
    EXPECT_EQ(3u, offsets.size());
    EXPECT_LE(executable.arena_bytes(), 5u * 16 * 32 * 4);
}

// --------------------------------------------------------------------------------------------------------------- terms

void check_all(const std::shared_ptr<Partition> &partition) {
    const Storage storage = partition->graph()->weights()->storage();
    for (uint32_t id = 0; id < partition->classes().size(); id++) {
        const PieceClass &made = partition->classes()[id];
        Terms terms;
        const auto expected = evaluate(made, storage, terms);
        std::set<uint32_t> to_round;
        for (const Op &op : made.ops)
            if (op.kind == OpKind::LINEAR || op.kind == OpKind::ATTENTION) to_round.insert(op.inputs[0]);
        for (bool fused : {false, true}) {
            for (const auto &[lo, hi] : {std::pair{1u, 33u}, std::pair{4u, 4u}}) {
                const Executable executable(partition, id, lo, hi, fused);
                SCOPED_TRACE(executable.describe());
                ASSERT_EQ(expected, Machine(executable, terms).run());
                const auto &instructions = executable.instructions();
                const auto rounds = static_cast<size_t>(
                    std::count_if(instructions.begin(), instructions.end(), [](const auto &instruction) {
                        return std::holds_alternative<cpu::RoundArgs>(instruction.args);
                    }));
                ASSERT_LE(rounds, to_round.size());
                if (!fused) {
                    const auto is_empty = [](const Op &op) { return op.kind == OpKind::EMPTY; };
                    const auto empty = static_cast<size_t>(std::count_if(made.ops.begin(), made.ops.end(), is_empty));
                    ASSERT_EQ(made.ops.size() - empty, instructions.size() - rounds);
                }
                if (::testing::Test::HasFailure()) return;
            }
        }
    }
}

TEST(Terms, OfADecoderAreThoseOfItsOps) {
    for (Storage storage : {Storage::F32, Storage::BF16}) {
        for (bool option : {false, true}) {
            const Decoder model{.layers = 3, .storage = storage, .head_norm = option, .bias = !option};
            check_all(cut(build(model), {OpKind::ATTENTION}));
            check_all(cut(build(model), {OpKind::ROPE}));
            check_all(cut(build(model), {OpKind::LINEAR, OpKind::CACHE_APPEND}));
            check_all(cut(build(model), {}));
        }
    }
}

TEST(Terms, OfRandomGraphsAreThoseOfTheirOps) {
    for (uint32_t seed = 0; seed < 400 && !HasFailure(); seed++) {
        const RandomGraph random(seed, seed % 4 ? Storage::BF16 : Storage::F32, 60 + seed % 80);
        SCOPED_TRACE(text("seed ", seed));
        const std::vector<OpKind> kinds[] = {{}, {OpKind::ATTENTION}, {OpKind::RMS_NORM, OpKind::CACHE_APPEND}};
        check_all(cut(random.graph, kinds[seed % 3]));
    }
}

// --------------------------------------------------------------------------------------------------------------- arena

TEST(Arena, BuffersInUseAtOnceDoNotOverlap) {
    std::mt19937 random(3);
    for (int round = 0; round < 200; round++) {
        std::vector<Buffer> buffers;
        for (uint32_t first = 0; first < 40; first += random() % 3) {
            buffers.push_back(
                {1 + random() % (1u << (random() % 12)), first, static_cast<uint32_t>(first + random() % 10)});
        }
        const uint64_t bytes = plan_arena(buffers);
        uint64_t all = 0, end = 0;
        for (size_t i = 0; i < buffers.size(); i++) {
            const Buffer &a = buffers[i];
            EXPECT_EQ(0u, a.offset % 64);
            all += (a.bytes + 63) / 64 * 64;
            end = std::max(end, a.offset + a.bytes);
            for (size_t j = 0; j < i; j++) {
                const Buffer &b = buffers[j];
                const bool together = a.first <= b.last && b.first <= a.last;
                EXPECT_FALSE(together && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes);
            }
        }
        EXPECT_EQ((end + 63) / 64 * 64, bytes);
        EXPECT_LE(bytes, all);
    }
}

TEST(Arena, MemoryIsUsedAgain) {
    std::vector<Buffer> chain;
    for (uint32_t i = 0; i < 100; i++) chain.push_back({1000, i, i + 1}); // each is read by the maker of the next
    EXPECT_EQ(2048u, plan_arena(chain));
    std::vector<Buffer> none;
    EXPECT_EQ(0u, plan_arena(none));
    std::vector<Buffer> neighbours{{64, 0, 1}, {64, 0, 1}, {128, 2, 3}}; // two that ended make room for a larger one
    EXPECT_EQ(128u, plan_arena(neighbours));
    std::vector<Buffer> growing{{64, 0, 0}, {128, 1, 1}, {256, 2, 2}};
    EXPECT_EQ(256u, plan_arena(growing));
    std::vector<Buffer> huge{{kMaxArena, 0, 1}, {64, 1, 2}};
    EXPECT_EQ(UINT64_MAX, plan_arena(huge));
}

} // namespace
} // namespace intarsia
