#include "cpu/quantize.h"

#include <cmath>
#include <cstring>
#include <initializer_list>
#include <limits>

#include "cpu/f16.h"

namespace intarsia::cpu {
namespace {

constexpr float kLeast = 0x1p-100f;
constexpr float kMostInt4 = 0x1p60f; // squares of errors stay finite
constexpr uint16_t kNanF16 = 0x7E00;
constexpr uint32_t kLanes = 8;

// To the nearest integer, ties to even, for magnitudes below 2^22: the sum's last bit counts ones. Loops over it become vector code.
constexpr float kRound = 0x1.8p23f;
int32_t nearest(float value) {
    return static_cast<int32_t>(__builtin_bit_cast(uint32_t, value + kRound) - __builtin_bit_cast(uint32_t, kRound));
}

// To the nearest f16, ties to even, by integers; a magnitude that has none becomes the largest finite one.
uint16_t round_f16(float value) {
    const uint32_t bits = __builtin_bit_cast(uint32_t, value);
    const uint32_t sign = bits >> 16 & 0x8000;
    const uint32_t magnitude = bits & 0x7FFFFFFF;
    if (magnitude >= 0x477FF000) { // 65520, the middle between the largest f16 and what would follow
        return static_cast<uint16_t>(sign | 0x7BFF);
    }
    const uint32_t exponent = magnitude >> 23;
    if (exponent < 102) { // below 2^-25
        return static_cast<uint16_t>(sign);
    }
    // A subnormal f16 counts in units of 2^-24, a normal one in 2^-10 of its power.
    const bool normal = exponent >= 113;
    const uint32_t drop = normal ? 13 : 126 - exponent;
    const uint32_t from = normal ? magnitude - (112u << 23) : (magnitude & 0x7FFFFF) | 0x800000;
    const uint32_t kept = from >> drop;
    const uint32_t rest = from & ((1u << drop) - 1);
    const uint32_t half = 1u << (drop - 1);
    return static_cast<uint16_t>(sign | (kept + (rest > half || (rest == half && kept % 2 == 1))));
}

void put_f16(uint16_t value, uint8_t *to) { std::memcpy(to, &value, 2); }

void quantize_int8(const float *w, uint32_t k, uint8_t *values, uint8_t *scale) {
    float most = 0;
    bool finite = true;
    for (uint32_t i = 0; i < k; ++i) {
        most = std::fabs(w[i]) > most ? std::fabs(w[i]) : most;
        finite &= std::fabs(w[i]) <= std::numeric_limits<float>::max();
    }
    const bool any = finite && most >= kLeast;
    const float kept = !finite ? std::numeric_limits<float>::quiet_NaN() : any ? most / 127 : 0;
    std::memcpy(scale, &kept, 4);
    if (!any) {
        std::memset(values, 0, k);
        return;
    }
    const float inverse = 127 / most;
    for (uint32_t i = 0; i < k; ++i) {
        values[i] = static_cast<uint8_t>(nearest(w[i] * inverse));
    }
}

// A group of 32 weights under one scale.
struct Group {
    float q[kScaled];
    float error = 0;

    Group(const float *w, float scale) {
        const float inverse = 1 / scale;
        float errors[kLanes] = {};
        for (uint32_t i = 0; i < kScaled; i += kLanes) {
            for (uint32_t lane = 0; lane < kLanes; ++lane) {
                // A weight is at most 9 scales; clamped first, then rounded.
                float v = w[i + lane] * inverse;
                v = v < -8 ? -8 : v;
                v = v > 7 ? 7 : v;
                v = (v + kRound) - kRound;
                const float off = w[i + lane] - v * scale;
                errors[lane] += off * off;
                q[i + lane] = v;
            }
        }
        for (const float e : errors) {
            error += e;
        }
    }
};

// Writes (count + 1) / 2 bytes, `count` of them at most 32.
void quantize_int4(const float *from, uint32_t count, uint8_t *values, uint8_t *scale) {
    float w[kScaled] = {};
    std::memcpy(w, from, count * sizeof(float));
    float extreme = 0;
    bool finite = true;
    for (const float v : w) {
        extreme = std::fabs(v) > std::fabs(extreme) ? v : extreme;
        finite &= std::fabs(v) <= kMostInt4;
    }
    const uint32_t bytes = (count + 1) / 2;
    put_f16(finite ? 0 : kNanF16, scale);
    std::memset(values, 0x88, bytes);
    if (!finite || std::fabs(extreme) < kLeast) {
        return;
    }
    float least = std::numeric_limits<float>::infinity();
    for (const float parts : {-8.0f, -7.5f, -8.5f, -7.0f}) {
        const uint16_t rounded = round_f16(extreme / parts);
        if ((rounded & 0x7FFF) == 0) {
            continue;
        }
        const Group group(w, widen_f16(rounded));
        if (group.error < least) {
            least = group.error;
            put_f16(rounded, scale);
            for (uint32_t i = 0; i < bytes; ++i) {
                values[i] = static_cast<uint8_t>((nearest(group.q[2 * i]) + 8) | (nearest(group.q[2 * i + 1]) + 8) << 4);
            }
        }
    }
}

// The four halves of 16 bits, each in a byte.
uint32_t spread(uint32_t halves) {
    return (halves & 0xF) | (halves & 0xF0) << 4 | (halves & 0xF00) << 8 | (halves & 0xF000) << 12;
}

void pack_int8(const uint8_t *values, const uint8_t *scales, uint32_t rows, uint32_t k, uint8_t *tile) {
    std::memset(tile, 0, 64);
    std::memcpy(tile, scales, rows * 4);
    for (uint32_t row = 0; row < kTile; ++row) {
        uint8_t *to = tile + 64 + row * 4;
        for (uint64_t i = 0; i < k; i += 4, to += 64) {
            uint32_t quad = 0;
            if (row < rows) {
                std::memcpy(&quad, values + uint64_t{row} * k + i, k - i < 4 ? k - i : 4);
            }
            quad ^= 0x80808080; // + 128
            std::memcpy(to, &quad, 4);
        }
    }
}

void pack_int4(const uint8_t *values, const uint8_t *scales, uint32_t rows, uint32_t k, uint8_t *tile) {
    const uint64_t row_bytes = quantized_bytes(k, Storage::INT4);
    const uint64_t row_scales = scale_bytes(k, Storage::INT4);
    std::memset(tile, 0, tile_bytes(k, Storage::INT4));
    for (uint64_t row = 0; row < kTile; ++row) {
        uint8_t *step = tile;
        for (uint64_t i = 0; i < k; i += kQuantizedStep, step += 64 + 8 * 64) {
            for (uint64_t at = 0; at < kQuantizedStep; at += 8) {
                uint32_t eight = 0x88888888;
                if (row < rows && i + at < k) {
                    const uint64_t first = (i + at) / 2;
                    std::memcpy(&eight, values + row * row_bytes + first, row_bytes - first < 4 ? row_bytes - first : 4);
                }
                if (i + at < k && k - (i + at) < 8) { // what follows the last input is nothing, whatever the file says
                    const uint32_t known = (1u << 4 * (k - (i + at))) - 1;
                    eight = (eight & known) | (0x88888888 & ~known);
                }
                const uint32_t packed = spread(eight & 0xFFFF) | spread(eight >> 16) << 4;
                std::memcpy(step + 64 + at * 8 + row * 4, &packed, 4);
            }
            for (uint64_t group = 0; group < 2 && row < rows && i + group * kScaled < k; ++group) {
                std::memcpy(step + group * 32 + row * 2, scales + row * row_scales + (i / kScaled + group) * 2, 2);
            }
        }
    }
}

} // namespace

void quantize(const void *data, Source source, uint64_t rows, uint32_t k, Storage storage, float *row, uint8_t *values,
              uint8_t *scales) {
    const uint8_t *from = static_cast<const uint8_t *>(data);
    const uint64_t bytes = uint64_t{k} * (source == Source::F32 ? 4 : 2);
    for (uint64_t r = 0; r < rows; ++r, from += bytes) {
        widen(from, source, k, row);
        if (storage == Storage::INT8) {
            quantize_int8(row, k, values, scales);
        } else {
            for (uint32_t i = 0; i < k; i += kScaled) {
                quantize_int4(row + i, k - i < kScaled ? k - i : kScaled, values + i / 2, scales + i / kScaled * 2);
            }
        }
        values += quantized_bytes(k, storage);
        scales += scale_bytes(k, storage);
    }
}

void pack_quantized(const uint8_t *values, const uint8_t *scales, uint32_t rows, uint32_t k, Storage storage,
                    uint8_t *tile) {
    if (storage == Storage::INT8) {
        pack_int8(values, scales, rows, k, tile);
    } else {
        pack_int4(values, scales, rows, k, tile);
    }
}

} // namespace intarsia::cpu
