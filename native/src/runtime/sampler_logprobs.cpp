#include <algorithm>
#include <bit>
#include <cmath>

#include "runtime/sampler_math.h"

namespace intarsia {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// log(x) for finite x >= 1 by plain f64 operations: x = 2^e m with m around 1, and log m = 2 artanh((m - 1) / (m + 1)),
// |s| < 0.172, as its series up to s^21 (the next term is below 1e-18).
double logarithm(double x) {
    const uint64_t bits = std::bit_cast<uint64_t>(x);
    double exponent = static_cast<double>(bits >> 52) - 1023;
    double m = std::bit_cast<double>((bits & 0xFFFFFFFFFFFFFu) | uint64_t{1023} << 52);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        exponent += 1;
    }
    const double s = (m - 1) / (m + 1), square = s * s;
    double series = 1.0 / 21;
    for (int odd = 19; odd >= 1; odd -= 2) series = series * square + 1.0 / odd;
    return exponent * 0.6931471805599453 + 2 * s * series;
}

uint32_t rank(const float *logits, uint32_t vocabulary, float logit) {
    if (!(logit > -kInfinity)) return vocabulary; // all are at least that
    uint32_t count = 0;
    for (uint32_t id = 0; id < vocabulary; ++id) count += logits[id] >= logit;
    return count;
}

} // namespace

uint32_t logprobs(const float *logits, uint32_t vocabulary, uint32_t id, uint32_t k, float *values, int32_t *tokens,
                  SamplerScratch &scratch) {
    const float max = logits[argmax(logits, vocabulary)];
    const bool finite = std::isfinite(max);
    const double log = finite ? logarithm(sampler_kernels().sum_of_exponentials(logits, vocabulary, max)) : kNaN;
    const auto put = [&](uint32_t entry, uint32_t token) {
        const float logit = logits[token] >= -kInfinity ? logits[token] : -kInfinity;
        values[entry] = static_cast<float>((double{logit} - max) - log);
        tokens[entry] = static_cast<int32_t>(token);
    };
    put(0, id);
    if (k != 0) {
        auto &keys = scratch.keys;
        find_top_k(logits, vocabulary, std::min(k, vocabulary), keys);
        std::sort(keys.begin(), keys.end());
        for (uint32_t i = 1; i <= k; ++i) {
            if (i <= keys.size() && logits[index_of(keys[i - 1])] > -kInfinity) {
                put(i, index_of(keys[i - 1]));
            } else {
                values[i] = -kInfinity;
                tokens[i] = -1;
            }
        }
    }
    return rank(logits, vocabulary, logits[id]);
}

} // namespace intarsia
