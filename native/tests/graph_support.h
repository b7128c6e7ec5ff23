// Graphs for tests: weights of random numbers, a decoder of any depth, and graphs of random ops.
#pragma once

#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "graph/partition.h"
#include "graph/text.h"
#include "runtime/device.h"
#include "runtime/error.h"

namespace intarsia::testing {

// Named w0, w1, ...
class WeightSet {
public:
    explicit WeightSet(cpu::Storage storage, uint32_t threads = 1) : WeightSet(storage, storage, threads) {}
    WeightSet(cpu::Storage storage, cpu::Storage matrices, uint32_t threads = 1)
        : WeightSet(std::make_shared<Device>(select_kernels("scalar"), threads), storage, matrices) {}
    WeightSet(std::shared_ptr<Device> device, cpu::Storage storage, cpu::Storage matrices)
        : weights_(std::make_shared<Weights>(std::move(device), storage, matrices)) {}

    uint32_t vector(uint32_t n, const std::string &name = "") { return add(name, {n}, 1); }
    uint32_t matrix(uint32_t n, uint32_t k, const std::string &name = "") {
        return add(name, {n, k}, 1 / std::sqrt(static_cast<float>(k)));
    }
    const std::shared_ptr<Weights> &get() const { return weights_; }

private:
    uint32_t add(const std::string &name, std::vector<int64_t> dims, float scale) {
        std::normal_distribution<float> normal(0, scale);
        std::vector<float> data(static_cast<size_t>(dims.size() == 1 ? dims[0] : dims[0] * dims[1]));
        for (float &element : data) element = normal(random_);
        const std::string unique = name.empty() ? text("w", weights_->size()) : name;
        return weights_->add(unique.c_str(), INTARSIA_DTYPE_F32, dims.data(), static_cast<uint32_t>(dims.size()),
                             data.data(), data.size() * sizeof(float));
    }

    std::shared_ptr<Weights> weights_;
    std::mt19937 random_{7};
};

// The error that a call throws, "" if it throws none.
inline std::string error_of(const std::function<void()> &call, intarsia_status status = INTARSIA_INVALID_ARGUMENT) {
    try {
        call();
    } catch (const Error &error) {
        return error.status() == status ? error.what() : text("status ", error.status(), ": ", error.what());
    }
    return "";
}

inline std::shared_ptr<Partition> cut(std::shared_ptr<Graph> graph, const std::vector<OpKind> &kinds) {
    bool splitting[kOpKinds] = {};
    for (OpKind kind : kinds) splitting[static_cast<int>(kind)] = true;
    return std::make_shared<Partition>(std::move(graph), splitting);
}

struct Decoder {
    uint32_t layers = 1;
    cpu::Storage storage = cpu::Storage::BF16;
    std::optional<cpu::Storage> matrices = {}; // none: as storage
    bool head_norm = true;
    bool bias = false;             // of q, k and v
    uint32_t tokens = 0, rows = 0; // frozen sizes
    uint32_t threads = 1;          // of the device
    static constexpr uint32_t hidden = 48, heads = 4, kv_heads = 2, head_dim = 16, inner = 80, vocabulary = 100;
};

// A decoder of the usual kind: pre-norm, grouped-query attention with rope, gated inner layer, tied embedding.
inline std::shared_ptr<Graph> build(const Decoder &model) {
    WeightSet set(model.storage, model.matrices.value_or(model.storage), model.threads);
    auto graph = std::make_shared<Graph>(set.get(), model.tokens, model.rows);
    constexpr float eps = 1e-6f;
    const uint32_t embedding = set.matrix(Decoder::vocabulary, Decoder::hidden, "embed_tokens");
    uint32_t x = graph->embedding(graph->input(INTARSIA_INPUT_TOKENS), embedding);
    const uint32_t table =
        graph->rope_table(graph->input(INTARSIA_INPUT_POSITIONS), set.vector(Decoder::head_dim / 2, "inv_freq"), 1);
    for (uint32_t layer = 0; layer < model.layers; layer++) {
        const std::string prefix = text("layers.", layer, ".");
        auto project = [&](uint32_t in, const char *name, uint32_t n, bool bias) {
            return graph->linear(in, set.matrix(n, graph->values()[in].width, prefix + name),
                                 bias ? set.vector(n, prefix + name + ".bias") : kNone);
        };
        const uint32_t normed = graph->rms_norm(x, set.vector(Decoder::hidden, prefix + "input_norm"), eps);
        uint32_t q = project(normed, "q_proj", Decoder::heads * Decoder::head_dim, model.bias);
        uint32_t k = project(normed, "k_proj", Decoder::kv_heads * Decoder::head_dim, model.bias);
        const uint32_t v = project(normed, "v_proj", Decoder::kv_heads * Decoder::head_dim, model.bias);
        if (model.head_norm) {
            q = graph->rms_norm(q, set.vector(Decoder::head_dim, prefix + "q_norm"), eps);
            k = graph->rms_norm(k, set.vector(Decoder::head_dim, prefix + "k_norm"), eps);
        }
        q = graph->rope(q, table);
        k = graph->rope(k, table);
        graph->cache_append(k, v, graph->input(INTARSIA_INPUT_SLOTS), layer, Decoder::kv_heads);
        const intarsia_attention_options options{sizeof options,    layer, Decoder::heads, Decoder::kv_heads,
                                                 Decoder::head_dim, 0,     0.25f,          0};
        const uint32_t attended = graph->attention(q, options);
        x = graph->add(x, project(attended, "o_proj", Decoder::hidden, false));
        const uint32_t inner = graph->rms_norm(x, set.vector(Decoder::hidden, prefix + "post_norm"), eps);
        const uint32_t gate = project(inner, "gate_proj", Decoder::inner, false);
        const uint32_t up = project(inner, "up_proj", Decoder::inner, false);
        x = graph->add(x, project(graph->silu_mul(gate, up), "down_proj", Decoder::hidden, false));
    }
    x = graph->select_rows(x, graph->input(INTARSIA_INPUT_ROWS));
    x = graph->rms_norm(x, set.vector(Decoder::hidden, "norm"), eps);
    graph->output(graph->linear(x, embedding, kNone));
    return graph;
}

// A graph of random ops that the builders accept: any op may read any value that fits, near ones more often.
class RandomGraph {
public:
    RandomGraph(uint32_t seed, cpu::Storage storage, uint32_t ops, uint32_t threads = 1)
        : RandomGraph(seed, storage, storage, ops, threads) {}
    RandomGraph(uint32_t seed, cpu::Storage storage, cpu::Storage matrices, uint32_t ops, uint32_t threads = 1)
        : set_(storage, matrices, threads), random_(seed) {
        graph = std::make_shared<Graph>(set_.get(), 0, 0);
        const uint32_t tokens = graph->input(INTARSIA_INPUT_TOKENS);
        table_ = graph->rope_table(graph->input(INTARSIA_INPUT_POSITIONS), set_.vector(8), 1);
        graph->input(INTARSIA_INPUT_SLOTS);
        rows_ = graph->input(INTARSIA_INPUT_ROWS);
        norms_ = {set_.vector(32), set_.vector(16)};
        for (int i = 0; i < 6; i++) matrices_.push_back(set_.matrix(32, 32));
        bias_ = set_.vector(32);
        values_[0].push_back(graph->embedding(tokens, set_.matrix(40, 32)));
        while (graph->ops().size() < ops) step();
        if (values_[1].empty()) values_[1].push_back(graph->select_rows(pick(0), rows_));
        graph->output(pick(1));
    }

    std::shared_ptr<Graph> graph;

private:
    uint32_t below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }

    uint32_t pick(uint32_t dim) {
        const auto size = static_cast<uint32_t>(values_[dim].size());
        return values_[dim][size - 1 - (below(5) == 0 ? below(size) : below(std::min(size, 4u)))];
    }

    void keep(uint32_t dim, uint32_t value) { values_[dim].push_back(value); }

    void step() {
        const uint32_t dim = !values_[1].empty() && below(4) == 0 ? 1 : 0;
        switch (below(12)) {
        case 0: return keep(dim, graph->rms_norm(pick(dim), norms_[below(2)], 1e-5f));
        case 1:
        case 2: return keep(dim, linear(dim));
        case 3: { // neighbours
            const uint32_t x = pick(dim);
            for (uint32_t i = 0, count = 2 + below(3); i < count; i++)
                keep(dim, graph->linear(x, matrices_[below(6)], kNone));
            return;
        }
        case 4: return keep(dim, graph->silu_mul(pick(dim), pick(dim)));
        case 5: { // gate and up
            const uint32_t x = pick(dim);
            const uint32_t gate = graph->linear(x, matrices_[below(6)], below(2) ? bias_ : kNone);
            if (below(4) == 0) keep(dim, gate);
            return keep(
                dim, graph->silu_mul(gate, graph->linear(below(4) == 0 ? pick(dim) : x, matrices_[below(6)], kNone)));
        }
        case 6: return keep(dim, graph->add(pick(dim), pick(dim)));
        case 7: { // residual
            const uint32_t x = pick(dim), y = linear(dim);
            return keep(dim, below(2) ? graph->add(x, y) : graph->add(y, x));
        }
        case 8:
            return keep(0, graph->rope(below(2) ? graph->rms_norm(pick(0), norms_[below(2)], 1e-5f) : pick(0), table_));
        case 9: return qkv();
        case 10: return attention();
        default:
            if (below(3) == 0) return keep(1, graph->select_rows(pick(0), rows_));
            graph->empty(dim, 32);
        }
    }

    uint32_t linear(uint32_t dim) { return graph->linear(pick(dim), matrices_[below(6)], below(3) ? kNone : bias_); }

    void qkv() {
        uint32_t q = pick(0), k = pick(0);
        const uint32_t v = pick(0);
        if (below(2)) q = graph->rms_norm(q, norms_[1], 1e-5f);
        if (below(2)) k = graph->rms_norm(k, norms_[1], 1e-5f);
        const bool late = below(4) == 0;
        if (!late) q = graph->rope(q, table_);
        if (below(3)) k = graph->rope(k, table_);
        if (below(5) == 0) keep(0, k);
        const uint32_t layer = layers_++;
        graph->cache_append(k, v, graph->input(INTARSIA_INPUT_SLOTS), layer, 2);
        if (late) q = graph->rope(q, table_);
        if (below(2)) keep(0, q);
        if (below(3)) return attend(layer, q);
        if (below(2)) keep(0, q);
    }

    void attention() {
        if (layers_ != 0) attend(below(layers_), pick(0));
    }

    void attend(uint32_t layer, uint32_t q) {
        keep(0, graph->attention(q, {sizeof(intarsia_attention_options), layer, 2, 2, 16, below(2) * 7, 0.25f, 0}));
    }

    WeightSet set_;
    std::mt19937 random_;
    uint32_t table_ = 0, rows_ = 0, bias_ = 0, layers_ = 0;
    std::vector<uint32_t> norms_, matrices_;
    std::vector<uint32_t> values_[2]; // [*, 32] over tokens, over rows
};

} // namespace intarsia::testing
