// Whole and partial groups of 16 elements to and from memory, touching no byte outside the group.
#pragma once

#include "cpu/args.h"
#include "cpu/bf16.h"
#include "cpu/tier.h"

namespace intarsia::cpu {
namespace {

INTARSIA_INLINE uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

// The first `count` elements, at most 16; the lanes past them are zero.
template <class V> INTARSIA_INLINE V load(const float *from, uint32_t count) {
    if (count >= 16) {
        return V::load(from);
    }
    float lanes[16] = {};
    for (uint32_t i = 0; i < count; ++i) {
        lanes[i] = from[i];
    }
    return V::load(lanes);
}

template <class V> INTARSIA_INLINE void store(V value, float *to, uint32_t count) {
    if (count >= 16) {
        value.store(to);
        return;
    }
    float lanes[16];
    value.store(lanes);
    for (uint32_t i = 0; i < count; ++i) {
        to[i] = lanes[i];
    }
}

// bf16 elements as f32.
template <class V> INTARSIA_INLINE void widen(const uint16_t *from, uint32_t count, float *to) {
    uint32_t i = 0;
    for (; i + 16 <= count; i += 16) {
        V::widen(from + i).store(to + i);
    }
    for (; i < count; ++i) {
        to[i] = widen_bf16(from[i]);
    }
}

// A matrix [n, width] that a kernel writes, in either storage.
struct Rows {
    void *data;
    uint32_t width;
    Storage storage;

    // Elements at .. at + count of a row; the last of an odd BF16 row also zeroes the padding.
    template <class V> INTARSIA_INLINE void put(uint32_t row, uint32_t at, V value, uint32_t count) const {
        const uint64_t offset = uint64_t{row} * stride(width, storage) + at;
        if (storage == Storage::F32) {
            store(value, static_cast<float *>(data) + offset, count);
            return;
        }
        uint16_t *to = static_cast<uint16_t *>(data) + offset;
        if (count >= 16) {
            value.store_bf16(to);
        } else {
            uint16_t lanes[16];
            value.store_bf16(lanes);
            for (uint32_t i = 0; i < count; ++i) {
                to[i] = lanes[i];
            }
        }
        if (width % 2 == 1 && at + least(count, 16) == width) {
            to[least(count, 16)] = 0;
        }
    }
};

// Part `share` of 0 .. units, as even as can be.
struct Range {
    uint64_t begin, end;
};

INTARSIA_INLINE Range part(uint64_t units, Share share) {
    return {units * share.index / share.count, units * (share.index + 1) / share.count};
}

} // namespace
} // namespace intarsia::cpu
