// The tile registers of AMX in plain C++, with the interface of src/cpu/amx.h: what the instructions compute, by the
// pseudocode of their manual, and a failed test where a processor would refuse.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include <gtest/gtest.h>

#include "reference.h"

namespace intarsia::test {

struct EmulatedTiles {
    static constexpr bool kThere = true;

    struct Shapes {
        uint8_t palette = 1;
        uint8_t start_row = 0;
        uint8_t reserved[14] = {};
        uint16_t row_bytes[16] = {};
        uint8_t rows[16] = {};
    };

    static void configure(const Shapes &shapes) {
        EXPECT_EQ(shapes.palette, 1);
        for (int i = 0; i < 16; ++i) {
            EXPECT_LE(shapes.rows[i], i < 8 ? 16 : 0) << "tile " << i;
            EXPECT_LE(shapes.row_bytes[i], i < 8 ? 64 : 0) << "tile " << i;
            EXPECT_EQ(shapes.rows[i] == 0, shapes.row_bytes[i] == 0) << "tile " << i;
            if (i < 8) {
                tiles[i] = {shapes.rows[i], shapes.row_bytes[i], {}};
            }
        }
        configured = true;
    }
    static void release() { configured = false; }

    template <int T> static void zero() { there(T) = {tiles[T].rows, tiles[T].row_bytes, {}}; }
    template <int T> static void load(const void *from, uint64_t apart) {
        Tile &tile = there(T);
        std::memset(tile.bytes, 0, sizeof tile.bytes);
        for (uint32_t row = 0; row < tile.rows; ++row) {
            std::memcpy(tile.bytes[row], static_cast<const uint8_t *>(from) + row * apart, tile.row_bytes);
        }
    }
    template <int T> static void store(void *to, uint64_t apart) {
        const Tile &tile = there(T);
        for (uint32_t row = 0; row < tile.rows; ++row) {
            std::memcpy(static_cast<uint8_t *>(to) + row * apart, tile.bytes[row], tile.row_bytes);
        }
    }
    template <int C, int A, int B> static void dot_bf16() {
        Tile &c = there(C);
        const Tile &a = there(A);
        const Tile &b = there(B);
        expect_fit(c, a, b);
        for (uint32_t m = 0; m < c.rows; ++m) {
            for (uint32_t n = 0; n < c.row_bytes / 4u; ++n) {
                float even = 0, odd = 0;
                for (uint32_t p = 0; p < b.rows; ++p) {
                    even = std::fma(half(a, m, 2 * p), half(b, p, 2 * n), even);
                    odd = std::fma(half(a, m, 2 * p + 1), half(b, p, 2 * n + 1), odd);
                }
                float sum;
                std::memcpy(&sum, &c.bytes[m][n * 4], 4);
                sum += even + odd;
                std::memcpy(&c.bytes[m][n * 4], &sum, 4);
            }
        }
        ++products_of_bf16;
    }
    template <int C, int A, int B> static void dot_ints() { dot<C, A, B, uint8_t>(); }
    template <int C, int A, int B> static void dot_signed() { dot<C, A, B, int8_t>(); }

    static inline thread_local uint64_t products_of_bf16 = 0; // calls of dot_bf16 by this thread

    // Calls of dot_ints and dot_signed by this thread.
    static inline thread_local uint64_t products_of_ints = 0;

private:
    template <int C, int A, int B, class Weight> static void dot() {
        Tile &c = there(C);
        const Tile &a = there(A);
        const Tile &b = there(B);
        expect_fit(c, a, b);
        for (uint32_t m = 0; m < c.rows; ++m) {
            for (uint32_t n = 0; n < c.row_bytes / 4u; ++n) {
                uint32_t sum; // wraps
                std::memcpy(&sum, &c.bytes[m][n * 4], 4);
                for (uint32_t i = 0; i < a.row_bytes; ++i) {
                    const int product = static_cast<int8_t>(a.bytes[m][i]) * static_cast<Weight>(b.bytes[i / 4][n * 4 + i % 4]);
                    sum += static_cast<uint32_t>(product);
                }
                std::memcpy(&c.bytes[m][n * 4], &sum, 4);
            }
        }
        ++products_of_ints;
    }

    struct Tile {
        uint8_t rows;
        uint16_t row_bytes;
        uint8_t bytes[16][64];
    };

    static Tile &there(int tile) {
        EXPECT_TRUE(configured);
        EXPECT_GT(tiles[tile].rows, 0) << "tile " << tile;
        return tiles[tile];
    }
    static void expect_fit(const Tile &c, const Tile &a, const Tile &b) {
        EXPECT_EQ(c.rows, a.rows);
        EXPECT_EQ(c.row_bytes, b.row_bytes);
        EXPECT_EQ(a.row_bytes, b.rows * 4);
    }
    static float half(const Tile &tile, uint32_t row, uint32_t at) {
        uint16_t bits;
        std::memcpy(&bits, &tile.bytes[row][at * 2], 2);
        return reference::from_bf16(bits);
    }

    static inline thread_local Tile tiles[8];
    static inline thread_local bool configured = false;
};

} // namespace intarsia::test
