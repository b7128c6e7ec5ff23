// What the parts of the sampler share: functions of our own, and the order of the ids.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <vector>

#include "runtime/sampler.h"

namespace intarsia {

// exp(x) for -700 < x <= 0 by plain f64 multiplies and adds, each of which rounds the same way on every machine: 2^k
// times the Taylor series of what is left, |r| <= ln 2 / 2, up to r^11 (the next term is below 7e-15).
inline double exponential(double x) {
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
    return p * power;
}

// Keys rise in the order (logit falling, index rising). NaN is -infinity; the sum makes -0 the same as 0, and a
// denormal too in a FloatMode.
inline uint64_t key(float logit, uint32_t index) {
    const float value = (logit >= -std::numeric_limits<float>::infinity() ? logit : -std::numeric_limits<float>::infinity()) + 0.0f;
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    const uint32_t falling = bits >> 31 != 0 ? bits : ~bits & 0x7FFFFFFFu;
    return uint64_t{falling} << 32 | index;
}

inline uint32_t index_of(uint64_t key) { return static_cast<uint32_t>(key); }

// keys = those of the first k ids, 1 <= k, in no order; ids whose logit is -infinity may be missing.
void find_top_k(const float *logits, uint32_t vocabulary, uint32_t k, std::vector<uint64_t> &keys);

} // namespace intarsia
