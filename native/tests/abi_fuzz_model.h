// A small decoder, the same every time, built and run through the C ABI alone.
#pragma once

#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "abi_fuzz.h"

namespace intarsia::fuzz {

// The sizes of the model, and those of its step.
struct ModelSizes {
    static constexpr uint32_t kHidden = 48, kHeads = 4, kKvHeads = 2, kHeadDim = 16, kVocabulary = 70, kLayers = 2;
    static constexpr uint32_t kTokens = 8, kSequences = 2, kRows = 2, kBlocks = 3;
};

// Makes a call, as often as it likes; true if it succeeded in the end.
using Attempt = std::function<bool(const std::function<intarsia_status()> &)>;
inline bool once(const std::function<intarsia_status()> &call) { return call() == INTARSIA_OK; }

// A prefill of two sequences, and one token more of the second, on any step of the model. Each call may be refused.
class Run : ModelSizes {
public:
    Run(intarsia_step *step, const std::vector<intarsia_executable *> &executables, Attempt attempt = once)
        : step_(step), executables_(executables), attempt_(std::move(attempt)) {}

    // The prefill as a step that can begin.
    void prepare() {
        write<int32_t>(INTARSIA_BUFFER_TOKENS, {3, 14, 15, 9, 26, 53, 58, 69});
        write<int32_t>(INTARSIA_BUFFER_POSITIONS, {0, 1, 2, 3, 4, 0, 1, 2});
        write<int32_t>(INTARSIA_BUFFER_SLOTS, {16, 17, 18, 19, 20, 32, 33, 34});
        write<int32_t>(INTARSIA_BUFFER_QUERY_STARTS, {0, 5, 8});
        write<int32_t>(INTARSIA_BUFFER_LENGTHS, {5, 3});
        write<int32_t>(INTARSIA_BUFFER_ROWS, {4, 7});
        write<int32_t>(INTARSIA_BUFFER_BLOCK_TABLES, {1, 0, 0, 2, 0, 0});
        write<intarsia_sampling>(INTARSIA_BUFFER_SAMPLING, {sampling(0.8f, 0.9f, 20, 7, 5), sampling(1, 1, 0, 8, 3)});
    }

    // The bits of all logits and the tokens sampled; none if a call failed.
    std::vector<uint32_t> bits() {
        prepare();
        execute(kTokens, kSequences, kRows);
        if (!ok_) return {};
        write<int32_t>(INTARSIA_BUFFER_TOKENS, {static_cast<int32_t>(bits_.back())});
        write<int32_t>(INTARSIA_BUFFER_POSITIONS, {3});
        write<int32_t>(INTARSIA_BUFFER_SLOTS, {35});
        write<int32_t>(INTARSIA_BUFFER_QUERY_STARTS, {0, 1});
        write<int32_t>(INTARSIA_BUFFER_LENGTHS, {4});
        write<int32_t>(INTARSIA_BUFFER_ROWS, {0});
        write<int32_t>(INTARSIA_BUFFER_BLOCK_TABLES, {2});
        execute(1, 1, 1);
        return ok_ ? bits_ : std::vector<uint32_t>();
    }

private:
    static intarsia_sampling sampling(float temperature, float top_p, int32_t top_k, uint64_t seed, uint64_t position) {
        intarsia_sampling s{};
        s.temperature = temperature;
        s.top_p = top_p;
        s.top_k = top_k;
        s.seed = seed;
        s.position = position;
        return s;
    }
    bool succeeds(const std::function<intarsia_status()> &call) { return ok_ = ok_ && attempt_(call); }

    void *buffer(uint32_t kind) {
        void *address = nullptr;
        uint64_t bytes = 0;
        return succeeds([&] { return intarsia_step_buffer(step_, kind, &address, &bytes); }) ? address : nullptr;
    }
    template <class T> void write(uint32_t kind, std::initializer_list<T> values) {
        if (void *address = buffer(kind)) std::memcpy(address, values.begin(), values.size() * sizeof(T));
    }

    void execute(uint32_t tokens, uint32_t sequences, uint32_t rows) {
        if (!succeeds([&] { return intarsia_step_begin(step_, tokens, sequences, rows); })) return;
        for (uint32_t piece = 0; piece < executables_.size(); piece++)
            if (!succeeds([&] { return intarsia_execute(step_, executables_[piece], piece); })) return;
        if (!succeeds([&] { return intarsia_sample(step_); })) return;
        const auto *logits = static_cast<const uint32_t *>(buffer(INTARSIA_BUFFER_LOGITS));
        const auto *sampled = static_cast<const uint32_t *>(buffer(INTARSIA_BUFFER_SAMPLED));
        bits_.insert(bits_.end(), logits, logits + size_t{rows} * kVocabulary);
        bits_.insert(bits_.end(), sampled, sampled + rows);
    }

    intarsia_step *step_;
    std::vector<intarsia_executable *> executables_;
    Attempt attempt_;
    std::vector<uint32_t> bits_;
    bool ok_ = true;
};

class Model : public ModelSizes {
public:
    explicit Model(uint32_t precision = INTARSIA_PRECISION_BF16, uint32_t threads = 2, Attempt attempt = once,
                   uint32_t format = INTARSIA_WEIGHTS_NATIVE)
        : attempt_(std::move(attempt)) {
        intarsia_device_options device{};
        device.struct_size = sizeof device;
        device.threads = threads;
        must([&] { return intarsia_device_open(&device, &this->device); });
        must([&] { return intarsia_weights_create(this->device, precision, format, &weights); });
        build();
        const uint32_t splitting[] = {INTARSIA_OP_CACHE_APPEND, INTARSIA_OP_ATTENTION};
        must([&] { return intarsia_graph_split(graph, splitting, 2, &partition); });
        intarsia_partition_info info{};
        info.struct_size = sizeof info;
        must([&] { return intarsia_partition_query(partition, &info); });
        for (uint32_t piece = 0; piece < info.pieces; piece++) {
            intarsia_compile_options compile{};
            compile.struct_size = sizeof compile;
            compile.lo = 1;
            compile.hi = kTokens;
            intarsia_executable *&executable = executables.emplace_back();
            must([&] { return intarsia_compile(partition, piece, &compile, &executable); });
        }
        const intarsia_kv_options kv{sizeof kv, precision, kLayers, kKvHeads, kHeadDim, kBlocks};
        must([&] { return intarsia_kv_create(this->device, &kv, &cache); });
        const intarsia_step_options options{sizeof options, kTokens, kSequences, kRows, kBlocks, 0};
        must([&] { return intarsia_step_create(partition, cache, &options, &step); });
    }
    Model(const Model &) = delete;
    ~Model() {
        intarsia_device_destroy(device);
        intarsia_weights_destroy(weights);
        intarsia_graph_destroy(graph);
        intarsia_partition_destroy(partition);
        for (intarsia_executable *executable : executables) intarsia_executable_destroy(executable);
        intarsia_kv_destroy(cache);
        intarsia_step_destroy(step);
    }

    // The bits of a run of its own step.
    std::vector<uint32_t> run() {
        std::vector<uint32_t> bits = Run(step, executables, attempt_).bits();
        EXPECT_FALSE(bits.empty()) << intarsia_last_error();
        return bits;
    }

    intarsia_device *device = nullptr;
    intarsia_weights *weights = nullptr;
    intarsia_graph *graph = nullptr;
    intarsia_partition *partition = nullptr;
    std::vector<intarsia_executable *> executables; // of each piece
    intarsia_kv_cache *cache = nullptr;
    intarsia_step *step = nullptr;

private:
    void must(const std::function<intarsia_status()> &call) const {
        ASSERT_TRUE(attempt_(call)) << intarsia_last_error();
    }

    uint32_t weight(uint32_t n, uint32_t k) {
        std::vector<float> data(size_t{n} * std::max(k, 1u));
        for (float &element : data) element = random_.uniform(-1, 1) / std::sqrt(static_cast<float>(std::max(k, 1u)));
        const int64_t dims[] = {n, k};
        const std::string name = std::to_string(added_++);
        uint32_t id = INTARSIA_NONE;
        must([&] {
            return intarsia_weights_add(weights, name.c_str(), INTARSIA_DTYPE_F32, dims, k == 0 ? 1 : 2, data.data(),
                                        data.size() * sizeof(float), &id);
        });
        return id;
    }
    uint32_t linear(uint32_t x, uint32_t n, uint32_t k) {
        uint32_t value = INTARSIA_NONE;
        const uint32_t matrix = weight(n, k);
        must([&] { return intarsia_graph_linear(graph, x, matrix, INTARSIA_NONE, &value); });
        return value;
    }
    uint32_t norm(uint32_t x, uint32_t n) {
        uint32_t value = INTARSIA_NONE;
        const uint32_t scale = weight(n, 0);
        must([&] { return intarsia_graph_rms_norm(graph, x, scale, 1e-6f, &value); });
        return value;
    }

    void build() {
        const intarsia_graph_options options{sizeof options, 0, 0, 0};
        must([&] { return intarsia_graph_create(weights, &options, &graph); });
        uint32_t inputs[4];
        for (uint32_t i = 0; i < 4; i++) must([&] { return intarsia_graph_input(graph, i, &inputs[i]); });
        const uint32_t embedding = weight(kVocabulary, kHidden), frequencies = weight(kHeadDim / 2, 0);
        uint32_t x = 0, table = 0;
        must([&] { return intarsia_graph_embedding(graph, inputs[INTARSIA_INPUT_TOKENS], embedding, &x); });
        must(
            [&] { return intarsia_graph_rope_table(graph, inputs[INTARSIA_INPUT_POSITIONS], frequencies, 1, &table); });
        for (uint32_t layer = 0; layer < kLayers; layer++) {
            const uint32_t normed = norm(x, kHidden);
            uint32_t q = norm(linear(normed, kHeads * kHeadDim, kHidden), kHeadDim);
            uint32_t k = norm(linear(normed, kKvHeads * kHeadDim, kHidden), kHeadDim);
            const uint32_t v = linear(normed, kKvHeads * kHeadDim, kHidden);
            uint32_t attended = 0, gated = 0;
            must([&] { return intarsia_graph_rope(graph, q, table, &q); });
            must([&] { return intarsia_graph_rope(graph, k, table, &k); });
            must([&] {
                return intarsia_graph_cache_append(graph, k, v, inputs[INTARSIA_INPUT_SLOTS], layer, kKvHeads);
            });
            const intarsia_attention_options attention{sizeof attention, layer, kHeads, kKvHeads,
                                                       kHeadDim,         0,     0.25f,  0};
            must([&] { return intarsia_graph_attention(graph, q, &attention, &attended); });
            const uint32_t o = linear(attended, kHidden, kHeads * kHeadDim);
            must([&] { return intarsia_graph_add(graph, x, o, &x); });
            const uint32_t inner = norm(x, kHidden);
            const uint32_t gate = linear(inner, 80, kHidden), up = linear(inner, 80, kHidden);
            must([&] { return intarsia_graph_silu_mul(graph, gate, up, &gated); });
            const uint32_t down = linear(gated, kHidden, 80);
            must([&] { return intarsia_graph_add(graph, x, down, &x); });
        }
        must([&] { return intarsia_graph_select_rows(graph, x, inputs[INTARSIA_INPUT_ROWS], &x); });
        uint32_t logits = 0;
        const uint32_t normed = norm(x, kHidden);
        must([&] { return intarsia_graph_linear(graph, normed, embedding, INTARSIA_NONE, &logits); });
        must([&] { return intarsia_graph_output(graph, logits); });
    }

    Attempt attempt_;
    Random random_{20};
    uint32_t added_ = 0;
};

} // namespace intarsia::fuzz
