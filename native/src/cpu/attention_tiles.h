// The products of attention by tile registers (amx.h), for bf16 and blocks of up to 64 rows.
//
// The keys of a cache block are operands as they lie there. Values are copied, for an operand is 32 positions, and the two cache blocks that
// have them lie apart.
#pragma once

#include "cpu/dot.h"
#include "cpu/tile_registers.h"

namespace intarsia::cpu {
namespace {

template <class M> struct AttentionTiles {
    static constexpr uint32_t kRows = 64;
    static constexpr uint32_t kMostDim = 256; // a multiple of 32

    alignas(64) uint8_t q[kMostDim / 32][kRows][64];      // [32 inputs, row]
    alignas(64) uint8_t p[kKeys / 32][kRows][64];         // [32 positions, row]
    alignas(64) uint16_t values[kKeys / 32][kMostDim / 16][512]; // [32 positions, 16 elements]

    // Dot products with the keys of the four cache blocks of a key block.
    INTARSIA_BLOCK void scores(uint32_t rows, uint32_t dim, const uint8_t *const *keys, float (*out)[kKeys]) const {
        for (uint32_t r = 0; r < rows; r += 32) {
            for (uint32_t b = 0; b < kKeys / kBlock; b += 2) {
                clear();
                for (uint64_t piece = 0; piece < dim / 32; ++piece) {
                    dot(q[piece][r], keys[b] + piece * 1024, keys[b + 1] + piece * 1024);
                }
                store(out[r] + b * kBlock, kKeys);
            }
        }
    }

    void take(const uint8_t *const *blocks, uint32_t dim) {
        constexpr uint64_t kHalf = tile_bytes(kBlock, Storage::BF16);
        for (uint32_t piece = 0; piece < kKeys / 32; ++piece) {
            for (uint64_t tile = 0; tile < dim / 16; ++tile) {
                __builtin_memcpy(values[piece][tile], blocks[piece * 2] + tile * kHalf, kHalf);
                __builtin_memcpy(values[piece][tile] + kHalf / 2, blocks[piece * 2 + 1] + tile * kHalf, kHalf);
            }
        }
    }

    // Whether no value is infinite or NaN, so that a probability of 0 makes 0 of it.
    bool finite(uint32_t dim) const {
        uint16_t largest = 0; // exponent
        for (const auto &piece : values) {
            for (uint32_t tile = 0; tile < dim / 16; ++tile) {
                for (const uint16_t value : piece[tile]) {
                    const uint16_t exponent = value & 0x7F80;
                    largest = exponent > largest ? exponent : largest;
                }
            }
        }
        return largest < 0x7F80;
    }

    // Probabilities times values: rows row .. row + 32, elements of tiles tile and tile + 1.
    INTARSIA_BLOCK void mix(uint32_t row, uint32_t tile, float (*out)[32]) const {
        clear();
        for (uint32_t piece = 0; piece < kKeys / 32; ++piece) {
            dot(p[piece][row], values[piece][tile], values[piece][tile + 1]);
        }
        store(out[0], 32);
    }

private:
    INTARSIA_INLINE static void clear() {
        unroll<4>([](auto i) { M::template zero<i.value>(); });
    }
    // 32 rows, which lie together, times two tiles of 32 inputs.
    INTARSIA_INLINE static void dot(const uint8_t (&x)[64], const void *first, const void *second) {
        M::template load<4>(x, 64);
        M::template load<6>(first, 64);
        M::template dot_bf16<0, 4, 6>();
        M::template load<5>(x + 1024, 64);
        M::template dot_bf16<2, 5, 6>();
        M::template load<7>(second, 64);
        M::template dot_bf16<1, 4, 7>();
        M::template dot_bf16<3, 5, 7>();
    }
    // 32 rows of 32, `apart` floats apart.
    INTARSIA_INLINE static void store(float *out, uint64_t apart) {
        M::template store<0>(out, apart * 4);
        M::template store<1>(out + 16, apart * 4);
        M::template store<2>(out + 16 * apart, apart * 4);
        M::template store<3>(out + 16 * apart + 16, apart * 4);
    }
};

template <> struct AttentionTiles<NoTiles> {
    static constexpr uint32_t kRows = 16;
};

} // namespace
} // namespace intarsia::cpu
