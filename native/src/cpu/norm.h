// RMS norm over groups of elements.
#pragma once

#include "cpu/quantized_rows.h"

namespace intarsia::cpu {
namespace {

// 1 / sqrt(mean(x^2) + eps)
template <class V> INTARSIA_INLINE float inverse_rms(const float *x, uint32_t count, float eps) {
    V squares = V::all(0);
    for (uint32_t i = 0; i < count; i += 16) {
        const V v = load<V>(x + i, count - i);
        squares = V::fma(v, v, squares);
    }
    return 1.0f / __builtin_sqrtf(squares.sum() / static_cast<float>(count) + eps);
}

// Units of work are the groups of all rows.
template <class V> void norm(const NormArgs &args, Share share) {
    const Rows out = {args.out, args.width, args.out_storage};
    const uint32_t groups = args.width / args.group;
    const Range units = part(uint64_t{args.n} * groups, args.each ? Share{0, 1} : share);
    for (uint64_t unit = units.begin; unit < units.end; ++unit) {
        const uint32_t row = static_cast<uint32_t>(unit / groups);
        const uint32_t to = args.each ? share.index : row;
        const uint32_t start = static_cast<uint32_t>(unit % groups) * args.group;
        const float *x = args.x + uint64_t{row} * args.width + start;
        const V inverse = V::all(inverse_rms<V>(x, args.group, args.eps));
        if (args.out_storage == Storage::INT8) {
            quantize_row<V>(args.width, {args.out, to, args.width}, [&](uint32_t i, uint32_t count) {
                return load<V>(x + i, count) * inverse * load<V>(args.weight + i, count);
            });
            continue;
        }
        for (uint32_t i = 0; i < args.group; i += 16) {
            const uint32_t count = least(args.group - i, 16);
            out.put(to, start + i, load<V>(x + i, count) * inverse * load<V>(args.weight + i, count), count);
        }
    }
}

} // namespace
} // namespace intarsia::cpu
