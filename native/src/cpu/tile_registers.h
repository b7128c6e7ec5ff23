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

constexpr uint32_t kTiledRows = 9;   // fewer do not keep tile registers busy
constexpr uint32_t kTiledBlock = 32; // rows at once, at most

// For `rows` rows and weights of so many inputs as are `bytes` bytes of a row.
template <class M> void configure(uint32_t rows, uint32_t bytes) {
    typename M::Shapes shapes;
    const uint32_t first = least(rows, 16), second = rows - first;
    const uint32_t count[8] = {first, first, second, second, first, second, bytes / 4, bytes / 4};
    for (int i = 0; i < 8; ++i) {
        const bool of_inputs = i == 4 || i == 5;
        shapes.rows[i] = static_cast<uint8_t>(count[i]);
        shapes.row_bytes[i] = static_cast<uint16_t>(count[i] == 0 ? 0 : of_inputs ? bytes : 64);
    }
    M::configure(shapes);
}

} // namespace
} // namespace intarsia::cpu
