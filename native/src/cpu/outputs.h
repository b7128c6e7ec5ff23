// What linear kernels share whatever their dot products are: tiles of outputs as units of work, bias and epilogues.
#pragma once

#include "cpu/lanes.h"
#include "cpu/math.h"
#include "cpu/tile_registers.h"

namespace intarsia::cpu {
namespace {

template <class V> class Outputs {
public:
    struct Tile {
        const LinearPart *part;
        uint32_t index;
    };

    INTARSIA_INLINE explicit Outputs(const LinearArgs &args) : args_(args) {
        gated_ = args.epilogue == Epilogue::SILU_MUL;
        for (uint32_t i = 0; i < (gated_ ? 1 : args.part_count); ++i) {
            units_ += tiles(args.parts[i].weight.n);
        }
    }

    // A unit of work is a tile of outputs, for SILU_MUL the tiles of gate and up.
    uint32_t units() const { return units_; }
    uint32_t tiles_per_unit() const { return gated_ ? 2 : 1; }

    Tile tile(uint32_t unit, uint32_t which) const {
        if (gated_) {
            return {&args_.parts[which], unit};
        }
        const LinearPart *part = args_.parts;
        while (unit >= tiles(part->weight.n)) {
            unit -= tiles(part->weight.n);
            ++part;
        }
        return {part, unit};
    }

    // Dot products of a row with the outputs of a unit, `up` those of the second tile of SILU_MUL, to where they go.
    INTARSIA_INLINE void put(const Tile *unit, uint32_t row, V dot, V up) const {
        const Tile &tile = unit[0];
        const uint32_t outputs = tile.part->weight.n;
        const uint32_t at = tile.index * kTile;
        const uint32_t count = least(outputs - at, kTile);
        const bool adds = args_.epilogue == Epilogue::ADD;
        V y = biased(tile, at, count, dot);
        if (gated_) {
            y = silu(y) * biased(unit[1], at, count, up);
        } else if (adds) {
            y = load<V>(args_.residual + uint64_t{row} * outputs + at, count) + y;
        }
        const Rows out = {args_.parts[gated_ ? 0 : tile.part - args_.parts].out, outputs,
                          adds ? Storage::F32 : args_.out_storage};
        out.put(row, at, y, count);
    }

    // Where `rows` rows of a tile and the one after it go, or with SILU_MUL of the tile.
    Destination destination(const Tile &tile, uint32_t row, uint32_t rows) const {
        const uint32_t outputs = tile.part->weight.n;
        const Storage storage = args_.epilogue == Epilogue::ADD ? Storage::F32 : args_.out_storage;
        const uint64_t apart = uint64_t{stride(outputs, storage)} * element_bytes(storage);
        const uint32_t bytes = kTile * element_bytes(storage);
        const void *out = args_.parts[gated_ ? 0 : tile.part - args_.parts].out;
        return {static_cast<const char *>(out) + row * apart + uint64_t{tile.index} * bytes, apart, rows, gated_ ? bytes : 2 * bytes};
    }

private:
    INTARSIA_INLINE static V biased(const Tile &tile, uint32_t at, uint32_t count, V dot) {
        return tile.part->bias ? dot + load<V>(tile.part->bias + at, count) : dot;
    }

    const LinearArgs &args_;
    uint32_t units_ = 0;
    bool gated_ = false;
};

} // namespace
} // namespace intarsia::cpu
