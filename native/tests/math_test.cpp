#include "cpu/vec_scalar.h"

#include "cpu/math.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "guarded.h"
#include "tiers.h"

namespace intarsia {
namespace {

using test::bits;
using test::from_bits;
using test::kernel_exp;
using test::run;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Distance in units of the last place of an f32 as large as `want`.
double ulps(double got, long double want) {
    int exponent;
    std::frexp(want, &exponent);
    return static_cast<double>(std::fabs(got - want) / std::ldexp(1.0L, std::max(exponent, -125) - 24));
}

// Bit patterns all over the range of f32, more of them where e^x is neither 0 nor infinite.
std::vector<float> samples() {
    std::vector<float> out;
    for (uint64_t pattern = 0; pattern < uint64_t{1} << 32; pattern += 10007) {
        out.push_back(from_bits(static_cast<uint32_t>(pattern)));
    }
    for (float x = -89; x < 89; x += 0x1p-11f) {
        out.push_back(x);
    }
    for (uint32_t near : {0x42B17217u, 0xC2AEAC4Fu, 0x3EB17218u, 0xBEB17218u, 0x33800000u, 0u, 0x80000000u}) {
        for (uint32_t i = 0; i < 64; ++i) {
            out.push_back(from_bits(near + i));
            out.push_back(from_bits(near - i));
        }
    }
    return out;
}

TEST(Math, ExpIsWithinTwoUlps) {
    const test::Flushed flushed;
    double worst = 0;
    for (const float x : samples()) {
        const float got = kernel_exp(x);
        if (std::isnan(x)) {
            ASSERT_TRUE(std::isnan(got)) << bits(x);
            continue;
        }
        const long double want = std::exp(static_cast<long double>(x));
        if (want < std::numeric_limits<float>::min()) {
            ASSERT_EQ(bits(got), 0u) << x;
        } else if (static_cast<float>(want) == kInfinity) {
            ASSERT_EQ(got, kInfinity) << x;
        } else {
            worst = std::max(worst, ulps(got, want));
            ASSERT_LE(worst, 2) << std::hexfloat << x;
        }
    }
    EXPECT_LE(worst, 1.01);
}

TEST(Math, ExpAtTheEdges) {
    EXPECT_EQ(bits(kernel_exp(0.0f)), bits(1.0f));
    EXPECT_EQ(bits(kernel_exp(-0.0f)), bits(1.0f));
    EXPECT_EQ(kernel_exp(kInfinity), kInfinity);
    EXPECT_EQ(bits(kernel_exp(-kInfinity)), 0u);
    EXPECT_EQ(kernel_exp(from_bits(0x42B17218)), kInfinity); // the first whose exponential is beyond f32
    EXPECT_LT(kernel_exp(from_bits(0x42B17217)), kInfinity);
    EXPECT_EQ(kernel_exp(from_bits(0xC2AEAC50)), 0.0f); // the first whose exponential is denormal
    EXPECT_GE(kernel_exp(from_bits(0xC2AEAC4F)), std::numeric_limits<float>::min());
    for (const uint32_t nan : {0x7FC00000u, 0xFFC00000u, 0x7F800001u, 0x7FFFFFFFu, 0xFF8001FFu}) {
        EXPECT_TRUE(std::isnan(kernel_exp(from_bits(nan)))) << nan;
    }
}

TEST(Math, LanesDoNotMix) {
    float x[16];
    float y[16];
    for (int i = 0; i < 16; ++i) {
        x[i] = i == 3 ? kNan : i == 7 ? kInfinity : i == 9 ? -kInfinity : static_cast<float>(i - 8);
    }
    cpu::exp(cpu::ScalarVec::load(x)).store(y);
    for (int i = 0; i < 16; ++i) {
        EXPECT_TRUE(test::same(y[i], kernel_exp(x[i]))) << i;
    }
}

TEST(Math, SineAndCosineRoundToF32) {
    std::vector<float> angles;
    test::Random random(2);
    for (int i = 0; i < 100000; ++i) {
        angles.push_back(random.uniform(-10, 10));
        angles.push_back(static_cast<float>(random.below(1u << 20)) *
                         random.uniform(0, 1));                  // positions times frequencies
        angles.push_back(from_bits(random.next() % 0x58000000)); // up to 2^49
    }
    for (int i = 0; i < 4000; ++i) {
        angles.push_back(static_cast<float>(i * 1.5707963267948966)); // next to the zeros
    }
    for (const float angle : angles) {
        const cpu::SinCos got = cpu::sin_cos(angle);
        const long double sine = std::sin(static_cast<long double>(angle));
        const long double cosine = std::cos(static_cast<long double>(angle));
        ASSERT_LE(std::fabs(got.sin - sine), 3e-16L) << std::hexfloat << angle;
        ASSERT_LE(std::fabs(got.cos - cosine), 3e-16L) << std::hexfloat << angle;
        ASSERT_LE(ulps(static_cast<float>(got.sin), sine), 0.50001) << std::hexfloat << angle;
        ASSERT_LE(ulps(static_cast<float>(got.cos), cosine), 0.50001) << std::hexfloat << angle;
    }
    EXPECT_EQ(cpu::sin_cos(0).sin, 0);
    EXPECT_EQ(cpu::sin_cos(0).cos, 1);
    for (const float angle : {0x1p50f, -0x1p50f, kInfinity, -kInfinity, kNan}) {
        EXPECT_TRUE(std::isnan(cpu::sin_cos(angle).sin) && std::isnan(cpu::sin_cos(angle).cos)) << angle;
    }
}

class MathTier : public test::TierTest {};
INTARSIA_EVERY_TIER(MathTier);

// silu(x) of the kernels over the samples, as silu_mul with up = 1.
TEST_P(MathTier, SiluOverTheWholeRange) {
    const std::vector<float> x = samples();
    const uint32_t width = static_cast<uint32_t>(x.size());
    const std::vector<float> ones(x.size(), 1.0f);
    std::vector<float> got(x.size());
    run(kernels().silu_mul, cpu::SiluMulArgs{x.data(), ones.data(), got.data(), 1, width, cpu::Storage::F32});

    const test::Flushed flushed;
    for (size_t i = 0; i < x.size(); ++i) {
        ASSERT_TRUE(test::same(got[i], test::kernel_silu(x[i]))) << std::hexfloat << x[i] << " gave " << got[i];
        const long double want = x[i] / (1 + std::exp(-static_cast<long double>(x[i])));
        if (std::isfinite(x[i]) && std::fabs(want) >= std::numeric_limits<float>::min() && x[i] > -88) {
            ASSERT_LE(ulps(got[i], want), 3.5) << std::hexfloat << x[i];
        }
    }
}

} // namespace
} // namespace intarsia
