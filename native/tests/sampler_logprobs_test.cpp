// Log-probabilities and ranks against long double sums of the C library; scored rows.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>

#include "runtime/device.h"
#include "runtime/sample_job.h"
#include "runtime/team.h"

namespace intarsia {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

struct Answer {
    uint32_t rank;
    std::vector<float> values;
    std::vector<int32_t> tokens;
};

Answer answer(const std::vector<float> &logits, uint32_t id, uint32_t k) {
    const FloatMode mode;
    SamplerScratch scratch;
    Answer a{0, std::vector<float>(1 + k), std::vector<int32_t>(1 + k)};
    a.rank = logprobs(logits.data(), static_cast<uint32_t>(logits.size()), id, k, a.values.data(), a.tokens.data(), scratch);
    return a;
}

TEST(Logprobs, AreThoseOfTheSoftmax) {
    std::mt19937 random(3);
    for (int i = 0; i < 300; i++) {
        const size_t vocabulary = i % 10 == 0 ? 151'936 : 1 + random() % 200;
        const float scale = std::ldexp(1.0f, static_cast<int>(random() % 10) - 4);
        std::vector<float> logits(vocabulary);
        for (float &logit : logits) logit = std::round(std::normal_distribution<float>()(random) * scale * 64) / 64; // ties
        if (i % 4 == 0)
            for (size_t n = 0; n < vocabulary / 3; n++) logits[random() % vocabulary] = n % 2 == 0 ? kNaN : -kInfinity;
        logits[random() % vocabulary] = 1;
        const auto id = static_cast<uint32_t>(random() % vocabulary);
        const uint32_t k = random() % (1 + INTARSIA_MAX_LOGPROBS);
        const Answer a = answer(logits, id, k);

        std::vector<float> value = logits;
        for (float &v : value)
            if (std::isnan(v)) v = -kInfinity;
        const float max = *std::max_element(value.begin(), value.end());
        long double sum = 0;
        for (const float v : value) sum += std::exp(static_cast<long double>(v) - max);
        const auto expect = [&](size_t token, float got) {
            const auto exact = static_cast<float>(value[token] - max - std::log(sum));
            if (std::isinf(exact)) EXPECT_EQ(got, exact);
            else EXPECT_NEAR(got, exact, std::fabs(exact) * 1.2e-7f + 1e-12f) << "case " << i << " token " << token;
        };
        expect(id, a.values[0]);
        EXPECT_EQ(a.tokens[0], static_cast<int32_t>(id));
        EXPECT_EQ(a.rank, std::count_if(value.begin(), value.end(), [&](float v) { return v >= value[id]; }));
        std::vector<size_t> ids(vocabulary);
        std::iota(ids.begin(), ids.end(), size_t{0});
        std::stable_sort(ids.begin(), ids.end(), [&](size_t x, size_t y) { return value[x] > value[y]; });
        for (size_t entry = 1; entry <= k; entry++) {
            if (entry <= vocabulary && value[ids[entry - 1]] > -kInfinity) {
                EXPECT_EQ(a.tokens[entry], static_cast<int32_t>(ids[entry - 1]));
                expect(ids[entry - 1], a.values[entry]);
            } else {
                EXPECT_EQ(a.tokens[entry], -1);
                EXPECT_EQ(a.values[entry], -kInfinity);
            }
        }
    }
}

TEST(Logprobs, OfRowsWithoutASoftmaxAreNaN) {
    const Answer up = answer({1, kInfinity, kNaN}, 1, 2);
    EXPECT_TRUE(std::isnan(up.values[0]) && std::isnan(up.values[1]) && std::isnan(up.values[2]));
    EXPECT_EQ(up.tokens, (std::vector<int32_t>{1, 1, 0}));
    EXPECT_EQ(up.rank, 1u);
    const Answer down = answer({-kInfinity, kNaN}, 1, 1);
    EXPECT_TRUE(std::isnan(down.values[0]));
    EXPECT_EQ(down.tokens, (std::vector<int32_t>{1, -1}));
    EXPECT_EQ(down.rank, 2u);
    EXPECT_EQ(answer({0}, 0, 0).values[0], 0.0f);
    EXPECT_EQ(answer({0, -1000}, 1, 0).values[0], -1000.0f);
}

TEST(Logprobs, TheSameBitsForEver) {
    // Found by another program in arbitrary precision, rounded to f32.
    std::vector<float> logits(1000);
    for (uint32_t id = 0; id < 1000; ++id)
        logits[id] = static_cast<float>(id * 2654435761u >> 8 & 0xFFFF) / 8192.0f - 4.0f;
    const Answer a = answer(logits, 466, 3);
    EXPECT_EQ(a.tokens, (std::vector<int32_t>{466, 946, 443, 886}));
    EXPECT_EQ(a.values, (std::vector<float>{-0x1.3d9e0a0000000p+2f, -0x1.35460a0000000p+2f, -0x1.357c0a0000000p+2f, -0x1.36520a0000000p+2f}));
    EXPECT_EQ(a.rank, 18u);
}

TEST(SamplerLoops, GiveTheSameBitsInEveryTier) {
    std::mt19937 random(8);
    const cpu::Kernels &scalar = *build_tiers().back().kernels;
    for (const Tier &tier : build_tiers()) {
        if (!tier.supported) continue;
        for (uint32_t i = 0; i < 300; i++) {
            const FloatMode mode;
            const auto count = static_cast<uint32_t>(i == 0 ? 151'936 : 1 + random() % 300);
            std::vector<float> x(count);
            for (float &v : x) v = std::normal_distribution<float>()(random) * (i % 2 == 0 ? 3.0f : 60.0f);
            if (i % 3 == 0) x[random() % count] = kNaN;
            if (i % 3 == 1) x[random() % count] = -kInfinity;
            const float max = scalar.largest(x.data(), count);
            ASSERT_EQ(tier.kernels->largest(x.data(), count), max) << tier.kernels->tier;
            if (max == -kInfinity) continue;
            const uint32_t first = tier.kernels->find_first(x.data(), count, max);
            EXPECT_EQ(first, std::find(x.begin(), x.end(), max) - x.begin());
            EXPECT_EQ(tier.kernels->find_first(x.data(), first, max), first); // not there
            EXPECT_EQ(tier.kernels->sum_of_exponentials(x.data(), count, max),
                      scalar.sum_of_exponentials(x.data(), count, max)) << tier.kernels->tier;
            std::vector<float> expected = x, got = x;
            scalar.softmax_weights(expected.data(), count, max, 0.7f);
            tier.kernels->softmax_weights(got.data(), count, max, 0.7f);
            ASSERT_EQ(std::memcmp(got.data(), expected.data(), count * sizeof(float)), 0) << tier.kernels->tier;
        }
    }
}

TEST(SampleRow, ScoresATargetAndLeavesNeighboursAlone) {
    const FloatMode mode;
    const std::vector<float> logits = {0, 1, 2, 3, 5, 5, 0, 0};
    intarsia_sampling sampling[2] = {};
    sampling[0].top_p = sampling[1].top_p = 1;
    sampling[0].target = 2;
    sampling[0].logprobs = 3;
    std::vector<SamplerScratch> scratch(1);
    int32_t sampled[2] = {-7, -7}, ranks[2] = {-7, -7};
    std::vector<float> values(2 * kLogprobs, -7);
    std::vector<int32_t> tokens(2 * kLogprobs, -7);
    const SampleJob job{logits.data(), 4, sampling, nullptr, sampled, values.data(), tokens.data(), ranks, 2, scratch};
    sample_row(job, 0, scratch[0]);
    EXPECT_EQ(sampled[0], 1);
    EXPECT_EQ(ranks[0], 3);
    EXPECT_EQ((std::vector<int32_t>(tokens.begin(), tokens.begin() + 4)), (std::vector<int32_t>{1, 3, 2, -7}));
    EXPECT_NEAR(values[0], -2.4401897f, 1e-6f); // 1 - log(1 + e + e^2 + e^3)
    EXPECT_NEAR(values[1], -0.4401897f, 1e-6f);
    EXPECT_EQ(values[3], -7);
    EXPECT_TRUE(sampled[1] == -7 && ranks[1] == -7 && tokens[kLogprobs] == -7 && values[kLogprobs] == -7);
    sample_row(job, 1, scratch[0]);
    EXPECT_EQ(sampled[1], 0);
    EXPECT_TRUE(ranks[1] == -7 && tokens[kLogprobs] == -7 && values[kLogprobs] == -7); // none wanted
}

} // namespace
} // namespace intarsia
