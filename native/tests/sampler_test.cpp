#include "runtime/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <climits>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "runtime/error.h"
#include "runtime/team.h"

namespace intarsia {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

intarsia_sampling sampling(float temperature, int32_t top_k, float top_p, uint64_t seed = 0, uint64_t position = 0) {
    intarsia_sampling s{};
    s.temperature = temperature;
    s.top_k = top_k;
    s.top_p = top_p;
    s.seed = seed;
    s.position = position;
    return s;
}

uint32_t draw(const std::vector<float> &logits, const intarsia_sampling &s, SamplerScratch &scratch) {
    const FloatMode mode;
    return sample(logits.data(), static_cast<uint32_t>(logits.size()), s, scratch);
}

uint32_t draw(const std::vector<float> &logits, const intarsia_sampling &s) {
    SamplerScratch scratch;
    return draw(logits, s, scratch);
}

// The definition of intarsia_sampling word by word, with the exponential of the C library.
uint32_t reference(const std::vector<float> &logits, const intarsia_sampling &s) {
    const FloatMode mode;
    std::vector<float> value = logits;
    for (float &v : value)
        if (std::isnan(v)) v = -kInfinity;
    std::vector<size_t> ids(value.size());
    std::iota(ids.begin(), ids.end(), size_t{0});
    std::stable_sort(ids.begin(), ids.end(), [&](size_t a, size_t b) { return value[a] > value[b]; });
    const float max = value[ids[0]];
    if (s.temperature < FLT_MIN || std::isinf(max)) return static_cast<uint32_t>(ids[0]);

    std::vector<float> weight(value.size());
    for (size_t i = 0; i < value.size(); ++i) {
        const float x = (value[i] - max) / s.temperature;
        weight[i] = x < -87 ? 0.0f : static_cast<float>(std::exp(static_cast<double>(x)));
    }
    const auto sum_by_id = [&] {
        std::vector<size_t> rising = ids;
        std::sort(rising.begin(), rising.end());
        double sum = 0;
        for (const size_t id : rising) sum += weight[id];
        return sum;
    };
    if (s.top_k > 0 && static_cast<size_t>(s.top_k) < ids.size()) ids.resize(static_cast<size_t>(s.top_k));
    if (s.top_p < 1) {
        const double wanted = static_cast<double>(s.top_p) * sum_by_id();
        double reached = 0;
        size_t length = 0;
        while (length < ids.size()) {
            reached += weight[ids[length++]];
            if (reached >= wanted) break;
        }
        ids.resize(length);
    }
    const uint32_t counter[4] = {static_cast<uint32_t>(s.position), static_cast<uint32_t>(s.position >> 32), 0, 0};
    const uint32_t key[2] = {static_cast<uint32_t>(s.seed), static_cast<uint32_t>(s.seed >> 32)};
    const Philox x = philox4x32_10(counter, key);
    const double u = (std::ldexp(x.word[1], 32) + (x.word[0] & ~0x7FFu)) * std::ldexp(1.0, -64);
    const double target = u * sum_by_id();
    std::sort(ids.begin(), ids.end());
    double running = 0;
    for (const size_t id : ids)
        if ((running += weight[id]) > target) return static_cast<uint32_t>(id);
    ADD_FAILURE() << "the sum was not reached";
    return 0;
}

std::string describe(const intarsia_sampling &s, size_t vocabulary) {
    return "vocabulary " + std::to_string(vocabulary) + " temperature " + std::to_string(s.temperature) + " top_k " +
           std::to_string(s.top_k) + " top_p " + std::to_string(s.top_p) + " seed " + std::to_string(s.seed) +
           " position " + std::to_string(s.position);
}

TEST(Philox, KnownAnswers) {
    struct Case {
        uint32_t counter[4], key[2], words[4];
    };
    // kat_vectors of the Random123 distribution.
    const Case cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (const Case &c : cases) {
        const Philox words = philox4x32_10(c.counter, c.key);
        for (int i = 0; i < 4; ++i) EXPECT_EQ(words.word[i], c.words[i]);
    }
}

TEST(Philox, UniformUsesTheUpper53BitsOfTwoWords) {
    // From the first known answer: 0xe169c58d6627e8d5 / 2^64 without its lowest 11 bits.
    EXPECT_EQ(uniform(0, 0), std::ldexp(static_cast<double>(0xe169c58d6627e8d5u >> 11), -53));
    double sum = 0;
    for (uint64_t i = 0; i < 100'000; ++i) {
        const double u = uniform(i << 32, i << 33);
        ASSERT_TRUE(u >= 0 && u < 1);
        sum += u;
    }
    EXPECT_NEAR(sum / 100'000, 0.5, 0.004); // four standard deviations
    EXPECT_NE(uniform(1, 0), uniform(uint64_t{1} << 32, 0));
    EXPECT_NE(uniform(0, 1), uniform(0, uint64_t{1} << 32));
}

TEST(SoftmaxWeights, AreTheExponentialRoundedToFloat) {
    std::vector<float> x;
    for (float v = 0; v >= -87; v = std::nextafter(v - 3e-4f, -kInfinity)) x.push_back(v);
    const size_t falling = x.size();
    for (float v = 1; v > 1e-30f; v *= 0.83f) x.push_back(-v);
    x.push_back(-87);
    std::vector<float> y = x;
    softmax_weights(y.data(), static_cast<uint32_t>(y.size()), 0, 1);
    for (size_t i = 0; i < x.size(); ++i) {
        const long double exact = std::exp(static_cast<long double>(x[i]));
        const float below = static_cast<float>(exact);
        const long double ulp = std::nextafter(below, kInfinity) - below;
        ASSERT_LE(std::fabs(static_cast<long double>(y[i]) - exact), 0.5001L * ulp) << x[i];
        ASSERT_TRUE(i == 0 || i >= falling || y[i] <= y[i - 1]) << x[i];
    }
    EXPECT_EQ(y[0], 1.0f);
}

TEST(SoftmaxWeights, TreatTheEndsOfTheRange) {
    std::vector<float> x = {5, std::nextafter(5.0f - 87.0f, -kInfinity), 5.0f - 87.0f, -kInfinity, kNaN, -FLT_MAX, 4};
    softmax_weights(x.data(), static_cast<uint32_t>(x.size()), 5, 1);
    EXPECT_EQ(x[0], 1.0f);
    EXPECT_EQ(x[1], 0.0f);
    EXPECT_GT(x[2], FLT_MIN);
    EXPECT_EQ(x[3], 0.0f);
    EXPECT_EQ(x[4], 0.0f);
    EXPECT_EQ(x[5], 0.0f);
    EXPECT_EQ(x[6], static_cast<float>(std::exp(-1.0)));
    std::vector<float> cold = {FLT_MAX, std::nextafter(FLT_MAX, 0.0f), -FLT_MAX};
    softmax_weights(cold.data(), 3, FLT_MAX, FLT_MIN);
    EXPECT_EQ(cold, (std::vector<float>{1, 0, 0}));
}

TEST(Argmax, TakesTheLowestIdOfTheLargest) {
    for (size_t vocabulary = 1; vocabulary < 70; ++vocabulary) {
        for (size_t first = 0; first < vocabulary; ++first) {
            std::vector<float> logits(vocabulary, -1);
            logits[first] = 2;
            logits[vocabulary - 1] = 2;
            EXPECT_EQ(argmax(logits.data(), static_cast<uint32_t>(vocabulary)), first);
        }
    }
    const auto of = [](std::vector<float> logits) {
        return argmax(logits.data(), static_cast<uint32_t>(logits.size()));
    };
    EXPECT_EQ(of({1, 1, 1}), 0u);
    EXPECT_EQ(of({-0.0f, 0.0f}), 0u);
    EXPECT_EQ(of({kNaN, -5, kNaN, -5}), 1u);
    EXPECT_EQ(of({kNaN, -kInfinity, -kInfinity}), 0u);
    EXPECT_EQ(of({-kInfinity, -FLT_MAX}), 1u);
    EXPECT_EQ(of({1, kInfinity, kNaN, kInfinity}), 1u);
    std::vector<float> nothing(100, kNaN);
    EXPECT_EQ(of(nothing), 0u);
    nothing[77] = -kInfinity;
    EXPECT_EQ(of(nothing), 0u);
}

TEST(Sampler, RowsWithoutASoftmaxGiveTheArgmax) {
    for (const float temperature : {0.0f, -0.0f, 1e-40f, 1e-30f, 1.0f, FLT_MAX})
        for (const int32_t top_k : {0, 1, 2})
            for (const float top_p : {0.3f, 1.0f})
                for (uint64_t position = 0; position < 5; ++position) {
                    const intarsia_sampling s = sampling(temperature, top_k, top_p, 7, position);
                    EXPECT_EQ(draw({kNaN, -kInfinity, kNaN}, s), 0u);
                    EXPECT_EQ(draw({0, kNaN, kInfinity, 3, kInfinity}, s), 2u);
                    EXPECT_EQ(draw({kNaN, -kInfinity, -3}, s), 2u);
                    if (temperature < FLT_MIN) {
                        EXPECT_EQ(draw({1, 3, 3, 2}, s), 1u);
                    }
                }
}

TEST(Sampler, EqualsTheReferenceOnRandomCases) {
    std::mt19937 random(20240229);
    const auto below = [&](size_t bound) { return std::uniform_int_distribution<size_t>(0, bound - 1)(random); };
    const auto normal = [&] { return std::normal_distribution<float>()(random); };
    const float temperatures[] = {0, 1e-40f, FLT_MIN, 1e-20f, 1e-3f, 0.1f, 0.7f, 1, 1, 1.5f, 100, FLT_MAX};
    const float top_ps[] = {1, 1, std::nextafter(1.0f, 0.0f), 0.999f, 0.9f, 0.5f, 0.1f, 1e-6f, FLT_MIN};
    SamplerScratch scratch; // shared by all, as rows of a step share it
    for (int i = 0; i < 6000; ++i) {
        const size_t vocabulary = i % 3 == 0 ? 1 + below(8) : i % 3 == 1 ? 1 + below(200) : 1 + below(2000);
        const float scale = std::ldexp(1.0f, static_cast<int>(below(10)) - 4);
        std::vector<float> logits(vocabulary);
        const size_t shape = below(7);
        for (size_t id = 0; id < vocabulary; ++id) switch (shape) {
            case 0: logits[id] = std::round(normal() * 3); break;            // ties
            case 1: logits[id] = scale * static_cast<float>(id) / 99; break; // each better than the last
            case 2: logits[id] = 1.5f; break;
            case 3: logits[id] = static_cast<float>(below(5)) * 1e-40f - 1e-40f; break; // denormals and both zeros
            case 4: logits[id] = std::ldexp(normal(), static_cast<int>(below(250)) - 122); break;
            default: logits[id] = normal() * scale; break;
            }
        if (below(4) == 0) // some odd ones
            for (size_t n = 1 + below(vocabulary); n > 0; --n) {
                const float odd[] = {
                    kNaN, -kNaN, -kInfinity, -FLT_MAX, FLT_MAX, -0.0f, below(50) == 0 ? kInfinity : 0.0f};
                logits[below(vocabulary)] = odd[below(std::size(odd))];
            }
        intarsia_sampling s{};
        s.temperature = temperatures[below(std::size(temperatures))];
        s.top_p = top_ps[below(std::size(top_ps))];
        const size_t ks[] = {0, 0, 1, 2, 5, 50, vocabulary / 2, vocabulary - 1, vocabulary, vocabulary + 1, INT_MAX};
        s.top_k = static_cast<int32_t>(ks[below(std::size(ks))]);
        s.seed = random() * uint64_t{0x9E3779B97F4A7C15};
        for (int repeat = 0; repeat < 3; ++repeat) {
            s.position = below(1 << 20);
            ASSERT_EQ(draw(logits, s, scratch), reference(logits, s))
                << describe(s, vocabulary) << " shape " << shape << " case " << i;
        }
    }
}

TEST(Sampler, EqualsTheReferenceOnALargeVocabularyAndAllocatesOnce) {
    constexpr size_t kVocabulary = 151'936;
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    SamplerScratch scratch;
    const float *weights = nullptr;
    for (const float scale : {0.01f, 2.5f, 20.0f}) {
        std::vector<float> logits(kVocabulary);
        for (float &logit : logits) logit = normal(random) * scale;
        uint64_t position = 0;
        for (const intarsia_sampling &base :
             {sampling(1, 0, 1), sampling(0.8f, 20, 0.95f), sampling(1, 0, 0.9f), sampling(1, 100'000, 0.5f)}) {
            intarsia_sampling s = base;
            s.seed = 99;
            s.position = ++position;
            ASSERT_EQ(draw(logits, s, scratch), reference(logits, s)) << describe(s, kVocabulary) << " scale " << scale;
            if (weights == nullptr) weights = scratch.weights.data();
            EXPECT_EQ(scratch.weights.data(), weights);
            EXPECT_EQ(scratch.weights.capacity(), kVocabulary);
            EXPECT_EQ(scratch.order.capacity(), kVocabulary);
            EXPECT_EQ(scratch.keys.capacity(), kVocabulary);
        }
    }
}

// Pearson's statistic of 200,000 draws against the softmax of the kept ids.
double chi_square(const std::vector<float> &logits, const intarsia_sampling &base, bool by_seed,
                  const std::vector<uint32_t> &kept) {
    constexpr int kDraws = 200'000;
    std::vector<int> counts(logits.size(), 0);
    SamplerScratch scratch;
    intarsia_sampling s = base;
    for (int i = 0; i < kDraws; ++i) {
        (by_seed ? s.seed : s.position) = static_cast<uint64_t>(i);
        ++counts.at(draw(logits, s, scratch));
    }
    double sum = 0;
    for (const uint32_t id : kept) sum += std::exp(double{logits[id]} / double{s.temperature});
    double statistic = 0;
    int seen = 0;
    for (const uint32_t id : kept) {
        const double expected = kDraws * std::exp(double{logits[id]} / double{s.temperature}) / sum;
        statistic += (counts[id] - expected) * (counts[id] - expected) / expected;
        seen += counts[id];
    }
    EXPECT_EQ(seen, kDraws); // nothing else was drawn
    return statistic;
}

TEST(Sampler, DrawsWithTheFrequenciesOfTheSoftmax) {
    std::vector<float> logits(40);
    // 0, 1.7, 3.4, 1.1, ...: each tenth from 0 to 3.9 once.
    for (size_t id = 0; id < logits.size(); ++id) logits[id] = static_cast<float>(id * 17 % 40) / 10;
    std::vector<uint32_t> best(40);
    std::iota(best.begin(), best.end(), 0u);
    std::sort(best.begin(), best.end(), [&](uint32_t a, uint32_t b) { return logits[a] > logits[b]; });
    // The 0.9999 quantiles of chi-square with 39 and 9 degrees of freedom.
    EXPECT_LT(chi_square(logits, sampling(0.8f, 0, 1, 3), false, best), 79.0);
    EXPECT_LT(chi_square(logits, sampling(1.3f, 0, 1, 0, 12), true, best), 79.0);
    best.resize(10);
    EXPECT_LT(chi_square(logits, sampling(1, 10, 1, 4), false, best), 33.8);
    // 1 - exp(-0.1 n) of the weight is in the best n, of 1 - exp(-4) in all: top_p 0.63 ends within the tenth.
    EXPECT_LT(chi_square(logits, sampling(1, 0, 0.63f, 5), false, best), 33.8);
}

TEST(Sampler, TopPKeepsOneAtLeastAndTiesInTheOrderOfTheIds) {
    SamplerScratch scratch;
    std::vector<int> seen(4, 0);
    for (uint64_t position = 0; position < 200; ++position) {
        EXPECT_EQ(draw({1, 2, 2, 2}, sampling(1, 0, FLT_MIN, 1, position), scratch), 1u);
        EXPECT_EQ(draw({1, 2, 2, 2}, sampling(1, 1, 1, 1, position), scratch), 1u);
        ++seen[draw({2, 2, 2, 2}, sampling(1, 0, 0.5f, 1, position), scratch)]; // 2 of 4 reach exactly a half
        ++seen[draw({2, 2, 2, 2}, sampling(1, 2, 1, 1, position), scratch)];
    }
    EXPECT_GT(seen[0], 100);
    EXPECT_GT(seen[1], 100);
    EXPECT_EQ(seen[2] + seen[3], 0);
}

TEST(Sampler, TheSameDrawsForEver) {
    // Never change these numbers: a seed gives the same tokens in every version. They were found by another program.
    std::vector<float> logits(1000);
    for (uint32_t id = 0; id < 1000; ++id)
        logits[id] = static_cast<float>(id * 2654435761u >> 8 & 0xFFFF) / 8192.0f - 4.0f;
    struct Case {
        intarsia_sampling base;
        std::vector<uint32_t> ids; // at positions 0, 1, 2, ...
    };
    const Case cases[] = {
        {sampling(1, 0, 1, 0u), {886, 369, 323, 415, 701, 27, 812, 46, 632, 175, 825, 41, 262, 594, 36, 889}},
        {sampling(0.7f, 0, 1, 42u), {466, 332, 669, 678, 849, 304, 752, 410, 143, 401, 669, 443, 184, 470, 738, 346}},
        {sampling(1, 50, 1, 1234567890123456789u),
         {572, 932, 706, 203, 406, 969, 489, 549, 826, 886, 632, 129, 346, 166, 309, 23}},
        {sampling(1, 0, 0.9f, 42u), {466, 332, 668, 678, 848, 304, 752, 410, 143, 401, 669, 442, 184, 474, 738, 346}},
        {sampling(0.6f, 20, 0.95f, 18446744073709551615u),
         {83, 323, 466, 766, 826, 886, 323, 826, 526, 646, 203, 909, 526, 766, 203, 83}},
        {sampling(2, 0, 0.5f, 7u), {761, 798, 9, 258, 992, 346, 466, 470, 946, 18, 992, 904, 526, 978, 286, 83}},
    };
    for (const Case &c : cases) {
        intarsia_sampling s = c.base;
        std::vector<uint32_t> ids;
        for (s.position = 0; s.position < c.ids.size(); ++s.position) ids.push_back(draw(logits, s));
        EXPECT_EQ(ids, c.ids) << describe(c.base, 1000);
    }
}

std::string complaint(const intarsia_sampling &s) {
    try {
        check_sampling(s, 3);
        return "";
    } catch (const Error &error) {
        EXPECT_EQ(error.status(), INTARSIA_INVALID_ARGUMENT);
        return error.what();
    }
}

TEST(Sampler, ChecksItsParameters) {
    EXPECT_EQ(complaint(sampling(0, 0, 1)), "");
    EXPECT_EQ(complaint(sampling(FLT_MAX, INT_MAX, FLT_MIN)), "");
    EXPECT_EQ(complaint(sampling(-1, 0, 1)), "sampling of row 3: temperature is -1; it must be finite and >= 0");
    EXPECT_EQ(complaint(sampling(kInfinity, 0, 1)),
              "sampling of row 3: temperature is inf; it must be finite and >= 0");
    EXPECT_NE(complaint(sampling(kNaN, 0, 1)), "");
    EXPECT_EQ(complaint(sampling(1, 0, 0)), "sampling of row 3: top_p is 0; it must be > 0 and <= 1");
    EXPECT_EQ(complaint(sampling(1, 0, 1.5f)), "sampling of row 3: top_p is 1.5; it must be > 0 and <= 1");
    EXPECT_NE(complaint(sampling(1, 0, kNaN)), "");
    EXPECT_EQ(complaint(sampling(1, -1, 1)), "sampling of row 3: top_k is -1; it must be >= 0, 0 for all");
    intarsia_sampling s = sampling(1, 0, 1);
    s.reserved = 5;
    EXPECT_EQ(complaint(s), "sampling of row 3: reserved is 5; it must be 0");
}

} // namespace
} // namespace intarsia
