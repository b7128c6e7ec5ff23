// Quantizing matrices, and laying them out, against the definitions in cpu/quantize.h.
#include "cpu/quantize.h"

#include <gtest/gtest.h>

#include "guarded.h"
#include "quantized_reference.h"
#include "tiers.h"

namespace intarsia {
namespace {

using cpu::Source;
using cpu::Storage;
using reference::Quantized;
using test::Guarded;
using Floats = reference::Floats;

constexpr uint32_t kWidths[] = {1, 2, 3, 4, 5, 31, 32, 33, 34, 63, 64, 65, 96, 100, 129};

// What the library makes of a matrix, taken apart.
Quantized quantized(const Floats &w, uint32_t n, uint32_t k, bool four) {
    const Storage storage = four ? Storage::INT4 : Storage::INT8;
    const Guarded<float> in(w);
    Guarded<float> scratch(k);
    Guarded<uint8_t> values(n * cpu::quantized_bytes(k, storage)), scales(n * cpu::scale_bytes(k, storage));
    const test::Flushed flushed;
    cpu::quantize(in.data(), Source::F32, n, k, storage, scratch.data(), values.data(), scales.data());
    Quantized out{n, k, four, std::vector<int>(size_t{n} * k), {}, {}};
    for (size_t i = 0; i < out.q.size(); ++i) {
        const uint8_t byte = values[four ? i / k * ((k + 1) / 2) + i % k / 2 : i];
        out.q[i] = four ? (i % k % 2 == 0 ? byte & 15 : byte >> 4) - 8 : static_cast<int8_t>(byte);
    }
    if (four) {
        out.halves.resize(scales.size() / 2);
        std::memcpy(out.halves.data(), scales.data(), scales.size());
    } else {
        out.scales.resize(n);
        std::memcpy(out.scales.data(), scales.data(), scales.size());
    }
    EXPECT_EQ(out.values(), values.vector()); // what follows an odd last input is zero
    return out;
}

TEST(Quantize, Int8IsTheNearestOf255) {
    test::Random random(1);
    for (const uint32_t k : kWidths) {
        Floats w = random.values(5 * k);
        std::fill_n(w.begin(), k, 0.0f);
        w[k] = 254; // with 1, 3, .. in its row these are exact halves
        for (uint32_t i = 1; i < k; ++i) {
            w[k + i] = static_cast<float>(2 * (i % 100) + 1);
        }
        const Quantized got = quantized(w, 5, k, false);
        for (uint32_t row = 0; row < 5; ++row) {
            const reference::QuantizedInputs want = reference::quantized_row(&w[row * k], k); // the same rule
            EXPECT_EQ(got.scales[row], want.scale);
            for (uint32_t i = 0; i < k; ++i) {
                EXPECT_EQ(got.q[row * k + i], want.q[i]) << "row " << row << ", input " << i << " of " << k;
            }
        }
    }
}

// Squared error of a group under a scale, in f64, every weight at its nearest.
double error(const float *w, uint32_t count, double scale) {
    double sum = 0;
    for (uint32_t i = 0; i < count; ++i) {
        const double q = std::fmin(7, std::fmax(-8, std::nearbyint(w[i] / scale)));
        sum += (w[i] - q * scale) * (w[i] - q * scale);
    }
    return sum;
}

TEST(Quantize, Int4KeepsTheBestScaleAndTheNearestValues) {
    test::Random random(2);
    for (const uint32_t k : kWidths) {
        const uint32_t n = 6;
        const Floats w = random.values(n * k, 0.02f);
        const Quantized got = quantized(w, n, k, true);
        for (uint32_t row = 0; row < n; ++row) {
            for (uint32_t begin = 0; begin < k; begin += 32) {
                const uint32_t count = std::min(32u, k - begin);
                const float *group = &w[row * k + begin];
                float extreme = 0;
                for (uint32_t i = 0; i < count; ++i) {
                    extreme = std::fabs(group[i]) > std::fabs(extreme) ? group[i] : extreme;
                }
                const double scale = got.scale(row, begin);
                if (extreme == 0) {
                    EXPECT_EQ(scale, 0);
                    continue;
                }
                double sum = 0;
                for (uint32_t i = 0; i < count; ++i) {
                    const double off = group[i] - got.q[row * k + begin + i] * scale;
                    sum += off * off;
                    const bool clamped = got.q[row * k + begin + i] == 7 || got.q[row * k + begin + i] == -8;
                    EXPECT_TRUE(clamped || std::fabs(off) <= std::fabs(scale) * 0.50001) << off << " of " << scale;
                }
                // A scale of 11 bits is off by 2^-12 of itself, a subnormal one by 2^-25, and so is each weight, eight times at most.
                const double rounding =
                    std::sqrt(count) * 8.5 * std::fmax(std::fabs(scale) * 0x1p-11, 0x1p-25);
                for (const double parts : {-8.0, -7.5, -8.5, -7.0}) {
                    EXPECT_LE(std::sqrt(sum), std::sqrt(error(group, count, extreme / parts)) + rounding);
                }
                const double ratio = extreme / (std::fabs(scale) + 0x1p-25) * (scale < 0 ? -1 : 1);
                EXPECT_GT(ratio, -8.51);
                EXPECT_LT(extreme / scale, -6.5);
            }
        }
    }
}

TEST(Quantize, ScalesOfInt4AreTheNearestF16) {
    // A group of one weight takes the first scale, which makes it exactly -8 up to the rounding of the scale.
    test::Random random(3);
    for (int i = 0; i < 20000; ++i) {
        const float w = std::ldexp(random.uniform(1, 2), static_cast<int>(random.below(44)) - 24) * (random.below(2) ? 1.0f : -1.0f);
        const Quantized got = quantized({w}, 1, 1, true);
        const double wanted = static_cast<double>(w) / -8;
        const uint16_t bits = got.halves[0];
        if (got.q[0] != -8) continue; // another scale was better
        const double off = std::fabs(reference::from_f16(bits) - wanted);
        for (const uint16_t near : {static_cast<uint16_t>(bits - 1), static_cast<uint16_t>(bits + 1)}) {
            if (std::isfinite(reference::from_f16(near)) && (near & 0x8000) == (bits & 0x8000)) {
                EXPECT_LE(off, std::fabs(reference::from_f16(near) - wanted)) << w;
            }
        }
    }
}

TEST(Quantize, WhatHasNoScale) {
    const float huge = std::numeric_limits<float>::max(), tiny = 0x1p-120f;
    const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
    for (const bool four : {false, true}) {
        for (const float wrong : {infinity, -infinity, nan}) {
            Floats w(70, 1.0f);
            w[33] = wrong;
            const Quantized got = quantized(w, 1, 70, four);
            EXPECT_TRUE(std::isnan(got.scale(0, 33)));
            for (uint32_t i = 32; i < 64; ++i) {
                EXPECT_EQ(got.q[i], 0);
            }
            if (four) {
                EXPECT_EQ(got.scale(0, 0) * static_cast<float>(got.q[0]), 1.0f) << "other groups are as they were";
            }
        }
        const Quantized none = quantized({tiny, -tiny, 0.0f}, 1, 3, four);
        EXPECT_EQ(none.scale(0, 0), 0);
        EXPECT_EQ(none.q, std::vector<int>(3, 0));
    }
    EXPECT_EQ(quantized({huge, -huge}, 1, 2, false).q, (std::vector<int>{127, -127}));
    EXPECT_TRUE(std::isnan(quantized({huge, 1}, 1, 2, true).scale(0, 0)));
    EXPECT_EQ(quantized({1e9f, 1}, 1, 2, true).scale(0, 0), -65504.0f) << "the largest f16";
    EXPECT_EQ(quantized({1e-8f, 0}, 1, 2, true).q, std::vector<int>(2, 0)) << "no f16 is as small";
}

TEST(Quantize, EverySource) {
    test::Random random(4);
    const uint32_t n = 3, k = 45;
    Floats w = random.values(n * k);
    for (float &v : w) v = reference::as_bf16(v);
    std::vector<unsigned char> narrow(1); // no alignment
    for (const float v : w) {
        const uint16_t bits = reference::to_bf16(v);
        narrow.push_back(static_cast<unsigned char>(bits & 255));
        narrow.push_back(static_cast<unsigned char>(bits >> 8));
    }
    for (const Storage storage : {Storage::INT8, Storage::INT4}) {
        const size_t bytes = n * cpu::quantized_bytes(k, storage), scales = n * cpu::scale_bytes(k, storage);
        std::vector<uint8_t> a(bytes + scales), b(bytes + scales);
        Floats row(k);
        cpu::quantize(w.data(), Source::F32, n, k, storage, row.data(), a.data(), a.data() + bytes);
        cpu::quantize(narrow.data() + 1, Source::BF16, n, k, storage, row.data(), b.data(), b.data() + bytes);
        EXPECT_EQ(a, b);
    }
}

TEST(Quantize, Tiles) {
    test::Random random(5);
    for (const bool four : {false, true}) {
        const Storage storage = four ? Storage::INT4 : Storage::INT8;
        for (const uint32_t k : kWidths) {
            for (const uint32_t n : {1u, 2u, 15u, 16u, 17u, 40u}) {
                Quantized w = quantized(random.values(n * k), n, k, four);
                Guarded<uint8_t> values(w.values());
                const Guarded<uint8_t> scales(w.scale_bytes());
                if (four && k % 2 == 1) { // a hostile file says something about an input that is not there
                    values[values.size() - 1] |= 0xF0;
                }
                Guarded<uint8_t> tiles(cpu::matrix_bytes(n, k, storage));
                for (uint32_t tile = 0; tile < cpu::tiles(n); ++tile) {
                    cpu::pack_quantized(values.data() + tile * 16 * cpu::quantized_bytes(k, storage),
                                        scales.data() + tile * 16 * cpu::scale_bytes(k, storage),
                                        std::min(16u, n - tile * 16), k, storage,
                                        tiles.data() + tile * cpu::tile_bytes(k, storage));
                }
                EXPECT_EQ(tiles.vector(), w.tiles()) << "n " << n << ", k " << k << (four ? ", int4" : ", int8");
            }
        }
    }
}

} // namespace
} // namespace intarsia
