// Sampling by a group of threads gives the tokens of the sampler, whatever the row: here by a group of one.
#include <gtest/gtest.h>

#include "emulated_sampler.h"
#include "runtime/sampler.h"
#include "runtime/team.h"
#include "sampled_rows.h"

namespace intarsia {
namespace {

uint32_t sampled(const std::vector<float> &logits, const intarsia_sampling &row) {
    const FloatMode mode;
    SamplerScratch scratch;
    return sample(logits.data(), static_cast<uint32_t>(logits.size()), row, scratch);
}

template <class Group> uint32_t grouped_sample(const std::vector<float> &logits, const intarsia_sampling &row, uint32_t *orders = nullptr) {
    const auto vocabulary = static_cast<uint32_t>(logits.size());
    Group group(logits.data(), vocabulary);
    const uint32_t id = emulated::sample(group, logits.data(), vocabulary, row);
    if (orders != nullptr) *orders += group.orders();
    return id;
}

TEST(SamplerRow, AGroupGivesTheSampledToken) {
    testing::SampledRows rows(1);
    uint32_t orders = 0;
    for (int i = 0; i < 3000; i++) {
        const auto [logits, row] = rows.next(i % 50 == 0 ? 151936 : 7000);
        const uint32_t expected = sampled(logits, row);
        SCOPED_TRACE(testing::describe(row, logits));
        ASSERT_EQ(grouped_sample<emulated::Alone<>>(logits, row, &orders), expected);
        ASSERT_EQ((grouped_sample<emulated::Alone<3>>(logits, row)), expected) << "narrowed down";
        ASSERT_EQ((grouped_sample<emulated::Alone<16, true>>(logits, row)), expected) << "sums in order";
    }
    EXPECT_LT(orders, 1500u); // in order only where rounding leaves it open, or where it must be so
}

TEST(SamplerRow, ASumThatRoundingLeavesOpenIsTakenInOrder) {
    for (uint64_t seed = 0; seed < 20; seed++) {
        const auto [logits, row] = testing::drawn_on_the_edge(seed);
        uint32_t orders = 0;
        EXPECT_EQ(grouped_sample<emulated::Alone<>>(logits, row, &orders), sampled(logits, row));
        EXPECT_EQ(orders, 2u);
    }
    // Half of the sum is that of half of the equal ids, but for the last id's share.
    std::vector<float> logits(65, 1);
    logits[64] = -40;
    intarsia_sampling row = testing::sampling(1, 0, 0.5f);
    for (row.position = 0; row.position < 20; row.position++) {
        uint32_t orders = 0;
        EXPECT_EQ(grouped_sample<emulated::Alone<>>(logits, row, &orders), sampled(logits, row));
        EXPECT_EQ(orders, 1u);
    }
}

TEST(SamplerRow, SaysWhichRowsItTakes) {
    intarsia_sampling row = testing::sampling(1, 0, 1);
    EXPECT_TRUE(group_samples(row, 1 << 24));
    row.top_p = 0.998f;
    EXPECT_TRUE(group_samples(row, 151936));
    row.top_p = 0.9999f;
    EXPECT_FALSE(group_samples(row, 151936));
    EXPECT_TRUE(group_samples(row, 13000));
    row.temperature = 0;
    EXPECT_TRUE(group_samples(row, 151936));
    row.logprobs = 1;
    EXPECT_FALSE(group_samples(row, 151936));
    row.logprobs = 0;
    row.state = 1;
    EXPECT_FALSE(group_samples(row, 151936));
    row.state = 0;
    row.target = 1;
    EXPECT_FALSE(group_samples(row, 151936));
}

} // namespace
} // namespace intarsia
