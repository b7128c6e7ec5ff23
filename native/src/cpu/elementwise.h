// Kernels without reductions. Units of work are rows.
#pragma once

#include "cpu/f16.h"
#include "cpu/math.h"
#include "cpu/quantized_rows.h"

namespace intarsia::cpu {
namespace {

template <class V> void silu_mul(const SiluMulArgs &args, Share share) {
    const Rows out = {args.out, args.width, args.out_storage};
    const Range rows = part(args.n, share);
    for (uint64_t row = rows.begin; row < rows.end; ++row) {
        for (uint32_t at = 0; at < args.width; at += 16) {
            const uint32_t count = least(args.width - at, 16);
            const uint64_t from = row * args.width + at;
            out.put(row, at, silu(load<V>(args.gate + from, count)) * load<V>(args.up + from, count), count);
        }
    }
}

template <class V> void add(const AddArgs &args, Share share) {
    const Range rows = part(args.n, share);
    const uint64_t end = rows.end * args.width;
    for (uint64_t i = rows.begin * args.width; i < end; i += 16) {
        const uint32_t count = end - i < 16 ? static_cast<uint32_t>(end - i) : 16;
        store(load<V>(args.a + i, count) + load<V>(args.b + i, count), args.out + i, count);
    }
}

template <class V> void round(const RoundArgs &args, Share share) {
    const Rows out = {args.out, args.width, args.out_storage};
    const Range rows = part(args.n, share);
    for (uint64_t row = rows.begin; row < rows.end; ++row) {
        if (args.out_storage == Storage::INT8) {
            quantize_row<V>(args.width, {args.out, row, args.width}, [&](uint32_t i, uint32_t count) {
                return load<V>(args.x + row * args.width + i, count);
            });
            continue;
        }
        for (uint32_t at = 0; at < args.width; at += 16) {
            const uint32_t count = least(args.width - at, 16);
            out.put(row, at, load<V>(args.x + row * args.width + at, count), count);
        }
    }
}

template <class V> void select_rows(const SelectRowsArgs &args, Share share) {
    const Range rows = part(args.n, share);
    for (uint64_t row = rows.begin; row < rows.end; ++row) {
        __builtin_memcpy(args.out + row * args.width,
                         args.x + uint64_t{static_cast<uint32_t>(args.rows[row])} * args.width,
                         args.width * sizeof(float));
    }
}

// A row of a packed matrix is one lane of a tile: an element, pair or quad in every 64 bytes.
template <class V> void embedding(const EmbeddingArgs &args, Share share) {
    const uint32_t width = args.weight.k;
    const Storage storage = args.weight.storage;
    const Range rows = part(args.n, share);
    for (uint64_t row = rows.begin; row < rows.end; ++row) {
        const uint32_t token = static_cast<uint32_t>(args.tokens[row]);
        const uint32_t lane = token % kTile;
        const uint8_t *tile =
            static_cast<const uint8_t *>(args.weight.data) + token / kTile * tile_bytes(width, storage);
        float *out = args.out + row * width;
        if (storage == Storage::F32) {
            const float *from = reinterpret_cast<const float *>(tile) + lane;
            for (uint64_t i = 0; i < width; ++i) {
                out[i] = from[i * 16];
            }
        } else if (storage == Storage::BF16) {
            const uint16_t *from = reinterpret_cast<const uint16_t *>(tile) + lane * 2;
            for (uint64_t i = 0; i < width; ++i) {
                out[i] = widen_bf16(from[i / 2 * 32 + i % 2]);
            }
        } else if (storage == Storage::INT8) {
            const float scale = reinterpret_cast<const float *>(tile)[lane];
            const uint8_t *from = tile + 64 + lane * 4;
            for (uint64_t i = 0; i < width; ++i) {
                out[i] = static_cast<float>(from[i / 4 * 64 + i % 4] - 128) * scale;
            }
        } else {
            for (uint64_t i = 0; i < width; ++i) {
                const uint64_t at = i % kQuantizedStep;
                const uint8_t *step = tile + i / kQuantizedStep * (64 + 8 * 64);
                const uint16_t scale = reinterpret_cast<const uint16_t *>(step)[at / kScaled * 16 + lane];
                const uint8_t halves = step[64 + at / 8 * 64 + lane * 4 + at % 4];
                out[i] = static_cast<float>((at % 8 < 4 ? halves & 15 : halves >> 4) - 8) * widen_f16(scale);
            }
        }
    }
}

} // namespace
} // namespace intarsia::cpu
