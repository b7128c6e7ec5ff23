#include "cpu/pack.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "guarded.h"
#include "reference.h"
#include "tiers.h"

namespace intarsia {
namespace {

using cpu::Source;
using cpu::Storage;
using test::bits;
using test::from_bits;
using test::Guarded;

// What a half-precision number means, by its definition.
double f16_value(uint16_t half) {
    const int exponent = half >> 10 & 31;
    const int mantissa = half & 1023;
    double magnitude = 0;
    if (exponent == 31) {
        magnitude = mantissa ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
    } else {
        magnitude = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
    }
    return half >> 15 ? -magnitude : magnitude;
}

// Source elements whose bytes begin at an odd address and end at an inaccessible page.
struct Elements {
    Guarded<unsigned char> bytes;
    Source source;
    std::vector<float> values;

    const void *data() const { return bytes.data(); }
};

Elements elements(Source source, size_t count, uint32_t seed) {
    test::Random random(seed);
    const size_t size = source == Source::F32 ? 4 : 2;
    Elements out = {Guarded<unsigned char>(count * size), source, std::vector<float>(count)};
    for (size_t i = 0; i < count; ++i) {
        const uint32_t word = random.next();
        if (source == Source::F32) {
            const float value = random.value();
            std::memcpy(out.bytes.data() + i * 4, &value, 4);
            out.values[i] = value;
        } else if (source == Source::F16) {
            const uint16_t half = static_cast<uint16_t>(word % 0x7C00 | (word & 0x8000)); // finite
            std::memcpy(out.bytes.data() + i * 2, &half, 2);
            out.values[i] = static_cast<float>(f16_value(half));
        } else {
            const uint16_t half = reference::to_bf16(random.value());
            std::memcpy(out.bytes.data() + i * 2, &half, 2);
            out.values[i] = reference::from_bf16(half);
        }
    }
    return out;
}

TEST(Pack, WidensEveryF16) {
    const test::Flushed flushed;
    Guarded<uint16_t> halves(65536);
    for (uint32_t i = 0; i < 65536; ++i) {
        halves[i] = static_cast<uint16_t>(i);
    }
    Guarded<float> out(65536);
    cpu::widen(halves.data(), Source::F16, 65536, out.data());
    for (uint32_t i = 0; i < 65536; ++i) {
        const float want = static_cast<float>(f16_value(static_cast<uint16_t>(i)));
        ASSERT_TRUE(test::same(out[i], want)) << "f16 " << i << ": " << out[i] << ", not " << want;
        ASSERT_EQ(std::signbit(out[i]), i >= 0x8000) << i;
    }
}

TEST(Pack, WidensEveryBf16AndCopiesF32) {
    Guarded<uint16_t> halves(65536);
    Guarded<float> singles(65536);
    for (uint32_t i = 0; i < 65536; ++i) {
        halves[i] = static_cast<uint16_t>(i);
        singles[i] = from_bits(i * 65521u);
    }
    Guarded<float> out(65536);
    cpu::widen(halves.data(), Source::BF16, 65536, out.data());
    for (uint32_t i = 0; i < 65536; ++i) {
        ASSERT_EQ(bits(out[i]), i << 16);
    }
    cpu::widen(singles.data(), Source::F32, 65536, out.data());
    for (uint32_t i = 0; i < 65536; ++i) {
        ASSERT_EQ(bits(out[i]), i * 65521u);
    }
}

TEST(Pack, WidensUnalignedBytes) {
    for (const Source source : {Source::F32, Source::F16, Source::BF16}) {
        const Elements from = elements(source, 37, 1);
        Guarded<unsigned char> shifted(from.bytes.size() + 1);
        std::memcpy(shifted.data(), from.data(), from.bytes.size());
        Guarded<float> out(37);
        cpu::widen(shifted.data(), source, 37, out.data());
        EXPECT_TRUE(test::same_bits(out, from.values));
    }
}

TEST(Pack, LaysTilesOut) {
    uint32_t seed = 0;
    for (const Source source : {Source::F32, Source::F16, Source::BF16}) {
        for (const uint32_t n : {1u, 15u, 16u, 17u, 33u, 64u}) {
            for (const uint32_t k : {1u, 2u, 15u, 16u, 31u, 32u, 33u, 65u, 70u, 127u, 128u, 129u, 264u}) {
                const Elements from = elements(source, n * k, ++seed);
                for (const Storage storage : {Storage::F32, Storage::BF16}) {
                    Guarded<unsigned char> out(cpu::matrix_bytes(n, k, storage));
                    cpu::pack(from.data(), source, n, k, storage, out.data(), 0, cpu::tiles(n));
                    EXPECT_EQ(out.vector(), reference::packed(from.values, n, k, storage == Storage::BF16))
                        << n << " x " << k;
                }
            }
        }
    }
}

TEST(Pack, PacksTheTilesAskedForOnly) {
    const uint32_t n = 70;
    const uint32_t k = 9;
    const Elements from = elements(Source::BF16, n * k, 3);
    for (const Storage storage : {Storage::F32, Storage::BF16}) {
        const size_t tile = cpu::tile_bytes(k, storage);
        const std::vector<unsigned char> want = reference::packed(from.values, n, k, storage == Storage::BF16);
        Guarded<unsigned char> out(cpu::matrix_bytes(n, k, storage));
        cpu::pack(from.data(), Source::BF16, n, k, storage, out.data(), 1, 3);
        for (size_t i = 0; i < out.size(); ++i) {
            ASSERT_EQ(out[i], i / tile == 1 || i / tile == 2 ? want[i] : 0xFF) << "byte " << i;
        }
        cpu::pack(from.data(), Source::BF16, n, k, storage, out.data(), 0, 1);
        cpu::pack(from.data(), Source::BF16, n, k, storage, out.data(), 3, 5);
        EXPECT_EQ(out.vector(), want);
    }
}

TEST(Pack, RoundsToNearestEvenAndKeepsNan) {
    test::Random random(5);
    std::vector<float> values = {0.0f,
                                 -0.0f,
                                 1.0f,
                                 from_bits(0x3F808000),
                                 from_bits(0x3F818000),
                                 from_bits(0x3F808001),
                                 from_bits(0x3F807FFF),
                                 from_bits(0x7F7FFFFF),
                                 from_bits(0x7F7F8000),
                                 from_bits(0x7F7F7FFF),
                                 from_bits(0x7F800000),
                                 from_bits(0xFF800000),
                                 from_bits(1),
                                 from_bits(0x8000),
                                 from_bits(0x18000),
                                 from_bits(0x80008001)};
    while (values.size() < 100000) {
        const float value = from_bits(random.next());
        values.push_back(std::isnan(value) ? 1.5f : value);
    }
    const uint32_t k = static_cast<uint32_t>(values.size());
    Guarded<uint16_t> out(cpu::matrix_bytes(1, k, Storage::BF16) / 2);
    cpu::pack(values.data(), Source::F32, 1, k, Storage::BF16, out.data(), 0, 1);
    for (uint32_t i = 0; i < k; ++i) {
        ASSERT_EQ(out[i / 2 * 32 + i % 2], reference::to_bf16(values[i])) << std::hexfloat << values[i];
    }

    const std::vector<uint32_t> nans = {0x7FC00000, 0x7F800001, 0xFF800001, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FBFFFFF};
    cpu::pack(nans.data(), Source::F32, 1, 6, Storage::BF16, out.data(), 0, 1);
    for (uint32_t i = 0; i < 6; ++i) {
        const uint16_t got = out[i / 2 * 32 + i % 2];
        EXPECT_EQ(got & 0x7FC0, 0x7FC0) << "NaN must stay a quiet NaN: " << nans[i];
        EXPECT_EQ(got >> 15, nans[i] >> 31);
    }
}

// Whole tiles are moved without being converted; what they hold must be what rounding makes.
TEST(Pack, EveryBf16IsKeptAndNanMadeQuiet) {
    const uint32_t k = 65536 / 16;
    std::vector<uint16_t> halves(65536);
    for (uint32_t i = 0; i < 65536; ++i) halves[i] = static_cast<uint16_t>(i);
    Guarded<uint16_t> out(65536);
    cpu::pack(halves.data(), Source::BF16, 16, k, Storage::BF16, out.data(), 0, 1);
    for (uint32_t i = 0; i < 65536; ++i) {
        const uint16_t want = static_cast<uint16_t>((i & 0x7FFF) > 0x7F80 ? i | 0x40 : i);
        ASSERT_EQ(out[i % k / 2 * 32 + i / k * 2 + i % 2], want) << i;
    }
}

} // namespace
} // namespace intarsia
