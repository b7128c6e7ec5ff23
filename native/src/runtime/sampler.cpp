#include "runtime/sampler.h"

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <limits>
#include <numeric>

#include "runtime/error.h"

namespace intarsia {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// exp(x) for -700 < x <= 0 by plain f64 multiplies and adds, each of which rounds the same way on every machine: 2^k
// times the Taylor series of what is left, |r| <= ln 2 / 2, up to r^11 (the next term is below 7e-15).
inline float exponential(double x) {
    constexpr double kShift = 0x1.8p52; // a sum with it is rounded to an integer, which is then in its low bits
    const double shifted = x * 1.4426950408889634 + kShift;
    const double k = shifted - kShift;
    const double r = x - k * 0.6931471805599453;
    double p = 1.0 / 39916800;
    p = p * r + 1.0 / 3628800;
    p = p * r + 1.0 / 362880;
    p = p * r + 1.0 / 40320;
    p = p * r + 1.0 / 5040;
    p = p * r + 1.0 / 720;
    p = p * r + 1.0 / 120;
    p = p * r + 1.0 / 24;
    p = p * r + 1.0 / 6;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    const double power = std::bit_cast<double>((std::bit_cast<uint64_t>(shifted) << 52) + (uint64_t{1023} << 52));
    return static_cast<float>(p * power);
}

// Keys rise in the order (logit falling, index rising). NaN is -infinity; the sum makes -0 the same as 0, and a
// denormal too in a FloatMode.
inline uint64_t key(float logit, uint32_t index) {
    const float value = (logit >= -kInfinity ? logit : -kInfinity) + 0.0f;
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    const uint32_t falling = bits >> 31 != 0 ? bits : ~bits & 0x7FFFFFFFu;
    return uint64_t{falling} << 32 | index;
}

inline uint32_t index_of(uint64_t key) { return static_cast<uint32_t>(key); }

double sum(const std::vector<float> &weights) {
    double total = 0;
    for (const float weight : weights) total += weight;
    return total;
}

// order = the first k ids, rising; ids whose logit is -infinity may be missing, for their weight is 0. Ids that beat
// the k-th best so far are collected until there are k too many; an id as good as the k-th comes after it and never
// counts.
void keep_top_k(const float *logits, uint32_t vocabulary, uint32_t k, SamplerScratch &scratch) {
    auto &keys = scratch.keys;
    const auto cut = [&] {
        std::nth_element(keys.begin(), keys.begin() + (k - 1), keys.end());
        keys.resize(k);
    };
    const size_t room = std::min<uint64_t>(uint64_t{k} * 2, vocabulary);
    float floor = -kInfinity;
    keys.clear();
    for (uint32_t id = 0; id < vocabulary; ++id) {
        if (!(logits[id] > floor)) continue;
        if (keys.size() == room) {
            cut();
            floor = logits[index_of(keys.back())];
            if (!(logits[id] > floor)) continue;
        }
        keys.push_back(key(logits[id], id));
    }
    if (keys.size() > k) cut();
    scratch.order.resize(keys.size());
    std::transform(keys.begin(), keys.end(), scratch.order.begin(), index_of);
    std::sort(scratch.order.begin(), scratch.order.end());
}

// The key of the last of the shortest prefix whose sum reaches top_p of the total. Keys here carry indices into `order`
// and `weights`.
uint64_t end_of_top_p(const float *logits, float top_p, SamplerScratch &scratch) {
    const auto &[weights, order, ignored] = scratch;
    auto &keys = scratch.keys;
    const double total = sum(weights);
    const double wanted = double{top_p} * total;
    // All weights up to this bound add up to half of what may be left out at most, so the prefix ends above it: the
    // sums would have to be wrong by 2^-25 to change that, and are so by 2^-53 a term. It spares the sorting of the
    // long tail of a peaked row.
    const double bound = (1.0 - double{top_p}) * total / (2.0 * static_cast<double>(weights.size()));
    keys.clear();
    for (uint32_t i = 0; i < weights.size(); ++i)
        if (weights[i] > bound) keys.push_back(key(logits[order[i]], i));
    double reached = 0;
    size_t sorted = 0;
    for (size_t chunk = 64; sorted < keys.size(); chunk *= 8) {
        const size_t end = std::min(sorted + chunk, keys.size());
        const auto begin = keys.begin();
        if (end < keys.size()) std::nth_element(begin + sorted, begin + end, keys.end());
        std::sort(begin + sorted, begin + end);
        for (; sorted < end; ++sorted) {
            reached += weights[index_of(keys[sorted])];
            if (reached >= wanted) return keys[sorted];
        }
    }
    return keys.back();
}

void keep_top_p(const float *logits, float top_p, SamplerScratch &scratch) {
    const uint64_t end = end_of_top_p(logits, top_p, scratch);
    auto &[weights, order, ignored] = scratch;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < order.size(); ++i) {
        if (key(logits[order[i]], i) > end) continue;
        order[kept] = order[i];
        weights[kept++] = weights[i];
    }
    order.resize(kept);
    weights.resize(kept);
}

} // namespace

void check_sampling(const intarsia_sampling &sampling, uint32_t row) {
    if (!(sampling.temperature >= 0) || !std::isfinite(sampling.temperature))
        fail(INTARSIA_INVALID_ARGUMENT, "sampling of row %u: temperature is %g; it must be finite and >= 0", row,
             double{sampling.temperature});
    if (!(sampling.top_p > 0) || !(sampling.top_p <= 1))
        fail(INTARSIA_INVALID_ARGUMENT, "sampling of row %u: top_p is %g; it must be > 0 and <= 1", row,
             double{sampling.top_p});
    if (sampling.top_k < 0)
        fail(INTARSIA_INVALID_ARGUMENT, "sampling of row %u: top_k is %d; it must be >= 0, 0 for all", row,
             sampling.top_k);
    if (sampling.reserved != 0)
        fail(INTARSIA_INVALID_ARGUMENT, "sampling of row %u: reserved is %u; it must be 0", row, sampling.reserved);
}

uint32_t argmax(const float *logits, uint32_t vocabulary) {
    constexpr uint32_t kLanes = 16; // so that the compiler finds vectors
    float lanes[kLanes];
    std::fill(lanes, lanes + kLanes, -kInfinity);
    uint32_t id = 0;
    for (; vocabulary - id >= kLanes; id += kLanes)
        for (uint32_t lane = 0; lane < kLanes; ++lane)
            lanes[lane] = logits[id + lane] > lanes[lane] ? logits[id + lane] : lanes[lane];
    for (; id < vocabulary; ++id) lanes[0] = logits[id] > lanes[0] ? logits[id] : lanes[0];
    const float max = *std::max_element(lanes, lanes + kLanes);
    if (max == -kInfinity) return 0;
    return static_cast<uint32_t>(std::find(logits, logits + vocabulary, max) - logits);
}

void softmax_weights(float *x, uint32_t count, float max, float temperature) {
    // Two loops of one simple step each, so that the compiler finds vectors. In f32 the exponential of -128 is 0.
    for (uint32_t i = 0; i < count; ++i) {
        const float quotient = (x[i] - max) / temperature;
        x[i] = quotient >= -87.0f ? quotient : -128.0f; // NaN too
    }
    for (uint32_t i = 0; i < count; ++i) x[i] = exponential(x[i]);
}

uint32_t sample(const float *logits, uint32_t vocabulary, const intarsia_sampling &sampling, SamplerScratch &scratch) {
    const uint32_t best = argmax(logits, vocabulary);
    const float max = logits[best];
    if (sampling.temperature < FLT_MIN || !std::isfinite(max)) return best; // a denormal temperature would divide as 0

    auto &[weights, order, keys] = scratch;
    weights.reserve(vocabulary);
    order.reserve(vocabulary);
    keys.reserve(vocabulary);
    const bool all = sampling.top_k == 0 || static_cast<uint32_t>(sampling.top_k) >= vocabulary;
    if (all) {
        order.resize(vocabulary);
        std::iota(order.begin(), order.end(), 0u);
    } else {
        keep_top_k(logits, vocabulary, static_cast<uint32_t>(sampling.top_k), scratch);
    }
    weights.resize(order.size());
    std::transform(order.begin(), order.end(), weights.begin(), [&](uint32_t id) { return logits[id]; });
    softmax_weights(weights.data(), static_cast<uint32_t>(weights.size()), max, sampling.temperature);
    if (sampling.top_p < 1) keep_top_p(logits, sampling.top_p, scratch);

    const double target = uniform(sampling.seed, sampling.position) * sum(weights);
    double running = 0;
    for (size_t i = 0; i < weights.size(); ++i) {
        running += weights[i];
        if (running > target) return order[i];
    }
    return best; // not reached: u is below 1 by 2^-53 at least, so the target is below the sum
}

} // namespace intarsia
