// A CUDA device beside the CPU: the same graphs, weights and steps give logits within what rounding explains, and on the CUDA device itself the same
// bits however a step is run. Skipped, with the device's reason, where there is none; INTARSIA_TEST_GPU names a plug-in to take in place of the one beside it.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "graph_support.h"
#include "runtime/gpu.h"
#include "runtime/step.h"

namespace intarsia {
namespace {

using cpu::Storage;
using testing::cut;
using testing::WeightSet;

const Gpus &looked_for() {
    if (const char *path = std::getenv("INTARSIA_TEST_GPU")) set_gpu_plugin(path);
    return gpus();
}

#define NEEDS_CUDA() \
    if (looked_for().devices.empty()) GTEST_SKIP() << "no CUDA device: " << gpus().reason

struct Shape {
    uint32_t hidden, heads, kv_heads, head_dim, inner, vocabulary, layers, window;
};

constexpr Shape kShapes[] = {
    {48, 4, 2, 16, 80, 100, 3, 0},       // nothing divides evenly
    {64, 4, 1, 64, 96, 333, 2, 24},      // a window, one head of the cache
    {33, 3, 3, 22, 37, 65, 2, 0},        // odd widths
    {256, 16, 8, 128, 512, 1000, 2, 0},  // heads of 128, as large models have
};

std::shared_ptr<Graph> decoder(const Shape &shape, const std::shared_ptr<Device> &device, Storage storage) {
    WeightSet set(device, storage, storage);
    auto graph = std::make_shared<Graph>(set.get(), 0, 0);
    constexpr float eps = 1e-6f;
    const uint32_t embedding = set.matrix(shape.vocabulary, shape.hidden);
    uint32_t x = graph->embedding(graph->input(INTARSIA_INPUT_TOKENS), embedding);
    const uint32_t table = graph->rope_table(graph->input(INTARSIA_INPUT_POSITIONS), set.vector(shape.head_dim / 2), 1);
    const auto project = [&](uint32_t in, uint32_t n, bool bias = false) {
        const uint32_t matrix = set.matrix(n, graph->values()[in].width);
        return graph->linear(in, matrix, bias ? set.vector(n) : kNone);
    };
    for (uint32_t layer = 0; layer < shape.layers; layer++) {
        const uint32_t normed = graph->rms_norm(x, set.vector(shape.hidden), eps);
        uint32_t q = project(normed, shape.heads * shape.head_dim, layer == 0);
        uint32_t k = project(normed, shape.kv_heads * shape.head_dim, layer == 0);
        const uint32_t v = project(normed, shape.kv_heads * shape.head_dim);
        q = graph->rope(graph->rms_norm(q, set.vector(shape.head_dim), eps), table);
        k = graph->rope(graph->rms_norm(k, set.vector(shape.head_dim), eps), table);
        graph->cache_append(k, v, graph->input(INTARSIA_INPUT_SLOTS), layer, shape.kv_heads);
        const float scale = 1 / std::sqrt(static_cast<float>(shape.head_dim));
        const uint32_t attended = graph->attention(
            q, {sizeof(intarsia_attention_options), layer, shape.heads, shape.kv_heads, shape.head_dim, shape.window, scale, 0});
        x = graph->add(x, project(attended, shape.hidden));
        const uint32_t inner = graph->rms_norm(x, set.vector(shape.hidden), eps);
        const uint32_t gate = project(inner, shape.inner), up = project(inner, shape.inner);
        x = graph->add(x, project(graph->silu_mul(gate, up), shape.hidden));
    }
    x = graph->select_rows(x, graph->input(INTARSIA_INPUT_ROWS));
    graph->output(graph->linear(graph->rms_norm(x, set.vector(shape.hidden), eps), embedding, kNone));
    return graph;
}

intarsia_sampling greedy_row() {
    intarsia_sampling row{};
    row.top_p = 1;
    return row;
}

enum class Way { CALLED, UNFUSED, REPLAYED_BY_PIECE, REPLAYED_WHOLE };

// Some sequences on one device, whose tokens are run in steps of any sizes.
class Runner {
public:
    static constexpr uint32_t kTokens = 640, kSequences = 8, kBlocks = 48;

    Runner(const Shape &shape, std::shared_ptr<Device> device, Storage storage)
        : shape_(shape), partition_(cut(decoder(shape, device, storage), {OpKind::ATTENTION})),
          cache_(std::make_shared<KvCache>(std::move(device), storage, shape.layers, shape.kv_heads, shape.head_dim, kBlocks * kSequences)),
          step_(partition_, cache_, {.max_tokens = kTokens, .max_sequences = kSequences, .max_rows = kTokens, .max_blocks = kBlocks}) {}

    struct Part {
        uint32_t sequence, first, count; // tokens first .. first + count - 1 of the sequence
    };

    // Logits of every token of the parts; `padding` tokens more belong to no sequence.
    std::vector<float> run(const std::vector<Part> &parts, Way way = Way::CALLED, uint32_t padding = 0) {
        uint32_t n = 0, s = 0;
        for (const Part &part : parts) {
            put(INTARSIA_BUFFER_QUERY_STARTS, s, static_cast<int32_t>(n));
            put(INTARSIA_BUFFER_LENGTHS, s, static_cast<int32_t>(part.first + part.count));
            for (uint32_t b = 0; b < kBlocks; b++) put(INTARSIA_BUFFER_BLOCK_TABLES, s * kBlocks + b, block(part.sequence, b));
            for (uint32_t p = part.first; p < part.first + part.count; p++, n++) {
                put(INTARSIA_BUFFER_TOKENS, n, static_cast<int32_t>((p * 31 + part.sequence * 17) % shape_.vocabulary));
                put(INTARSIA_BUFFER_POSITIONS, n, static_cast<int32_t>(p));
                put(INTARSIA_BUFFER_SLOTS, n, block(part.sequence, p / 16) * 16 + static_cast<int32_t>(p % 16));
                put(INTARSIA_BUFFER_ROWS, n, static_cast<int32_t>(n));
            }
            s++;
        }
        put(INTARSIA_BUFFER_QUERY_STARTS, s, static_cast<int32_t>(n));
        for (uint32_t i = 0; i < padding; i++) {
            put(INTARSIA_BUFFER_TOKENS, n + i, 1);
            put(INTARSIA_BUFFER_POSITIONS, n + i, 0);
            put(INTARSIA_BUFFER_SLOTS, n + i, -1);
        }
        const uint32_t rows = n;
        step_.begin(n + padding, s, rows);
        std::vector<std::unique_ptr<Executable>> executables;
        std::vector<Step::Part> pieces;
        for (uint32_t p = 0; p < partition_->pieces().size(); p++) {
            const uint32_t size = partition_->pieces()[p].dim == Dim::TOKENS ? n + padding : rows;
            executables.push_back(
                std::make_unique<Executable>(partition_, partition_->pieces()[p].class_id, size, size, way != Way::UNFUSED));
            pieces.push_back({executables.back().get(), p});
        }
        if (way == Way::REPLAYED_WHOLE) {
            for (uint32_t r = 0; r < rows; r++) row(r) = greedy_row();
            const auto recording = step_.record(pieces, true);
            step_.replay(*recording);
        } else if (way == Way::REPLAYED_BY_PIECE) {
            for (const Step::Part &piece : pieces) step_.replay(*step_.record({piece}, false));
        } else {
            for (const Step::Part &piece : pieces) step_.execute(*piece.executable, piece.piece);
        }
        step_.read_logits(rows);
        const auto *logits = static_cast<const float *>(step_.buffer(INTARSIA_BUFFER_LOGITS).address);
        return {logits, logits + uint64_t{rows} * shape_.vocabulary};
    }

    Step &step() { return step_; }
    intarsia_sampling &row(uint32_t r) { return static_cast<intarsia_sampling *>(step_.buffer(INTARSIA_BUFFER_SAMPLING).address)[r]; }
    int32_t sampled(uint32_t r) { return static_cast<int32_t *>(step_.buffer(INTARSIA_BUFFER_SAMPLED).address)[r]; }

private:
    void put(uint32_t buffer, uint32_t at, int32_t value) { static_cast<int32_t *>(step_.buffer(buffer).address)[at] = value; }
    // Blocks are scattered over the pool.
    static int32_t block(uint32_t sequence, uint32_t b) { return static_cast<int32_t>((b * kSequences + sequence) * 5 % (kBlocks * kSequences)); }

    const Shape shape_;
    std::shared_ptr<Partition> partition_;
    std::shared_ptr<KvCache> cache_;
    Step step_;
};

std::shared_ptr<Device> cuda(bool deterministic) {
    return std::make_shared<Device>(select_kernels(""), 1, std::make_shared<Gpu>(0, deterministic, uint64_t{2} << 30));
}

double error(const std::vector<float> &got, const std::vector<float> &want) {
    double difference = 0, norm = 0;
    for (size_t i = 0; i < want.size(); i++) {
        difference += (double{got[i]} - want[i]) * (double{got[i]} - want[i]);
        norm += double{want[i]} * want[i];
    }
    return std::sqrt(difference / norm);
}

bool same_bits(const std::vector<float> &a, const std::vector<float> &b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<float> rows(const std::vector<float> &logits, uint32_t vocabulary, uint32_t first, uint32_t count) {
    return {logits.begin() + uint64_t{first} * vocabulary, logits.begin() + uint64_t{first + count} * vocabulary};
}

TEST(Cuda, LogitsAreThoseOfTheCpu) {
    NEEDS_CUDA();
    for (const bool deterministic : {false, true})
        for (const Storage storage : {Storage::F32, Storage::BF16})
            for (const Shape &shape : kShapes) {
                Runner gpu(shape, cuda(deterministic), storage);
                Runner cpu(shape, std::make_shared<Device>(select_kernels(""), 2), storage);
                const double bound = storage == Storage::F32 ? 1e-5 : 2e-2;
                SCOPED_TRACE(::testing::Message() << "head_dim " << shape.head_dim << (storage == Storage::F32 ? " f32" : " bf16")
                                                  << (deterministic ? " deterministic" : ""));
                const std::vector<std::vector<Runner::Part>> steps = {
                    {{0, 0, 1}}, {{0, 1, 1}}, {{0, 2, 5}}, {{1, 0, 70}}, {{0, 7, 1}, {1, 70, 1}},
                    {{0, 8, 1}, {2, 0, 130}, {1, 71, 3}}, {{3, 0, 500}}, {{3, 500, 1}, {0, 9, 1}, {1, 74, 1}, {2, 130, 1}}, {{3, 501, 100}}};
                for (size_t i = 0; i < steps.size(); i++) {
                    const double off = error(gpu.run(steps[i]), cpu.run(steps[i]));
                    EXPECT_LT(off, bound) << "step " << i;
                }
            }
}

// One sequence of 200 tokens token by token, in chunks, whole, with others and padded, called and replayed: each token's logits.
TEST(Cuda, TheSameBitsHoweverAStepIsRun) {
    NEEDS_CUDA();
    for (const Storage storage : {Storage::F32, Storage::BF16})
        for (const Shape &shape : kShapes) {
            SCOPED_TRACE(::testing::Message() << "head_dim " << shape.head_dim << (storage == Storage::F32 ? " f32" : " bf16"));
            Runner runner(shape, cuda(true), storage);
            const uint32_t v = shape.vocabulary;
            const std::vector<float> whole = runner.run({{0, 0, 200}});
            for (const Way way : {Way::UNFUSED, Way::REPLAYED_BY_PIECE, Way::REPLAYED_WHOLE})
                EXPECT_TRUE(same_bits(runner.run({{1, 0, 200}}, way), runner.run({{1, 0, 200}}))) << "way " << static_cast<int>(way);
            EXPECT_TRUE(same_bits(runner.run({{0, 0, 200}}, Way::CALLED, 56), whole)) << "padded";
            for (const uint32_t chunk : {1u, 3u, 8u, 9u, 64u, 130u})
                for (uint32_t first = 0; first < 200; first += chunk) {
                    const uint32_t count = std::min(chunk, 200 - first);
                    const Way way = first % 2 == 0 ? Way::REPLAYED_WHOLE : Way::CALLED;
                    ASSERT_TRUE(same_bits(runner.run({{0, first, count}}, way), rows(whole, v, first, count)))
                        << "chunks of " << chunk << " at " << first;
                }
            runner.run({{2, 0, 90}});
            const std::vector<float> batch = runner.run({{2, 90, 1}, {0, 150, 1}, {3, 0, 40}, {0, 0, 0}});
            EXPECT_TRUE(same_bits(rows(batch, v, 1, 1), rows(whole, v, 150, 1))) << "in a batch";
        }
}

// Keys and values of earlier steps are read before those of this step are written, unless a sequence has those of another.
TEST(Cuda, ASequenceReadsWhatAnotherWritesInTheSameStep) {
    NEEDS_CUDA();
    for (const Storage storage : {Storage::F32, Storage::BF16})
        for (const Shape &shape : kShapes)
            for (const uint32_t count : {1u, 3u, 7u, 37u, 100u}) {
                Runner runner(shape, cuda(true), storage), together(shape, cuda(true), storage);
                for (Runner *each : {&runner, &together}) each->run({{0, 0, 20}, {1, 0, 5}});
                const std::vector<float> of_first = runner.run({{0, 20, count}});
                const std::vector<float> of_second = runner.run({{0, 20 + count, 1}});
                // The second part has the same blocks as the first, as another sequence would that begins alike.
                const std::vector<float> got = together.run({{0, 20, count}, {0, 20 + count, 1}, {1, 5, 1}});
                SCOPED_TRACE(::testing::Message() << "head_dim " << shape.head_dim << (storage == Storage::F32 ? " f32" : " bf16") << ", " << count << " tokens");
                EXPECT_TRUE(same_bits(rows(got, shape.vocabulary, 0, count), of_first));
                EXPECT_TRUE(same_bits(rows(got, shape.vocabulary, count, 1), of_second));
            }
}

TEST(Cuda, SamplesOnTheDeviceWhatTheHostSamples) {
    NEEDS_CUDA();
    const Shape shape = kShapes[3];
    Runner runner(shape, cuda(false), Storage::BF16);
    constexpr uint32_t kRows = 40;
    const std::vector<float> logits = runner.run({{0, 0, kRows}});
    const auto sampled = [&](uint32_t r) {
        SamplerScratch scratch;
        const FloatMode mode;
        return static_cast<int32_t>(sample(logits.data() + r * shape.vocabulary, shape.vocabulary, runner.row(r), scratch));
    };
    const auto compare = [&](const char *what) {
        runner.step().sample();
        for (uint32_t r = 0; r < kRows; r++) EXPECT_EQ(runner.sampled(r), sampled(r)) << what << ", row " << r;
    };
    for (uint32_t r = 0; r < kRows; r++) runner.row(r) = greedy_row();
    compare("greedy");
    for (uint32_t r = 0; r < kRows; r += 2) {
        runner.row(r).temperature = 0.5f + static_cast<float>(r) / 16;
        runner.row(r).seed = r;
        if (r % 3 == 0) runner.row(r).top_p = 0.9f;
        if (r % 5 == 0) runner.row(r).top_k = 30;
    }
    compare("sampled");
    runner.row(4).logprobs = 3; // the host's, and the next two
    runner.row(5).logprobs = 1;
    runner.row(8).top_p = 0.999999f;
    compare("some on the host");
    for (uint32_t r = 0; r < kRows; r++) runner.row(r).logprobs = 1;
    compare("all on the host");
    for (uint32_t r = 0; r < kRows; r++) runner.row(r).logprobs = 0;
    compare("sampled again");
    for (uint32_t r = 0; r < kRows; r++) runner.row(r).temperature = 0;
    compare("greedy again");
}

TEST(Cuda, SaysWhatMemoryIsMissing) {
    NEEDS_CUDA();
    const auto device = std::make_shared<Device>(select_kernels(""), 1, std::make_shared<Gpu>(0, false, uint64_t{1} << 30));
    try {
        KvCache cache(device, Storage::BF16, 32, 8, 128, 16384);
        FAIL() << "a cache of 32 GiB in a pool of 1";
    } catch (const Error &error) {
        EXPECT_EQ(error.status(), INTARSIA_OUT_OF_MEMORY);
        EXPECT_NE(std::string(error.what()).find("the KV cache"), std::string::npos) << error.what();
        EXPECT_NE(std::string(error.what()).find("34359738368"), std::string::npos) << error.what();
    }
    KvCache small(device, Storage::BF16, 2, 8, 128, 16); // the device is as usable as before
    EXPECT_GT(device->gpu()->measure_read(64 << 20), 1e9);
}

TEST(Cuda, OpenedAndClosedHoldsNothing) {
    NEEDS_CUDA();
    cuda(false);
    const uint64_t before = gpu_info(0).memory_free;
    for (int i = 0; i < 20; i++) {
        Runner runner(kShapes[0], cuda(false), Storage::BF16);
        runner.run({{0, 0, 9}}, Way::REPLAYED_WHOLE);
    }
    EXPECT_GE(gpu_info(0).memory_free + (16 << 20), before);
}

} // namespace
} // namespace intarsia
