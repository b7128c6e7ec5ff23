// Causal grouped-query attention over the paged cache (AttentionArgs has the definition).
//
// A unit of work is a few tokens of one sequence with the query heads that share a head of the cache, so that its keys
// and values are read once for all of them. A row is one query head of one token.
#pragma once

#include "cpu/attention_tiles.h"
#include "cpu/dot.h"
#include "cpu/math.h"

namespace intarsia::cpu {
namespace {

template <class V, Storage S, class M = NoTiles> class Attention {
public:
    static void run(const AttentionArgs &args, Share share) {
        const Rows out = {args.out, args.heads * args.cache.head_dim, args.out_storage};
        for (uint32_t row = args.query_starts[*args.sequences] + share.index; row < args.n; row += share.count) {
            for (uint32_t at = 0; at < out.width; at += 16) {
                out.put(row, at, V::all(0), out.width - at);
            }
        }
        const uint32_t group = args.heads / args.cache.kv_heads;
        uint32_t unit = 0; // dealt round, for later tokens see more keys
        const Range own = part(args.cache.kv_heads, share);
        for (uint32_t sequence = 0; sequence < *args.sequences; ++sequence) {
            const uint32_t begin = args.query_starts[sequence], end = args.query_starts[sequence + 1];
            const bool tiled = by_tiles(args, (end - begin) * group);
            const uint32_t most = least(tiled ? kRows : kFewRows, kFloats / (tiles(args.cache.head_dim) * 16));
            const uint32_t heads = least(group, most);
            const uint32_t tokens = most / heads;
            for (uint32_t token = begin; token < end; token += tokens) {
                uint32_t together;
                for (uint32_t head = 0; head < args.heads; head += together) {
                    together = least(heads, group - head % group);
                    const uint32_t kv_head = head / group;
                    if (args.by_head ? kv_head >= own.begin && kv_head < own.end : unit++ % share.count == share.index) {
                        Attention(args, sequence, token, least(tokens, end - token), head, together).run(tiled);
                    }
                }
            }
        }
    }

private:
    static constexpr uint32_t kFewRows = 16;
    static constexpr uint32_t kRows = AttentionTiles<M>::kRows;
    static constexpr uint32_t kFloats = M::kThere ? 8192 : 4096; // of queries and of outputs of a unit: at least four rows of 1024
    static constexpr uint32_t kBlocks = kKeys / kBlock;

    Attention(const AttentionArgs &args, uint32_t sequence, uint32_t token, uint32_t tokens, uint32_t head,
              uint32_t heads)
        : args_(args), cache_(args.cache), dim_(cache_.head_dim), padded_(tiles(dim_) * 16), token_(token),
          tokens_(tokens), head_(head), heads_(heads), kv_head_(head / (args.heads / cache_.kv_heads)),
          table_(args.block_tables + uint64_t{sequence} * args.max_blocks),
          position_(args.lengths[sequence] - (args.query_starts[sequence + 1] - static_cast<int32_t>(token))) {}

    // Visible positions of a key block for one token, relative to the block.
    struct Span {
        uint32_t lo, hi;
        bool operator==(const Span &) const = default;
        bool empty() const { return lo >= hi; }
    };

    uint32_t row_count() const { return tokens_ * heads_; }

    int64_t first_visible(uint32_t token) const {
        const int64_t position = int64_t{position_} + token;
        return args_.window == 0 || args_.window > position ? 0 : position - args_.window + 1;
    }

    Span visible(uint32_t token, int64_t block_start) const {
        const auto within_block = [](int64_t i) { return i < 0 ? 0 : i < kKeys ? static_cast<uint32_t>(i) : kKeys; };
        return {within_block(first_visible(token) - block_start),
                within_block(int64_t{position_} + token + 1 - block_start)};
    }

    // Whether tile registers work on sequences with so many rows.
    static bool by_tiles(const AttentionArgs &args, uint32_t rows) {
        if constexpr (M::kThere && S == Storage::BF16) {
            const uint32_t dim = args.cache.head_dim;
            return rows >= kTiledQueries && args.q_storage == Storage::BF16 && dim % 32 == 0 && dim <= AttentionTiles<M>::kMostDim;
        } else {
            return false;
        }
    }

    void run(bool tiled) {
        if constexpr (M::kThere) {
            if (tiled) {
                return run_by_tiles();
            }
        }
        load_queries();
        const uint64_t last = (uint64_t{static_cast<uint32_t>(position_)} + tokens_ - 1) / kKeys;
        Tiles next = locate(first_visible(0) / kKeys);
        for (uint64_t block = first_visible(0) / kKeys; block <= last; ++block) {
            const Tiles here = next;
            next = locate(block < last ? block + 1 : last); // and is fetched meanwhile
            for (uint32_t token = 0; token < tokens_;) { // tokens that see the same positions go together
                const Span span = visible(token, block * kKeys);
                uint32_t end = token + 1;
                while (end < tokens_ && visible(end, block * kKeys) == span) {
                    ++end;
                }
                if (!span.empty()) {
                    attend(token * heads_, (end - token) * heads_, here, next, span);
                }
                token = end;
            }
        }
        write();
    }

    void run_by_tiles() {
        load_queries_as_tiles();
        configure<M>(64);
        const uint64_t last = (uint64_t{static_cast<uint32_t>(position_)} + tokens_ - 1) / kKeys;
        for (uint64_t block = first_visible(0) / kKeys; block <= last; ++block) {
            attend_by_tiles(block * kKeys, locate(block), locate(block < last ? block + 1 : last));
        }
        M::release();
        write();
    }

    // The cache blocks of a key block; for one that no token sees, another stands in.
    struct Tiles {
        const uint8_t *keys[kBlocks];
        const uint8_t *values[kBlocks];
    };

    Tiles locate(uint64_t block) const {
        const uint64_t oldest = first_visible(0) / kBlock;
        const uint64_t newest = (uint64_t{static_cast<uint32_t>(position_)} + tokens_ - 1) / kBlock;
        Tiles out;
        for (uint32_t b = 0; b < kBlocks; ++b) {
            const uint64_t at = block * kBlocks + b;
            const int32_t index = table_[at < oldest ? oldest : at > newest ? newest : at];
            const uint64_t tile = uint64_t{static_cast<uint32_t>(index)} * cache_.kv_heads + kv_head_;
            out.keys[b] = static_cast<const uint8_t *>(cache_.keys) + tile * tile_bytes(dim_, S);
            out.values[b] = static_cast<const uint8_t *>(cache_.values) + tile * tiles(dim_) * tile_bytes(kBlock, S);
        }
        return out;
    }

    void load_queries() {
        const uint64_t step = stride(args_.heads * dim_, args_.q_storage);
        for (uint32_t row = 0; row < row_count(); ++row) {
            const uint64_t from = (token_ + row / heads_) * step + uint64_t{head_ + row % heads_} * dim_;
            if (args_.q_storage == Storage::BF16) {
                widen<V>(static_cast<const uint16_t *>(args_.q) + from, dim_, q_ + row * dim_);
            } else {
                __builtin_memcpy(q_ + row * dim_, static_cast<const float *>(args_.q) + from, dim_ * sizeof(float));
            }
            start(row);
        }
    }

    void load_queries_as_tiles() {
        const uint64_t step = stride(args_.heads * dim_, args_.q_storage);
        __builtin_memset(registers_.p, 0, sizeof registers_.p); // of rows that see none of a key block, and of those that are not there
        for (uint32_t row = 0; row < kRows; ++row) {
            const uint64_t from = (token_ + row / heads_) * step + uint64_t{head_ + row % heads_} * dim_;
            for (uint32_t i = 0; i < dim_; i += 32) {
                if (row < row_count()) {
                    __builtin_memcpy(registers_.q[i / 32][row], static_cast<const uint16_t *>(args_.q) + from + i, 64);
                } else {
                    __builtin_memset(registers_.q[i / 32][row], 0, 64);
                }
            }
            start(row);
        }
    }

    void start(uint32_t row) {
        maximum_[row] = -__builtin_inff();
        sum_[row] = 0;
        for (uint32_t i = 0; row < row_count() && i < padded_; i += 16) {
            V::all(0).store(o_ + row * padded_ + i);
        }
    }

    // One key block for rows that see the same positions of it.
    void attend(uint32_t row, uint32_t rows, const Tiles &here, const Tiles &next, Span span) {
        scores(row, rows, here.keys, next.keys, span.lo / kBlock, (span.hi - 1) / kBlock + 1);

        float maximum[kFewRows];
        float sum[kFewRows];
        for (uint32_t r = 0; r < rows; ++r) {
            softmax(p_[r], span, maximum[r], sum[r]);
        }
        float old_factors[kFewRows];
        float new_factors[kFewRows];
        update(row, rows, maximum, sum, old_factors, new_factors);

        row_blocks<kRowsAtOnce<V, S>>(rows, [&](uint32_t r0, auto r) {
            tile_blocks<tiles_at_once<V, S>(r.value)>(tiles(dim_), [&](uint32_t t0, auto t) {
                if (row + r0 == 0) {
                    merge<r.value, t.value, t.value>(row, r0, here.values, next.values, t0, span, old_factors,
                                                     new_factors);
                } else {
                    merge<r.value, t.value, 0>(row, r0, here.values, nullptr, t0, span, old_factors, new_factors);
                }
            });
        });
    }

    // Merges maxima and sums of a key block for up to 16 rows; 16 factors of the outputs so far and of those of the block.
    INTARSIA_INLINE void update(uint32_t row, uint32_t rows, const float *maximum, const float *sum, float *old_factors, float *new_factors) {
        const V old_maximum = load<V>(maximum_ + row, rows);
        const V new_maximum = load<V>(maximum, rows);
        const V top = V::max(old_maximum, new_maximum);
        const V old_factor = exp(old_maximum - top);
        const V new_factor = exp(new_maximum - top);
        store(top, maximum_ + row, rows);
        store(V::fma(load<V>(sum, rows), new_factor, load<V>(sum_ + row, rows) * old_factor), sum_ + row, rows);
        old_factor.store(old_factors);
        new_factor.store(new_factors);
    }

    // One key block for all rows. What a row does not see has probability 0. That makes no difference but to the sign of a 0, and where a value
    // is no number; such rows are mixed as if there were no tile registers.
    void attend_by_tiles(int64_t start, const Tiles &here, const Tiles &next) {
        const uint32_t rows = row_count();
        registers_.scores(rows, dim_, here.keys, p_);
        registers_.take(here.values, dim_);
        float old_factors[kRows], new_factors[kRows], maximum[kRows], sum[kRows];
        Span spans[kRows];
        bool masked = false;
        uint32_t first = rows, end = 0; // rows that see any of it: they follow each other
        const V scale = V::all(args_.scale);
        for (uint32_t r = 0; r < rows; ++r) {
            spans[r] = visible(r / heads_, start);
            fetch(next, r, rows);
            if (spans[r].empty()) {
                forget(r);
                continue;
            }
            first = least(first, r);
            end = r + 1;
            masked |= spans[r] != Span{0, kKeys};
            for (uint32_t i = 0; i < kKeys; i += 16) {
                (V::load(p_[r] + i) * scale).store(p_[r] + i);
            }
            softmax(p_[r], spans[r], maximum[r], sum[r]);
            for (uint32_t i = 0; i < kKeys; i += 16) {
                V::load(p_[r] + i).store_bf16(reinterpret_cast<uint16_t *>(registers_.p[i / 32][r]) + i % 32);
            }
        }
        for (uint32_t r = first; r < end; r += kFewRows) {
            float old_some[kFewRows], new_some[kFewRows];
            const uint32_t some = least(end - r, kFewRows);
            update(r, some, maximum + r, sum + r, old_some, new_some);
            __builtin_memcpy(old_factors + r, old_some, some * sizeof(float));
            __builtin_memcpy(new_factors + r, new_some, some * sizeof(float));
        }
        const bool numbers = !masked || registers_.finite(dim_);
        for (uint32_t row = first / 32 * 32; row < end; row += 32) {
            for (uint32_t tile = 0; tile < dim_ / 16; tile += 2) {
                alignas(64) float mixed[32][32];
                registers_.mix(row, tile, mixed);
                for (uint32_t r = row < first ? first : row; r < least(row + 32, end); ++r) {
                    float *from = mixed[r - row];
                    if (spans[r] != Span{0, kKeys} && !(numbers && none_zero(from))) {
                        Dots<V, S, 1, 2> dots;
                        mix<1, 2, 0>(dots, {p_[r], kKeys}, here.values, nullptr, tile, spans[r]);
                        dots.total[0][0].store(from);
                        dots.total[0][1].store(from + 16);
                    }
                    for (uint32_t i = 0; i < 32; i += 16) {
                        float *o = o_ + r * padded_ + tile * 16 + i;
                        V::fma(V::load(from + i), V::all(new_factors[r]), V::load(o) * V::all(old_factors[r])).store(o);
                    }
                }
            }
        }
    }

    static bool none_zero(const float *values) {
        uint32_t zeros = 0;
        for (uint32_t i = 0; i < 32; ++i) {
            zeros += values[i] == 0 ? 1 : 0;
        }
        return zeros == 0;
    }

    void forget(uint32_t row) {
        for (auto &piece : registers_.p) {
            __builtin_memset(piece[row], 0, 64);
        }
    }

    // The part of a key block that falls to row r of `rows`, to the second-level cache.
    void fetch(const Tiles &next, uint32_t r, uint32_t rows) const {
        const uint64_t bytes = tile_bytes(dim_, S); // of a cache block's keys, and of its values
        for (uint64_t at = bytes * r / rows / 64 * 64; at < bytes * (r + 1) / rows; at += 64) {
            for (uint32_t b = 0; b < kBlocks; ++b) {
                __builtin_prefetch(next.keys[b] + at, 0, 2);
                __builtin_prefetch(next.values[b] + at, 0, 2);
            }
        }
    }

    // Scaled scores of the positions in cache blocks first .. end, masked ones too, to p_. The first rows fetch the next
    // key block, here and in merge().
    void scores(uint32_t row, uint32_t rows, const uint8_t *const *keys, const uint8_t *const *next, uint32_t first,
                uint32_t end) {
        row_blocks<kRowsAtOnce<V, S>>(rows, [&](uint32_t r0, auto r) {
            tile_blocks<tiles_at_once<V, S>(r.value)>(
                end,
                [&](uint32_t t0, auto t) {
                    if (row + r0 == 0) {
                        score<r.value, t.value, t.value>(row, r0, keys, next, t0);
                    } else {
                        score<r.value, t.value, 0>(row, r0, keys, nullptr, t0);
                    }
                },
                first);
        });
    }

    template <int R, int T, int Fetched>
    INTARSIA_BLOCK void score(uint32_t row, uint32_t r0, const uint8_t *const *keys, const uint8_t *const *next,
                              uint32_t tile) {
        Dots<V, S, R, T> dots;
        dots.clear();
        dots.template add<Fetched>({q_ + (row + r0) * dim_, dim_}, keys + tile, 0, dim_,
                                   Fetched > 0 ? next + tile : nullptr);
        const V scale = V::all(args_.scale);
        unroll<R>([&](auto r) {
            unroll<T>([&](auto t) {
                (dots.total[r.value][t.value] * scale).store(p_[r0 + r.value] + (tile + t.value) * 16);
            });
        });
    }

    // Scores to probabilities in place, those outside the span 0; their maximum and sum.
    static void softmax(float *p, Span span, float &maximum, float &sum) {
        for (uint32_t i = 0; i < span.lo; ++i) {
            p[i] = -__builtin_inff();
        }
        for (uint32_t i = span.hi; i < kKeys; ++i) {
            p[i] = -__builtin_inff();
        }
        V top = V::load(p);
        for (uint32_t i = 16; i < kKeys; i += 16) {
            top = V::max(top, V::load(p + i));
        }
        maximum = top.max();
        V total = V::all(0);
        for (uint32_t i = 0; i < kKeys; i += 16) {
            const V e = exp(V::load(p + i) - V::all(maximum));
            total = total + e;
            if constexpr (S == Storage::BF16) {
                e.rounded().store(p + i);
            } else {
                e.store(p + i);
            }
        }
        sum = total.sum();
    }

    // Merges the products of a key block, for R rows and T element tiles, into the outputs.
    template <int R, int T, int Fetched>
    INTARSIA_BLOCK void merge(uint32_t row, uint32_t r0, const uint8_t *const *values, const uint8_t *const *next,
                              uint32_t tile, Span span, const float *old_factors, const float *new_factors) {
        Dots<V, S, R, T> dots;
        mix<R, T, Fetched>(dots, {p_[r0], kKeys}, values, next, tile, span);
        unroll<R>([&](auto r) {
            const V old_factor = V::all(old_factors[r0 + r.value]);
            const V new_factor = V::all(new_factors[r0 + r.value]);
            unroll<T>([&](auto t) {
                float *o = o_ + (row + r0 + r.value) * padded_ + (tile + t.value) * 16;
                V::fma(dots.total[r.value][t.value], new_factor, V::load(o) * old_factor).store(o);
            });
        });
    }

    // Products of probabilities with the values of the span, element tiles tile .. tile + T.
    template <int R, int T, int Fetched>
    INTARSIA_INLINE static void mix(Dots<V, Storage::F32, R, T> &dots, Inputs p, const uint8_t *const *values,
                                    const uint8_t *const *next, uint32_t tile, Span span) {
        dots.clear();
        for (uint32_t b = span.lo / kBlock; b * kBlock < span.hi; ++b) {
            const Span in = within(span, b);
            const Places<T> from(values[b], tile);
            const Places<Fetched> ahead(Fetched > 0 ? next[b] : nullptr, tile);
            dots.template add<Fetched>({p.x + b * kBlock, p.step}, from.at, in.lo, in.hi, ahead.at);
        }
    }

    template <int R, int T, int Fetched>
    INTARSIA_INLINE static void mix(Dots<V, Storage::BF16, R, T> &dots, Inputs p, const uint8_t *const *values,
                                    const uint8_t *const *next, uint32_t tile, Span span) {
        dots.clear();
        for (uint32_t begin = span.lo / 32; begin * 32 < span.hi; ++begin) { // 32 positions, two cache blocks
            typename Dots<V, Storage::BF16, R, T>::Sums sums;
            sums.clear();
            for (uint32_t b = begin * 2; b < begin * 2 + 2; ++b) {
                const Span in = within(span, b);
                if (in.empty()) {
                    continue;
                }
                const Places<T> from(values[b], tile);
                const Places<Fetched> ahead(Fetched > 0 ? next[b] : nullptr, tile);
                const Inputs x = {p.x + b * kBlock, p.step};
                if (in.lo % 2 == 1) {
                    sums.add_odd(x, from.at, in.lo / 2);
                }
                sums.template pairs<Fetched>(x, from.at, (in.lo + 1) / 2, in.hi / 2, ahead.at);
                if (in.hi % 2 == 1) {
                    sums.add_even(x, from.at, in.hi / 2);
                }
            }
            dots.fold(sums);
        }
    }

    // Where element tiles tile .. tile + N of a cache block's values begin.
    template <int N> struct Places {
        const uint8_t *at[N > 0 ? N : 1] = {};
        INTARSIA_INLINE Places(const uint8_t *values, uint32_t tile) {
            unroll<N>([&](auto t) { at[t.value] = values + (tile + t.value) * tile_bytes(kBlock, S); });
        }
    };

    // The part of a span that lies in cache block b, relative to it.
    static Span within(Span span, uint32_t b) {
        const uint32_t start = b * kBlock;
        return {span.lo > start ? span.lo - start : 0, span.hi > start ? least(span.hi - start, kBlock) : 0};
    }

    void write() const {
        const Rows out = {args_.out, args_.heads * dim_, args_.out_storage};
        for (uint32_t row = 0; row < row_count(); ++row) {
            const V inverse = V::all(1.0f / sum_[row]);
            for (uint32_t i = 0; i < dim_; i += 16) {
                out.put(token_ + row / heads_, (head_ + row % heads_) * dim_ + i,
                        V::load(o_ + row * padded_ + i) * inverse, least(dim_ - i, 16));
            }
        }
    }

    const AttentionArgs &args_;
    const KvLayer &cache_;
    uint32_t dim_;
    uint32_t padded_; // dim_ in whole tiles
    uint32_t token_, tokens_;
    uint32_t head_, heads_;
    uint32_t kv_head_;
    const int32_t *table_;
    int32_t position_; // of token_

    alignas(64) float q_[kFloats]; // [rows, dim_]
    alignas(64) float o_[kFloats]; // [rows, padded_]
    alignas(64) float p_[kRows][kKeys];
    float maximum_[kRows];
    float sum_[kRows];
    AttentionTiles<M> registers_;
};

template <class V> void attention(const AttentionArgs &args, Share share) {
    if (args.cache.storage == Storage::BF16) {
        Attention<V, Storage::BF16>::run(args, share);
    } else {
        Attention<V, Storage::F32>::run(args, share);
    }
}

} // namespace
} // namespace intarsia::cpu
