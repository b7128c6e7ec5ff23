#include "cpu/pack.h"

#include <cstring>

#include "cpu/bf16.h"
#include "cpu/f16.h"
#include "cpu/interleave.h"

namespace intarsia::cpu {
namespace {

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

template <Source F> void round_all(const unsigned char *data, uint32_t count, uint16_t *out) {
    for (uint32_t i = 0; i < count; ++i) {
        out[i] = round_bf16(element<F>(data, i));
    }
}

// Inputs of a tile that are converted at a time and then interleaved: they stay in the first-level cache meanwhile. Whole tiles of words
// that need no conversion are interleaved where they lie.
constexpr uint32_t kSection = 128;

// Rows of one tile, row-major at data, to [input, 16 outputs].
template <Source F> void pack_f32(const unsigned char *data, uint32_t rows, uint32_t k, uint32_t *out) {
    if (F == Source::F32 && rows == kTile) return interleave<as_is>(data, uint64_t{k} * sizeof(float), k, out);
    alignas(64) float section[kTile * kSection] = {};
    for (uint32_t first = 0; first < k; first += kSection) {
        const uint32_t count = k - first < kSection ? k - first : kSection;
        for (uint64_t row = 0; row < rows; ++row) {
            widen_all<F>(data + (row * k + first) * kBytes<F>, count, section + row * kSection);
        }
        interleave<as_is>(reinterpret_cast<const unsigned char *>(section), kSection * sizeof(float), count,
                          out + uint64_t{first} * kTile);
    }
}

// Rows of one tile, row-major at data, to [pair of inputs, 16 outputs, 2].
template <Source F> void pack_bf16(const unsigned char *data, uint32_t rows, uint32_t k, uint32_t *out) {
    if (F == Source::BF16 && rows == kTile && k % 2 == 0) return interleave<quiet>(data, uint64_t{k} * 2, k / 2, out);
    alignas(64) uint16_t section[kTile * kSection] = {};
    for (uint32_t first = 0; first < k; first += kSection) {
        const uint32_t count = k - first < kSection ? k - first : kSection;
        for (uint64_t row = 0; row < rows; ++row) {
            round_all<F>(data + (row * k + first) * kBytes<F>, count, section + row * kSection);
            if (count % 2 != 0) section[row * kSection + count] = 0;
        }
        interleave<as_is>(reinterpret_cast<const unsigned char *>(section), kSection * sizeof(uint16_t), (count + 1) / 2,
                          out + uint64_t{first} / 2 * kTile);
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
            pack_f32<F>(from, rows, k, reinterpret_cast<uint32_t *>(to));
        } else {
            pack_bf16<F>(from, rows, k, reinterpret_cast<uint32_t *>(to));
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
