#include "runtime/sampler.h"

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include "runtime/device.h"
#include "runtime/error.h"
#include "runtime/sampler_math.h"

namespace intarsia {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// scratch.order empty stands for all ids. Keeps those that `keep` says of index, id and weight.
template <typename Keep> void filter(SamplerScratch &scratch, Keep keep) {
    auto &order = scratch.order;
    auto &weights = scratch.weights;
    const bool all = order.empty();
    if (all) order.resize(weights.size());
    uint32_t kept = 0;
    for (uint32_t i = 0; i < weights.size(); ++i) { // without a branch that could not be foreseen
        const uint32_t id = all ? i : order[i];
        const float weight = weights[i];
        order[kept] = id;
        weights[kept] = weight;
        kept += keep(i, id, weight);
    }
    order.resize(kept);
    weights.resize(kept);
}

// order = the first k ids, rising; ids whose logit is -infinity may be missing, for their weight is 0.
void keep_top_k(const float *logits, uint32_t vocabulary, uint32_t k, SamplerScratch &scratch) {
    find_top_k(logits, vocabulary, k, scratch.keys);
    scratch.order.resize(scratch.keys.size());
    std::transform(scratch.keys.begin(), scratch.keys.end(), scratch.order.begin(), index_of);
    std::sort(scratch.order.begin(), scratch.order.end());
}

// Weights by size: bins of 1/32 of an octave from 1 down to 2^-40, and one for all that is less.
struct Bins {
    static constexpr uint32_t kShift = 18, kOne = 0x3F800000, kCount = 40 * 32 + 1;
    static uint32_t of(float weight) {
        return std::min((kOne - std::bit_cast<uint32_t>(weight)) >> kShift, kCount - 1);
    }
    // No weight of the bin is below it.
    static float least(uint32_t bin) {
        return bin + 1 == kCount ? 0 : std::bit_cast<float>(kOne - (bin << kShift) - ((1u << kShift) - 1));
    }
    double sums[kCount] = {};
};

// keys = those of the weights in a range of bins, which carry indices into `weights`.
void collect_keys(const float *logits, uint32_t first_bin, uint32_t last_bin, SamplerScratch &scratch) {
    const auto &order = scratch.order;
    const auto &weights = scratch.weights;
    auto &keys = scratch.keys;
    if (keys.size() < weights.size()) keys.resize(weights.size());
    size_t count = 0;
    for (uint32_t i = 0; i < weights.size(); ++i) {
        const uint32_t bin = Bins::of(weights[i]);
        keys[count] = i;
        count += bin >= first_bin && bin <= last_bin;
    }
    keys.resize(count);
    for (uint64_t &k : keys) {
        const auto i = static_cast<uint32_t>(k);
        k = key(logits[order.empty() ? i : order[i]], i);
    }
}

// The key at which the sum of the weights, in rising order of the keys from `before` on, reaches `wanted`, by narrowing
// it down to ever smaller ranges of keys. The sums here are taken in another order; they and those of the definition are
// apart by less than `slack`. None if that leaves it open. Only the first of the keys are left.
std::optional<uint64_t> narrow_down(const std::vector<float> &weights, std::vector<uint64_t> &keys, double before,
                                    double wanted, double slack) {
    constexpr int kBits = 11;
    size_t count = keys.size();
    while (count > 256) {
        uint64_t least = keys[0], most = keys[0];
        for (size_t i = 1; i < count; ++i) {
            least = std::min(least, keys[i]);
            most = std::max(most, keys[i]);
        }
        const int shift = std::max(0, static_cast<int>(std::bit_width(most - least)) - kBits);
        double sums[1 << kBits] = {};
        for (size_t i = 0; i < count; ++i) sums[(keys[i] - least) >> shift] += weights[index_of(keys[i])];
        uint64_t bin = 0;
        for (; before + sums[bin] < wanted; before += sums[bin++])
            if (bin + 1 == std::size(sums)) return {};
        size_t kept = 0;
        for (size_t i = 0; i < count; ++i) {
            const uint64_t candidate = keys[i];
            keys[kept] = candidate;
            kept += ((candidate - least) >> shift) == bin;
        }
        count = kept;
    }
    std::sort(keys.begin(), keys.begin() + static_cast<ptrdiff_t>(count));
    for (size_t i = 0; i < count; ++i) {
        const double reached = before + weights[index_of(keys[i])];
        if (reached >= wanted) {
            if (slack != 0 && (reached - wanted < slack || wanted - before < slack)) return {};
            return keys[i];
        }
        before = reached;
    }
    return {};
}

// The key of the last of the shortest prefix whose sum reaches top_p of the total.
uint64_t end_of_top_p(const float *logits, float top_p, SamplerScratch &scratch) {
    const auto &weights = scratch.weights;
    auto &keys = scratch.keys;
    Bins bins;
    double total = 0;
    for (const float weight : weights) {
        total += weight;
        bins.sums[Bins::of(weight)] += weight;
    }
    const double wanted = double{top_p} * total;
    double before = 0;
    uint32_t bin = 0;
    while (bin + 1 < Bins::kCount && before + bins.sums[bin] < wanted) before += bins.sums[bin++];
    // Weights above 2^-28 of their total are multiples of 2^-52 of it: sums of them are exact in any order. Otherwise
    // each term adds an error of 2^-53 of the total at most, to either sum.
    const double slack = Bins::least(bin) > total * 0x1p-28 ? 0 : static_cast<double>(weights.size()) * total * 0x1p-51;
    collect_keys(logits, bin, bin, scratch);
    if (const auto end = narrow_down(weights, keys, before, wanted, slack)) return *end;

    collect_keys(logits, 0, Bins::kCount - 1, scratch);
    std::sort(keys.begin(), keys.end());
    double reached = 0;
    for (const uint64_t end : keys)
        if ((reached += weights[index_of(end)]) >= wanted) return end;
    return keys.back();
}

void keep_top_p(const float *logits, float top_p, SamplerScratch &scratch) {
    const uint64_t end = end_of_top_p(logits, top_p, scratch);
    const uint32_t last = index_of(end);
    const float least = logits[scratch.order.empty() ? last : scratch.order[last]];
    filter(scratch, [=](uint32_t i, uint32_t id, float) {
        return (logits[id] > least) | ((logits[id] == least) & (i <= last));
    });
}

// The first id, in rising order, at which the running sum of the weights exceeds u times their sum.
uint32_t draw(double u, uint32_t best, SamplerScratch &scratch) {
    constexpr size_t kBlock = 1024;
    const auto &weights = scratch.weights;
    auto &sums = scratch.sums; // before each block
    sums.clear();
    double total = 0;
    for (size_t begin = 0; begin < weights.size(); begin += kBlock) {
        sums.push_back(total);
        for (size_t i = begin; i < std::min(begin + kBlock, weights.size()); ++i) total += weights[i];
    }
    const double target = u * total;
    const auto block = static_cast<size_t>(std::upper_bound(sums.begin(), sums.end(), target) - sums.begin()) - 1;
    double running = sums[block];
    for (size_t i = block * kBlock; i < weights.size(); ++i) {
        running += weights[i];
        if (running > target) return scratch.order.empty() ? static_cast<uint32_t>(i) : scratch.order[i];
    }
    return best; // not reached: u is below 1 by 2^-53 at least, so the target is below the sum
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
    if (!(sampling.min_p >= 0) || !(sampling.min_p <= 1))
        fail(INTARSIA_INVALID_ARGUMENT, "sampling of row %u: min_p is %g; it must be >= 0 and <= 1", row,
             double{sampling.min_p});
    if (sampling.logprobs > 1 + INTARSIA_MAX_LOGPROBS)
        fail(INTARSIA_INVALID_ARGUMENT, "sampling of row %u: logprobs is %u; it must be <= %d", row, sampling.logprobs,
             1 + INTARSIA_MAX_LOGPROBS);
    if (sampling.state != 0 && sampling.target != 0)
        fail(INTARSIA_INVALID_ARGUMENT, "sampling of row %u: it has the target %u and the state %u; one of them must be 0",
             row, sampling.target, sampling.state);
    if (sampling.reserved != 0)
        fail(INTARSIA_INVALID_ARGUMENT, "sampling of row %u: reserved is %u; it must be 0", row, sampling.reserved);
}

const cpu::Kernels &sampler_kernels() {
    static const cpu::Kernels &best = *std::find_if(build_tiers().begin(), build_tiers().end(), [](const Tier &tier) {
                                           return tier.supported;
                                       })->kernels;
    return best;
}

uint32_t argmax(const float *logits, uint32_t vocabulary) {
    const float max = sampler_kernels().largest(logits, vocabulary);
    return max == -kInfinity ? 0 : sampler_kernels().find_first(logits, vocabulary, max);
}

void softmax_weights(float *x, uint32_t count, float max, float temperature) {
    sampler_kernels().softmax_weights(x, count, max, temperature);
}

uint32_t sample(const float *logits, uint32_t vocabulary, const intarsia_sampling &sampling, SamplerScratch &scratch) {
    const uint32_t best = argmax(logits, vocabulary);
    const float max = logits[best];
    if (sampling.temperature < FLT_MIN || !std::isfinite(max)) return best; // a denormal temperature would divide as 0

    auto &weights = scratch.weights;
    auto &order = scratch.order;
    scratch.reserve(vocabulary);
    order.clear();
    if (sampling.top_k == 0 || static_cast<uint32_t>(sampling.top_k) >= vocabulary) {
        weights.assign(logits, logits + vocabulary);
    } else {
        keep_top_k(logits, vocabulary, static_cast<uint32_t>(sampling.top_k), scratch);
        weights.resize(order.size());
        std::transform(order.begin(), order.end(), weights.begin(), [&](uint32_t id) { return logits[id]; });
    }
    softmax_weights(weights.data(), static_cast<uint32_t>(weights.size()), max, sampling.temperature);
    // Weights never rise along the order of the ids, so it does not matter which of top_k and min_p comes first.
    if (sampling.min_p > 0) filter(scratch, [&](uint32_t, uint32_t, float weight) { return weight >= sampling.min_p; });
    if (sampling.top_p < 1) keep_top_p(logits, sampling.top_p, scratch);
    return draw(uniform(sampling.seed, sampling.position), best, scratch);
}

void find_top_k(const float *logits, uint32_t vocabulary, uint32_t k, std::vector<uint64_t> &keys) {
    // Ids that beat the k-th best so far are collected until there are k too many; an id as good as the k-th comes
    // after it and never counts.
    constexpr uint32_t kBlock = 64;
    const size_t room = std::min<uint64_t>(uint64_t{k} * 2, vocabulary);
    float floor = -kInfinity;
    const auto cut = [&] {
        std::nth_element(keys.begin(), keys.begin() + (k - 1), keys.end());
        keys.resize(k);
    };
    const auto look_at = [&](uint32_t id) {
        if (!(logits[id] > floor)) return;
        if (keys.size() == room) {
            cut();
            floor = logits[index_of(keys.back())];
            if (!(logits[id] > floor)) return;
        }
        keys.push_back(key(logits[id], id));
    };
    keys.clear();
    uint32_t id = 0;
    for (; vocabulary - id >= kBlock; id += kBlock) {
        uint32_t above = 0;
        for (uint32_t i = 0; i < kBlock; ++i) above += logits[id + i] > floor;
        if (above == 0) continue;
        for (uint32_t i = 0; i < kBlock; ++i) look_at(id + i);
    }
    for (; id < vocabulary; ++id) look_at(id);
    if (keys.size() > k) cut();
}

void SamplerScratch::reserve(uint32_t vocabulary) {
    weights.reserve(vocabulary);
    order.reserve(vocabulary);
    keys.reserve(vocabulary);
    sums.reserve(vocabulary / 1024 + 1);
}

} // namespace intarsia
