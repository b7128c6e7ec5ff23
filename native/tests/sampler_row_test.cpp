// Sampling by a group of threads gives the tokens of the sampler, whatever the row: here by a group of one.
#include <gtest/gtest.h>

#include "emulated_sampler.h"
#include "runtime/sample_job.h"
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

TEST(SamplerRow, TheFusedExponentialIsTheOtherRounded) {
    uint32_t next = 0x80000000u;
    while (next <= 0xC2AE0000u) { // 0 down to -87
        const double x = __builtin_bit_cast(float, next);
        ASSERT_EQ(grouped::rounded_exponential(x), static_cast<float>(cpu::exponential(x))) << x;
        next += next < 0xB0000000u ? 999983 : 61;
    }
}

TEST(SamplerRow, AGroupGivesTheSampledToken) {
    testing::SampledRows rows(1);
    uint32_t orders = 0;
    for (int i = 0; i < 1500; i++) {
        const auto [logits, row] = rows.next(i % 50 == 0 ? 151936 : 7000);
        const uint32_t expected = sampled(logits, row);
        SCOPED_TRACE(testing::describe(row, logits));
        ASSERT_EQ(grouped_sample<emulated::Alone<>>(logits, row, &orders), expected);
        ASSERT_EQ((grouped_sample<emulated::Alone<3>>(logits, row)), expected) << "narrowed down";
        ASSERT_EQ((grouped_sample<emulated::Alone<16, true>>(logits, row)), expected) << "sums in order";
    }
    EXPECT_LT(orders, 750u); // in order only where rounding leaves it open, or where it must be so
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

// A sampler state of every kind of parameter.
struct State {
    std::vector<int32_t> prompt, output, allowed, stops, bias_ids, bad_words;
    std::vector<float> biases;
    std::vector<uint32_t> bad_lengths;
    intarsia_sampler_state definition{};

    State(testing::SampledRows &random, uint32_t vocabulary) {
        const auto some = [&](std::vector<int32_t> &ids, uint32_t most) {
            ids.resize(random.below(2) == 0 ? 0 : random.below(most));
            for (int32_t &id : ids) id = static_cast<int32_t>(random.below(random.below(2) == 0 ? 5 : vocabulary));
        };
        some(prompt, 200);
        some(output, 200);
        some(stops, 5);
        some(bias_ids, 30);
        if (random.below(4) == 0) some(allowed, 40);
        for (size_t i = 0; i < bias_ids.size(); i++) biases.push_back(6 * random.unit() - 3);
        for (uint32_t i = 0, count = random.below(4); i < count; i++) { // words that the output ends with, many of them
            bad_lengths.push_back(1 + std::min(random.below(3), static_cast<uint32_t>(output.size())));
            bad_words.insert(bad_words.end(), output.end() - (bad_lengths.back() - 1), output.end());
            bad_words.push_back(static_cast<int32_t>(random.below(vocabulary)));
        }
        definition.struct_size = sizeof definition;
        const auto count = [](const auto &vector) { return static_cast<uint32_t>(vector.size()); };
        definition.prompt = prompt.data(), definition.prompt_count = count(prompt);
        definition.output = output.data(), definition.output_count = count(output);
        definition.allowed = allowed.data(), definition.allowed_count = count(allowed);
        definition.stops = stops.data(), definition.stop_count = count(stops);
        definition.bias_ids = bias_ids.data(), definition.biases = biases.data(), definition.bias_count = count(bias_ids);
        definition.bad_words = bad_words.data(), definition.bad_lengths = bad_lengths.data(), definition.bad_count = count(bad_lengths);
        definition.min_tokens = random.below(300);
        definition.repetition_penalty = random.below(2) == 0 ? 1 : 0.5f + random.unit();
        definition.frequency_penalty = random.below(2) == 0 ? 0 : random.unit();
        definition.presence_penalty = random.below(2) == 0 ? 0 : random.unit();
    }
};

TEST(SamplerRow, AStatesEditsGiveTheTokenOfTheState) {
    testing::SampledRows random(2);
    for (int i = 0; i < 2000; i++) {
        auto [logits, row] = random.next(2000);
        const auto vocabulary = static_cast<uint32_t>(logits.size());
        if (random.below(3) == 0) row.temperature = 0;
        const State state(random, vocabulary);
        auto slot = std::make_unique<SamplerState>(state.definition, vocabulary);
        std::vector<uint32_t> words;
        slot->add_edits(words);
        slot->reserve();
        std::vector<float> edited(vocabulary);
        emulated::Alone<> alone(logits.data(), vocabulary);
        const uint32_t id = emulated::sample_edited(alone, row, vocabulary, words.data(), logits.data(), edited.data());

        row.state = 1;
        std::vector<SamplerScratch> scratch(1);
        int32_t sampled = -1;
        const SampleJob job{logits.data(), vocabulary, &row, &slot, &sampled, nullptr, nullptr, nullptr, 1, scratch};
        const FloatMode mode;
        sample_row(job, 0, scratch[0]);
        ASSERT_EQ(static_cast<int32_t>(id), sampled) << i << ": " << testing::describe(row, logits);
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
    EXPECT_TRUE(group_samples(row, 151936));
    row.state = 0;
    row.target = 1;
    EXPECT_FALSE(group_samples(row, 151936));
}

} // namespace
} // namespace intarsia
