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

// Bytes of rows that stay in the second-level cache while weights pass; and the memory of a thread, for rows and for all else.
constexpr uint32_t kResidentBytes = 1536 << 10;
constexpr uint32_t kPanelBytes = 2048 << 10;
constexpr uint32_t kOtherScratch = 1280 << 10;
constexpr uint32_t kTiledScratch = kPanelBytes + kOtherScratch;

// For weights of so many inputs as are `bytes` bytes of a row, at most 64.
template <class M> void configure(uint32_t bytes) {
    typename M::Shapes shapes;
    for (int i = 0; i < 8; ++i) {
        shapes.rows[i] = static_cast<uint8_t>(i < 6 ? 16 : bytes / 4);
        shapes.row_bytes[i] = static_cast<uint16_t>(i == 4 || i == 5 ? bytes : 64);
    }
    M::configure(shapes);
}

// Lines of memory to be written, one or two of each row.
struct Destination {
    const char *at = nullptr;
    uint64_t apart = 0; // bytes, of two rows
    bool two = false;

    INTARSIA_INLINE void fetch() {
        __builtin_prefetch(at, 1);
        if (two) {
            __builtin_prefetch(at + 64, 1);
        }
        at += apart;
    }
};

} // namespace
} // namespace intarsia::cpu
