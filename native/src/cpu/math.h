// Functions of our own, the same bits in every tier: exp and silu over lanes of f32, sine and cosine in f64.
#pragma once

#include <cstdint>

#include "cpu/tier.h"

namespace intarsia::cpu {
namespace {

// e^x within 1.01 ulp. x = n ln 2 + r with |r| <= ln 2 / 2; e^r by a polynomial of degree 6 (minimax in the relative
// error, 3e-9); e^0 = 1. Results below the least normal number are 0, so denormal modes do not matter. NaN stays NaN.
template <class V> INTARSIA_INLINE V exp(V x) {
    const V magic = V::all(0x1.8p23f); // adding it leaves n, rounded to nearest, in the lowest bits
    const V power = V::fma(x, V::all(0x1.715476p+0f), magic);
    const V n = power - magic;
    const V r = V::fma(n, V::all(0x1.05c61p-29f), V::fma(n, V::all(-0x1.62e43p-1f), x)); // ln 2 in two parts
    V q = V::all(0x1.6a2434p-10f);
    q = V::fma(q, r, V::all(0x1.1239e2p-7f));
    q = V::fma(q, r, V::all(0x1.5558f2p-5f));
    q = V::fma(q, r, V::all(0x1.555492p-3f));
    q = V::fma(q, r, V::all(0x1.fffffcp-2f));
    const V y = V::scale(V::fma(q, r * r, r) + V::all(1), power);
    const V infinity = V::all(__builtin_inff());
    const V above = V::if_le(x, V::all(0x1.62e42ep+6f), y, x * infinity); // NaN goes this way too
    return V::if_le(x, V::all(-0x1.5d58ap+6f), V::all(0), above);
}

// x / (1 + e^-x)
template <class V> INTARSIA_INLINE V silu(V x) { return x / (V::all(1) + exp(-x)); }

struct SinCos {
    double sin, cos;
};

// Sine and cosine of an angle |x| < 2^50, to about 1e-16; NaN for others. x = n pi / 2 + r with pi / 2 in three parts:
// the first fused step is exact, for it leaves fewer than 53 bits. On |r| <= pi / 4 the Taylor series end below 1e-17.
INTARSIA_INLINE SinCos sin_cos(float angle) {
    const double x = angle;
    if (!(x < 0x1p50 && x > -0x1p50)) {
        return {__builtin_nan(""), __builtin_nan("")};
    }
    const double magic = 0x1.8p52;
    const double shifted = __builtin_fma(x, 0x1.45f306dc9c883p-1, magic);
    const double n = shifted - magic;
    double r = __builtin_fma(-n, 0x1.921fb54442d18p+0, x);
    r = __builtin_fma(-n, 0x1.1a62633145c07p-54, r);
    r = __builtin_fma(n, 0x1.f1976b8p-110, r);
    const double s = r * r;
    double odd = -1.0 / 355687428096000;               // 17!
    odd = __builtin_fma(-odd, s, 1.0 / 1307674368000); // 15!
    odd = __builtin_fma(-odd, s, 1.0 / 6227020800);
    odd = __builtin_fma(-odd, s, 1.0 / 39916800);
    odd = __builtin_fma(-odd, s, 1.0 / 362880);
    odd = __builtin_fma(-odd, s, 1.0 / 5040);
    odd = __builtin_fma(-odd, s, 1.0 / 120);
    odd = __builtin_fma(-odd, s, 1.0 / 6);
    const double sine = __builtin_fma(-odd * s, r, r);
    double even = 1.0 / 20922789888000; // 16!
    even = __builtin_fma(-even, s, 1.0 / 87178291200);
    even = __builtin_fma(-even, s, 1.0 / 479001600);
    even = __builtin_fma(-even, s, 1.0 / 3628800);
    even = __builtin_fma(-even, s, 1.0 / 40320);
    even = __builtin_fma(-even, s, 1.0 / 720);
    even = __builtin_fma(-even, s, 1.0 / 24);
    even = __builtin_fma(-even, s, 1.0 / 2);
    const double cosine = __builtin_fma(-even, s, 1.0);
    switch (__builtin_bit_cast(uint64_t, shifted) & 3) {
    case 0:
        return {sine, cosine};
    case 1:
        return {cosine, -sine};
    case 2:
        return {-sine, -cosine};
    default:
        return {-cosine, sine};
    }
}

} // namespace
} // namespace intarsia::cpu
