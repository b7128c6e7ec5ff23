// q, k and v made ready for attention: norm over the head, rotation by the position, then to a matrix or into the
// cache.
#pragma once

#include "cpu/interleave.h"
#include "cpu/math.h"
#include "cpu/norm.h"

namespace intarsia::cpu {
namespace {

// The place of one position in a layer of the cache.
struct CacheSlot {
    const KvLayer &cache;
    uint64_t block;
    uint32_t offset;

    // Elements at .. at + count of a head of the keys: a tile of 16 positions x head_dim.
    template <class V> INTARSIA_INLINE void put_key(uint32_t head, uint32_t at, V value, uint32_t count) const {
        uint8_t *tile = static_cast<uint8_t *>(cache.keys) + (block * cache.kv_heads + head) * cache.key_bytes();
        if (cache.storage == Storage::F32) {
            float lanes[16];
            value.store(lanes);
            for (uint32_t i = 0; i < count; ++i) {
                reinterpret_cast<float *>(tile)[uint64_t{at + i} * 16 + offset] = lanes[i];
            }
        } else {
            uint16_t lanes[16];
            value.store_bf16(lanes);
            for (uint32_t i = 0; i < count; ++i) {
                reinterpret_cast<uint16_t *>(tile)[uint64_t{(at + i) / 2} * 32 + offset * 2 + (at + i) % 2] = lanes[i];
            }
        }
    }

    // Elements at .. at + count, at a multiple of 16, of a head of the values: tiles of 16 elements x 16 positions.
    // Only 2-byte stores, for the other position of a pair may belong to another thread.
    template <class V> INTARSIA_INLINE void put_value(uint32_t head, uint32_t at, V value, uint32_t count) const {
        uint8_t *tile = static_cast<uint8_t *>(cache.values) + (block * cache.kv_heads + head) * cache.value_bytes() +
                        at / 16 * tile_bytes(kBlock, cache.storage);
        if (cache.storage == Storage::F32) {
            store(value, reinterpret_cast<float *>(tile) + offset * 16, count);
        } else {
            uint16_t lanes[16];
            value.store_bf16(lanes);
            for (uint32_t i = 0; i < count; ++i) {
                reinterpret_cast<uint16_t *>(tile)[offset / 2 * 32 + i * 2 + offset % 2] = lanes[i];
            }
        }
    }
};

// One head x[head_dim] of a row, normalized and rotated; put(at, value, count) takes the results.
template <class V, class Put> INTARSIA_INLINE void head(const HeadsArgs &args, const float *x, uint32_t row, Put put) {
    const uint32_t dim = args.head_dim;
    const V inverse = V::all(args.norm_weight ? inverse_rms<V>(x, dim, args.eps) : 1.0f);
    const auto element = [&](uint32_t at, uint32_t count) {
        const V v = load<V>(x + at, count);
        return args.norm_weight ? v * inverse * load<V>(args.norm_weight + at, count) : v;
    };
    if (!args.table) {
        for (uint32_t at = 0; at < dim; at += 16) {
            const uint32_t count = least(dim - at, 16);
            put(at, element(at, count), count);
        }
        return;
    }
    const uint32_t half = dim / 2;
    const float *table = args.table + uint64_t{row} * dim;
    for (uint32_t at = 0; at < half; at += 16) {
        const uint32_t count = least(half - at, 16);
        const V cos = load<V>(table + at, count);
        const V sin = load<V>(table + half + at, count);
        const V a = element(at, count);
        const V b = element(half + at, count);
        put(at, V::fma(a, cos, -(b * sin)), count);
        put(half + at, V::fma(b, cos, a * sin), count);
    }
}

// The 16 positions of a cache block at once: its tiles are made of rows and written whole, where single positions would be scattered over them.
struct CacheBlock {
    static constexpr uint32_t kMostDim = 256;

    alignas(64) uint16_t rows[kBlock][kMostDim]; // bf16; halves of them are whole vectors

    static bool takes(const KvLayer &cache) {
        return cache.storage == Storage::BF16 && cache.head_dim % 32 == 0 && cache.head_dim <= kMostDim;
    }

    // Rows of keys become a tile of 16 positions x head_dim.
    INTARSIA_INLINE void put_keys(const KvLayer &cache, uint64_t block, uint32_t head) const {
        uint8_t *tile = static_cast<uint8_t *>(cache.keys) + (block * cache.kv_heads + head) * cache.key_bytes();
        interleave<as_is>(reinterpret_cast<const unsigned char *>(rows), sizeof rows[0], cache.head_dim / 2, reinterpret_cast<uint32_t *>(tile));
    }

    // Rows of values become tiles of 16 elements x 16 positions.
    INTARSIA_INLINE void put_values(const KvLayer &cache, uint64_t block, uint32_t head) const {
        auto *to = reinterpret_cast<uint16_t *>(static_cast<uint8_t *>(cache.values) + (block * cache.kv_heads + head) * cache.value_bytes());
        for (uint32_t at = 0; at < cache.head_dim; at += 16) {
            for (uint32_t position = 0; position < kBlock; position += 2, to += 32) {
                for (uint32_t i = 0; i < 16; ++i) {
                    to[i * 2] = rows[position][at + i];
                    to[i * 2 + 1] = rows[position + 1][at + i];
                }
            }
        }
    }
};

// Units of work are the heads of q, k and v of all rows, or of 16 rows that fill a block of the cache.
template <class V> void qkv(const QkvArgs &args, Share share) {
    const uint32_t q_heads = args.q.x ? args.q.heads : 0;
    const uint32_t k_heads = args.k.x ? args.k.heads : 0;
    const uint32_t v_heads = args.v ? args.cache.kv_heads : 0;
    const uint32_t heads = q_heads + k_heads + v_heads;
    if (heads == 0) {
        return;
    }
    const Rows q_out = {args.q.out, args.q.heads * args.q.head_dim, args.q.out_storage};
    const Rows k_out = {args.k.out, args.k.heads * args.k.head_dim, args.k.out_storage};
    const auto unit = [&](uint32_t row, uint32_t h) {
        if (h < q_heads) {
            head<V>(
                args.q, args.q.x + uint64_t{row} * q_out.width + h * args.q.head_dim, row,
                [&](uint32_t at, V value, uint32_t count) { q_out.put(row, h * args.q.head_dim + at, value, count); });
            return;
        }
        h -= q_heads;
        const int32_t slot = args.slots ? args.slots[row] : -1;
        const CacheSlot to = {args.cache, static_cast<uint32_t>(slot) / kBlock, static_cast<uint32_t>(slot) % kBlock};
        if (h < k_heads) {
            const float *x = args.k.x + uint64_t{row} * k_out.width + h * args.k.head_dim;
            if (args.k.out) {
                head<V>(args.k, x, row, [&](uint32_t at, V value, uint32_t count) {
                    k_out.put(row, h * args.k.head_dim + at, value, count);
                });
            } else if (slot >= 0) {
                head<V>(args.k, x, row, [&](uint32_t at, V value, uint32_t count) { to.put_key(h, at, value, count); });
            }
        } else if (slot >= 0) {
            h -= k_heads;
            const uint32_t dim = args.cache.head_dim;
            const float *x = args.v + (uint64_t{row} * v_heads + h) * dim;
            for (uint32_t at = 0; at < dim; at += 16) {
                const uint32_t count = least(dim - at, 16);
                to.put_value(h, at, load<V>(x + at, count), count);
            }
        }
    };
    if (args.by_head) {
        const Range own = part(k_heads, share);
        const uint64_t group = q_heads / k_heads;
        const Range ranges[] = {{own.begin * group, own.end * group},
                                {q_heads + own.begin, q_heads + own.end},
                                {q_heads + k_heads + own.begin, q_heads + k_heads + own.end}};
        for (uint32_t row = 0; row < args.n; ++row) {
            for (const Range &range : ranges) {
                for (uint64_t h = range.begin; h < range.end; ++h) {
                    unit(row, static_cast<uint32_t>(h));
                }
            }
        }
        return;
    }
    // Whether the rows from this one on are the positions of one block, in turn.
    const auto fills_block = [&](uint32_t row) {
        if (!args.slots || !k_heads || args.k.out || !v_heads || args.n - row < kBlock || args.slots[row] < 0 || args.slots[row] % kBlock != 0) {
            return false;
        }
        for (uint32_t i = 1; i < kBlock; ++i) {
            if (args.slots[row + i] != args.slots[row] + static_cast<int32_t>(i)) {
                return false;
            }
        }
        return true;
    };
    const auto whole = [&](uint32_t row, uint32_t h) {
        if (h < q_heads) {
            for (uint32_t i = 0; i < kBlock; ++i) {
                unit(row + i, h);
            }
            return;
        }
        h -= q_heads;
        const uint64_t block = static_cast<uint32_t>(args.slots[row]) / kBlock;
        const uint32_t dim = args.cache.head_dim;
        CacheBlock tile;
        for (uint32_t i = 0; i < kBlock; ++i) {
            if (h < k_heads) {
                head<V>(args.k, args.k.x + uint64_t{row + i} * k_out.width + h * dim, row + i,
                        [&](uint32_t at, V value, uint32_t) { value.store_bf16(tile.rows[i] + at); });
            } else {
                const float *x = args.v + (uint64_t{row + i} * v_heads + (h - k_heads)) * dim;
                for (uint32_t at = 0; at < dim; at += 16) {
                    V::load(x + at).store_bf16(tile.rows[i] + at);
                }
            }
        }
        if (h < k_heads) {
            tile.put_keys(args.cache, block, h);
        } else {
            tile.put_values(args.cache, block, h - k_heads);
        }
    };
    const bool blocks = args.n >= kBlock && CacheBlock::takes(args.cache);
    const Range own = part(uint64_t{args.n} * heads, share); // of heads of single rows; a unit is whose its first is
    uint32_t rows;
    for (uint32_t row = 0; row < args.n && uint64_t{row} * heads < own.end; row += rows) {
        rows = blocks && fills_block(row) ? kBlock : 1;
        if (uint64_t{row + rows} * heads <= own.begin) {
            continue;
        }
        for (uint32_t h = 0; h < heads; ++h) {
            const uint64_t first = uint64_t{row} * heads + uint64_t{h} * rows;
            if (first >= own.begin && first < own.end) {
                rows == kBlock ? whole(row, h) : unit(row, h);
            }
        }
    }
}

// Positions to the cosines and sines that `head` rotates by. Units of work are rows.
template <class V> void rope_table(const RopeTableArgs &args, Share share) {
    const Range rows = part(args.n, share);
    for (uint64_t row = rows.begin; row < rows.end; ++row) {
        float *out = args.out + row * 2 * args.half;
        for (uint32_t j = 0; j < args.half; ++j) {
            const SinCos angle = sin_cos(static_cast<float>(args.positions[row]) * args.inverse_frequencies[j]);
            out[j] = static_cast<float>(angle.cos * args.scale);
            out[args.half + j] = static_cast<float>(angle.sin * args.scale);
        }
    }
}

} // namespace
} // namespace intarsia::cpu
