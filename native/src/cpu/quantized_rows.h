// Rows of INT8 values: how they are laid out, and how they are made of f32.
#pragma once

#include "cpu/lanes.h"

namespace intarsia::cpu {
namespace {

struct QuantizedRow {
    int8_t *values;  // [padded(width)]
    int32_t *sums;   // [padded(width) / 32]
    int32_t *sum;
    float *scale;

    INTARSIA_INLINE QuantizedRow(void *rows, uint64_t row, uint32_t width) {
        values = static_cast<int8_t *>(rows) + row * stride(width, Storage::INT8);
        sums = reinterpret_cast<int32_t *>(values + padded(width));
        sum = sums + padded(width) / kScaled;
        scale = reinterpret_cast<float *>(sum + 1);
    }
};

// at(i, count): elements i .. i + count of the row; asked twice.
template <class V, class At> INTARSIA_INLINE void quantize_row(uint32_t width, QuantizedRow out, At &&at) {
    V most = V::all(0);
    V poison = V::all(0); // NaN where there is an infinity or NaN
    for (uint32_t i = 0; i < width; i += 16) {
        const V v = at(i, least(width - i, 16));
        most = V::max(V::max(v, -v), most);
        poison = V::fma(v, V::all(0), poison);
    }
    const float m = most.max();
    const float wrong = poison.sum();
    const bool any = m >= 0x1p-100f && wrong == 0;
    *out.scale = wrong != 0 ? wrong : any ? m / 127.0f : 0.0f;
    __builtin_memset(out.values, 0, padded(width));
    if (any) {
        const V inverse = V::all(127.0f / m);
        for (uint32_t i = 0; i < width; i += 16) { // the padding is as wide as the last store
            Ints<V>::store(at(i, least(width - i, 16)) * inverse, out.values + i);
        }
    }
    int32_t sum = 0;
    for (uint32_t group = 0; group < padded(width) / kScaled; ++group) {
        int32_t of_group = 0;
        for (uint32_t i = 0; i < kScaled; ++i) {
            of_group += out.values[group * kScaled + i];
        }
        out.sums[group] = of_group;
        sum += of_group;
    }
    *out.sum = sum;
}

} // namespace
} // namespace intarsia::cpu
