// Linear layers over BF16 and INT8 matrices by tile registers (amx.h).
//
// Loops, from the outside: a block of rows, copied once so that what a register takes lies together, and small enough to stay in the
// second-level cache; pairs of tiles of weights, which pass once for each block; 32 rows of the block; inputs. A register of sums takes 16 rows x 16 outputs x 64 bytes of inputs at a time, and the processor goes on to other
// work meanwhile: it fetches the weights of the next pair, and it does what is left to do with the sums before.
#pragma once

#include "cpu/dot.h"
#include "cpu/outputs.h"
#include "cpu/quantized_rows.h"
#include "cpu/tile_registers.h"

namespace intarsia::cpu {
namespace {

template <class V, Storage S, class M> class TiledLinear {
    static_assert(S == Storage::BF16 || S == Storage::INT8);

public:
    // Whether the rows of one thread are worth it, and fit.
    static bool takes(const LinearArgs &args, uint32_t threads) {
        const uint32_t k = args.parts[0].weight.k;
        return args.n / row_shares(args, threads) >= tiled_rows(S) && input_bytes(k) <= kMostInputBytes;
    }

    static void run(const LinearArgs &args, Share share) {
        const uint32_t row_shares = TiledLinear::row_shares(args, share.count);
        const Range rows = part(args.n, {share.index % row_shares, row_shares});
        TiledLinear linear(args, share);
        const Range units = part(linear.outputs_.units(), {share.index / row_shares, share.count / row_shares});
        if (units.begin == units.end) {
            return;
        }
        const uint32_t count = static_cast<uint32_t>(rows.end - rows.begin), most = rows_at_once(linear.bytes_);
        const uint32_t blocks = (count + most - 1) / most;
        configure<M>(64);
        for (uint32_t block = 0; block < blocks; ++block) { // of whole 32 rows, but for the last
            const uint32_t begin = part_of(count, block, blocks), end = part_of(count, block + 1, blocks);
            linear.rows(static_cast<uint32_t>(rows.begin) + begin, end - begin, units);
        }
        linear.finish();
        M::release();
    }

private:
    static constexpr uint32_t kMostInputBytes = kPanelBytes / kTiledBlock; // of a row
    static constexpr uint32_t kRegister = 16 * 64;                         // bytes
    static constexpr uint64_t kHeader = S == Storage::INT8 ? 64 : 0;       // bytes of a tile before its weights

    // Sums of 32 rows and two tiles, f32 or i32.
    struct alignas(64) Sums {
        uint32_t of[2][kTiledBlock][16];
    };
    static_assert(2 * sizeof(Sums) <= kOtherScratch);

    struct Pair {
        typename Outputs<V>::Place places[2];
        const uint8_t *tiles[2];
        uint32_t count; // of tiles
    };

    // Sums that are complete, of rows of which `done` are written.
    struct Complete {
        Pair pair;
        const Sums *sums;
        uint32_t row;
        uint32_t rows = 0;
        uint32_t done = 0;
    };

    TiledLinear(const LinearArgs &args, Share share)
        : args_(args), outputs_(args), bytes_(input_bytes(args.parts[0].weight.k)), panels_(reinterpret_cast<uint8_t *>(share.scratch)),
          sums_(reinterpret_cast<Sums *>(share.scratch + kPanelBytes)) {}

    // Bytes of a row that are multiplied: a multiple of 4.
    static constexpr uint32_t input_bytes(uint32_t k) { return S == Storage::BF16 ? stride(k, S) * 2 : (k + 3) / 4 * 4; }

    // Of a block: as many as stay in the second-level cache beside the weights of two pairs.
    static uint32_t rows_at_once(uint32_t bytes) {
        const uint32_t fit = kResidentBytes / ((bytes + 63) / 64 * 64) / kTiledBlock * kTiledBlock;
        return fit < kTiledBlock ? kTiledBlock : fit;
    }

    static uint32_t part_of(uint32_t rows, uint32_t block, uint32_t blocks) {
        const uint32_t whole = (rows + kTiledBlock - 1) / kTiledBlock;
        return least(rows, static_cast<uint32_t>(uint64_t{whole} * block / blocks) * kTiledBlock);
    }

    // Threads share the outputs. Rows that make several blocks are shared before, for each needs all weights anyway, and so are those of few
    // outputs.
    static uint32_t row_shares(const LinearArgs &args, uint32_t threads) {
        const uint32_t most = rows_at_once(least(input_bytes(args.parts[0].weight.k), kMostInputBytes));
        const uint32_t units = Outputs<V>(args).units();
        uint32_t shares = 1;
        while (threads % (shares * 2) == 0 && args.n >= 2 * kTiledBlock * shares &&
               (args.n > most * shares || units < 4 * (threads / shares))) {
            shares *= 2;
        }
        return shares;
    }

    Pair pair(uint32_t unit, uint64_t end) const {
        Pair out;
        const uint32_t per_unit = outputs_.tiles_per_unit();
        out.count = unit + 2 / per_unit <= end ? 2 : 1;
        for (uint32_t i = 0; i < out.count; ++i) {
            const auto tile = outputs_.tile(unit + i / per_unit, i % per_unit);
            const Matrix &matrix = tile.part->weight;
            out.tiles[i] = static_cast<const uint8_t *>(matrix.data) + tile.index * tile_bytes(matrix.k, S);
        }
        for (uint32_t i = 0; i < out.count / per_unit; ++i) {
            out.places[i] = outputs_.place(unit + i);
        }
        return out;
    }

    void rows(uint32_t row, uint32_t count, Range units) {
        const uint32_t each = 2 / outputs_.tiles_per_unit();
        const uint32_t blocks = (count + kTiledBlock - 1) / kTiledBlock;
        lines_a_step_ = (2 * kRegister / 64 + blocks - 1) / blocks;
        Pair next = pair(static_cast<uint32_t>(units.begin), units.end);
        ahead(next);
        fill(row, count);
        for (uint64_t unit = units.begin; unit < units.end; unit += each) {
            const Pair now = next;
            if (unit + each < units.end) {
                next = pair(static_cast<uint32_t>(unit) + each, units.end);
            }
            ahead(next);
            for (uint32_t r = 0; r < count; r += kTiledBlock) {
                block(now, row + r, least(kTiledBlock, count - r), panel(r / kTiledBlock));
            }
        }
    }

    // The sums of up to 32 rows and a pair. Those before them are written meanwhile.
    void block(const Pair &pair, uint32_t row, uint32_t count, const uint8_t *x) {
        const uint32_t whole = bytes_ / 64;
        Sums &sums = sums_[turn_ ^= 1];
        destination(pair, row, count);
        if (whole > 0) {
            multiply(pair, count, x, 0, whole, sums);
        }
        if (whole * 64 < bytes_) { // with narrower registers
            configure<M>(bytes_ % 64);
            multiply(pair, count, x, whole, 1, sums);
            configure<M>(64);
        }
        finish();
        complete_ = {pair, &sums, row, count, 0};
    }

    // Adds registers begin .. begin + count of inputs.
    void multiply(const Pair &pair, uint32_t rows, const uint8_t *x, uint32_t begin, uint32_t count, Sums &sums) {
        steps_ = (kTiledBlock + count - 1) / count;
        unroll<2>([&](auto r) {
            unroll<2>([&](auto t) {
                if ((rows > 16) == (r.value == 1) && (pair.count == 2) == (t.value == 1)) {
                    multiply<r.value + 1, t.value + 1>(pair, x, begin, count, sums);
                }
            });
        });
    }

    template <int R, int T>
    INTARSIA_BLOCK void multiply(const Pair &pair, const uint8_t *x, uint32_t begin, uint32_t count, Sums &sums) {
        const uint8_t *weights[T];
        unroll<T>([&](auto t) { weights[t.value] = pair.tiles[t.value] + kHeader + uint64_t{begin} * kRegister; });
        x += uint64_t{begin} * kTiledBlock * 64;
        unroll<R>([&](auto r) {
            unroll<T>([&](auto t) {
                if (begin == 0) {
                    M::template zero<r.value * 2 + t.value>();
                } else {
                    M::template load<r.value * 2 + t.value>(sums.of[t.value][r.value * 16], 64);
                }
            });
        });
        for (uint64_t piece = 0; piece < count; ++piece) {
            M::template load<4>(x + piece * (kTiledBlock * 64), 64);
            unroll<T>([&](auto t) {
                M::template load<6 + t.value>(weights[t.value] + piece * kRegister, 64);
                unroll<R>([&](auto r) {
                    if constexpr (t.value == 0 && r.value == 1) {
                        M::template load<5>(x + piece * (kTiledBlock * 64) + kRegister, 64);
                    }
                    dot<r.value * 2 + t.value, 4 + r.value, 6 + t.value>();
                });
            });
            fetch();
            fetch_destination();
            write(steps_);
        }
        unroll<R>([&](auto r) {
            unroll<T>([&](auto t) { M::template store<r.value * 2 + t.value>(sums.of[t.value][r.value * 16], 64); });
        });
    }

    template <int C, int A, int B> INTARSIA_INLINE static void dot() {
        if constexpr (S == Storage::BF16) {
            M::template dot_bf16<C, A, B>();
        } else {
            M::template dot_ints<C, A, B>();
        }
    }

    // Rows in panels: [32 rows][64 bytes of inputs][row]; rows that are not there are zero.
    uint8_t *panel(uint32_t block) const { return panels_ + uint64_t{block} * ((bytes_ + 63) / 64) * kTiledBlock * 64; }

    void fill(uint32_t row, uint32_t count) {
        const uint64_t apart = stride(args_.parts[0].weight.k, S) * uint64_t{element_bytes(S)};
        const uint8_t *x = static_cast<const uint8_t *>(args_.x) + row * apart;
        for (uint32_t r = 0; r < (count + 15) / 16 * 16; ++r) {
            uint8_t *to = panel(r / kTiledBlock) + r % kTiledBlock * 64;
            const uint8_t *from = x + r * apart;
            for (uint32_t at = 0; at < bytes_; at += 64, to += kTiledBlock * 64) {
                const uint32_t length = least(64, bytes_ - at);
                if (r >= count) {
                    __builtin_memset(to, 0, 64);
                } else if (length == 64) {
                    __builtin_memcpy(to, from + at, 64);
                } else {
                    __builtin_memcpy(to, from + at, length);
                }
            }
            fetch();
        }
    }

    // The weights that fetch() brings to the second-level cache, some lines at a time.
    void ahead(const Pair &pair) {
        for (uint32_t i = 0; i < 2; ++i) {
            ahead_[i] = pair.tiles[i < pair.count ? i : 0];
        }
        lines_ = static_cast<uint32_t>(tile_bytes(args_.parts[0].weight.k, S) / 64);
    }
    INTARSIA_INLINE void fetch() {
        for (uint32_t i = 0; i < lines_a_step_ && lines_ > 0; i += 2) {
            __builtin_prefetch(ahead_[0], 0, 2);
            __builtin_prefetch(ahead_[1], 0, 2);
            ahead_[0] += 64;
            ahead_[1] += 64;
            --lines_;
        }
    }

    // Lines to be written next, which are fetched meanwhile: writing to lines that are nowhere near would take as long as the sums.
    void destination(const Pair &pair, uint32_t row, uint32_t rows) {
        destination_ = pair.places[0].destination(row, pair.count > 1 && outputs_.tiles_per_unit() == 1 ? 2 : 1);
        destination_rows_ = rows;
    }
    INTARSIA_INLINE void fetch_destination() {
        for (uint32_t i = 0; i < steps_ && destination_rows_ > 0; ++i, --destination_rows_) {
            destination_.fetch();
        }
    }

    // Writes up to `rows` more rows of the sums that are complete.
    INTARSIA_INLINE void write(uint32_t rows) {
        const uint32_t end = least(complete_.done + rows, complete_.rows);
        for (; complete_.done < end; ++complete_.done) {
            const uint32_t r = complete_.done, row = complete_.row + r;
            const Pair &pair = complete_.pair;
            const V first = value(0, r);
            const V second = pair.count == 2 ? value(1, r) : first;
            pair.places[0].put(row, first, second);
            if (pair.count == 2 && outputs_.tiles_per_unit() == 1) {
                pair.places[1].put(row, second, second);
            }
        }
    }
    void finish() { write(kTiledBlock); }

    INTARSIA_INLINE V value(uint32_t tile, uint32_t r) const {
        const uint32_t *sums = complete_.sums->of[tile][r];
        if constexpr (S == Storage::BF16) {
            return V::load(reinterpret_cast<const float *>(sums));
        } else {
            // Weights enter unsigned, as they are packed, so that a sum exceeds that of their q by 128 times the sum of the row's inputs.
            const QuantizedRow row(const_cast<void *>(args_.x), complete_.row + r, args_.parts[0].weight.k);
            const V sum = Ints<V>::add(Ints<V>::load(reinterpret_cast<const int32_t *>(sums)), -128 * *row.sum).floats();
            return (sum * V::all(*row.scale)) * V::load(reinterpret_cast<const float *>(complete_.pair.tiles[tile]));
        }
    }

    const LinearArgs &args_;
    Outputs<V> outputs_;
    uint32_t bytes_; // of a row
    uint8_t *panels_;
    Sums *sums_; // two, which take turns
    uint32_t turn_ = 0;
    Complete complete_;
    const uint8_t *ahead_[2];
    uint32_t lines_ = 0;        // of a tile, still to be fetched
    uint32_t lines_a_step_ = 0; // of both
    Destination destination_;
    uint32_t destination_rows_ = 0; // still to be fetched
    uint32_t steps_ = 0;            // rows to write with each register of inputs
};

} // namespace
} // namespace intarsia::cpu
