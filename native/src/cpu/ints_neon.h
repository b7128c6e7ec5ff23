// 16 i32 lanes in four NEON registers. Every operation means what it means in ints_scalar.h. The dot products of later
// processors are not used.
#pragma once

#include "cpu/vec_neon.h"

namespace intarsia::cpu {
namespace {

template <class V> struct Ints;

template <> struct Ints<NeonVec> {
    static constexpr int kSumsInt8 = 4;
    static constexpr int kSumsInt4 = 4;

    int32x4_t quad[4];

    struct Weights {
        int8x16_t quad[4]; // outputs 4 i .. 4 i + 3
    };
    struct Inputs {
        int8x16_t x; // four times the four
    };

    INTARSIA_INLINE static Ints start_int8(int32_t) { return start_int4(0); }
    INTARSIA_INLINE static Ints start_int4(int32_t) {
        const int32x4_t zero = vdupq_n_s32(0);
        return {{zero, zero, zero, zero}};
    }

    INTARSIA_INLINE static Weights load_int8(const uint8_t *from) {
        Weights out;
        for (int i = 0; i < 4; ++i) {
            out.quad[i] = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(from + 16 * i), vdupq_n_u8(0x80)));
        }
        return out;
    }
    INTARSIA_INLINE static void load_int4(const uint8_t *from, Weights &low, Weights &high) {
        const int8x16_t eight = vdupq_n_s8(8);
        for (int i = 0; i < 4; ++i) {
            const uint8x16_t both = vld1q_u8(from + 16 * i);
            low.quad[i] = vsubq_s8(vreinterpretq_s8_u8(vandq_u8(both, vdupq_n_u8(15))), eight);
            high.quad[i] = vsubq_s8(vreinterpretq_s8_u8(vshrq_n_u8(both, 4)), eight);
        }
    }
    INTARSIA_INLINE static Inputs inputs(const int8_t *from) {
        int32_t four;
        __builtin_memcpy(&four, from, 4);
        return {vreinterpretq_s8_s32(vdupq_n_s32(four))};
    }

    // Two products of at most 128 * 127 never leave 16 bits.
    INTARSIA_INLINE static Ints dot_int8(const Ints &sum, const Weights &w, Inputs x) {
        Ints out;
        for (int i = 0; i < 4; ++i) {
            const int16x8_t front = vmull_s8(vget_low_s8(w.quad[i]), vget_low_s8(x.x));
            const int16x8_t back = vmull_high_s8(w.quad[i], x.x);
            out.quad[i] = vpadalq_s16(sum.quad[i], vpaddq_s16(front, back));
        }
        return out;
    }
    INTARSIA_INLINE static Ints dot_int4(const Ints &sum, const Weights &w, Inputs x) { return dot_int8(sum, w, x); }

    INTARSIA_INLINE NeonVec floats() const {
        return {{vcvtq_f32_s32(quad[0]), vcvtq_f32_s32(quad[1]), vcvtq_f32_s32(quad[2]), vcvtq_f32_s32(quad[3])}};
    }
    INTARSIA_INLINE static NeonVec widen(const uint8_t *from) {
        return {{widen4(from), widen4(from + 8), widen4(from + 16), widen4(from + 24)}};
    }
    INTARSIA_INLINE static void store(const NeonVec &value, int8_t *to) {
        const auto nearest = [&](int i) { return vmovn_s32(vcvtnq_s32_f32(value.quad[i])); };
        const int16x8_t front = vcombine_s16(nearest(0), nearest(1)), back = vcombine_s16(nearest(2), nearest(3));
        vst1q_s8(to, vcombine_s8(vmovn_s16(front), vmovn_s16(back)));
    }

private:
    INTARSIA_INLINE static float32x4_t widen4(const uint8_t *from) {
        return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(from)));
    }
};

} // namespace
} // namespace intarsia::cpu
