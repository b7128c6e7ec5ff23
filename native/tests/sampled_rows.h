// Rows to be sampled: logits and parameters of every kind that a CUDA device takes.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "runtime/sampler_row.h"

namespace intarsia::testing {

struct SampledRow {
    std::vector<float> logits;
    intarsia_sampling row;
};

inline intarsia_sampling sampling(float temperature, int32_t top_k, float top_p) {
    intarsia_sampling row{};
    row.temperature = temperature;
    row.top_k = top_k;
    row.top_p = top_p;
    return row;
}

inline std::string describe(const intarsia_sampling &row, const std::vector<float> &logits) {
    return "vocabulary " + std::to_string(logits.size()) + " temperature " + std::to_string(row.temperature) + " top_k " + std::to_string(row.top_k) +
           " top_p " + std::to_string(row.top_p) + " min_p " + std::to_string(row.min_p) + " position " + std::to_string(row.position);
}

class SampledRows {
public:
    explicit SampledRows(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}

    std::vector<float> logits(uint32_t vocabulary) {
        std::vector<float> x(vocabulary);
        const uint32_t kind = below(9);
        const float spread = std::exp2(static_cast<float>(below(9)) - 3);
        for (float &v : x) v = bell() * spread;
        if (kind == 1)
            for (float &v : x) v = std::round(v); // many ties
        if (kind == 2) std::fill(x.begin(), x.end(), bell());
        if (kind == 3)
            for (float &v : x) v = below(3) == 0 ? -INFINITY : below(5) == 0 ? NAN : v;
        if (kind == 4)
            for (float &v : x) v *= 1e-39f; // denormals, some of them
        if (kind == 5) x[below(vocabulary)] = 1000;
        if (kind == 6)
            for (float &v : x) v = 20 * std::log(1 - unit()); // a long tail
        if (kind == 7 && below(4) == 0) std::fill(x.begin(), x.end(), below(2) == 0 ? -INFINITY : NAN);
        if (kind == 7 && below(4) == 0) x[below(vocabulary)] = INFINITY;
        if (kind == 8)
            for (float &v : x) v = static_cast<float>(below(2)) * 1e-7f - 0.0f; // as good as equal
        return x;
    }

    intarsia_sampling parameters(uint32_t vocabulary) {
        for (;;) {
            const float temperatures[] = {0, 1e-40f, 1e-4f, 0.3f, 0.7f, 1, 1, 1.5f, 30, 1e30f};
            const float shares[] = {1, 1, 1, 0.5f, 0.9f, 0.95f, 0.99f, 1e-6f, 0.998f, unit()};
            intarsia_sampling row = sampling(temperatures[below(10)], 0, shares[below(10)]);
            if (below(2) == 0) row.top_k = static_cast<int32_t>(1 + below(below(2) == 0 ? 50 : vocabulary + 3));
            if (below(3) == 0) row.min_p = below(3) == 0 ? unit() : std::exp2(-20 * unit());
            row.seed = uint64_t{bits()} << 32 | bits();
            row.position = bits();
            if (row.top_p > 0 && group_samples(row, vocabulary)) return row;
        }
    }

    // Of 7 ids at least.
    SampledRow next(uint32_t most) {
        const uint32_t vocabulary = 7 + below(most - 6);
        return {logits(vocabulary), parameters(vocabulary)};
    }

    // What a sampler state could make of the logits, as words, appended.
    void edits(uint32_t vocabulary, std::vector<uint32_t> &words) {
        const auto few = [&] { return below(2) == 0 ? 0 : below(std::min(vocabulary, 300u)); };
        std::vector<uint32_t> allowed(below(4) == 0 ? few() : 0), banned(few()), biases, seen;
        for (uint32_t &id : allowed) id = below(vocabulary);
        std::sort(allowed.begin(), allowed.end());
        for (uint32_t &id : banned) id = below(vocabulary);
        for (uint32_t id = 0, most = few(); biases.size() < 2 * most; id = std::min(vocabulary - 1, id + below(3)))
            biases.insert(biases.end(), {id, grouped::bits_of(4 * unit() - 2)});
        for (uint32_t id = below(vocabulary), most = few(); id < vocabulary && seen.size() < 2 * most; id += 1 + below(9)) seen.insert(seen.end(), {id, below(4)});
        const grouped::Edits edits = {static_cast<uint32_t>(allowed.size()), static_cast<uint32_t>(banned.size()), static_cast<uint32_t>(biases.size() / 2),
                                      static_cast<uint32_t>(seen.size() / 2), allowed.empty() ? 0 : allowed[0], below(2) == 0 ? 1 : 0.5f + unit(),
                                      below(2) == 0 ? 0 : unit(), below(2) == 0 ? 0 : unit() - 0.5f};
        const auto *head = reinterpret_cast<const uint32_t *>(&edits);
        words.insert(words.end(), head, head + grouped::kEditWords);
        for (const auto &part : {allowed, banned, biases, seen}) words.insert(words.end(), part.begin(), part.end());
    }

    uint32_t bits() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return static_cast<uint32_t>((state_ * 0x2545F4914F6CDD1Du) >> 32);
    }
    uint32_t below(uint32_t bound) { return static_cast<uint32_t>(uint64_t{bits()} * bound >> 32); }
    float unit() { return static_cast<float>(bits() >> 8) * 0x1p-24f; }

private:
    float bell() { return 3.46f * (unit() + unit() + unit() + unit() - 2); }
    uint64_t state_;
};

// Weights of four ids that add up to u of all five as exactly as weights of f32 can.
inline SampledRow drawn_on_the_edge(uint64_t seed) {
    intarsia_sampling row = sampling(1, 0, 1);
    row.seed = seed;
    double u = 0;
    for (; u < 0.52 || u > 0.65; row.position++) u = uniform(seed, row.position + 1);
    const double goal = u / (1 - u); // times the last weight, 1
    const grouped::Weights weights(0, row);
    std::vector<float> logits = {0};
    double sum = 1;
    for (int i = 0; i < 3; i++) {
        float logit = std::max(-86.0f, static_cast<float>(std::log(goal - sum)));
        while (sum + weights.of(logit) >= goal && weights.of(logit) > 0) logit = std::nextafter(logit, -INFINITY);
        logits.push_back(logit);
        sum += weights.of(logit);
    }
    logits.push_back(0);
    return {logits, row};
}

} // namespace intarsia::testing
