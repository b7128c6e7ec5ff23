// Linear layers over INT8 and INT4 matrices: x W' by register blocks that run through all inputs at once, as their sums are never rounded on
// the way and need no other storage.
//
// Loops, from the outside: a group of tiles, whose weights come from memory once and stay in the caches; blocks of rows; inputs.
#pragma once

#include <type_traits>

#include "cpu/dot.h"
#include "cpu/linear_int4_tiles.h"
#include "cpu/linear_tiles.h"
#include "cpu/outputs.h"
#include "cpu/quantized_rows.h"

namespace intarsia::cpu {
namespace {

constexpr uint32_t kGroup = 4; // tiles

// While the first rows of a group of tiles are worked on, the next group comes to the second-level cache.
template <bool First> INTARSIA_INLINE void fetch(const uint8_t *from) {
    if constexpr (First) {
        __builtin_prefetch(from, 0, 2);
    }
}

// Products of R rows and T tiles, as f32 with all scales applied.
template <class V, Storage S, int R, int T, bool First> struct QuantizedDots;

template <class V, int R, int T, bool First> struct QuantizedDots<V, Storage::INT8, R, T, First> {
    using I = Ints<V>;

    INTARSIA_BLOCK static void run(const int8_t *const *x, const int32_t *const *sums, const uint8_t *const *tiles,
                                   uint32_t k, V (*out)[T]) {
        const uint32_t groups = padded(k) / kScaled;
        I total[R][T];
        const uint8_t *w[T];
        unroll<T>([&](auto t) { w[t.value] = tiles[t.value] + 64; });
        unroll<R>([&](auto r) {
            unroll<T>([&](auto t) { total[r.value][t.value] = I::start_int8(sums[r.value][groups]); });
        });
        const uint32_t quads = (k + 3) / 4;
        const uint64_t ahead = kGroup * tile_bytes(k, Storage::INT8);
        for (uint64_t quad = 0; quad < quads; ++quad) {
            typename I::Weights weight[T];
            unroll<T>([&](auto t) {
                weight[t.value] = I::load_int8(w[t.value] + quad * 64);
                fetch<First>(w[t.value] + quad * 64 + ahead);
            });
            unroll<R>([&](auto r) {
                const typename I::Inputs in = I::inputs(x[r.value] + quad * 4);
                unroll<T>([&](auto t) {
                    total[r.value][t.value] = I::dot_int8(total[r.value][t.value], weight[t.value], in);
                });
            });
        }
        unroll<T>([&](auto t) {
            const V scale = V::load(reinterpret_cast<const float *>(tiles[t.value]));
            unroll<R>([&](auto r) {
                const V of_row = V::all(reinterpret_cast<const float *>(sums[r.value])[groups + 1]);
                out[r.value][t.value] = (total[r.value][t.value].floats() * of_row) * scale;
            });
        });
    }
};

template <class V, int R, int T, bool First> struct QuantizedDots<V, Storage::INT4, R, T, First> {
    using I = Ints<V>;

    INTARSIA_BLOCK static void run(const int8_t *const *x, const int32_t *const *sums, const uint8_t *const *tiles,
                                   uint32_t k, V (*out)[T]) {
        const uint32_t groups = padded(k) / kScaled;
        const uint64_t ahead = kGroup * tile_bytes(k, Storage::INT4);
        V total[R][T];
        unroll<R>([&](auto r) { unroll<T>([&](auto t) { total[r.value][t.value] = V::all(0); }); });
        for (uint64_t group = 0; group < groups; ++group) {
            // Two groups share a step of the tile: first the scales of both, then the weights of each.
            const uint64_t step = group / 2 * (64 + 8 * 64);
            const uint64_t first = step + 64 + group % 2 * (4 * 64);
            I sum[R][T];
            unroll<R>([&](auto r) {
                unroll<T>([&](auto t) { sum[r.value][t.value] = I::start_int4(sums[r.value][group]); });
            });
            unroll<4>([&](auto i) {
                typename I::Weights low[T], high[T];
                unroll<T>([&](auto t) {
                    I::load_int4(tiles[t.value] + first + i.value * 64, low[t.value], high[t.value]);
                    fetch<First>(tiles[t.value] + first + i.value * 64 + ahead);
                });
                unroll<R>([&](auto r) {
                    const int8_t *from = x[r.value] + group * kScaled + i.value * 8;
                    const typename I::Inputs in = I::inputs(from), next = I::inputs(from + 4);
                    unroll<T>([&](auto t) {
                        I &s = sum[r.value][t.value];
                        s = I::dot_int4(I::dot_int4(s, low[t.value], in), high[t.value], next);
                    });
                });
            });
            unroll<T>([&](auto t) {
                const V scale = I::widen(tiles[t.value] + step + group % 2 * 32);
                fetch<First>(tiles[t.value] + step + ahead);
                unroll<R>([&](auto r) {
                    total[r.value][t.value] =
                        V::fma(sum[r.value][t.value].floats(), scale, total[r.value][t.value]);
                });
            });
        }
        unroll<R>([&](auto r) {
            const V of_row = V::all(reinterpret_cast<const float *>(sums[r.value])[groups + 1]);
            unroll<T>([&](auto t) { out[r.value][t.value] = total[r.value][t.value] * of_row; });
        });
    }
};

template <class V, Storage S, class M = NoTiles> class QuantizedLinear {
public:
    static void run(const LinearArgs &args, Share share) {
        if constexpr (M::kThere) {
            using Tiled = std::conditional_t<S == Storage::INT8, TiledLinear<V, S, M>, TiledInt4<V, M>>;
            if (Tiled::takes(args, share.count)) {
                return Tiled::run(args, share);
            }
        }
        const QuantizedLinear linear(args);
        const uint32_t row_shares = linear.row_shares(share.count);
        const Range rows = part(args.n, {share.index % row_shares, row_shares});
        const Range units = part(linear.outputs_.units(), {share.index / row_shares, share.count / row_shares});
        const uint32_t step = kGroup / linear.outputs_.tiles_per_unit();
        for (uint64_t unit = units.begin; unit < units.end; unit += step) {
            linear.group(static_cast<uint32_t>(unit), least(step, static_cast<uint32_t>(units.end - unit)), rows);
        }
    }

private:
    static constexpr uint32_t kRows = 96; // cut into equal register blocks
    static constexpr int kSums = S == Storage::INT8 ? Ints<V>::kSumsInt8 : Ints<V>::kSumsInt4;
    static constexpr int kMostRows = kSums < 6 ? kSums : 6;

    INTARSIA_INLINE explicit QuantizedLinear(const LinearArgs &args)
        : args_(args), outputs_(args), k_(args.parts[0].weight.k) {}

    // Threads share the outputs; where these are few, several threads take the same outputs of different rows.
    uint32_t row_shares(uint32_t threads) const {
        uint32_t shares = 1;
        while (threads % (shares * 2) == 0 && outputs_.units() < 4 * (threads / shares) &&
               args_.n >= 2 * kMostRows * shares * 2) {
            shares *= 2;
        }
        return shares;
    }

    void group(uint32_t first, uint32_t units, Range rows) const {
        const uint32_t per_unit = outputs_.tiles_per_unit();
        const uint32_t count = units * per_unit;
        typename Outputs<V>::Place places[kGroup];
        const uint8_t *weights[kGroup];
        for (uint32_t i = 0; i < count; ++i) {
            const auto tile = outputs_.tile(first + i / per_unit, i % per_unit);
            places[i] = outputs_.place(first + i / per_unit);
            weights[i] = static_cast<const uint8_t *>(tile.part->weight.data) + tile.index * tile_bytes(k_, S);
        }
        for (uint64_t begin = rows.begin; begin < rows.end; begin += kRows) {
            const uint32_t row = static_cast<uint32_t>(begin);
            row_blocks<kMostRows>(least(kRows, static_cast<uint32_t>(rows.end) - row), [&](uint32_t r0, auto r) {
                if (row + r0 == rows.begin) {
                    block<r.value, true>(row + r0, places, weights, count, per_unit);
                } else {
                    block<r.value, false>(row + r0, places, weights, count, per_unit);
                }
            });
        }
    }

    template <int R, bool First>
    void block(uint32_t row, const typename Outputs<V>::Place *places, const uint8_t *const *weights, uint32_t count,
               uint32_t per_unit) const {
        const int8_t *x[R];
        const int32_t *sums[R];
        for (int r = 0; r < R; ++r) {
            const QuantizedRow in(const_cast<void *>(args_.x), row + static_cast<uint32_t>(r), k_);
            x[r] = in.values;
            sums[r] = in.sums;
        }
        V dots[R][kGroup];
        constexpr int room = kSums / R;
        tile_blocks<room >= 4 ? 4 : room >= 2 ? 2 : 1>(count, [&](uint32_t t0, auto tiles) {
            constexpr int T = tiles.value;
            V out[R][T];
            QuantizedDots<V, S, R, T, First>::run(x, sums, weights + t0, k_, out);
            for (int r = 0; r < R; ++r) {
                for (int t = 0; t < T; ++t) {
                    dots[r][t0 + static_cast<uint32_t>(t)] = out[r][t];
                }
            }
        });
        for (uint32_t t = 0; t < count; t += per_unit) {
            for (uint32_t r = 0; r < static_cast<uint32_t>(R); ++r) {
                places[t].put(row + r, dots[r][t], dots[r][(t + 1) % kGroup]);
            }
        }
    }

    const LinearArgs &args_;
    Outputs<V> outputs_;
    uint32_t k_;
};

} // namespace
} // namespace intarsia::cpu
