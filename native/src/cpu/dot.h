// Dot products of rows of f32 with packed tiles, a block of rows x tiles at a time in registers.
//
// BF16: weights come in pairs; an even and an odd sum per output are folded into the total every 32 inputs. F32: one
// chain. Inputs are f32 in both cases, for BF16 widened before, so that the inner loop only broadcasts them.
#pragma once

#include "cpu/lanes.h"

namespace intarsia::cpu {
namespace {

template <int I> struct Index { static constexpr int value = I; };

// f(Index<0>) .. f(Index<N - 1>), so that arrays of vectors are only indexed by constants and stay in registers.
template <int N, int I = 0, class F> INTARSIA_INLINE void unroll(F &&f) {
    if constexpr (I < N) {
        f(Index<I>{});
        unroll<N, I + 1>(f);
    }
}

// Rows x: row r at x + r * step.
struct Inputs {
    const float *x;
    uint64_t step;
};

template <class V, Storage S, int R, int T> struct Dots;

template <class V, int R, int T> struct Dots<V, Storage::F32, R, T> {
    V total[R][T];

    INTARSIA_INLINE void clear() {
        unroll<R>([&](auto r) { unroll<T>([&](auto t) { total[r.value][t.value] = V::all(0); }); });
    }

    // Adds inputs begin .. end; tile t has its input 0 at tiles[t].
    template <int Fetched = 0>
    INTARSIA_INLINE void add(Inputs in, const uint8_t *const *tiles, uint32_t begin, uint32_t end,
                             const uint8_t *const *ahead = nullptr) {
        const float *w[T];
        unroll<T>([&](auto t) { w[t.value] = reinterpret_cast<const float *>(tiles[t.value]); });
        for (uint64_t k = begin; k < end; ++k) {
            unroll<Fetched>([&](auto t) { __builtin_prefetch(ahead[t.value] + k * 64, 0, 2); });
            V weight[T];
            unroll<T>([&](auto t) { weight[t.value] = V::load(w[t.value] + k * 16); });
            unroll<R>([&](auto r) {
                const V x = V::all(in.x[r.value * in.step + k]);
                unroll<T>(
                    [&](auto t) { total[r.value][t.value] = V::fma(x, weight[t.value], total[r.value][t.value]); });
            });
        }
    }
};

template <class V, int R, int T> struct Dots<V, Storage::BF16, R, T> {
    V total[R][T];

    INTARSIA_INLINE void clear() {
        unroll<R>([&](auto r) { unroll<T>([&](auto t) { total[r.value][t.value] = V::all(0); }); });
    }

    // Adds inputs begin .. end, begin a multiple of 32. An odd end counts its pair's padding: weights and inputs there
    // are zero. Meanwhile fetches as many bytes from ahead[0] .. ahead[Fetched - 1] on as from each tile.
    template <int Fetched = 0>
    INTARSIA_INLINE void add(Inputs in, const uint8_t *const *tiles, uint32_t begin, uint32_t end,
                             const uint8_t *const *ahead = nullptr) {
        for (uint32_t k = begin; k < end; k += 32) {
            Sums sums;
            sums.clear();
            sums.template pairs<Fetched>(in, tiles, k / 2, least(k + 32, end + end % 2) / 2, ahead);
            fold(sums);
        }
    }

    // The even and odd sums of one block of 32 inputs.
    struct Sums {
        V even[R][T], odd[R][T];

        INTARSIA_INLINE void clear() {
            unroll<R>([&](auto r) {
                unroll<T>([&](auto t) { even[r.value][t.value] = odd[r.value][t.value] = V::all(0); });
            });
        }

        // Adds pairs begin .. end.
        template <int Fetched = 0>
        INTARSIA_INLINE void pairs(Inputs in, const uint8_t *const *tiles, uint32_t begin, uint32_t end,
                                   const uint8_t *const *ahead = nullptr) {
            for (uint64_t pair = begin; pair < end; ++pair) {
                unroll<Fetched>([&](auto t) { __builtin_prefetch(ahead[t.value] + pair * 64, 0, 2); });
                add_even(in, tiles, pair);
                add_odd(in, tiles, pair);
            }
        }
        INTARSIA_INLINE void add_even(Inputs in, const uint8_t *const *tiles, uint64_t pair) {
            V weight[T];
            unroll<T>([&](auto t) { weight[t.value] = V::even(tiles[t.value] + pair * 64); });
            unroll<R>([&](auto r) {
                const V x = V::all(in.x[r.value * in.step + pair * 2]);
                unroll<T>([&](auto t) { even[r.value][t.value] = V::fma(x, weight[t.value], even[r.value][t.value]); });
            });
        }
        INTARSIA_INLINE void add_odd(Inputs in, const uint8_t *const *tiles, uint64_t pair) {
            V weight[T];
            unroll<T>([&](auto t) { weight[t.value] = V::odd(tiles[t.value] + pair * 64); });
            unroll<R>([&](auto r) {
                const V x = V::all(in.x[r.value * in.step + pair * 2 + 1]);
                unroll<T>([&](auto t) { odd[r.value][t.value] = V::fma(x, weight[t.value], odd[r.value][t.value]); });
            });
        }
    };

    INTARSIA_INLINE void fold(const Sums &sums) {
        unroll<R>([&](auto r) {
            unroll<T>([&](auto t) {
                total[r.value][t.value] =
                    total[r.value][t.value] + (sums.even[r.value][t.value] + sums.odd[r.value][t.value]);
            });
        });
    }
};

// Rows x tiles that the registers hold, the most rows of them, and tiles at a time for a block of R rows: a few, so that
// a single row has independent chains.
template <class V, Storage S> constexpr int kSums = S == Storage::F32 ? V::kSumsF32 : V::kSumsBF16;
template <class V, Storage S> constexpr int kRowsAtOnce = S == Storage::F32 ? V::kRowsF32 : V::kRowsBF16;
template <class V, Storage S> constexpr int tiles_at_once(int rows) {
    const int room = kSums<V, S> / rows;
    return room >= 4 ? 4 : room >= 2 ? 2 : 1;
}

// Cuts `rows` into equal blocks no larger than the registers hold and calls f(first row, Index<rows of the block>).
template <int Most, class F> INTARSIA_INLINE void row_blocks(uint32_t rows, F &&f) {
    const uint32_t blocks = (rows + Most - 1) / Most;
    uint32_t begin = 0;
    for (uint32_t block = 1; block <= blocks; ++block) {
        const uint32_t end = rows * block / blocks;
        unroll<Most>([&](auto i) {
            if (end - begin == i.value + 1) {
                f(begin, Index<i.value + 1>{});
            }
        });
        begin = end;
    }
}

// Calls f(first tile, Index<tiles of the block>) for `tiles` tiles, T at once where there are as many.
template <int T, class F> INTARSIA_INLINE void tile_blocks(uint32_t tiles, F &&f, uint32_t begin = 0) {
    for (; begin + T <= tiles; begin += T) {
        f(begin, Index<T>{});
    }
    if constexpr (T > 1) {
        tile_blocks<T / 2>(tiles, f, begin);
    }
}

} // namespace
} // namespace intarsia::cpu
