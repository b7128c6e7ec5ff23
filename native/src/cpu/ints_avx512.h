// 16 i32 lanes in one AVX-512 register. Every operation means what it means in ints_scalar.h. (Conversions are the masked ones with all lanes
// kept: gcc 12 warns of what its header leaves uninitialized in the others. The instructions are the same.)
#pragma once

#include "cpu/vec_avx512.h"

namespace intarsia::cpu {
namespace {

template <class V> struct Ints;

template <> struct Ints<Avx512Vec> {
    static constexpr int kSumsInt8 = 24;
    static constexpr int kSumsInt4 = 12; // beside as many of f32

    __m512i v;

    struct Weights {
        __m512i w;
    };
    struct Inputs {
        __m512i x;
    };

    INTARSIA_INLINE static Ints load(const int32_t *from) { return {_mm512_loadu_si512(from)}; }
    INTARSIA_INLINE static Ints add(Ints sums, int32_t to_each) { return {_mm512_add_epi32(sums.v, _mm512_set1_epi32(to_each))}; }
    INTARSIA_INLINE static Ints start_int8(int32_t inputs) { return {_mm512_set1_epi32(-128 * inputs)}; }
    INTARSIA_INLINE static Ints start_int4(int32_t inputs) { return {_mm512_set1_epi32(-8 * inputs)}; }

    INTARSIA_INLINE static Weights load_int8(const uint8_t *from) { return {_mm512_loadu_si512(from)}; }
    INTARSIA_INLINE static void load_int4(const uint8_t *from, Weights &low, Weights &high) {
        const __m512i half = _mm512_set1_epi8(15);
        const __m512i both = _mm512_loadu_si512(from);
        low = {_mm512_and_si512(both, half)};
        high = {_mm512_and_si512(_mm512_srli_epi16(both, 4), half)};
    }
    INTARSIA_INLINE static Inputs inputs(const int8_t *from) {
        int32_t quad;
        __builtin_memcpy(&quad, from, 4);
        return {_mm512_set1_epi32(quad)};
    }

    INTARSIA_INLINE static void unpack_int4(const uint8_t *from, int8_t *to) {
        const __m512i eight = _mm512_set1_epi8(8);
        for (int i = 0; i < 8; ++i) {
            Weights low, high;
            load_int4(from + i * 64, low, high);
            _mm512_storeu_si512(to + i * 128, _mm512_sub_epi8(low.w, eight));
            _mm512_storeu_si512(to + i * 128 + 64, _mm512_sub_epi8(high.w, eight));
        }
    }

    // On the way the sums of unsigned weights may leave 32 bits; they come back, for they are taken modulo 2^32.
    // (Not by the intrinsic: gcc 12 then copies the sums to and fro between registers, two moves a product.)
    INTARSIA_INLINE static Ints dot_int8(Ints sum, Weights w, Inputs x) {
        asm("vpdpbusd %2, %1, %0" : "+v"(sum.v) : "v"(w.w), "v"(x.x));
        return sum;
    }
    INTARSIA_INLINE static Ints dot_int4(Ints sum, Weights w, Inputs x) { return dot_int8(sum, w, x); }

    INTARSIA_INLINE Avx512Vec floats() const { return {_mm512_maskz_cvtepi32_ps(0xFFFF, v)}; }
    INTARSIA_INLINE static Avx512Vec widen(const uint8_t *from) {
        return {_mm512_maskz_cvtph_ps(0xFFFF, _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)))};
    }
    INTARSIA_INLINE static void store(Avx512Vec value, int8_t *to) {
        _mm_storeu_si128(reinterpret_cast<__m128i *>(to), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(value.v)));
    }
};

} // namespace
} // namespace intarsia::cpu
