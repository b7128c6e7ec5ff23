// Plain loops that say what quantized matrices and rows are, after the definitions in cpu/args.h and cpu/quantize.h. Nothing here is shared with
// the kernels.
#pragma once

#include <cfenv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "reference.h"

namespace intarsia::reference {

inline float from_f16(uint16_t bits) {
    const int exponent = bits >> 10 & 31;
    const double mantissa = bits & 1023;
    const double magnitude = exponent == 31  ? (mantissa == 0 ? INFINITY : NAN)
                             : exponent == 0 ? std::ldexp(mantissa, -24)
                                             : std::ldexp(1024 + mantissa, exponent - 25);
    return static_cast<float>(bits & 0x8000 ? -magnitude : magnitude);
}

// Row-major integers and their scales: of each row for 8 bits, of each row and 32 inputs for 4.
struct Quantized {
    uint32_t n, k;
    bool four;
    std::vector<int> q;        // [n, k]
    std::vector<float> scales; // 8 bits: [n]
    std::vector<uint16_t> halves; // 4 bits: [n, groups]

    uint32_t groups() const { return (k + 31) / 32; }

    float scale(uint32_t row, uint32_t input) const {
        return four ? from_f16(halves[row * groups() + input / 32]) : scales[row];
    }

    // As the kernels read it.
    std::vector<unsigned char> tiles() const {
        const size_t steps = four ? (k + 63) / 64 : (k + 3) / 4;
        const size_t tile = four ? steps * 576 : 64 + steps * 64;
        std::vector<unsigned char> out((n + 15) / 16 * tile, 0);
        for (size_t o = 0; o < (n + 15) / 16 * 16; ++o) {
            unsigned char *at = &out[o / 16 * tile];
            const auto value = [&](size_t i) { return o < n && i < k ? q[o * k + i] : 0; };
            if (four) {
                for (size_t g = 0; o < n && g < groups(); ++g) {
                    std::memcpy(at + g / 2 * 576 + g % 2 * 32 + o % 16 * 2, &halves[o * groups() + g], 2);
                }
                for (size_t i = 0; i < steps * 64; ++i) {
                    const size_t byte = i / 64 * 576 + 64 + i % 64 / 8 * 64 + o % 16 * 4 + i % 4;
                    at[byte] = static_cast<unsigned char>(at[byte] | (value(i) + 8) << (i % 8 < 4 ? 0 : 4));
                }
            } else {
                const float scale = o < n ? scales[o] : 0;
                std::memcpy(at + o % 16 * 4, &scale, 4);
                for (size_t i = 0; i < steps * 4; ++i) {
                    at[64 + i / 4 * 64 + o % 16 * 4 + i % 4] = static_cast<unsigned char>(value(i) + 128);
                }
            }
        }
        return out;
    }

    // As a checkpoint holds it.
    std::vector<unsigned char> values() const {
        const size_t row = four ? (k + 1) / 2 : k;
        std::vector<unsigned char> out(n * row, 0);
        for (size_t o = 0; o < n; ++o) {
            for (size_t i = 0; i < (four ? row * 2 : k); ++i) {
                const int value = i < k ? q[o * k + i] : 0;
                if (four) {
                    out[o * row + i / 2] = static_cast<unsigned char>(out[o * row + i / 2] | (value + 8) << i % 2 * 4);
                } else {
                    out[o * row + i] = static_cast<unsigned char>(value);
                }
            }
        }
        return out;
    }
    std::vector<unsigned char> scale_bytes() const {
        std::vector<unsigned char> out(four ? halves.size() * 2 : scales.size() * 4);
        std::memcpy(out.data(), four ? static_cast<const void *>(halves.data()) : scales.data(), out.size());
        return out;
    }
};

// A row of 8-bit inputs.
struct QuantizedInputs {
    std::vector<int> q;
    float scale;
};

inline QuantizedInputs quantized_row(const float *x, uint32_t width) {
    float most = 0;
    bool wrong = false;
    for (uint32_t i = 0; i < width; ++i) {
        wrong = wrong || !std::isfinite(x[i]);
        most = std::fmax(most, std::fabs(x[i]));
    }
    QuantizedInputs out{std::vector<int>(width, 0), 0};
    if (wrong) {
        out.scale = NAN;
    } else if (most >= std::ldexp(1.0f, -100)) {
        out.scale = most / 127;
        for (uint32_t i = 0; i < width; ++i) {
            out.q[i] = static_cast<int>(std::nearbyint(x[i] * (127 / most)));
        }
    }
    return out;
}

// Rows as the kernels read them.
inline std::vector<unsigned char> rows_int8(const Floats &x, uint32_t n, uint32_t width) {
    const size_t padded = (width + 63) / 64 * 64;
    const size_t stride = (padded + padded / 8 + 8 + 63) / 64 * 64;
    std::vector<unsigned char> out(n * stride, 0);
    for (size_t r = 0; r < n; ++r) {
        const QuantizedInputs row = quantized_row(&x[r * width], width);
        std::vector<int32_t> sums(padded / 32 + 1, 0);
        for (size_t i = 0; i < width; ++i) {
            out[r * stride + i] = static_cast<unsigned char>(row.q[i]);
            sums[i / 32] += row.q[i];
            sums.back() += row.q[i];
        }
        std::memcpy(&out[r * stride + padded], sums.data(), sums.size() * 4);
        std::memcpy(&out[r * stride + padded + sums.size() * 4], &row.scale, 4);
    }
    return out;
}

// The dot product of one output.
inline float dot_quantized(const QuantizedInputs &x, const Quantized &w, uint32_t row) {
    if (!w.four) {
        int64_t sum = 0;
        for (uint32_t i = 0; i < w.k; ++i) {
            sum += x.q[i] * w.q[size_t{row} * w.k + i];
        }
        return (static_cast<float>(sum) * x.scale) * w.scales[row];
    }
    float total = 0;
    for (uint32_t group = 0; group < w.k; group += 32) {
        int64_t sum = 0;
        for (uint32_t i = group; i < group + 32 && i < w.k; ++i) {
            sum += x.q[i] * w.q[size_t{row} * w.k + i];
        }
        total = std::fma(static_cast<float>(sum), w.scale(row, group), total);
    }
    return total * x.scale;
}

} // namespace intarsia::reference
