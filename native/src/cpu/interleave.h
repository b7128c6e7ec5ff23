// Rows of words become columns: the one movement of packing. A word is one f32, or two neighbouring bf16.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/args.h"

namespace intarsia::cpu {
namespace {

using Words = uint32_t __attribute__((vector_size(16)));
constexpr uint32_t kWords = 4; // of a vector that every x86-64 and aarch64 processor has

// Words as they are.
inline Words as_is(Words words) { return words; }

// Pairs of bf16 with every NaN made quiet, as rounding makes it.
inline Words quiet(Words words) {
    using Halves = int16_t __attribute__((vector_size(16)));
    const Halves none = {};
    const Halves magnitude = (Halves)words & (none + 0x7FFF);
    return words | (Words)((magnitude > none + 0x7F80) & (none + 0x40));
}

template <Words (*Change)(Words)> inline Words load(const unsigned char *from, uint64_t bytes = sizeof(Words)) {
    Words words = {};
    std::memcpy(&words, from, bytes);
    return Change(words);
}

inline void store(uint32_t *to, Words words) { std::memcpy(to, &words, sizeof words); }

// from: kTile rows of `count` words at any address, `stride` bytes apart; out: [count, kTile] words.
template <Words (*Change)(Words)>
void interleave(const unsigned char *from, uint64_t stride, uint32_t count, uint32_t *out) {
    uint32_t word = 0;
    for (; word + kWords <= count; word += kWords) {
        for (uint32_t row = 0; row < kTile; row += kWords) {
            const unsigned char *rows = from + row * stride + word * sizeof(uint32_t);
            const Words a = load<Change>(rows);
            const Words b = load<Change>(rows + stride);
            const Words c = load<Change>(rows + 2 * stride);
            const Words d = load<Change>(rows + 3 * stride);
            const Words ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
            const Words ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
            const Words cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
            const Words cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
            uint32_t *columns = out + uint64_t{word} * kTile + row;
            store(columns, __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5));
            store(columns + kTile, __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7));
            store(columns + 2 * kTile, __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5));
            store(columns + 3 * kTile, __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7));
        }
    }
    for (; word < count; ++word)
        for (uint32_t row = 0; row < kTile; ++row)
            out[uint64_t{word} * kTile + row] = load<Change>(from + row * stride + word * sizeof(uint32_t), sizeof(uint32_t))[0];
}

} // namespace
} // namespace intarsia::cpu
