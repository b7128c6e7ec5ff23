// 16 i32 lanes in two AVX registers. Every operation means what it means in ints_scalar.h.
#pragma once

#include "cpu/vec_avx2.h"

namespace intarsia::cpu {
namespace {

template <class V> struct Ints;

template <> struct Ints<Avx2Vec> {
    static constexpr int kSumsInt8 = 4;
    static constexpr int kSumsInt4 = 4;

    __m256i lo, hi;

    struct Weights {
        __m256i lo, hi;
    };
    struct Inputs {
        __m256i x;
    };

    INTARSIA_INLINE static Ints start_int8(int32_t) { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
    INTARSIA_INLINE static Ints start_int4(int32_t inputs) {
        const __m256i v = _mm256_set1_epi32(-8 * inputs);
        return {v, v};
    }

    INTARSIA_INLINE static Weights load_int8(const uint8_t *from) {
        const __m256i offset = _mm256_set1_epi8(static_cast<char>(0x80));
        return {_mm256_xor_si256(bits(from), offset), _mm256_xor_si256(bits(from + 32), offset)};
    }
    INTARSIA_INLINE static void load_int4(const uint8_t *from, Weights &low, Weights &high) {
        const __m256i half = _mm256_set1_epi8(15);
        const __m256i a = bits(from), b = bits(from + 32);
        low = {_mm256_and_si256(a, half), _mm256_and_si256(b, half)};
        high = {_mm256_and_si256(_mm256_srli_epi16(a, 4), half), _mm256_and_si256(_mm256_srli_epi16(b, 4), half)};
    }
    INTARSIA_INLINE static Inputs inputs(const int8_t *from) {
        int32_t quad;
        __builtin_memcpy(&quad, from, 4);
        return {_mm256_set1_epi32(quad)};
    }

    // |x| times w with the sign of x: two products of at most 127 * 127 never leave 16 bits.
    INTARSIA_INLINE static Ints dot_int8(Ints sum, Weights w, Inputs x) {
        const __m256i magnitude = _mm256_abs_epi8(x.x);
        return {_mm256_add_epi32(sum.lo, quads(magnitude, _mm256_sign_epi8(w.lo, x.x))),
                _mm256_add_epi32(sum.hi, quads(magnitude, _mm256_sign_epi8(w.hi, x.x)))};
    }
    // Nor do two of 15 * 127.
    INTARSIA_INLINE static Ints dot_int4(Ints sum, Weights w, Inputs x) {
        return {_mm256_add_epi32(sum.lo, quads(w.lo, x.x)), _mm256_add_epi32(sum.hi, quads(w.hi, x.x))};
    }

    INTARSIA_INLINE Avx2Vec floats() const { return {_mm256_cvtepi32_ps(lo), _mm256_cvtepi32_ps(hi)}; }
    INTARSIA_INLINE static Avx2Vec widen(const uint8_t *from) {
        const __m256i both = bits(from);
        return {_mm256_cvtph_ps(_mm256_castsi256_si128(both)), _mm256_cvtph_ps(_mm256_extracti128_si256(both, 1))};
    }
    INTARSIA_INLINE static void store(Avx2Vec value, int8_t *to) {
        const __m256i words = _mm256_permute4x64_epi64(
            _mm256_packs_epi32(_mm256_cvtps_epi32(value.lo), _mm256_cvtps_epi32(value.hi)), 0b11011000);
        _mm_storeu_si128(reinterpret_cast<__m128i *>(to),
                         _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
    }

private:
    INTARSIA_INLINE static __m256i bits(const uint8_t *from) {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from));
    }
    INTARSIA_INLINE static __m256i quads(__m256i unsigned_bytes, __m256i signed_bytes) {
        return _mm256_madd_epi16(_mm256_maddubs_epi16(unsigned_bytes, signed_bytes), _mm256_set1_epi16(1));
    }
};

} // namespace
} // namespace intarsia::cpu
