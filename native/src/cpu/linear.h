// Linear layers: x W' by register blocks, with bias and the epilogues.
//
// Loops, from the outside: a group of tiles (its weights stay in the caches), a block of rows, a section of inputs,
// register blocks, of vectors or of tile registers. Few rows stream the weights once; many rows read each weight from memory once and then from the
// caches.
#pragma once

#include "cpu/dot.h"
#include "cpu/linear_quantized.h"
#include "cpu/math.h"
#include "cpu/tile_registers.h"

namespace intarsia::cpu {
namespace {

template <class V, Storage S, class M = NoTiles> class Linear {
public:
    static void run(const LinearArgs &args, Share share) {
        const Linear linear(args);
        const uint32_t row_shares = linear.row_shares(share.count);
        const Range rows = part(args.n, {share.index % row_shares, row_shares});
        const Range units = part(linear.units_, {share.index / row_shares, share.count / row_shares});
        const bool tiled = M::kThere && rows.end - rows.begin >= kTiledRows;
        const uint32_t step = (tiled ? kGroup : kStreamGroup) / linear.tiles_per_unit_;
        for (uint64_t unit = units.begin; unit < units.end; unit += step) {
            linear.group(static_cast<uint32_t>(unit), least(step, static_cast<uint32_t>(units.end - unit)), rows);
        }
    }

private:
    static constexpr uint32_t kStreamGroup = 8; // tiles of outputs
    static constexpr uint32_t kGroup = M::kThere ? 32 : kStreamGroup; // at most
    static constexpr uint32_t kRows = M::kThere ? 32 : kBlockingRows; // of a block at most
    static constexpr uint32_t kTiledSection = 512; // inputs
    static constexpr uint32_t kTurn = 64;    // inputs
    static constexpr uint32_t kAhead = 8192; // bytes of a tile
    static constexpr uint32_t kPadding = 16; // floats
    static constexpr uint32_t kScratch = S == Storage::BF16 ? kBlockingScratch + kRows * kPadding : 1;
    static constexpr int kMostRows = kRowsAtOnce<V, S>;

    // A unit of work is a tile of outputs, for SILU_MUL the tiles of gate and up.
    struct Tile {
        const LinearPart *part;
        uint32_t index;
    };

    explicit Linear(const LinearArgs &args) : args_(args), k_(args.parts[0].weight.k) {
        gated_ = args.epilogue == Epilogue::SILU_MUL;
        tiles_per_unit_ = gated_ ? 2 : 1;
        for (uint32_t i = 0; i < (gated_ ? 1 : args.part_count); ++i) {
            units_ += tiles(args.parts[i].weight.n);
        }
    }

    // Threads share the outputs; where these are few, several threads take the same outputs of different rows.
    uint32_t row_shares(uint32_t threads) const {
        uint32_t shares = 1;
        while (threads % (shares * 2) == 0 && units_ < 4 * (threads / shares) &&
               args_.n >= 2 * kMostRows * shares * 2) {
            shares *= 2;
        }
        return shares;
    }

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

    const uint8_t *data(const Tile &tile) const {
        return static_cast<const uint8_t *>(tile.part->weight.data) + tile.index * tile_bytes(k_, S);
    }

    void group(uint32_t first, uint32_t units, Range rows) const {
        const uint32_t count = units * tiles_per_unit_;
        Tile group[kGroup];
        const uint8_t *weights[kGroup];
        const uint8_t *next[kGroup]; // the weights after these
        for (uint32_t i = 0; i < count; ++i) {
            const uint32_t unit = first + i / tiles_per_unit_;
            group[i] = tile(unit, i % tiles_per_unit_);
            weights[i] = data(group[i]);
            next[i] = unit + units < units_ ? data(tile(unit + units, i % tiles_per_unit_)) : weights[i];
        }
        const bool tiled = M::kThere && rows.end - rows.begin >= kTiledRows;
        const bool streams = !tiled && rows.end - rows.begin <= kStreamRows;
        const uint32_t most = tiled ? kTiledBlock : streams ? kStreamRows : args_.blocking.rows;
        for (uint64_t begin = rows.begin; begin < rows.end; begin += most) {
            const uint32_t row = static_cast<uint32_t>(begin);
            const uint32_t block = least(most, static_cast<uint32_t>(rows.end - begin));
            float sums[kGroup][kRows][16];
            if (tiled) {
                if constexpr (M::kThere) {
                    by_tiles(weights, count, row, block, sums);
                }
            } else if (streams) {
                stream(weights, next, count, row, block, sums);
            } else {
                dots(weights, count, row, block, sums);
            }
            for (uint32_t i = 0; i < count; i += tiles_per_unit_) {
                finish(group[i], row, block, sums[i], gated_ ? &group[i + 1] : nullptr, sums[(i + 1) % kGroup]);
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

    // By tile registers: two tiles at once, in blocks of 32 inputs. What is left of the inputs after the last whole block
    // is a section of its own, with narrower registers.
    void by_tiles(const uint8_t *const *weights, uint32_t count, uint32_t row, uint32_t rows,
                  float (*sums)[kRows][16]) const {
        alignas(64) uint16_t packed[kTiledSection * kTiledBlock];
        const uint32_t padded = stride(k_, S);
        for (uint32_t begin = 0; begin < padded;) {
            const uint32_t left = padded - begin;
            const uint32_t length = left >= 32 ? least(left / 32 * 32, kTiledSection) : left;
            const uint32_t wide = least(length, 32);
            pack_rows(row, rows, begin, length, packed);
            configure<M>(rows, wide * 2);
            for (uint32_t t = 0; t < count; t += 2) {
                const uint8_t *from[2];
                for (uint32_t i = 0; i < 2; ++i) {
                    from[i] = weights[least(t + i, count - 1)] + tile_bytes(begin, S);
                }
                const uint32_t blocks = length / wide;
                unroll<2>([&](auto r) {
                    unroll<2>([&](auto w) {
                        if ((rows > 16) == (r.value == 1) && (t + 1 < count) == (w.value == 1)) {
                            multiply<r.value + 1, w.value + 1>(packed, from, blocks, begin == 0, sums[t]);
                        }
                    });
                });
            }
            begin += length;
        }
        M::release();
    }

    // Rows to [block of inputs, 32 rows, 32 inputs], so that what a register holds lies together.
    void pack_rows(uint32_t row, uint32_t rows, uint32_t begin, uint32_t length, uint16_t *packed) const {
        const uint64_t step = stride(k_, S);
        const uint16_t *x = static_cast<const uint16_t *>(args_.x) + row * step + begin;
        for (uint32_t r = 0; r < rows; ++r) {
            for (uint32_t k = 0; k < length; k += 32) {
                __builtin_memcpy(packed + k * kTiledBlock + r * 32, x + r * step + k, least(length - k, 32) * 2);
            }
        }
    }

    // Adds blocks of inputs to the sums of R x 16 rows and T tiles; the first start them.
    template <int R, int T>
    INTARSIA_BLOCK static void multiply(const uint16_t *x, const uint8_t *const *weights, uint32_t blocks, bool starts,
                                        float (*sums)[16]) {
        unroll<R>([&](auto r) {
            unroll<T>([&](auto t) {
                if (starts) {
                    M::template zero<r.value * 2 + t.value>();
                } else {
                    M::template load<r.value * 2 + t.value>(sums[t.value * kRows + r.value * 16], 64);
                }
            });
        });
        for (uint64_t block = 0; block < blocks; ++block) {
            unroll<R>([&](auto r) { M::template load<4 + r.value>(x + (block * 2 + r.value) * 512, 64); });
            unroll<T>([&](auto t) {
                M::template load<6 + t.value>(weights[t.value] + block * 1024, 64);
                unroll<R>([&](auto r) {
                    M::template dot_bf16<r.value * 2 + t.value, 4 + r.value, 6 + t.value>();
                });
            });
        }
        unroll<R>([&](auto r) {
            unroll<T>([&](auto t) {
                M::template store<r.value * 2 + t.value>(sums[t.value * kRows + r.value * 16], 64);
            });
        });
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

    // Sums of a tile, and of its partner for SILU_MUL, to the output.
    void finish(const Tile &tile, uint32_t row, uint32_t rows, const float (*sums)[16], const Tile *up,
                const float (*up_sums)[16]) const {
        const uint32_t outputs = tile.part->weight.n;
        const uint32_t at = tile.index * kTile;
        const uint32_t count = least(outputs - at, kTile);
        const bool adds = args_.epilogue == Epilogue::ADD;
        const Rows out = {args_.parts[gated_ ? 0 : tile.part - args_.parts].out, outputs,
                          adds ? Storage::F32 : args_.out_storage};
        for (uint32_t r = 0; r < rows; ++r) {
            V y = biased(tile, at, count, V::load(sums[r]));
            if (gated_) {
                y = silu(y) * biased(*up, at, count, V::load(up_sums[r]));
            } else if (adds) {
                y = load<V>(args_.residual + uint64_t{row + r} * outputs + at, count) + y;
            }
            out.put(row + r, at, y, count);
        }
    }

    INTARSIA_INLINE static V biased(const Tile &tile, uint32_t at, uint32_t count, V dot) {
        return tile.part->bias ? dot + load<V>(tile.part->bias + at, count) : dot;
    }

    const LinearArgs &args_;
    uint32_t k_;
    uint32_t units_ = 0;
    uint32_t tiles_per_unit_ = 1;
    bool gated_ = false;
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
