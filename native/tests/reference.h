// Plain loops that say what the kernels compute, one scalar operation after another in the order of the definitions in
// cpu/args.h. They take and give row-major f32; nothing here is shared with the kernels.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace intarsia::reference {

using Floats = std::vector<float>;

// The nearest bf16, ties to the one with an even last bit, found by trying both neighbours.
inline uint16_t to_bf16(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    const uint16_t below = static_cast<uint16_t>(bits >> 16); // towards zero
    if (std::isnan(value)) {
        return below | 0x40;
    }
    if (std::isinf(value) || (bits & 0xFFFF) == 0) {
        return below;
    }
    const auto magnitude = [](uint32_t upper) { // as if the exponent had no upper end
        const int exponent = static_cast<int>(upper >> 7 & 255);
        const double mantissa = upper & 127;
        return exponent == 0 ? std::ldexp(mantissa, -133) : std::ldexp(128 + mantissa, exponent - 134);
    };
    const double exact = std::fabs(static_cast<double>(value));
    const double down = exact - magnitude(below & 0x7FFF);
    const double up = magnitude((below & 0x7FFF) + 1u) - exact;
    return down < up || (down == up && below % 2 == 0) ? below : static_cast<uint16_t>(below + 1);
}

inline float from_bf16(uint16_t value) {
    const uint32_t bits = static_cast<uint32_t>(value) << 16;
    float out;
    std::memcpy(&out, &bits, 4);
    return out;
}

inline float as_bf16(float value) { return from_bf16(to_bf16(value)); }

// A matrix [n, k] as tiles of 16 outputs: bytes of bf16 pairs of inputs or of f32 inputs, zero where there is nothing.
inline std::vector<unsigned char> packed(const Floats &w, uint32_t n, uint32_t k, bool bf16) {
    const size_t tiles = (n + 15) / 16;
    const size_t inputs = bf16 ? (k + 1) / 2 * 2 : k;
    const size_t size = bf16 ? 2 : 4;
    std::vector<unsigned char> out(tiles * inputs * 16 * size, 0);
    for (size_t o = 0; o < n; ++o) {
        for (size_t i = 0; i < k; ++i) {
            const size_t tile = o / 16 * inputs * 16;
            const size_t at = bf16 ? tile + i / 2 * 32 + o % 16 * 2 + i % 2 : tile + i * 16 + o % 16;
            const uint16_t half = to_bf16(w[o * k + i]);
            std::memcpy(&out[at * size], bf16 ? static_cast<const void *>(&half) : &w[o * k + i], size);
        }
    }
    return out;
}

// Rows [n, width] as bf16, an odd width padded by a zero.
inline std::vector<uint16_t> rows_bf16(const Floats &x, uint32_t n, uint32_t width) {
    const size_t stride = (width + 1) / 2 * 2;
    std::vector<uint16_t> out(n * stride, 0);
    for (size_t r = 0; r < n; ++r) {
        for (size_t i = 0; i < width; ++i) {
            out[r * stride + i] = to_bf16(x[r * width + i]);
        }
    }
    return out;
}

// The bf16 dot product. x and w hold bf16 values; an odd k is padded by a zero.
inline float dot_bf16(const float *x, const float *w, uint32_t k) {
    float c = 0;
    for (uint32_t block = 0; block < k; block += 32) {
        float even = 0;
        float odd = 0;
        for (uint32_t i = block; i < block + 32 && i < k; i += 2) {
            even = std::fma(x[i], w[i], even);
            odd = std::fma(i + 1 < k ? x[i + 1] : 0.0f, i + 1 < k ? w[i + 1] : 0.0f, odd);
        }
        c += even + odd;
    }
    return c;
}

inline float dot_f32(const float *x, const float *w, uint32_t k) {
    float c = 0;
    for (uint32_t i = 0; i < k; ++i) {
        c = std::fma(x[i], w[i], c);
    }
    return c;
}

// The fixed tree over 16 lanes.
inline float tree(const float *lanes) {
    float v[16];
    std::memcpy(v, lanes, sizeof v);
    for (int step = 8; step > 0; step /= 2) {
        for (int l = 0; l < step; ++l) {
            v[l] += v[l + step];
        }
    }
    return v[0];
}

// RMS norm of one group, in place.
inline void norm(float *x, const float *weight, uint32_t count, float eps) {
    float lanes[16] = {};
    for (uint32_t i = 0; i < count; ++i) {
        lanes[i % 16] = std::fma(x[i], x[i], lanes[i % 16]);
    }
    const float inverse = 1.0f / std::sqrt(tree(lanes) / static_cast<float>(count) + eps);
    for (uint32_t i = 0; i < count; ++i) {
        x[i] = (x[i] * inverse) * weight[i];
    }
}

// Rotation of one head, in place. table: cosines, then sines.
inline void rotate(float *x, const float *table, uint32_t dim) {
    const uint32_t half = dim / 2;
    for (uint32_t i = 0; i < half; ++i) {
        const float a = x[i];
        const float b = x[half + i];
        x[i] = std::fma(a, table[i], -(b * table[half + i]));
        x[half + i] = std::fma(b, table[i], a * table[half + i]);
    }
}

// One query against the keys and values of positions first .. last of its sequence, in key blocks of 64.
struct Attention {
    uint32_t dim;
    bool bf16;
    float scale;
    float (*exp)(float);

    // keys and values [position, dim], from position 0 on; positions outside first .. last are not looked at.
    Floats operator()(const float *q, const float *keys, const float *values, uint32_t first, uint32_t last) const {
        float top = -std::numeric_limits<float>::infinity();
        float sum = 0;
        Floats out(dim, 0.0f);
        for (uint32_t block = first / 64; block <= last / 64; ++block) {
            const uint32_t start = block * 64;
            float p[64];
            float block_top = -std::numeric_limits<float>::infinity();
            const auto seen = [&](uint32_t i) { return start + i >= first && start + i <= last; };
            for (uint32_t i = 0; i < 64; ++i) {
                if (seen(i)) {
                    const float *key = keys + uint64_t{start + i} * dim;
                    p[i] = (bf16 ? dot_bf16(q, key, dim) : dot_f32(q, key, dim)) * scale;
                    block_top = p[i] > block_top ? p[i] : block_top;
                }
            }
            float lanes[16] = {};
            for (uint32_t i = 0; i < 64; ++i) {
                if (seen(i)) {
                    p[i] = exp(p[i] - block_top);
                    lanes[i % 16] += p[i];
                    p[i] = bf16 ? as_bf16(p[i]) : p[i];
                }
            }
            const float block_sum = tree(lanes);
            const float new_top = top > block_top ? top : block_top;
            const float kept = exp(top - new_top);
            const float added = exp(block_top - new_top);
            for (uint32_t d = 0; d < dim; ++d) {
                float o = 0;
                float even = 0;
                float odd = 0;
                for (uint32_t i = 0; i < 64; ++i) {
                    if (seen(i)) {
                        const float v = values[uint64_t{start + i} * dim + d];
                        float &part = !bf16 ? o : i % 2 == 0 ? even : odd;
                        part = std::fma(p[i], v, part);
                    }
                    if (bf16 && i % 32 == 31) {
                        o += even + odd;
                        even = odd = 0;
                    }
                }
                out[d] = std::fma(o, added, out[d] * kept);
            }
            sum = std::fma(block_sum, added, sum * kept);
            top = new_top;
        }
        const float inverse = 1.0f / sum;
        for (float &o : out) {
            o *= inverse;
        }
        return out;
    }
};

// The same in f64 over all positions at once: what attention means, whatever the order.
inline std::vector<double> attention_f64(const float *q, const float *keys, const float *values, uint32_t dim,
                                         double scale, uint32_t first, uint32_t last) {
    std::vector<double> scores;
    double top = -std::numeric_limits<double>::infinity();
    for (uint32_t p = first; p <= last; ++p) {
        double s = 0;
        for (uint32_t d = 0; d < dim; ++d) {
            s += static_cast<double>(q[d]) * keys[uint64_t{p} * dim + d];
        }
        scores.push_back(s * scale);
        top = std::fmax(top, scores.back());
    }
    double sum = 0;
    std::vector<double> out(dim, 0.0);
    for (uint32_t p = first; p <= last; ++p) {
        const double e = std::exp(scores[p - first] - top);
        sum += e;
        for (uint32_t d = 0; d < dim; ++d) {
            out[d] += e * values[uint64_t{p} * dim + d];
        }
    }
    for (double &o : out) {
        o /= sum;
    }
    return out;
}

} // namespace intarsia::reference
