// The exponential of the sampler, the same bits on every processor and device.
#pragma once

#include <cstdint>

#include "cpu/tier.h"

namespace intarsia::cpu {
namespace {

// a b + c, rounded twice whatever a compiler thinks of it.
INTARSIA_INLINE double times_plus(double a, double b, double c) {
#if defined(__CUDA_ARCH__)
    return __dadd_rn(__dmul_rn(a, b), c);
#else
    return a * b + c;
#endif
}

// exp(x) for -700 < x <= 0 by plain f64 multiplies and adds, each of which rounds the same way on every machine: 2^k
// times the Taylor series of what is left, |r| <= ln 2 / 2, up to r^11 (the next term is below 7e-15).
INTARSIA_INLINE double exponential(double x) {
    constexpr double kShift = 0x1.8p52; // a sum with it is rounded to an integer, which is then in its low bits
    const double shifted = times_plus(x, 1.4426950408889634, kShift);
    const double k = shifted - kShift;
    const double r = times_plus(-k, 0.6931471805599453, x);
    double p = 1.0 / 39916800;
    p = times_plus(p, r, 1.0 / 3628800);
    p = times_plus(p, r, 1.0 / 362880);
    p = times_plus(p, r, 1.0 / 40320);
    p = times_plus(p, r, 1.0 / 5040);
    p = times_plus(p, r, 1.0 / 720);
    p = times_plus(p, r, 1.0 / 120);
    p = times_plus(p, r, 1.0 / 24);
    p = times_plus(p, r, 1.0 / 6);
    p = times_plus(p, r, 0.5);
    p = times_plus(p, r, 1.0);
    p = times_plus(p, r, 1.0);
    const auto bits = (__builtin_bit_cast(uint64_t, shifted) << 52) + (uint64_t{1023} << 52);
    return p * __builtin_bit_cast(double, bits);
}

} // namespace
} // namespace intarsia::cpu
