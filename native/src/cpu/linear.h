// Linear layers: x W' by register blocks, with bias and the epilogues.
//
// Loops, from the outside: a group of tiles (its weights stay in the caches), a block of rows, a section of inputs,
// register blocks. Few rows stream the weights once; many rows read each weight from memory once and then from the caches. Where there are tile
// registers, they have loops of their own (linear_tiles.h).
#pragma once

#include "cpu/dot.h"
#include "cpu/linear_quantized.h"
#include "cpu/linear_tiles.h"
#include "cpu/math.h"
#include "cpu/outputs.h"

namespace intarsia::cpu {
namespace {

template <class V, Storage S, class M = NoTiles> class Linear {
public:
    static void run(const LinearArgs &args, Share share) {
        if constexpr (M::kThere) {
            if (TiledLinear<V, S, M>::takes(args, share.count)) {
                return TiledLinear<V, S, M>::run(args, share);
            }
        }
        const Linear linear(args);
        const uint32_t row_shares = linear.row_shares(share.count);
        const Range rows = part(args.n, {share.index % row_shares, row_shares});
        const Range units = part(linear.units_, {share.index / row_shares, share.count / row_shares});
        const uint32_t step = kGroup / linear.tiles_per_unit_;
        for (uint64_t unit = units.begin; unit < units.end; unit += step) {
            linear.group(static_cast<uint32_t>(unit), least(step, static_cast<uint32_t>(units.end - unit)), rows);
        }
    }

private:
    static constexpr uint32_t kGroup = 8; // tiles of outputs
    static constexpr uint32_t kRows = kBlockingRows; // of a block at most
    static constexpr uint32_t kTurn = 64;    // inputs
    static constexpr uint32_t kAhead = 8192; // bytes of a tile
    static constexpr uint32_t kPadding = 16; // floats
    static constexpr uint32_t kScratch = S == Storage::BF16 ? kBlockingScratch + kRows * kPadding : 1;
    static constexpr int kMostRows = kRowsAtOnce<V, S>;

    using Tile = typename Outputs<V>::Tile;

    explicit Linear(const LinearArgs &args)
        : args_(args), outputs_(args), k_(args.parts[0].weight.k), units_(outputs_.units()),
          tiles_per_unit_(outputs_.tiles_per_unit()) {}

    // Threads share the outputs; where these are few, several threads take the same outputs of different rows.
    uint32_t row_shares(uint32_t threads) const {
        uint32_t shares = 1;
        while (threads % (shares * 2) == 0 && units_ < 4 * (threads / shares) &&
               args_.n >= 2 * kMostRows * shares * 2) {
            shares *= 2;
        }
        return shares;
    }

    const uint8_t *data(const Tile &tile) const {
        return static_cast<const uint8_t *>(tile.part->weight.data) + tile.index * tile_bytes(k_, S);
    }

    void group(uint32_t first, uint32_t units, Range rows) const {
        const uint32_t count = units * tiles_per_unit_;
        typename Outputs<V>::Place places[kGroup];
        const uint8_t *weights[kGroup];
        const uint8_t *next[kGroup]; // the weights after these
        for (uint32_t i = 0; i < count; ++i) {
            const uint32_t unit = first + i / tiles_per_unit_;
            places[i] = outputs_.place(unit);
            weights[i] = data(outputs_.tile(unit, i % tiles_per_unit_));
            next[i] = unit + units < units_ ? data(outputs_.tile(unit + units, i % tiles_per_unit_)) : weights[i];
        }
        const bool streams = rows.end - rows.begin <= kStreamRows;
        const uint32_t most = streams ? kStreamRows : args_.blocking.rows;
        for (uint64_t begin = rows.begin; begin < rows.end; begin += most) {
            const uint32_t row = static_cast<uint32_t>(begin);
            const uint32_t block = least(most, static_cast<uint32_t>(rows.end - begin));
            alignas(64) float sums[kGroup][kRows][16];
            if (streams) {
                stream(weights, next, count, row, block, sums);
            } else {
                dots(weights, count, row, block, sums);
            }
            for (uint32_t r = 0; r < block; ++r) { // a row's outputs lie together
                for (uint32_t i = 0; i < count; i += tiles_per_unit_) {
                    places[i].put(row + r, V::load(sums[i][r]), V::load(sums[i + tiles_per_unit_ - 1][r]));
                }
            }
        }
    }

    // Few rows: memory is what takes time. The tiles take turns, so that it serves several streams, and all rows have
    // their turn while the weights are in the nearest cache; meanwhile those of later turns are fetched.
    void stream(const uint8_t *const *weights, const uint8_t *const *next, uint32_t count, uint32_t row, uint32_t rows,
                float (*sums)[kRows][16]) const {
        alignas(64) float widened[kScratch];
        const uint32_t section = S == Storage::BF16 ? kBlockingScratch / rows / 32 * 32 : k_;
        for (uint32_t begin = 0; begin < k_; begin += least(section, k_ - begin)) {
            const uint32_t length = least(section, k_ - begin);
            const Inputs in = inputs(row, rows, begin, length, widened);
            for (uint32_t k = 0; k < length; k += kTurn) {
                const uint8_t *ahead[kGroup];
                for (uint32_t t = 0; t < count; ++t) {
                    const uint64_t at = tile_bytes(begin + k, S) + kAhead;
                    const uint64_t bytes = tile_bytes(k_, S);
                    ahead[t] = at < bytes ? weights[t] + at : next[t] + (at - bytes) % bytes;
                }
                row_blocks<kMostRows>(rows, [&](uint32_t r0, auto r) {
                    tile_blocks<tiles_at_once<V, S>(r.value)>(count, [&](uint32_t t0, auto t) {
                        constexpr int R = r.value, T = t.value;
                        const Inputs x = {in.x + r0 * in.step + k, in.step};
                        float(*total)[16] = &sums[t0][r0];
                        const uint32_t inputs = least(kTurn, length - k);
                        if (rows > kMostRows) { // the first two blocks of rows fetch for a tile each
                            const uint8_t *const *from = ahead + t0 + (r0 == 0 ? 0 : T - 1);
                            block<R, T, 1>(x, weights + t0, begin + k, inputs, total, from);
                        } else { // the processor itself foresees the steps of very few rows
                            block<R, T, R <= 3 ? 0 : T>(x, weights + t0, begin + k, inputs, total, ahead + t0);
                        }
                    });
                });
            }
        }
    }

    // Many rows: a section of a few tiles stays in the nearest cache while the rows pass.
    void dots(const uint8_t *const *weights, uint32_t count, uint32_t row, uint32_t rows,
              float (*sums)[kRows][16]) const {
        alignas(64) float widened[kScratch];
        constexpr int kTogether = tiles_at_once<V, S>(kMostRows);
        for (uint32_t begin = 0; begin < k_; begin += least(args_.blocking.section, k_ - begin)) {
            const uint32_t length = least(args_.blocking.section, k_ - begin);
            const Inputs in = inputs(row, rows, begin, length, widened);
            tile_blocks<kTogether>(count, [&](uint32_t t0, auto t) {
                row_blocks<kMostRows>(rows, [&](uint32_t r0, auto r) {
                    block<r.value, t.value, 0>({in.x + r0 * in.step, in.step}, weights + t0, begin, length,
                                               &sums[t0][r0], nullptr);
                });
            });
        }
    }

    // Rows of the section's inputs as f32. The rows of a block are apart by no power of two, for then they would all
    // want the same few lines of a cache.
    Inputs inputs(uint32_t row, uint32_t rows, uint32_t begin, uint32_t length, float *widened) const {
        if constexpr (S == Storage::F32) {
            return {static_cast<const float *>(args_.x) + uint64_t{row} * k_ + begin, k_};
        } else {
            const uint32_t padded = length + length % 2;
            const uint32_t apart = padded + kPadding;
            const uint64_t step = stride(k_, S);
            const uint16_t *x = static_cast<const uint16_t *>(args_.x) + row * step + begin;
            for (uint32_t r = 0; r < rows; ++r) {
                widen<V>(x + r * step, padded, widened + r * apart);
            }
            return {widened, apart};
        }
    }

    // Adds `length` inputs to the sums of R rows and T tiles, whose inputs from `begin` on are in.x; at input 0 the sums
    // start. Meanwhile fetches as much from each of `ahead`.
    template <int R, int T, int Fetched>
    INTARSIA_BLOCK static void block(Inputs in, const uint8_t *const *weights, uint32_t begin, uint32_t length,
                                     float (*sums)[16], const uint8_t *const *ahead) {
        const uint8_t *from[T];
        unroll<T>([&](auto t) { from[t.value] = weights[t.value] + tile_bytes(begin, S); });
        Dots<V, S, R, T> dots;
        if (begin == 0) {
            dots.clear();
        } else {
            unroll<R>([&](auto r) {
                unroll<T>([&](auto t) { dots.total[r.value][t.value] = V::load(sums[t.value * kRows + r.value]); });
            });
        }
        dots.template add<Fetched>(in, from, 0, length, ahead);
        unroll<R>([&](auto r) {
            unroll<T>([&](auto t) { dots.total[r.value][t.value].store(sums[t.value * kRows + r.value]); });
        });
    }

    const LinearArgs &args_;
    Outputs<V> outputs_;
    uint32_t k_;
    uint32_t units_;
    uint32_t tiles_per_unit_;
};

template <class V> void linear(const LinearArgs &args, Share share) {
    switch (args.parts[0].weight.storage) {
    case Storage::F32: return Linear<V, Storage::F32>::run(args, share);
    case Storage::BF16: return Linear<V, Storage::BF16>::run(args, share);
    case Storage::INT8: return QuantizedLinear<V, Storage::INT8>::run(args, share);
    case Storage::INT4: return QuantizedLinear<V, Storage::INT4>::run(args, share);
    }
}

} // namespace
} // namespace intarsia::cpu
