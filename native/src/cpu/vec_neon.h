// 16 f32 lanes in four NEON registers, which every 64-bit ARM processor has. Every operation means what it means in
// vec_scalar.h. The bf16 instructions of later processors are not used: they round the sums in another order.
#pragma once

#include <arm_neon.h>

#include "cpu/bf16.h"
#include "cpu/tier.h"

#define INTARSIA_BLOCK [[gnu::noinline]] // the loop has all the registers to itself

namespace intarsia::cpu {
namespace {

struct NeonVec {
    // 32 registers: 24 hold sums, the others weights and a broadcast input.
    static constexpr int kSumsF32 = 6, kRowsF32 = 6;
    static constexpr int kSumsBF16 = 3, kRowsBF16 = 3;

    float32x4_t quad[4]; // lanes 4 i .. 4 i + 3

    INTARSIA_INLINE static NeonVec all(float value) {
        const float32x4_t q = vdupq_n_f32(value);
        return {{q, q, q, q}};
    }
    INTARSIA_INLINE static NeonVec load(const float *from) {
        return each([&](int i) { return vld1q_f32(from + 4 * i); });
    }
    INTARSIA_INLINE static NeonVec even(const uint8_t *pairs) {
        return each([&](int i) { return value(vshlq_n_u32(bits(pairs + 16 * i), 16)); });
    }
    INTARSIA_INLINE static NeonVec odd(const uint8_t *pairs) {
        return each([&](int i) { return value(vandq_u32(bits(pairs + 16 * i), vdupq_n_u32(0xFFFF0000))); });
    }
    INTARSIA_INLINE static NeonVec widen(const uint16_t *from) {
        return each([&](int i) { return value(vshll_n_u16(vld1_u16(from + 4 * i), 16)); });
    }

    INTARSIA_INLINE void store(float *to) const {
        for (int i = 0; i < 4; ++i) {
            vst1q_f32(to + 4 * i, quad[i]);
        }
    }
    INTARSIA_INLINE void store_bf16(uint16_t *to) const {
        for (int i = 0; i < 4; ++i) {
            vst1_u16(to + 4 * i, vshrn_n_u32(round4(quad[i]), 16));
        }
    }
    INTARSIA_INLINE NeonVec rounded() const {
        return each([&](int i) { return value(vandq_u32(round4(quad[i]), vdupq_n_u32(0xFFFF0000))); });
    }

    INTARSIA_INLINE friend NeonVec operator+(const NeonVec &a, const NeonVec &b) {
        return each([&](int i) { return vaddq_f32(a.quad[i], b.quad[i]); });
    }
    INTARSIA_INLINE friend NeonVec operator-(const NeonVec &a, const NeonVec &b) {
        return each([&](int i) { return vsubq_f32(a.quad[i], b.quad[i]); });
    }
    INTARSIA_INLINE friend NeonVec operator*(const NeonVec &a, const NeonVec &b) {
        return each([&](int i) { return vmulq_f32(a.quad[i], b.quad[i]); });
    }
    INTARSIA_INLINE friend NeonVec operator/(const NeonVec &a, const NeonVec &b) {
        return each([&](int i) { return vdivq_f32(a.quad[i], b.quad[i]); });
    }
    INTARSIA_INLINE friend NeonVec operator-(const NeonVec &a) {
        return each([&](int i) { return vnegq_f32(a.quad[i]); });
    }
    INTARSIA_INLINE static NeonVec fma(const NeonVec &a, const NeonVec &b, const NeonVec &c) {
        return each([&](int i) { return vfmaq_f32(c.quad[i], a.quad[i], b.quad[i]); });
    }
    // Not the instruction of that name, which gives NaN where either is one.
    INTARSIA_INLINE static NeonVec max(const NeonVec &a, const NeonVec &b) {
        return each([&](int i) { return greater(a.quad[i], b.quad[i]); });
    }
    INTARSIA_INLINE static NeonVec if_le(const NeonVec &a, const NeonVec &b, const NeonVec &yes, const NeonVec &no) {
        return each([&](int i) { return vbslq_f32(vcleq_f32(a.quad[i], b.quad[i]), yes.quad[i], no.quad[i]); });
    }
    INTARSIA_INLINE static NeonVec scale(const NeonVec &x, const NeonVec &power) {
        return each([&](int i) {
            return value(vaddq_u32(vreinterpretq_u32_f32(x.quad[i]),
                                   vshlq_n_u32(vreinterpretq_u32_f32(power.quad[i]), 23)));
        });
    }

    INTARSIA_INLINE float sum() const {
        const float32x4_t four = vaddq_f32(vaddq_f32(quad[0], quad[2]), vaddq_f32(quad[1], quad[3]));
        const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
        return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
    }
    INTARSIA_INLINE float max() const {
        const float32x4_t four = greater(greater(quad[0], quad[2]), greater(quad[1], quad[3]));
        const float32x2_t low = vget_low_f32(four), high = vget_high_f32(four);
        const float32x2_t two = vbsl_f32(vcgt_f32(low, high), low, high);
        const float even = vget_lane_f32(two, 0), odd = vget_lane_f32(two, 1);
        return even > odd ? even : odd;
    }

private:
    template <class F> INTARSIA_INLINE static NeonVec each(F &&f) { return {{f(0), f(1), f(2), f(3)}}; }
    INTARSIA_INLINE static uint32x4_t bits(const uint8_t *from) { return vreinterpretq_u32_u8(vld1q_u8(from)); }
    INTARSIA_INLINE static float32x4_t value(uint32x4_t bits) { return vreinterpretq_f32_u32(bits); }
    INTARSIA_INLINE static float32x4_t greater(float32x4_t a, float32x4_t b) {
        return vbslq_f32(vcgtq_f32(a, b), a, b);
    }
    // round_bf16 in the upper halves; the lower ones are not cleared.
    INTARSIA_INLINE static uint32x4_t round4(float32x4_t value) {
        const uint32x4_t v = vreinterpretq_u32_f32(value);
        const uint32x4_t tie = vandq_u32(vshrq_n_u32(v, 16), vdupq_n_u32(1));
        const uint32x4_t nearest = vaddq_u32(v, vaddq_u32(tie, vdupq_n_u32(0x7FFF)));
        const uint32x4_t quiet = vorrq_u32(v, vdupq_n_u32(0x400000));
        return vbslq_u32(vceqq_f32(value, value), nearest, quiet);
    }
};

} // namespace
} // namespace intarsia::cpu
