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

    // Where the outputs of a unit go, and what is done on the way.
    class Place {
    public:
        // Dot products of a row with the outputs of the unit, `up` those of the second tile of SILU_MUL.
        INTARSIA_INLINE void put(uint32_t row, V dot, V up) const {
            V y = biased(0, dot);
            if (gated_) {
                y = silu(y) * biased(1, up);
            } else if (residual_) {
                y = load<V>(residual_ + uint64_t{row} * out_.width + at_, count_) + y;
            }
            out_.put(row, at_, y, count_);
        }

        // The lines of a row and of those after it, where the outputs of this unit go and perhaps those of the next.
        Destination destination(uint32_t row, uint32_t units) const {
            const uint32_t bytes = element_bytes(out_.storage);
            const uint64_t apart = uint64_t{stride(out_.width, out_.storage)} * bytes;
            return {static_cast<const char *>(out_.data) + row * apart + uint64_t{at_} * bytes, apart, units * kTile * bytes > 64};
        }

    private:
        friend Outputs;

        INTARSIA_INLINE V biased(uint32_t tile, V dot) const { return bias_[tile] ? dot + load<V>(bias_[tile], count_) : dot; }

        Rows out_;
        const float *residual_;
        const float *bias_[2];
        uint32_t at_, count_;
        bool gated_;
    };

    INTARSIA_INLINE Place place(uint32_t unit) const {
        const Tile first = tile(unit, 0);
        const LinearPart &part = *first.part;
        Place place;
        place.at_ = first.index * kTile;
        place.count_ = least(part.weight.n - place.at_, kTile);
        place.gated_ = gated_;
        place.residual_ = args_.epilogue == Epilogue::ADD ? args_.residual : nullptr;
        for (uint32_t i = 0; i < tiles_per_unit(); ++i) {
            const float *bias = args_.parts[gated_ ? i : &part - args_.parts].bias;
            place.bias_[i] = bias ? bias + place.at_ : nullptr;
        }
        place.out_ = {part.out, part.weight.n, place.residual_ ? Storage::F32 : args_.out_storage};
        return place;
    }

private:
    const LinearArgs &args_;
    uint32_t units_ = 0;
    bool gated_ = false;
};

} // namespace
} // namespace intarsia::cpu
