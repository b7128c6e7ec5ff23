#include "cpu/pack.h"

#include <cstring>

#include "cpu/bf16.h"

namespace intarsia::cpu {
namespace {

float widen_f16(uint16_t bits) {
    const uint32_t sign = uint32_t{bits} >> 15 << 31;
    const uint32_t exponent = bits >> 10 & 31;
    const uint32_t mantissa = bits & 1023;
    if (exponent == 0) { // zero and subnormal: mantissa * 2^-24
        const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
        return __builtin_bit_cast(float, sign | __builtin_bit_cast(uint32_t, magnitude));
    }
    const uint32_t widened = exponent == 31 ? 255 : exponent + (127 - 15);
    return __builtin_bit_cast(float, sign | widened << 23 | mantissa << 13);
}

template <Source F> constexpr uint64_t kBytes = F == Source::F32 ? 4 : 2;

template <Source F> float element(const unsigned char *data, uint64_t index) {
    if constexpr (F == Source::F32) {
        float value;
        std::memcpy(&value, data + index * 4, 4);
        return value;
    } else {
        uint16_t bits;
        std::memcpy(&bits, data + index * 2, 2);
        return F == Source::F16 ? widen_f16(bits) : widen_bf16(bits);
    }
}

template <Source F> void widen_all(const unsigned char *data, uint64_t count, float *out) {
    for (uint64_t i = 0; i < count; ++i) {
        out[i] = element<F>(data, i);
    }
}

// Rows of one tile, row-major at data, to [input, 16 outputs].
template <Source F> void pack_f32(const unsigned char *data, uint32_t rows, uint32_t k, float *out) {
    for (uint64_t i = 0; i < k; ++i, out += kTile) {
        for (uint64_t row = 0; row < kTile; ++row) {
            out[row] = row < rows ? element<F>(data, row * k + i) : 0;
        }
    }
}

// Rows of one tile, row-major at data, to [pair of inputs, 16 outputs, 2].
template <Source F> void pack_bf16(const unsigned char *data, uint32_t rows, uint32_t k, uint16_t *out) {
    for (uint64_t i = 0; i < k; i += 2, out += 2 * kTile) {
        for (uint64_t row = 0; row < kTile; ++row) {
            out[row * 2] = row < rows ? round_bf16(element<F>(data, row * k + i)) : 0;
            out[row * 2 + 1] = row < rows && i + 1 < k ? round_bf16(element<F>(data, row * k + i + 1)) : 0;
        }
    }
}

template <Source F>
void pack_tiles(const unsigned char *data, uint32_t n, uint32_t k, Storage storage, unsigned char *out, uint32_t first,
                uint32_t last) {
    for (uint64_t tile = first; tile < last; ++tile) {
        const uint64_t row = tile * kTile;
        const uint32_t rows = n - row < kTile ? static_cast<uint32_t>(n - row) : kTile;
        const unsigned char *from = data + row * k * kBytes<F>;
        unsigned char *to = out + tile * tile_bytes(k, storage);
        if (storage == Storage::F32) {
            pack_f32<F>(from, rows, k, reinterpret_cast<float *>(to));
        } else {
            pack_bf16<F>(from, rows, k, reinterpret_cast<uint16_t *>(to));
        }
    }
}

} // namespace

void widen(const void *data, Source source, uint64_t count, float *out) {
    const unsigned char *bytes = static_cast<const unsigned char *>(data);
    switch (source) {
    case Source::F32:
        return widen_all<Source::F32>(bytes, count, out);
    case Source::F16:
        return widen_all<Source::F16>(bytes, count, out);
    case Source::BF16:
        return widen_all<Source::BF16>(bytes, count, out);
    }
}

void pack(const void *data, Source source, uint32_t n, uint32_t k, Storage storage, void *out, uint32_t first,
          uint32_t last) {
    const unsigned char *from = static_cast<const unsigned char *>(data);
    unsigned char *to = static_cast<unsigned char *>(out);
    switch (source) {
    case Source::F32:
        return pack_tiles<Source::F32>(from, n, k, storage, to, first, last);
    case Source::F16:
        return pack_tiles<Source::F16>(from, n, k, storage, to, first, last);
    case Source::BF16:
        return pack_tiles<Source::BF16>(from, n, k, storage, to, first, last);
    }
}

} // namespace intarsia::cpu
