// 16 f32 lanes in two AVX registers. Every operation means what it means in vec_scalar.h.
#pragma once

#include <immintrin.h>

#include "cpu/bf16.h"
#include "cpu/tier.h"

#define INTARSIA_BLOCK [[gnu::noinline]] // the loop has all the registers to itself

namespace intarsia::cpu {
namespace {

struct Avx2Vec {
    // 16 registers: 12 hold sums, the others weights and a broadcast input.
    static constexpr int kSumsF32 = 6, kRowsF32 = 6;
    static constexpr int kSumsBF16 = 3, kRowsBF16 = 3;

    __m256 lo, hi;

    INTARSIA_INLINE static Avx2Vec all(float value) {
        const __m256 v = _mm256_set1_ps(value);
        return {v, v};
    }
    INTARSIA_INLINE static Avx2Vec load(const float *from) {
        return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
    }
    INTARSIA_INLINE static Avx2Vec even(const uint8_t *pairs) {
        return {_mm256_castsi256_ps(_mm256_slli_epi32(bits(pairs), 16)),
                _mm256_castsi256_ps(_mm256_slli_epi32(bits(pairs + 32), 16))};
    }
    INTARSIA_INLINE static Avx2Vec odd(const uint8_t *pairs) {
        const __m256i upper = _mm256_set1_epi32(static_cast<int>(0xFFFF0000));
        return {_mm256_castsi256_ps(_mm256_and_si256(bits(pairs), upper)),
                _mm256_castsi256_ps(_mm256_and_si256(bits(pairs + 32), upper))};
    }
    INTARSIA_INLINE static Avx2Vec widen(const uint16_t *from) { return {widen8(from), widen8(from + 8)}; }

    INTARSIA_INLINE void store(float *to) const {
        _mm256_storeu_ps(to, lo);
        _mm256_storeu_ps(to + 8, hi);
    }
    INTARSIA_INLINE void store_bf16(uint16_t *to) const {
        const __m256i packed =
            _mm256_packus_epi32(_mm256_srli_epi32(round8(lo), 16), _mm256_srli_epi32(round8(hi), 16));
        _mm256_storeu_si256(reinterpret_cast<__m256i *>(to), _mm256_permute4x64_epi64(packed, 0b11011000));
    }
    INTARSIA_INLINE Avx2Vec rounded() const {
        const __m256i upper = _mm256_set1_epi32(static_cast<int>(0xFFFF0000));
        return {_mm256_castsi256_ps(_mm256_and_si256(round8(lo), upper)),
                _mm256_castsi256_ps(_mm256_and_si256(round8(hi), upper))};
    }

    INTARSIA_INLINE friend Avx2Vec operator+(Avx2Vec a, Avx2Vec b) {
        return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
    }
    INTARSIA_INLINE friend Avx2Vec operator-(Avx2Vec a, Avx2Vec b) {
        return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
    }
    INTARSIA_INLINE friend Avx2Vec operator*(Avx2Vec a, Avx2Vec b) {
        return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
    }
    INTARSIA_INLINE friend Avx2Vec operator/(Avx2Vec a, Avx2Vec b) {
        return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
    }
    INTARSIA_INLINE friend Avx2Vec operator-(Avx2Vec a) {
        const __m256 sign = _mm256_set1_ps(-0.0f);
        return {_mm256_xor_ps(a.lo, sign), _mm256_xor_ps(a.hi, sign)};
    }
    INTARSIA_INLINE static Avx2Vec fma(Avx2Vec a, Avx2Vec b, Avx2Vec c) {
        return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
    }
    INTARSIA_INLINE static Avx2Vec max(Avx2Vec a, Avx2Vec b) {
        return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
    }
    INTARSIA_INLINE static Avx2Vec if_le(Avx2Vec a, Avx2Vec b, Avx2Vec yes, Avx2Vec no) {
        return {_mm256_blendv_ps(no.lo, yes.lo, _mm256_cmp_ps(a.lo, b.lo, _CMP_LE_OQ)),
                _mm256_blendv_ps(no.hi, yes.hi, _mm256_cmp_ps(a.hi, b.hi, _CMP_LE_OQ))};
    }
    INTARSIA_INLINE static Avx2Vec scale(Avx2Vec value, Avx2Vec power) {
        return {scale8(value.lo, power.lo), scale8(value.hi, power.hi)};
    }

    INTARSIA_INLINE float sum() const {
        const __m256 eight = _mm256_add_ps(lo, hi);
        const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
        const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
    }
    INTARSIA_INLINE float max() const {
        const __m256 eight = _mm256_max_ps(lo, hi);
        const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
        const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
    }

private:
    INTARSIA_INLINE static __m256i bits(const uint8_t *from) {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from));
    }
    INTARSIA_INLINE static __m256 widen8(const uint16_t *from) {
        const __m128i eight = _mm_loadu_si128(reinterpret_cast<const __m128i *>(from));
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(eight), 16));
    }
    // round_bf16 in the upper halves; the lower ones are not cleared.
    INTARSIA_INLINE static __m256i round8(__m256 value) {
        const __m256i v = _mm256_castps_si256(value);
        const __m256i tie = _mm256_and_si256(_mm256_srli_epi32(v, 16), _mm256_set1_epi32(1));
        const __m256i nearest = _mm256_add_epi32(v, _mm256_add_epi32(tie, _mm256_set1_epi32(0x7FFF)));
        const __m256i quiet = _mm256_or_si256(v, _mm256_set1_epi32(0x400000));
        return _mm256_blendv_epi8(nearest, quiet, _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q)));
    }
    INTARSIA_INLINE static __m256 scale8(__m256 value, __m256 power) {
        return _mm256_castsi256_ps(
            _mm256_add_epi32(_mm256_castps_si256(value), _mm256_slli_epi32(_mm256_castps_si256(power), 23)));
    }
};

} // namespace
} // namespace intarsia::cpu
