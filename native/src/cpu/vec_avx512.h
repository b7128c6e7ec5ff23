// 16 f32 lanes in one AVX-512 register. Every operation means what it means in vec_scalar.h.
#pragma once

#include <immintrin.h>

#include "cpu/bf16.h"
#include "cpu/tier.h"

#define INTARSIA_BLOCK [[gnu::noinline]] // the loop has all the registers to itself

namespace intarsia::cpu {
namespace {

struct Avx512Vec {
    // 32 registers: 24 hold sums, the others weights and a broadcast input. Rows by two tiles, for a load takes as long
    // as a multiplication.
    static constexpr int kSumsF32 = 24, kRowsF32 = 12;
    static constexpr int kSumsBF16 = 12, kRowsBF16 = 6;

    __m512 v;

    INTARSIA_INLINE static Avx512Vec all(float value) { return {_mm512_set1_ps(value)}; }
    INTARSIA_INLINE static Avx512Vec load(const float *from) { return {_mm512_loadu_ps(from)}; }
    INTARSIA_INLINE static Avx512Vec even(const uint8_t *pairs) {
        return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(pairs), 16))};
    }
    INTARSIA_INLINE static Avx512Vec odd(const uint8_t *pairs) {
        return {_mm512_castsi512_ps(_mm512_and_si512(_mm512_loadu_si512(pairs), upper()))};
    }
    INTARSIA_INLINE static Avx512Vec widen(const uint16_t *from) {
        const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from));
        return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16))};
    }

    INTARSIA_INLINE void store(float *to) const { _mm512_storeu_ps(to, v); }
    INTARSIA_INLINE void store_bf16(uint16_t *to) const {
        _mm256_storeu_si256(reinterpret_cast<__m256i *>(to),
                            _mm512_cvtepi32_epi16(_mm512_srli_epi32(round16(v), 16)));
    }
    INTARSIA_INLINE Avx512Vec rounded() const { return {_mm512_castsi512_ps(_mm512_and_si512(round16(v), upper()))}; }

    INTARSIA_INLINE friend Avx512Vec operator+(Avx512Vec a, Avx512Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
    INTARSIA_INLINE friend Avx512Vec operator-(Avx512Vec a, Avx512Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
    INTARSIA_INLINE friend Avx512Vec operator*(Avx512Vec a, Avx512Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
    INTARSIA_INLINE friend Avx512Vec operator/(Avx512Vec a, Avx512Vec b) { return {_mm512_div_ps(a.v, b.v)}; }
    INTARSIA_INLINE friend Avx512Vec operator-(Avx512Vec a) { return {_mm512_xor_ps(a.v, _mm512_set1_ps(-0.0f))}; }
    INTARSIA_INLINE static Avx512Vec fma(Avx512Vec a, Avx512Vec b, Avx512Vec c) {
        return {_mm512_fmadd_ps(a.v, b.v, c.v)};
    }
    INTARSIA_INLINE static Avx512Vec max(Avx512Vec a, Avx512Vec b) { return {_mm512_max_ps(a.v, b.v)}; }
    INTARSIA_INLINE static Avx512Vec if_le(Avx512Vec a, Avx512Vec b, Avx512Vec yes, Avx512Vec no) {
        return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ), no.v, yes.v)};
    }
    INTARSIA_INLINE static Avx512Vec scale(Avx512Vec value, Avx512Vec power) {
        return {_mm512_castsi512_ps(
            _mm512_add_epi32(_mm512_castps_si512(value.v), _mm512_slli_epi32(_mm512_castps_si512(power.v), 23)))};
    }

    INTARSIA_INLINE float sum() const {
        const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
        const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
        const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
    }
    INTARSIA_INLINE float max() const {
        const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
        const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
        const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
    }

private:
    INTARSIA_INLINE static __m512i upper() { return _mm512_set1_epi32(static_cast<int>(0xFFFF0000)); }
    // round_bf16 in the upper halves; the lower ones are not cleared. (The processor's own conversion flushes denormals
    // whatever the mode.)
    INTARSIA_INLINE static __m512i round16(__m512 value) {
        const __m512i v = _mm512_castps_si512(value);
        const __m512i tie = _mm512_and_si512(_mm512_srli_epi32(v, 16), _mm512_set1_epi32(1));
        const __m512i nearest = _mm512_add_epi32(v, _mm512_add_epi32(tie, _mm512_set1_epi32(0x7FFF)));
        const __m512i quiet = _mm512_or_si512(v, _mm512_set1_epi32(0x400000));
        return _mm512_mask_mov_epi32(nearest, _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q), quiet);
    }
};

} // namespace
} // namespace intarsia::cpu
