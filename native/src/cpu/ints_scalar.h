// 16 i32 lanes, each the sum of products of four unsigned and four signed bytes, in plain C++: the meaning of every operation that the
// other tiers have. Sums are exact, so that tiers may add in any order.
//
// An INT8 byte is q + 128, an INT4 half q + 8. A tier either takes that off each weight, or starts its sum at minus that many times the sum of
// the inputs.
#pragma once

#include "cpu/f16.h"
#include "cpu/vec_scalar.h"

namespace intarsia::cpu {
namespace {

// What a tier does with integers; V is its class of f32 lanes.
template <class V> struct Ints;

template <> struct Ints<ScalarVec> {
    // Rows x tiles that dot products work on at once.
    static constexpr int kSumsInt8 = 1;
    static constexpr int kSumsInt4 = 1;

    int32_t lane[16];

    struct Weights { // of 16 outputs and four inputs: 4 o + i
        int8_t q[64];
    };
    using Inputs = const int8_t *; // four

    // Sums that tile registers made.
    INTARSIA_INLINE static Ints load(const int32_t *from) {
        Ints out;
        __builtin_memcpy(out.lane, from, sizeof out.lane);
        return out;
    }
    INTARSIA_INLINE static Ints add(const Ints &sums, int32_t to_each) { // modulo 2^32
        Ints out;
        for (int o = 0; o < 16; ++o) {
            out.lane[o] = static_cast<int32_t>(static_cast<uint32_t>(sums.lane[o]) + static_cast<uint32_t>(to_each));
        }
        return out;
    }
    // The start of a sum over inputs whose sum is `inputs`.
    INTARSIA_INLINE static Ints start_int8(int32_t) { return {}; }
    INTARSIA_INLINE static Ints start_int4(int32_t) { return {}; }

    INTARSIA_INLINE static Weights load_int8(const uint8_t *from) {
        Weights out;
        for (int i = 0; i < 64; ++i) {
            out.q[i] = static_cast<int8_t>(from[i] ^ 0x80);
        }
        return out;
    }
    INTARSIA_INLINE static void load_int4(const uint8_t *from, Weights &low, Weights &high) {
        for (int i = 0; i < 64; ++i) {
            low.q[i] = static_cast<int8_t>((from[i] & 15) - 8);
            high.q[i] = static_cast<int8_t>((from[i] >> 4) - 8);
        }
    }
    INTARSIA_INLINE static Inputs inputs(const int8_t *from) { return from; }
    // The 8 times 64 bytes of INT4 weights of a step of a tile as quads of q: 16 times 64 bytes.
    INTARSIA_INLINE static void unpack_int4(const uint8_t *from, int8_t *to) {
        for (int i = 0; i < 8; ++i) {
            Weights low, high;
            load_int4(from + i * 64, low, high);
            __builtin_memcpy(to + i * 128, low.q, 64);
            __builtin_memcpy(to + i * 128 + 64, high.q, 64);
        }
    }

    INTARSIA_INLINE static Ints dot_int8(const Ints &sum, const Weights &w, Inputs x) {
        Ints out;
        for (int o = 0; o < 16; ++o) {
            const int8_t *q = w.q + 4 * o;
            out.lane[o] = sum.lane[o] + q[0] * x[0] + q[1] * x[1] + q[2] * x[2] + q[3] * x[3];
        }
        return out;
    }
    INTARSIA_INLINE static Ints dot_int4(const Ints &sum, const Weights &w, Inputs x) { return dot_int8(sum, w, x); }

    INTARSIA_INLINE ScalarVec floats() const {
        float out[16];
        for (int o = 0; o < 16; ++o) {
            out[o] = static_cast<float>(lane[o]);
        }
        return ScalarVec::load(out);
    }
    // 16 f16 as f32, whatever the mode says about denormals.
    INTARSIA_INLINE static ScalarVec widen(const uint8_t *from) {
        float out[16];
        for (int o = 0; o < 16; ++o) {
            out[o] = widen_f16(static_cast<uint16_t>(from[2 * o] | from[2 * o + 1] << 8));
        }
        return ScalarVec::load(out);
    }
    // Lanes of magnitude below 127.5 to the nearest integers, ties to even.
    INTARSIA_INLINE static void store(const ScalarVec &value, int8_t *to) {
        float lanes[16];
        (value + ScalarVec::all(0x1.8p23f)).store(lanes); // the sum's last bit counts ones
        for (int i = 0; i < 16; ++i) {
            to[i] = static_cast<int8_t>(__builtin_bit_cast(uint32_t, lanes[i]) & 0xFF);
        }
    }
};

} // namespace
} // namespace intarsia::cpu
