// Products of rows of INT8 values with tiles of INT8 and INT4 matrices by tile registers (amx.h).
//
// Weights enter unsigned, as they are packed, so that a sum exceeds that of their q by 128 (INT8) or 8 (INT4) times the sum of
// the row's inputs.
#pragma once

#include "cpu/dot.h"
#include "cpu/quantized_rows.h"
#include "cpu/tile_registers.h"

namespace intarsia::cpu {
namespace {

// Up to kTiledBlock rows of [*, k] from `first` on.
struct RowsOfInts {
    const int8_t *x; // of the first; the others follow stride(k, INT8) bytes apart
    uint32_t count;
    uint32_t k;

    INTARSIA_INLINE RowsOfInts(const void *rows, uint32_t first, uint32_t count, uint32_t k)
        : x(QuantizedRow(const_cast<void *>(rows), first, k).values), count(count), k(k) {}

    INTARSIA_INLINE uint64_t apart() const { return stride(k, Storage::INT8); }
    INTARSIA_INLINE const int8_t *half(int which) const { return x + which * 16 * apart(); }
    INTARSIA_INLINE QuantizedRow row(uint32_t r) const { return {const_cast<int8_t *>(x), r, k}; }
};

// As f32 with all scales applied, to out[tile][row]. R: 1 for up to 16 rows, else 2.
template <class V, Storage S, class M> struct QuantizedTiles;

template <class V, class M> struct QuantizedTiles<V, Storage::INT8, M> {
    template <int R>
    static void run(const RowsOfInts &rows, const uint8_t *const *tiles, uint32_t count,
                    float (*out)[kTiledBlock][16]) {
        alignas(64) int32_t start[kTiledBlock][16];
        for (uint32_t r = 0; r < rows.count; ++r) {
            for (int o = 0; o < 16; ++o) {
                start[r][o] = -128 * *rows.row(r).sum;
            }
        }
        configure<M>(rows.count, kInputs);
        for (uint32_t t = 0; t < count; t += 2) {
            if (t + 1 < count) {
                multiply<R, 2>(rows, tiles + t, start, out + t);
            } else {
                multiply<R, 1>(rows, tiles + t, start, out + t);
            }
        }
        M::release();
    }

private:
    static constexpr uint32_t kInputs = 64; // of a register of weights
    static constexpr uint32_t kBytes = kInputs / 4 * 64;

    template <int R, int T>
    INTARSIA_BLOCK static void multiply(const RowsOfInts &rows, const uint8_t *const *tiles,
                                        const int32_t (*start)[16], float (*out)[kTiledBlock][16]) {
        unroll<R>([&](auto r) {
            unroll<T>([&](auto t) { M::template load<r.value * 2 + t.value>(start[r.value * 16], 64); });
        });
        const uint32_t whole = rows.k / kInputs;
        const uint8_t *from[T];
        unroll<T>([&](auto t) { from[t.value] = tiles[t.value] + 64; });
        for (uint32_t block = 0; block < whole; ++block) {
            add<R, T>(rows, block, from);
            unroll<T>([&](auto t) { from[t.value] += kBytes; });
        }
        if (const uint32_t left = rows.k % kInputs; left != 0) { // a register would reach past the tile
            alignas(64) uint8_t last[T][kBytes] = {};
            unroll<T>([&](auto t) {
                __builtin_memcpy(last[t.value], from[t.value], (left + 3) / 4 * 64);
                from[t.value] = last[t.value];
            });
            add<R, T>(rows, whole, from); // the inputs are padded with zeros
        }
        alignas(64) int32_t sums[T][kTiledBlock][16];
        unroll<R>([&](auto r) {
            unroll<T>([&](auto t) { M::template store<r.value * 2 + t.value>(sums[t.value][r.value * 16], 64); });
        });
        for (uint32_t t = 0; t < T; ++t) {
            const V scale = V::load(reinterpret_cast<const float *>(tiles[t]));
            for (uint32_t r = 0; r < rows.count; ++r) {
                const V of_row = V::all(*rows.row(r).scale);
                ((Ints<V>::load(sums[t][r]).floats() * of_row) * scale).store(out[t][r]);
            }
        }
    }

    template <int R, int T>
    INTARSIA_INLINE static void add(const RowsOfInts &rows, uint32_t block, const uint8_t *const *weights) {
        unroll<R>([&](auto r) {
            M::template load<4 + r.value>(rows.half(r.value) + uint64_t{block} * kInputs, rows.apart());
        });
        unroll<T>([&](auto t) {
            M::template load<6 + t.value>(weights[t.value], 64);
            unroll<R>([&](auto r) { M::template dot_ints<r.value * 2 + t.value, 4 + r.value, 6 + t.value>(); });
        });
    }
};

// A sum ends with its group of inputs; two groups, which share a step of the tile, are worked on at once.
template <class V, class M> struct QuantizedTiles<V, Storage::INT4, M> {
    template <int R>
    static void run(const RowsOfInts &rows, const uint8_t *const *tiles, uint32_t count,
                    float (*out)[kTiledBlock][16]) {
        configure<M>(rows.count, kScaled);
        for (uint32_t t = 0; t < count; ++t) {
            multiply<R>(rows, tiles[t], out[t]);
        }
        M::release();
    }

private:
    template <int R>
    INTARSIA_BLOCK static void multiply(const RowsOfInts &rows, const uint8_t *tile, float (*out)[16]) {
        for (uint32_t r = 0; r < rows.count; ++r) {
            V::all(0).store(out[r]);
        }
        const uint32_t steps = padded(rows.k) / kQuantizedStep;
        for (uint32_t step = 0; step < steps; ++step, tile += tile_bytes(kQuantizedStep, Storage::INT4)) {
            alignas(64) uint8_t weights[kQuantizedStep / 4 * 64];
            alignas(64) int32_t sums[2][kTiledBlock][16];
            unpack(tile + 64, weights);
            unroll<2>([&](auto g) {
                M::template load<6 + g.value>(weights + g.value * (kScaled / 4 * 64), 64);
                unroll<R>([&](auto r) {
                    constexpr int C = r.value * 2 + g.value;
                    M::template load<4 + r.value>(
                        rows.half(r.value) + uint64_t{step} * kQuantizedStep + g.value * kScaled, rows.apart());
                    M::template zero<C>();
                    M::template dot_ints<C, 4 + r.value, 6 + g.value>();
                    M::template store<C>(sums[g.value][r.value * 16], 64);
                });
            });
            const V first = Ints<V>::widen(tile), second = Ints<V>::widen(tile + 32);
            for (uint32_t r = 0; r < rows.count; ++r) {
                const int32_t *of_row = rows.row(r).sums + step * 2;
                const V a = V::fma(weighted(sums[0][r], of_row[0]), first, V::load(out[r]));
                V::fma(weighted(sums[1][r], of_row[1]), second, a).store(out[r]);
            }
        }
        for (uint32_t r = 0; r < rows.count; ++r) {
            (V::load(out[r]) * V::all(*rows.row(r).scale)).store(out[r]);
        }
    }

    // 8 quads of each of two groups, a byte for every half.
    INTARSIA_INLINE static void unpack(const uint8_t *__restrict halves, uint8_t *__restrict bytes) {
        for (int pair = 0; pair < 8; ++pair) {
            for (int i = 0; i < 64; ++i) {
                bytes[pair * 128 + i] = halves[pair * 64 + i] & 15;
                bytes[pair * 128 + 64 + i] = halves[pair * 64 + i] >> 4;
            }
        }
    }

    // The sums of x q as f32, exact: all terms are integers below 2^24.
    INTARSIA_INLINE static V weighted(const int32_t *sums, int32_t inputs) {
        return Ints<V>::load(sums).floats() + V::all(static_cast<float>(-8 * inputs));
    }
};

} // namespace
} // namespace intarsia::cpu
