// min_p, and how top_p is found: against a plain sort, on rows made to be hard for anything but a sort.
#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "runtime/sampler.h"
#include "runtime/team.h"

namespace intarsia {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

intarsia_sampling sampling(float temperature, int32_t top_k, float top_p, float min_p, uint64_t position) {
    intarsia_sampling s{};
    s.temperature = temperature;
    s.top_k = top_k;
    s.top_p = top_p;
    s.min_p = min_p;
    s.seed = 11;
    s.position = position;
    return s;
}

uint32_t draw(const std::vector<float> &logits, const intarsia_sampling &s, SamplerScratch &scratch) {
    const FloatMode mode;
    return sample(logits.data(), static_cast<uint32_t>(logits.size()), s, scratch);
}

// The ids that the definition keeps, rising, of logits without NaN and infinities.
std::vector<uint32_t> kept(const std::vector<float> &logits, const intarsia_sampling &s, std::vector<float> &weights) {
    const FloatMode mode;
    weights = logits;
    softmax_weights(weights.data(), static_cast<uint32_t>(weights.size()), *std::max_element(logits.begin(), logits.end()),
                    s.temperature);
    std::vector<uint32_t> ids(logits.size());
    std::iota(ids.begin(), ids.end(), 0u);
    std::stable_sort(ids.begin(), ids.end(), [&](uint32_t a, uint32_t b) { return logits[a] > logits[b]; });
    std::erase_if(ids, [&](uint32_t id) { return weights[id] < s.min_p; });
    if (s.top_k > 0 && static_cast<size_t>(s.top_k) < ids.size()) ids.resize(static_cast<size_t>(s.top_k));
    if (s.top_p < 1) {
        std::vector<uint32_t> rising = ids;
        std::sort(rising.begin(), rising.end());
        double all = 0, reached = 0;
        for (const uint32_t id : rising) all += weights[id];
        size_t length = 0;
        while (length < ids.size() && reached < double{s.top_p} * all) reached += weights[ids[length++]];
        ids.resize(std::max<size_t>(length, 1));
    }
    std::sort(ids.begin(), ids.end());
    return ids;
}

void expect_as_defined(const std::vector<float> &logits, const intarsia_sampling &s, SamplerScratch &scratch) {
    std::vector<float> weights;
    const std::vector<uint32_t> ids = kept(logits, s, weights);
    double whole = 0, running = 0;
    for (const uint32_t id : ids) whole += weights[id];
    const double target = uniform(s.seed, s.position) * whole;
    uint32_t expected = ids.back();
    for (const uint32_t id : ids)
        if ((running += weights[id]) > target) {
            expected = id;
            break;
        }
    ASSERT_EQ(draw(logits, s, scratch), expected)
        << "temperature " << s.temperature << " top_k " << s.top_k << " top_p " << s.top_p << " min_p " << s.min_p
        << " position " << s.position << " of " << logits.size() << ", " << ids.size() << " kept";
    // Not only the one drawn: every id that is kept, and no other.
    std::vector<uint32_t> order = scratch.order;
    if (order.empty()) {
        order.resize(logits.size());
        std::iota(order.begin(), order.end(), 0u);
    }
    std::erase_if(order, [&](uint32_t id) { return weights[id] == 0; });
    std::vector<uint32_t> positive = ids;
    std::erase_if(positive, [&](uint32_t id) { return weights[id] == 0; });
    ASSERT_EQ(order, positive) << "top_p " << s.top_p << " of " << logits.size();
}

TEST(TopP, IsExactOnRowsThatAreHardToCut) {
    std::mt19937 random(9);
    std::normal_distribution<float> normal;
    SamplerScratch scratch;
    const float top_ps[] = {1e-30f, 0.1f, 0.25f, 0.5f, 0.75f, 0.9f, 0.95f, 0.999f, 0.9999f, 0.99999f,
                            std::nextafter(1.0f, 0.0f)};
    for (int i = 0; i < 330; i++) {
        const size_t vocabulary = i % 11 == 0 ? 151'936 : 1 + random() % 3000;
        std::vector<float> logits(vocabulary);
        const int shape = i % 9;
        for (size_t id = 0; id < vocabulary; id++) switch (shape) {
            case 0: logits[id] = 1; break;                                               // flat
            case 1: logits[id] = std::nextafter(1.0f, static_cast<float>(random() % 3)); break; // one bit apart
            case 2: logits[id] = normal(random) * 0.01f; break;
            case 3: logits[id] = normal(random); break;
            case 4: logits[id] = normal(random) * 20; break;
            case 5: logits[id] = static_cast<float>(random() % 4); break;                // ties
            case 6: logits[id] = static_cast<float>(id) * -1e-3f; break;                 // sorted
            case 7: logits[id] = id == vocabulary / 2 ? 30.0f : normal(random); break;   // one and a long tail
            default: logits[id] = id % 2 == 0 ? 0.0f : -60.0f; break;                    // sums that must round
            }
        expect_as_defined(logits, sampling(i % 5 == 0 ? 0.5f : 1.0f, i % 7 == 0 ? 1000 : 0,
                                           top_ps[random() % std::size(top_ps)], 0, random()), scratch);
        if (HasFatalFailure()) FAIL() << "shape " << shape;
    }
}

TEST(MinP, DropsWhatIsLessLikelyThanItsShareOfTheBest) {
    SamplerScratch scratch;
    const std::vector<float> logits = {0, std::log(2.0f), std::log(4.0f), std::log(8.0f)}; // weights 1/8, 1/4, 1/2, 1
    for (const auto &[min_p, count] : {std::pair{0.0f, 4u}, {0.12f, 4u}, {0.13f, 3u}, {0.49f, 2u}, {0.51f, 1u}, {1.0f, 1u}}) {
        std::vector<int> seen(4, 0);
        for (uint64_t position = 0; position < 300; position++)
            seen[draw(logits, sampling(1, 0, 1, min_p, position), scratch)]++;
        for (uint32_t id = 0; id < 4; id++) EXPECT_EQ(seen[id] > 0, id >= 4 - count) << "min_p " << min_p << " id " << id;
    }
    // With a higher temperature the weights are closer: 1/8 becomes 1/sqrt(8).
    for (uint64_t position = 0; position < 300; position++)
        EXPECT_NE(draw(logits, sampling(2, 0, 1, 0.4f, position), scratch), 0u);
    // Of equals all stay; ids of -infinity never do.
    for (uint64_t position = 0; position < 100; position++)
        EXPECT_NE(draw({2, 2, -kInfinity, 1}, sampling(1, 0, 1, 1, position), scratch) & 2, 2u);
}

TEST(MinP, EqualsTheReferenceWithTopKAndTopP) {
    std::mt19937 random(10);
    std::normal_distribution<float> normal;
    SamplerScratch scratch;
    const float min_ps[] = {0, FLT_MIN, 1e-6f, 1e-3f, 0.05f, 0.3f, 0.99f, 1};
    const float temperatures[] = {0.05f, 0.7f, 1, 3};
    const float top_ps[] = {1, 1, 0.99f, 0.5f};
    for (int i = 0; i < 3000; i++) {
        std::vector<float> logits(1 + random() % 400);
        const float scale = std::ldexp(1.0f, static_cast<int>(random() % 8) - 3);
        for (float &logit : logits) logit = i % 3 == 0 ? std::round(normal(random) * scale) : normal(random) * scale;
        const int32_t ks[] = {0, 0, 1, 7, 60};
        expect_as_defined(logits, sampling(temperatures[random() % 4], ks[random() % 5], top_ps[random() % 4],
                                           min_ps[random() % 8], random()), scratch);
        if (HasFatalFailure()) FAIL() << "case " << i;
    }
}

TEST(MinP, DrawsWithTheFrequenciesOfWhatIsKept) {
    // 20 ids with weights e^(-id / 5): min_p 0.3 keeps ids 0 .. 6.
    std::vector<float> logits(20);
    for (size_t id = 0; id < 20; id++) logits[id] = -static_cast<float>(id) / 5;
    constexpr int kDraws = 200'000;
    std::vector<int> seen(20, 0);
    SamplerScratch scratch;
    for (uint64_t position = 0; position < kDraws; position++)
        seen[draw(logits, sampling(1, 0, 1, 0.3f, position), scratch)]++;
    double whole = 0, statistic = 0;
    for (int id = 0; id < 7; id++) whole += std::exp(-id / 5.0);
    for (int id = 0; id < 7; id++) {
        const double expected = kDraws * std::exp(-id / 5.0) / whole;
        statistic += (seen[static_cast<size_t>(id)] - expected) * (seen[static_cast<size_t>(id)] - expected) / expected;
    }
    EXPECT_LT(statistic, 27.9); // the 0.9999 quantile of chi-square with 6 degrees of freedom
    EXPECT_EQ(std::accumulate(seen.begin() + 7, seen.end(), 0), 0);
}

} // namespace
} // namespace intarsia
