// The tile registers of AMX. What uses them is a template over a class like this one, so that tests run it with tiles in
// plain C++ on a processor that has none (tests/tiles_emulated.h).
//
// Assembler, for the intrinsics of gcc 12 do not tell the compiler which memory they touch: it then drops the writing of
// a configuration that nothing seems to read.
#pragma once

#include <cstdint>

#include "cpu/tier.h"

namespace intarsia::cpu {
namespace {

struct AmxTiles {
    static constexpr bool kThere = true;

    // Shapes of the registers: rows, and bytes of a row. All become zero.
    struct alignas(64) Shapes {
        uint8_t palette = 1;
        uint8_t start_row = 0;
        uint8_t reserved[14] = {};
        uint16_t row_bytes[16] = {};
        uint8_t rows[16] = {};
    };
    static_assert(sizeof(Shapes) == 64);

    INTARSIA_INLINE static void configure(const Shapes &shapes) {
        asm volatile("ldtilecfg %0" : : "m"(shapes) : "memory");
    }
    INTARSIA_INLINE static void release() { asm volatile("tilerelease" : : : "memory"); }

    template <int T> INTARSIA_INLINE static void zero() { asm volatile("tilezero %%tmm%c0" : : "i"(T) : "memory"); }
    // Rows that are `apart` bytes apart.
    template <int T> INTARSIA_INLINE static void load(const void *from, uint64_t apart) {
        asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(apart), "i"(T) : "memory");
    }
    template <int T> INTARSIA_INLINE static void store(void *to, uint64_t apart) {
        asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(apart), "i"(T) : "memory");
    }
    // C[m][n] += (the sum over pairs of A[m][2 p] B[p][2 n]) + (that of A[m][2 p + 1] B[p][2 n + 1]), each sum by fused
    // multiply-add in rising p from zero: the sum over one block of inputs of LinearArgs.
    template <int C, int A, int B> INTARSIA_INLINE static void dot_bf16() {
        asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B) : "memory");
    }
    // C[m][n] += the sum over i of A[m][i] B[i / 4][4 n + i % 4], A signed and B unsigned bytes, modulo 2^32.
    template <int C, int A, int B> INTARSIA_INLINE static void dot_ints() {
        asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B) : "memory");
    }
    // With both signed.
    template <int C, int A, int B> INTARSIA_INLINE static void dot_signed() {
        asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B) : "memory");
    }
};

} // namespace
} // namespace intarsia::cpu
