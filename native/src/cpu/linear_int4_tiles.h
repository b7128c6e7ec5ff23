// Linear layers over INT4 matrices by tile registers (amx.h).
//
// A sum ends with its group of inputs, and is scaled and added to those before it. Loops, from the outside: a block of rows, copied once so that what
// a register takes lies together; a unit of outputs, whose weights are made bytes once for all rows; 16 rows; inputs.
#pragma once

#include "cpu/dot.h"
#include "cpu/outputs.h"
#include "cpu/quantized_rows.h"
#include "cpu/tile_registers.h"

namespace intarsia::cpu {
namespace {

template <class V, class M> class TiledInt4 {
public:
    // Whether the rows of one thread are worth it, and fit.
    static bool takes(const LinearArgs &args, uint32_t threads) {
        return args.n / row_shares(args, threads) >= tiled_rows(Storage::INT4) && args.parts[0].weight.k <= kMostInputs;
    }

    static void run(const LinearArgs &args, Share share) {
        const uint32_t row_shares = TiledInt4::row_shares(args, share.count);
        const Range rows = part(args.n, {share.index % row_shares, row_shares});
        const TiledInt4 linear(args, share);
        const Range units = part(linear.outputs_.units(), {share.index / row_shares, share.count / row_shares});
        configure<M>(kScaled);
        const uint32_t most = rows_at_once(args);
        for (uint64_t row = rows.begin; row < rows.end; row += most) {
            linear.rows(static_cast<uint32_t>(row), least(most, static_cast<uint32_t>(rows.end - row)), units);
        }
        M::release();
    }

private:
    static constexpr uint32_t kMostInputs = 32768;
    static constexpr uint32_t kRows = 16;
    static constexpr uint32_t kSteps = 8; // of kQuantizedStep inputs
    static constexpr uint32_t kStepBytes = tile_bytes(kQuantizedStep, Storage::INT4);
    static constexpr uint32_t kGroups = kQuantizedStep / kScaled; // of a step

    // Of a step: the weights of each group as a register takes them, and their scales.
    struct Step {
        alignas(64) int8_t weights[kGroups][kScaled / 4 * 64];
        float scales[kGroups][16];
    };
    static_assert(2 * (kMostInputs / kQuantizedStep) * sizeof(Step) <= kOtherScratch);

    TiledInt4(const LinearArgs &args, Share share)
        : args_(args), outputs_(args), steps_(padded(args.parts[0].weight.k) / kQuantizedStep),
          panels_(reinterpret_cast<uint8_t *>(share.scratch)), unpacked_(reinterpret_cast<Step *>(share.scratch + kPanelBytes)) {}

    // Threads share the outputs; where these are few, several threads take the same outputs of different rows.
    static uint32_t row_shares(const LinearArgs &args, uint32_t threads) {
        const uint32_t units = Outputs<V>(args).units();
        uint32_t shares = 1;
        while (threads % (shares * 2) == 0 && args.n >= 4 * kRows * shares && units < 4 * (threads / shares)) {
            shares *= 2;
        }
        return shares;
    }

    static uint32_t rows_at_once(const LinearArgs &args) { return kResidentBytes / padded(args.parts[0].weight.k) / kRows * kRows; }

    void rows(uint32_t row, uint32_t count, Range units) const {
        fill(row, count);
        for (uint64_t unit = units.begin; unit < units.end; ++unit) {
            const auto place = outputs_.place(static_cast<uint32_t>(unit));
            const uint32_t tiles = outputs_.tiles_per_unit();
            for (uint32_t t = 0; t < tiles; ++t) {
                unpack(outputs_.tile(static_cast<uint32_t>(unit), t), unit + 1 < units.end, unpacked_ + t * steps_);
            }
            for (uint32_t r = 0; r < count; r += kRows) {
                alignas(64) float sums[2][kRows][16];
                for (uint32_t t = 0; t < tiles; ++t) {
                    for (uint32_t step = 0; step < steps_; step += kSteps) {
                        multiply(panel(r) + uint64_t{step} * kRows * 64, unpacked_ + t * steps_ + step, least(kSteps, steps_ - step), step == 0,
                                 sums[t]);
                    }
                }
                for (uint32_t i = 0; i < kRows && r + i < count; ++i) {
                    const QuantizedRow in(const_cast<void *>(args_.x), row + r + i, args_.parts[0].weight.k);
                    const V scale = V::all(*in.scale);
                    place.put(row + r + i, V::load(sums[0][i]) * scale, V::load(sums[tiles - 1][i]) * scale);
                }
            }
        }
    }

    // Rows in panels: [16 rows][64 inputs][row]; rows that are not there are zero.
    uint8_t *panel(uint32_t row) const { return panels_ + uint64_t{row / kRows} * steps_ * kRows * 64; }

    void fill(uint32_t row, uint32_t count) const {
        for (uint32_t r = 0; r < (count + kRows - 1) / kRows * kRows; ++r) {
            uint8_t *to = panel(r) + r % kRows * 64;
            for (uint32_t step = 0; step < steps_; ++step, to += kRows * 64) {
                if (r < count) {
                    const QuantizedRow in(const_cast<void *>(args_.x), row + r, args_.parts[0].weight.k);
                    __builtin_memcpy(to, in.values + step * 64, 64);
                } else {
                    __builtin_memset(to, 0, 64);
                }
            }
        }
    }

    // Meanwhile the weights after these, if there are any, come nearer.
    void unpack(const typename Outputs<V>::Tile &tile, bool more, Step *out) const {
        const uint64_t bytes = tile_bytes(tile.part->weight.k, Storage::INT4);
        const uint8_t *from = static_cast<const uint8_t *>(tile.part->weight.data) + tile.index * bytes;
        for (uint32_t step = 0; step < steps_; ++step, from += kStepBytes) {
            for (uint32_t line = 0; more && line < kStepBytes; line += 64) {
                __builtin_prefetch(from + bytes + line, 0, 2);
            }
            Ints<V>::unpack_int4(from + 64, out[step].weights[0]);
            for (uint32_t g = 0; g < kGroups; ++g) {
                Ints<V>::widen(from + g * 32).store(out[step].scales[g]);
            }
        }
    }

    // Adds the groups of `steps` steps to the sums of 16 rows. All exact sums come first, for what a tile register stored cannot be loaded at once.
    INTARSIA_BLOCK static void multiply(const uint8_t *x, const Step *weights, uint32_t steps, bool starts, float (*out)[16]) {
        alignas(64) int32_t sums[kSteps][kGroups][kRows][16];
        for (uint32_t step = 0; step < steps; ++step) {
            unroll<2>([&](auto g) {
                M::template load<4 + g.value>(x + step * (kRows * 64) + g.value * kScaled, 64);
                M::template load<6 + g.value>(weights[step].weights[g.value], 64);
                M::template zero<g.value>();
                M::template dot_signed<g.value, 4 + g.value, 6 + g.value>();
                M::template store<g.value>(sums[step][g.value], 64);
            });
        }
        V total[kRows];
        unroll<kRows>([&](auto r) { total[r.value] = starts ? V::all(0) : V::load(out[r.value]); });
        for (uint32_t step = 0; step < steps; ++step) {
            for (uint32_t g = 0; g < kGroups; ++g) {
                const V scale = V::load(weights[step].scales[g]);
                const auto &of = sums[step][g];
                unroll<kRows>([&](auto r) { total[r.value] = V::fma(Ints<V>::load(of[r.value]).floats(), scale, total[r.value]); });
            }
        }
        unroll<kRows>([&](auto r) { total[r.value].store(out[r.value]); });
    }

    const LinearArgs &args_;
    Outputs<V> outputs_;
    uint32_t steps_; // of a row
    uint8_t *panels_;
    Step *unpacked_; // of two tiles
};

} // namespace
} // namespace intarsia::cpu
