// Products of rows of INT8 values with tiles of INT8 and INT4 matrices by tile registers (amx.h).
#pragma once

#include "cpu/dot.h"
#include "cpu/outputs.h"
#include "cpu/quantized_rows.h"
#include "cpu/tile_registers.h"

namespace intarsia::cpu {
namespace {

// Up to QuantizedTiles::kRows rows of [*, k] from `first` on.
struct RowsOfInts {
    void *x;
    uint32_t first;
    uint32_t count;
    uint32_t k;

    INTARSIA_INLINE QuantizedRow row(uint32_t r) const { return {x, uint64_t{first} + r, k}; }
    INTARSIA_INLINE uint64_t apart() const { return stride(k, Storage::INT8); }
};

// run() leaves sums[tile][row], which value() makes f32 with all scales applied. out(tile): where those of the tile and the next go.
template <class V, Storage S, class M> struct QuantizedTiles;

// Weights enter unsigned, as they are packed, so that a sum exceeds that of their q by 128 times the sum of the row's inputs.
template <class V, class M> struct QuantizedTiles<V, Storage::INT8, M> {
    static constexpr uint32_t kRows = kTiledBlock;
    static constexpr uint32_t kMostTiles = kTiledGroup;
    using Sums = int32_t[kRows][16];

    template <class Out>
    static void run(const RowsOfInts &rows, const uint8_t *const *tiles, uint32_t count, bool first, const Out &out, Sums *sums) {
        Panel<> panel;
        const uint32_t all = padded(rows.k);
        for (uint32_t begin = 0; begin < all; begin += kSectionBytes) {
            const uint32_t length = least(all - begin, kSectionBytes);
            panel.fill(reinterpret_cast<const uint8_t *>(rows.row(0).values) + begin, rows.apart(), rows.count, length);
            for (uint32_t t = 0; t < count; t += 2) {
                unroll<2>([&](auto r) {
                    unroll<2>([&](auto w) {
                        if ((rows.count > 16) == (r.value == 1) && (t + 1 < count) == (w.value == 1)) {
                            multiply<r.value + 1, w.value + 1>(panel, tiles + t, rows.k, begin, length, first,
                                                               begin + length == all ? out(t) : Destination(), sums + t);
                        }
                    });
                });
            }
        }
    }

    INTARSIA_INLINE static V value(const int32_t *sums, const QuantizedRow &row, const uint8_t *tile) {
        const V sum = Ints<V>::add(Ints<V>::load(sums), -128 * *row.sum).floats();
        return (sum * V::all(*row.scale)) * V::load(reinterpret_cast<const float *>(tile));
    }

private:
    static constexpr uint32_t kInputs = 64; // of a register of weights
    static constexpr uint32_t kBytes = kInputs / 4 * 64;

    // Adds inputs begin .. begin + length of R x 16 rows to the sums of T tiles; the first start them.
    template <int R, int T>
    INTARSIA_BLOCK static void multiply(const Panel<> &x, const uint8_t *const *tiles, uint32_t k, uint32_t begin, uint32_t length,
                                        bool first, Destination out, Sums *sums) {
        unroll<R>([&](auto r) {
            unroll<T>([&](auto t) {
                if (begin == 0) {
                    M::template zero<r.value * 2 + t.value>();
                } else {
                    M::template load<r.value * 2 + t.value>(sums[t.value][r.value * 16], 64);
                }
            });
        });
        const uint32_t whole = least(length, k - begin) / kInputs;
        const uint8_t *from[T];
        unroll<T>([&](auto t) { from[t.value] = tiles[t.value] + 64 + begin / kInputs * kBytes; });
        for (uint64_t block = 0; block < whole; ++block) {
            out.fetch(block);
            if (first) {
                unroll<T>([&](auto t) { fetch_weights(from[t.value]); });
            }
            add<R, T>(x, block, from);
            unroll<T>([&](auto t) { from[t.value] += kBytes; });
        }
        if (whole * kInputs < length) { // a register would reach past the tile
            alignas(64) uint8_t last[T][kBytes] = {};
            unroll<T>([&](auto t) {
                __builtin_memcpy(last[t.value], from[t.value], (k % kInputs + 3) / 4 * 64);
                from[t.value] = last[t.value];
            });
            add<R, T>(x, whole, from); // the inputs are padded with zeros
        }
        unroll<R>([&](auto r) {
            unroll<T>([&](auto t) { M::template store<r.value * 2 + t.value>(sums[t.value][r.value * 16], 64); });
        });
    }

    template <int R, int T>
    INTARSIA_INLINE static void add(const Panel<> &x, uint64_t block, const uint8_t *const *weights) {
        unroll<R>([&](auto r) { M::template load<4 + r.value>(x.bytes[block][r.value * 16], 64); });
        unroll<T>([&](auto t) {
            M::template load<6 + t.value>(weights[t.value], 64);
            unroll<R>([&](auto r) { M::template dot_ints<r.value * 2 + t.value, 4 + r.value, 6 + t.value>(); });
        });
    }
};

// A sum ends with its group of inputs, and is scaled and added to those before it. Weights are made bytes once for all rows.
template <class V, class M> struct QuantizedTiles<V, Storage::INT4, M> {
    static constexpr uint32_t kRows = 64;
    static constexpr uint32_t kMostTiles = 8;
    using Sums = float[kRows][16];

    template <class Out>
    static void run(const RowsOfInts &rows, const uint8_t *const *tiles, uint32_t count, bool, const Out &, Sums *sums) {
        Panel<kRows, kSteps> panel;
        const uint32_t all = padded(rows.k);
        for (uint32_t begin = 0; begin < all; begin += kSteps * kQuantizedStep) {
            const uint32_t length = least(all - begin, kSteps * kQuantizedStep);
            const uint32_t steps = length / kQuantizedStep;
            panel.fill(reinterpret_cast<const uint8_t *>(rows.row(0).values) + begin, rows.apart(), rows.count, length);
            for (uint32_t t = 0; t < count; ++t) {
                const uint8_t *tile = tiles[t] + begin / kQuantizedStep * kStepBytes;
                alignas(64) int8_t weights[kSteps][kQuantizedStep / 4 * 64];
                V scales[kSteps][2];
                for (uint32_t step = 0; step < steps; ++step) {
                    Ints<V>::unpack_int4(tile + step * kStepBytes + 64, weights[step]);
                    scales[step][0] = Ints<V>::widen(tile + step * kStepBytes);
                    scales[step][1] = Ints<V>::widen(tile + step * kStepBytes + 32);
                }
                for (uint32_t r = 0; r < rows.count; r += 16) {
                    multiply(panel, r, weights, scales, steps, begin == 0, sums[t] + r);
                }
            }
        }
    }

    INTARSIA_INLINE static V value(const float *sums, const QuantizedRow &row, const uint8_t *) {
        return V::load(sums) * V::all(*row.scale);
    }

private:
    static constexpr uint32_t kSteps = 8; // of inputs of a section
    static constexpr uint32_t kStepBytes = tile_bytes(kQuantizedStep, Storage::INT4);

    // Adds the groups of `steps` steps to the sums of 16 rows. All exact sums come first, for what a tile register stored cannot be loaded at once.
    INTARSIA_BLOCK static void multiply(const Panel<kRows, kSteps> &x, uint32_t row, const int8_t (*weights)[kQuantizedStep / 4 * 64],
                                        const V (*scales)[2], uint32_t steps, bool starts, float (*out)[16]) {
        alignas(64) int32_t sums[kSteps][2][16][16];
        for (uint32_t step = 0; step < steps; ++step) {
            unroll<2>([&](auto g) {
                M::template load<4 + g.value>(x.bytes[step][row] + g.value * kScaled, 64);
                M::template load<6 + g.value>(weights[step] + g.value * (kScaled / 4 * 64), 64);
                M::template zero<g.value>();
                M::template dot_signed<g.value, 4 + g.value, 6 + g.value>();
                M::template store<g.value>(sums[step][g.value], 64);
            });
        }
        V total[16];
        unroll<16>([&](auto r) { total[r.value] = starts ? V::all(0) : V::load(out[r.value]); });
        for (uint32_t step = 0; step < steps; ++step) {
            for (uint32_t g = 0; g < 2; ++g) {
                const V scale = scales[step][g];
                const auto &of = sums[step][g];
                unroll<16>([&](auto r) { total[r.value] = V::fma(Ints<V>::load(of[r.value]).floats(), scale, total[r.value]); });
            }
        }
        unroll<16>([&](auto r) { total[r.value].store(out[r.value]); });
    }
};

} // namespace
} // namespace intarsia::cpu
