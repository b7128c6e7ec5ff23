// 16 f32 lanes in plain C++: the tier that runs everywhere, and the meaning of every operation that the other tiers
// have.
//
// The lanes are held four by four in the compiler's portable vectors, so that it keeps them in the registers of any
// processor.
#pragma once

#include "cpu/bf16.h"
#include "cpu/tier.h"

#define INTARSIA_BLOCK // inlined like all else, see tier_scalar.cpp

namespace intarsia::cpu {
namespace {

struct ScalarVec {
    // Rows x tiles that dot products work on at once (see dot.h), as many as the registers hold, and how many rows of
    // them at most. BF16 keeps two sums for each.
    static constexpr int kSumsF32 = 1, kRowsF32 = 1;
    static constexpr int kSumsBF16 = 1, kRowsBF16 = 1;

    typedef float Quad __attribute__((vector_size(16)));
    typedef uint32_t Bits __attribute__((vector_size(16)));

    Quad quad[4]; // lanes 4 i .. 4 i + 3

    INTARSIA_INLINE static ScalarVec all(float value) {
        const Quad q = {value, value, value, value};
        return {{q, q, q, q}};
    }
    INTARSIA_INLINE static ScalarVec load(const float *from) {
        return each([&](int i) { return read<Quad>(from + 4 * i); });
    }
    // The even, the odd elements of 16 pairs of bf16.
    INTARSIA_INLINE static ScalarVec even(const uint8_t *pairs) {
        return each([&](int i) { return value(read<Bits>(pairs + 16 * i) << 16); });
    }
    INTARSIA_INLINE static ScalarVec odd(const uint8_t *pairs) {
        return each([&](int i) { return value(read<Bits>(pairs + 16 * i) & 0xFFFF0000); });
    }
    INTARSIA_INLINE static ScalarVec widen(const uint16_t *from) {
        return each([&](int i) {
            const uint16_t *q = from + 4 * i;
            return Quad{widen_bf16(q[0]), widen_bf16(q[1]), widen_bf16(q[2]), widen_bf16(q[3])};
        });
    }

    INTARSIA_INLINE void store(float *to) const { __builtin_memcpy(to, quad, 64); }
    INTARSIA_INLINE void store_bf16(uint16_t *to) const {
        for (int i = 0; i < 16; ++i) {
            to[i] = round_bf16(quad[i / 4][i % 4]);
        }
    }
    // The nearest bf16, as f32.
    INTARSIA_INLINE ScalarVec rounded() const {
        return each([&](int i) {
            const Quad q = quad[i];
            return Quad{rounded(q[0]), rounded(q[1]), rounded(q[2]), rounded(q[3])};
        });
    }

    INTARSIA_INLINE friend ScalarVec operator+(const ScalarVec &a, const ScalarVec &b) {
        return each([&](int i) { return a.quad[i] + b.quad[i]; });
    }
    INTARSIA_INLINE friend ScalarVec operator-(const ScalarVec &a, const ScalarVec &b) {
        return each([&](int i) { return a.quad[i] - b.quad[i]; });
    }
    INTARSIA_INLINE friend ScalarVec operator*(const ScalarVec &a, const ScalarVec &b) {
        return each([&](int i) { return a.quad[i] * b.quad[i]; });
    }
    INTARSIA_INLINE friend ScalarVec operator/(const ScalarVec &a, const ScalarVec &b) {
        return each([&](int i) { return a.quad[i] / b.quad[i]; });
    }
    INTARSIA_INLINE friend ScalarVec operator-(const ScalarVec &a) {
        return each([&](int i) { return -a.quad[i]; });
    }
    // a b + c, rounded once
    INTARSIA_INLINE static ScalarVec fma(const ScalarVec &a, const ScalarVec &b, const ScalarVec &c) {
        return each([&](int i) {
            const Quad x = a.quad[i], y = b.quad[i], z = c.quad[i];
            return Quad{__builtin_fmaf(x[0], y[0], z[0]), __builtin_fmaf(x[1], y[1], z[1]),
                        __builtin_fmaf(x[2], y[2], z[2]), __builtin_fmaf(x[3], y[3], z[3])};
        });
    }
    // a > b ? a : b, so b where one is NaN
    INTARSIA_INLINE static ScalarVec max(const ScalarVec &a, const ScalarVec &b) {
        return each([&](int i) { return greater(a.quad[i], b.quad[i]); });
    }
    // a <= b ? yes : no
    INTARSIA_INLINE static ScalarVec if_le(const ScalarVec &a, const ScalarVec &b, const ScalarVec &yes,
                                           const ScalarVec &no) {
        return each([&](int i) { return a.quad[i] <= b.quad[i] ? yes.quad[i] : no.quad[i]; });
    }
    // x 2^n where the result is normal; n are the lowest bits of `power` (see exp)
    INTARSIA_INLINE static ScalarVec scale(const ScalarVec &x, const ScalarVec &power) {
        return each([&](int i) { return value(bits(x.quad[i]) + (bits(power.quad[i]) << 23)); });
    }

    // Lanes are combined pairwise: (l, l + 8), (l, l + 4), (l, l + 2), (l, l + 1).
    INTARSIA_INLINE float sum() const {
        const Quad four = (quad[0] + quad[2]) + (quad[1] + quad[3]);
        return (four[0] + four[2]) + (four[1] + four[3]);
    }
    INTARSIA_INLINE float max() const {
        const Quad four = greater(greater(quad[0], quad[2]), greater(quad[1], quad[3]));
        const float even = four[0] > four[2] ? four[0] : four[2];
        const float odd = four[1] > four[3] ? four[1] : four[3];
        return even > odd ? even : odd;
    }

private:
    template <class F> INTARSIA_INLINE static ScalarVec each(F &&f) { return {{f(0), f(1), f(2), f(3)}}; }
    template <class T> INTARSIA_INLINE static T read(const void *from) {
        T out;
        __builtin_memcpy(&out, from, sizeof out);
        return out;
    }
    INTARSIA_INLINE static Quad value(Bits bits) { return __builtin_bit_cast(Quad, bits); }
    INTARSIA_INLINE static Bits bits(Quad value) { return __builtin_bit_cast(Bits, value); }
    INTARSIA_INLINE static Quad greater(Quad a, Quad b) { return a > b ? a : b; }
    INTARSIA_INLINE static float rounded(float value) { return widen_bf16(round_bf16(value)); }
};

} // namespace
} // namespace intarsia::cpu
