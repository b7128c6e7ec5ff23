// How linear kernels use the tile registers of amx.h: 0 .. 3 hold sums of 16 rows x 16 outputs, 4 and 5 inputs of the first 16
// rows and of the rest, 6 and 7 weights.
#pragma once

#include "cpu/lanes.h"

namespace intarsia::cpu {
namespace {

// For processors without tile registers.
struct NoTiles {
    static constexpr bool kThere = false;
};

// Rows that are worth it; of fewer, vectors are done as soon or sooner. A sum of INT4 goes through memory with every group.
constexpr uint32_t tiled_rows(Storage weights) { return weights == Storage::INT4 ? 17 : 7; }
constexpr uint32_t kTiledQueries = 9; // of attention
constexpr uint32_t kTiledBlock = 32; // rows at once
constexpr uint32_t kTiledGroup = 32; // tiles of weights at once, at most
constexpr uint32_t kSectionBytes = 1024; // of each row: 32 of them stay in the nearest cache while the weights pass

// Tiles of so many bytes whose weights stay in the second-level cache while the rows pass; even, so that gate and up stay together.
constexpr uint32_t tiled_group(uint64_t bytes) {
    const uint64_t fit = (uint64_t{640} << 10) / bytes / 2 * 2;
    return fit < 4 ? 4 : fit > kTiledGroup ? kTiledGroup : static_cast<uint32_t>(fit);
}

// For weights of so many inputs as are `bytes` bytes of a row, at most 64.
template <class M> void configure(uint32_t bytes) {
    typename M::Shapes shapes;
    for (int i = 0; i < 8; ++i) {
        shapes.rows[i] = static_cast<uint8_t>(i < 6 ? 16 : bytes / 4);
        shapes.row_bytes[i] = static_cast<uint16_t>(i == 4 || i == 5 ? bytes : 64);
    }
    M::configure(shapes);
}

// What tile registers take of up to Rows rows, 64 bytes of each after the other: [piece of 64 bytes, row], so that what a register holds lies
// together. Rows that are not there are zero.
template <uint32_t Rows = kTiledBlock, uint32_t Pieces = kSectionBytes / 64> struct Panel {
    alignas(64) uint8_t bytes[Pieces][Rows][64];

    // `length` bytes of each of `rows` rows that are `apart` bytes apart; the rest of a last piece is not read.
    void fill(const uint8_t *from, uint64_t apart, uint32_t rows, uint32_t length) {
        const uint32_t whole = length / 64, left = length % 64;
        for (uint32_t r = 0; r < Rows; ++r) {
            const uint8_t *row = from + r * apart;
            if (r >= rows) {
                for (uint32_t piece = 0; piece < whole + (left > 0); ++piece) {
                    __builtin_memset(bytes[piece][r], 0, 64);
                }
                continue;
            }
            for (uint32_t piece = 0; piece < whole; ++piece) {
                __builtin_memcpy(bytes[piece][r], row + piece * 64, 64);
            }
            if (left > 0) {
                __builtin_memcpy(bytes[whole][r], row + whole * 64, left);
            }
        }
    }
};

// The first rows wait for memory: while they are worked on, the weights that a later step takes come to the second-level cache.
INTARSIA_INLINE void fetch_weights(const uint8_t *from) {
    for (uint32_t line = 0; line < 16; ++line) {
        __builtin_prefetch(from + 4096 + line * 64, 0, 2);
    }
}

// Where the sums of 32 rows and two tiles will go, which is fetched meanwhile: writing to lines that are nowhere near would take as long as
// the sums.
struct Destination {
    const char *at = nullptr;
    uint64_t apart = 0; // bytes, of two rows
    uint32_t rows = 0;
    uint32_t bytes = 0; // of a row

    INTARSIA_INLINE void fetch(uint64_t step) const {
        for (uint64_t row = step * 2; row < step * 2 + 2 && row < rows; ++row) {
            __builtin_prefetch(at + row * apart, 1);
            if (bytes > 64) {
                __builtin_prefetch(at + row * apart + 64, 1);
            }
        }
    }
};

} // namespace
} // namespace intarsia::cpu
