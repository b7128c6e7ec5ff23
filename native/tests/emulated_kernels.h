// The kernels of a CUDA device as plain loops over the host's memory, with the layouts that cuda/kernels.h states: what an emulated device runs.
// Sums are f64 in rising order, so that a row's bits depend on nothing but the row.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <vector>

#include "compile/kernel_args.h"
#include "cpu/bf16.h"

namespace intarsia::emulated {

using cpu::Storage;

inline float get(const void *data, uint64_t i, Storage storage) {
    return storage == Storage::F32 ? static_cast<const float *>(data)[i] : cpu::widen_bf16(static_cast<const uint16_t *>(data)[i]);
}

inline void put(void *data, uint64_t i, Storage storage, double value) {
    const auto narrow = static_cast<float>(value);
    if (storage == Storage::F32) static_cast<float *>(data)[i] = narrow;
    else static_cast<uint16_t *>(data)[i] = cpu::round_bf16(narrow);
}

// Element (row, column) of a value, and the padding behind its last column.
inline void put(void *data, uint64_t row, uint32_t column, uint32_t width, Storage storage, double value) {
    const uint64_t at = row * cpu::stride(width, storage);
    put(data, at + column, storage, value);
    if (column + 1 == width && cpu::stride(width, storage) > width) put(data, at + width, storage, 0);
}

inline double silu(double x) { return x / (1 + std::exp(-x)); }

inline void launch(const cpu::EmbeddingArgs &a) {
    for (uint64_t i = 0; i < a.n; i++)
        for (uint64_t j = 0; j < a.weight.k; j++)
            a.out[i * a.weight.k + j] = get(a.weight.data, static_cast<uint64_t>(a.tokens[i]) * a.weight.k + j, a.weight.storage);
}

inline double inverse_rms(const float *x, uint32_t count, float eps) {
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) sum += double{x[i]} * x[i];
    return 1 / std::sqrt(sum / count + eps);
}

inline void launch(const cpu::NormArgs &a) {
    for (uint64_t i = 0; i < a.n; i++)
        for (uint32_t g = 0; g < a.width; g += a.group) {
            const float *x = a.x + i * a.width + g;
            const double scale = inverse_rms(x, a.group, a.eps);
            for (uint32_t j = 0; j < a.group; j++) put(a.out, i, g + j, a.width, a.out_storage, x[j] * scale * a.weight[j]);
        }
}

inline float product(const cpu::LinearArgs &a, uint64_t row, uint32_t output, const cpu::LinearPart &part) {
    const cpu::Matrix &w = part.weight;
    const uint64_t x = row * cpu::stride(w.k, w.storage), at = uint64_t{output} * w.k;
    double sum = 0;
    for (uint32_t k = 0; k < w.k; k++) sum += double{get(a.x, x + k, w.storage)} * get(w.data, at + k, w.storage);
    return static_cast<float>(sum + (part.bias == nullptr ? 0 : part.bias[output]));
}

inline void launch(const cpu::LinearArgs &a) {
    for (uint64_t i = 0; i < a.n; i++) {
        if (a.epilogue == cpu::Epilogue::STORE) {
            for (uint32_t p = 0; p < a.part_count; p++)
                for (uint32_t o = 0; o < a.parts[p].weight.n; o++)
                    put(a.parts[p].out, i, o, a.parts[p].weight.n, a.out_storage, product(a, i, o, a.parts[p]));
            continue;
        }
        const uint32_t width = a.parts[0].weight.n;
        for (uint32_t o = 0; o < width; o++) {
            const float first = product(a, i, o, a.parts[0]);
            if (a.epilogue == cpu::Epilogue::ADD) put(a.parts[0].out, i, o, width, Storage::F32, a.residual[i * width + o] + first);
            else put(a.parts[0].out, i, o, width, a.out_storage, silu(first) * product(a, i, o, a.parts[1]));
        }
    }
}

inline void launch(const cpu::RopeTableArgs &a) {
    for (uint64_t i = 0; i < a.n; i++)
        for (uint32_t j = 0; j < a.half; j++) {
            const double angle = static_cast<float>(a.positions[i]) * a.inverse_frequencies[j];
            a.out[i * 2 * a.half + j] = static_cast<float>(std::cos(angle) * a.scale);
            a.out[i * 2 * a.half + a.half + j] = static_cast<float>(std::sin(angle) * a.scale);
        }
}

// Element of a head of a cache block: [block][kv head][16 positions][head_dim].
inline uint64_t cached(const cpu::KvLayer &cache, uint64_t block, uint32_t offset, uint32_t head, uint32_t element) {
    return ((block * cache.kv_heads + head) * cpu::kBlock + offset) * cache.head_dim + element;
}

// A head of a row, normalized and rotated.
inline std::vector<float> head_of(const cpu::HeadsArgs &a, uint64_t row, uint32_t head) {
    const float *x = a.x + (row * a.heads + head) * a.head_dim;
    const double scale = a.norm_weight == nullptr ? 1 : inverse_rms(x, a.head_dim, a.eps);
    std::vector<float> in(a.head_dim), out(a.head_dim);
    for (uint32_t j = 0; j < a.head_dim; j++) in[j] = static_cast<float>(a.norm_weight == nullptr ? x[j] : x[j] * scale * a.norm_weight[j]);
    if (a.table == nullptr) return in;
    const uint32_t half = a.head_dim / 2;
    const float *cos = a.table + row * a.head_dim, *sin = cos + half;
    for (uint32_t j = 0; j < half; j++) {
        out[j] = in[j] * cos[j] - in[half + j] * sin[j];
        out[half + j] = in[half + j] * cos[j] + in[j] * sin[j];
    }
    return out;
}

inline void launch(const cpu::QkvArgs &a) {
    for (uint64_t i = 0; i < a.n; i++) {
        const int32_t slot = a.slots == nullptr ? -1 : a.slots[i];
        const uint64_t block = static_cast<uint32_t>(slot) / cpu::kBlock;
        const uint32_t offset = static_cast<uint32_t>(slot) % cpu::kBlock;
        for (const cpu::HeadsArgs *part : {&a.q, &a.k}) {
            if (part->x == nullptr) continue;
            for (uint32_t h = 0; h < part->heads; h++) {
                const std::vector<float> head = head_of(*part, i, h);
                for (uint32_t j = 0; j < part->head_dim; j++) {
                    if (part->out != nullptr) put(part->out, i, h * part->head_dim + j, part->heads * part->head_dim, part->out_storage, head[j]);
                    else if (slot >= 0) put(a.cache.keys, cached(a.cache, block, offset, h, j), a.cache.storage, head[j]);
                }
            }
        }
        if (a.v == nullptr || slot < 0) continue;
        for (uint32_t h = 0; h < a.cache.kv_heads; h++)
            for (uint32_t j = 0; j < a.cache.head_dim; j++)
                put(a.cache.values, cached(a.cache, block, offset, h, j), a.cache.storage, a.v[(i * a.cache.kv_heads + h) * a.cache.head_dim + j]);
    }
}

// One query head of one token that stands at `position` of its sequence.
inline void attend(const cpu::AttentionArgs &a, const int32_t *table, uint32_t row, uint32_t head, uint32_t position) {
    const cpu::KvLayer &cache = a.cache;
    const uint32_t dim = cache.head_dim, width = a.heads * dim, kv_head = head / (a.heads / cache.kv_heads);
    const uint32_t first = a.window == 0 || position + 1 < a.window ? 0 : position + 1 - a.window;
    const uint64_t q = uint64_t{row} * cpu::stride(width, a.q_storage) + head * dim;
    const auto place = [&](uint32_t at, uint32_t j) {
        return cached(cache, static_cast<uint64_t>(table[at / cpu::kBlock]), at % cpu::kBlock, kv_head, j);
    };
    std::vector<double> scores(position + 1 - first), out(dim);
    double most = -INFINITY, sum = 0;
    for (uint32_t at = first; at <= position; at++) {
        double score = 0;
        for (uint32_t j = 0; j < dim; j++) score += double{get(a.q, q + j, a.q_storage)} * get(cache.keys, place(at, j), cache.storage);
        scores[at - first] = score * a.scale;
        most = std::max(most, scores[at - first]);
    }
    for (uint32_t at = first; at <= position; at++) {
        auto p = static_cast<float>(std::exp(scores[at - first] - most));
        sum += p;
        if (cache.storage == Storage::BF16) p = cpu::widen_bf16(cpu::round_bf16(p));
        for (uint32_t j = 0; j < dim; j++) out[j] += double{p} * get(cache.values, place(at, j), cache.storage);
    }
    for (uint32_t j = 0; j < dim; j++) put(a.out, row, head * dim + j, width, a.out_storage, out[j] / sum);
}

// Whether a sequence has a block to which another writes in this step.
inline bool reads_of_others(const cpu::AttentionArgs &a) {
    const auto each_block = [&](bool only_new, const auto &body) {
        for (uint32_t s = 0; s < *a.sequences; s++) {
            const auto length = static_cast<uint32_t>(a.lengths[s]), tokens = static_cast<uint32_t>(a.query_starts[s + 1] - a.query_starts[s]);
            for (uint32_t b = only_new ? (length - tokens) / cpu::kBlock : 0; b * cpu::kBlock < length; b++) body(a.block_tables[uint64_t{s} * a.max_blocks + b], s);
        }
    };
    std::map<int32_t, std::set<uint32_t>> writers;
    each_block(true, [&](int32_t block, uint32_t s) { writers[block].insert(s); });
    bool found = false;
    each_block(false, [&](int32_t block, uint32_t s) {
        const auto of_block = writers.find(block);
        found = found || (of_block != writers.end() && of_block->second != std::set<uint32_t>{s});
    });
    return found;
}

inline void launch(const cpu::AttentionArgs &a) {
    const uint32_t sequences = *a.sequences, width = a.heads * a.cache.head_dim;
    if (a.sequences[1] == 0 && reads_of_others(a)) { // a device may have read what was not written yet
        for (uint32_t row = 0; row < a.n; row++)
            for (uint32_t j = 0; j < width; j++) put(a.out, row, j, width, a.out_storage, NAN);
        return;
    }
    for (uint32_t s = 0; s < sequences; s++) {
        const auto begin = static_cast<uint32_t>(a.query_starts[s]), end = static_cast<uint32_t>(a.query_starts[s + 1]);
        for (uint32_t row = begin; row < end; row++)
            for (uint32_t head = 0; head < a.heads; head++)
                attend(a, a.block_tables + uint64_t{s} * a.max_blocks, row, head, static_cast<uint32_t>(a.lengths[s]) - (end - row));
    }
    for (auto row = static_cast<uint32_t>(a.query_starts[sequences]); row < a.n; row++)
        for (uint32_t j = 0; j < width; j++) put(a.out, row, j, width, a.out_storage, 0);
}

inline void launch(const cpu::SiluMulArgs &a) {
    for (uint64_t i = 0; i < a.n; i++)
        for (uint32_t j = 0; j < a.width; j++)
            put(a.out, i, j, a.width, a.out_storage, silu(a.gate[i * a.width + j]) * a.up[i * a.width + j]);
}

inline void launch(const cpu::AddArgs &a) {
    for (uint64_t i = 0; i < uint64_t{a.n} * a.width; i++) a.out[i] = a.a[i] + a.b[i];
}

inline void launch(const cpu::SelectRowsArgs &a) {
    for (uint64_t i = 0; i < a.n; i++)
        std::copy_n(a.x + static_cast<uint64_t>(a.rows[i]) * a.width, a.width, a.out + i * a.width);
}

inline void launch(const cpu::RoundArgs &a) {
    for (uint64_t i = 0; i < a.n; i++)
        for (uint32_t j = 0; j < a.width; j++) put(a.out, i, j, a.width, a.out_storage, a.x[i * a.width + j]);
}

} // namespace intarsia::emulated
