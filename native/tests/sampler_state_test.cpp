// Sampler states: each step of the processing by hand-computed examples, all of them against a plain loop over the
// definition of intarsia_sampler_state, and what is refused.
#include "runtime/sampler_state.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>

#include "runtime/error.h"
#include "runtime/sample_job.h"
#include "runtime/team.h"

namespace intarsia {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
using Ids = std::vector<int32_t>;

// A definition with the arrays that it points to.
struct Definition {
    Ids prompt = {}, output = {}, allowed = {}, stops = {}, bias_ids = {};
    std::vector<float> biases = {};
    std::vector<Ids> bad = {};
    uint32_t min_tokens = 0;
    float presence = 0, frequency = 0, repetition = 1;

    std::unique_ptr<SamplerState> make(uint32_t vocabulary) const {
        Ids words;
        std::vector<uint32_t> lengths;
        for (const Ids &word : bad) {
            words.insert(words.end(), word.begin(), word.end());
            lengths.push_back(static_cast<uint32_t>(word.size()));
        }
        const auto size = [](const auto &list) { return static_cast<uint32_t>(list.size()); };
        intarsia_sampler_state s{};
        s.struct_size = sizeof s;
        s.prompt = prompt.data();
        s.prompt_count = size(prompt);
        s.output = output.data();
        s.output_count = size(output);
        s.allowed = allowed.data();
        s.allowed_count = size(allowed);
        s.stops = stops.data();
        s.stop_count = size(stops);
        s.bias_ids = bias_ids.data();
        s.biases = biases.data();
        s.bias_count = size(biases);
        s.bad_lengths = lengths.data();
        s.bad_words = words.data();
        s.bad_count = size(lengths);
        s.min_tokens = min_tokens;
        s.presence_penalty = presence;
        s.frequency_penalty = frequency;
        s.repetition_penalty = repetition;
        return std::make_unique<SamplerState>(s, vocabulary);
    }
};

std::vector<float> process(const SamplerState &state, const std::vector<float> &logits) {
    const FloatMode mode;
    std::vector<float> processed(logits.size());
    state.process(logits.data(), processed.data());
    return processed;
}

void append(SamplerState &state, uint32_t token) {
    state.reserve();
    state.append(token);
}

TEST(SamplerState, WithoutSettingsChangesNothing) {
    const std::vector<float> logits = {1, -2, kInfinity, -kInfinity, 0};
    const auto state = Definition{.prompt = {0, 1}, .output = {2}}.make(5);
    EXPECT_EQ(process(*state, logits), logits);
    EXPECT_EQ(state->least_allowed(), 0u);
}

TEST(SamplerState, AllowsOnlyTheAllowed) {
    const auto state = Definition{.allowed = {3, 1, 3}}.make(4);
    EXPECT_EQ(process(*state, {4, 3, 2, 1}), (std::vector<float>{-kInfinity, 3, -kInfinity, 1}));
    EXPECT_EQ(state->least_allowed(), 1u);
}

TEST(SamplerState, BansTheLastTokenOfABadWordAfterTheOthers) {
    const auto state = Definition{.prompt = {1, 2}, .bad = {{3}, {1, 2, 0}, {2, 2, 1}}}.make(4);
    const std::vector<float> logits = {4, 3, 2, 1};
    const auto banned = [&] {
        std::set<uint32_t> ids;
        const std::vector<float> processed = process(*state, logits);
        for (uint32_t id = 0; id < 4; id++)
            if (processed[id] == -kInfinity) ids.insert(id);
        return ids;
    };
    EXPECT_EQ(banned(), (std::set<uint32_t>{3})); // the prompt is no output
    append(*state, 1);
    EXPECT_EQ(banned(), (std::set<uint32_t>{3}));
    append(*state, 2);
    EXPECT_EQ(banned(), (std::set<uint32_t>{0, 3}));
    append(*state, 2);
    EXPECT_EQ(banned(), (std::set<uint32_t>{1, 3}));
    append(*state, 2);
    EXPECT_EQ(banned(), (std::set<uint32_t>{1, 3}));
    append(*state, 1);
    EXPECT_EQ(banned(), (std::set<uint32_t>{3}));
}

TEST(SamplerState, BansStopsUntilThereAreEnoughTokens) {
    const auto state = Definition{.output = {2}, .stops = {0, 3}, .min_tokens = 3}.make(4);
    for (int sampled = 1; sampled < 3; sampled++) {
        EXPECT_EQ(process(*state, {4, 3, 2, 1}), (std::vector<float>{-kInfinity, 3, 2, -kInfinity}));
        append(*state, 1);
    }
    EXPECT_EQ(process(*state, {4, 3, 2, 1}), (std::vector<float>{4, 3, 2, 1}));
}

TEST(SamplerState, AddsBiases) {
    const auto state = Definition{.allowed = {1, 2}, .bias_ids = {0, 1, 1}, .biases = {100, 2.5f, 0.5f}}.make(3);
    EXPECT_EQ(process(*state, {1, 1, 1}), (std::vector<float>{-kInfinity, 4, 1})); // what is banned stays so
}

TEST(SamplerState, PenalizesByHand) {
    const std::vector<float> logits = {4, -4, 2, -2, 1};
    // Repetition: ids of prompt (0, 1) and output (2); above 0 divided, else multiplied.
    const auto repetition = Definition{.prompt = {0, 1, 0}, .output = {2}, .repetition = 2}.make(5);
    EXPECT_EQ(process(*repetition, logits), (std::vector<float>{2, -8, 1, -2, 1}));
    append(*repetition, 3);
    EXPECT_EQ(process(*repetition, logits), (std::vector<float>{2, -8, 1, -4, 1}));
    // Presence once, frequency for each time, of the output alone.
    const auto others = Definition{.prompt = {0, 1}, .output = {2, 3, 2}, .presence = 0.5f, .frequency = 0.25f}.make(5);
    EXPECT_EQ(process(*others, logits), (std::vector<float>{4, -4, 1, -2.75f, 1}));
    append(*others, 2);
    append(*others, 0);
    EXPECT_EQ(process(*others, logits), (std::vector<float>{3.25f, -4, 0.75f, -2.75f, 1}));
    // All at once: repetition first, of biased logits.
    const auto all = Definition{.prompt = {1}, .output = {0, 0}, .bias_ids = {0}, .biases = {2}, .presence = 1,
                                .frequency = 2, .repetition = 4}.make(5);
    EXPECT_EQ(process(*all, logits), (std::vector<float>{1.5f - 5, -16, 2, -2, 1}));
}

// The definition word by word.
std::vector<float> reference(const Definition &d, const Ids &output, std::vector<float> x) {
    const FloatMode mode;
    for (size_t id = 0; id < x.size(); id++)
        if (!d.allowed.empty() && std::count(d.allowed.begin(), d.allowed.end(), static_cast<int32_t>(id)) == 0)
            x[id] = -kInfinity;
    for (const Ids &word : d.bad) {
        if (word.size() > output.size() + 1) continue;
        bool ends = true;
        for (size_t i = 0; i + 1 < word.size(); i++) ends &= output[output.size() + 1 - word.size() + i] == word[i];
        if (ends) x[static_cast<size_t>(word.back())] = -kInfinity;
    }
    if (output.size() < d.min_tokens)
        for (const int32_t id : d.stops) x[static_cast<size_t>(id)] = -kInfinity;
    for (size_t i = 0; i < d.biases.size(); i++) x[static_cast<size_t>(d.bias_ids[i])] += d.biases[i];
    for (size_t id = 0; id < x.size(); id++) {
        const auto times = [&](const Ids &ids) { return std::count(ids.begin(), ids.end(), static_cast<int32_t>(id)); };
        if (times(d.prompt) + times(output) > 0) x[id] = x[id] > 0 ? x[id] / d.repetition : x[id] * d.repetition;
        if (times(output) == 0) continue;
        x[id] -= d.frequency * static_cast<float>(times(output));
        x[id] -= d.presence;
    }
    return x;
}

TEST(SamplerState, EqualsTheReferenceOnRandomCasesAndNeverSamplesWhatIsBanned) {
    std::mt19937 random(77);
    const auto below = [&](size_t bound) { return std::uniform_int_distribution<size_t>(0, bound - 1)(random); };
    const auto normal = [&] { return std::normal_distribution<float>()(random); };
    for (int i = 0; i < 600; i++) {
        const auto vocabulary = static_cast<uint32_t>(1 + below(i % 2 == 0 ? 6 : 300));
        const auto ids = [&](size_t count) {
            Ids list(count);
            for (int32_t &id : list) id = static_cast<int32_t>(below(vocabulary));
            return list;
        };
        const auto some = [&](size_t most) { return below(2) == 0 ? 0 : below(most + 1); };
        Definition d{.prompt = ids(some(40)), .output = ids(some(10)), .allowed = ids(some(vocabulary)),
                     .stops = ids(some(4)), .bias_ids = ids(some(5))};
        for (size_t b = 0; b < d.bias_ids.size(); b++) d.biases.push_back(normal() * 10);
        for (size_t w = some(6); w > 0; w--) d.bad.push_back(ids(1 + below(3)));
        d.min_tokens = static_cast<uint32_t>(some(12));
        if (below(2) == 0) d.presence = normal();
        if (below(2) == 0) d.frequency = normal();
        if (below(2) == 0) d.repetition = std::exp(normal());
        const auto state = d.make(vocabulary);
        Ids output = d.output;
        intarsia_sampling sampling{};
        sampling.temperature = below(3) == 0 ? 0.0f : 1.0f;
        sampling.top_p = 1;
        sampling.state = 1;
        std::vector<std::unique_ptr<SamplerState>> states;
        states.push_back(d.make(vocabulary));
        std::vector<SamplerScratch> scratch(1);
        const FloatMode mode;
        for (int step = 0; step < 12; step++) {
            std::vector<float> logits(vocabulary);
            for (float &logit : logits) logit = below(20) == 0 ? (below(2) == 0 ? kNaN : -kInfinity) : normal() * 3;
            const std::vector<float> original = logits;
            const std::vector<float> expected = reference(d, output, logits), got = process(*state, logits);
            for (uint32_t id = 0; id < vocabulary; id++)
                ASSERT_TRUE(got[id] == expected[id] || (std::isnan(got[id]) && std::isnan(expected[id])))
                    << "case " << i << " step " << step << " id " << id << ": " << got[id] << " for " << expected[id];

            sampling.position = static_cast<uint64_t>(step);
            int32_t sampled = -1;
            states[0]->reserve();
            const SampleJob job{logits.data(), vocabulary, &sampling, states.data(), &sampled, nullptr, nullptr,
                                nullptr,       1,          scratch};
            sample_row(job, 0, scratch[0]);
            const bool any = std::any_of(expected.begin(), expected.end(), [](float x) { return x > -kInfinity; });
            if (any) {
                EXPECT_GT(expected[static_cast<size_t>(sampled)], -kInfinity);
            } else {
                EXPECT_EQ(sampled, d.allowed.empty() ? 0 : *std::min_element(d.allowed.begin(), d.allowed.end()));
            }
            EXPECT_EQ(0, std::memcmp(logits.data(), original.data(), vocabulary * sizeof(float))) << "logits changed";
            output.push_back(sampled);
            append(*state, static_cast<uint32_t>(sampled));
        }
    }
}

TEST(SamplerState, IsAsLargeAsTheSequenceAndNotAsTheVocabulary) {
    const auto plain = Definition{.prompt = Ids(10'000, 7)}.make(200'000);
    EXPECT_LT(plain->bytes(), 1000u); // nothing asks for what was seen
    Ids prompt(1000);
    for (int32_t i = 0; i < 1000; i++) prompt[static_cast<size_t>(i)] = i * 3;
    const auto counting = Definition{.prompt = prompt, .repetition = 1.1f}.make(200'000);
    EXPECT_GE(counting->bytes(), 8000u);
    EXPECT_LT(counting->bytes(), 40'000u);
    const uint64_t before = counting->bytes();
    for (uint32_t token = 0; token < 5000; token++) append(*counting, token * 7);
    EXPECT_GT(counting->bytes(), before);
    EXPECT_LT(counting->bytes(), 200'000u);
}

std::string complaint(const Definition &d) {
    try {
        d.make(10);
        return "";
    } catch (const Error &error) {
        EXPECT_EQ(error.status(), INTARSIA_INVALID_ARGUMENT);
        return error.what();
    }
}

TEST(SamplerState, ChecksEverything) {
    EXPECT_EQ(complaint({.prompt = {9}, .output = {0}, .allowed = {9}, .stops = {9}, .bias_ids = {9}, .biases = {-3e38f},
                         .bad = {{9, 9}}}), "");
    EXPECT_EQ(complaint({.prompt = {3, 10}}), "sampler state: prompt[1] is the id 10, not in 0..9");
    EXPECT_EQ(complaint({.output = {-1}}), "sampler state: output[0] is the id -1, not in 0..9");
    EXPECT_EQ(complaint({.allowed = {10}}), "sampler state: allowed[0] is the id 10, not in 0..9");
    EXPECT_EQ(complaint({.stops = {10}}), "sampler state: stops[0] is the id 10, not in 0..9");
    EXPECT_EQ(complaint({.bias_ids = {10}, .biases = {1}}), "sampler state: bias_ids[0] is the id 10, not in 0..9");
    EXPECT_EQ(complaint({.bias_ids = {1}, .biases = {kNaN}}), "sampler state: a bias is nan; it must be finite");
    EXPECT_EQ(complaint({.bad = {{1}, {2, 10}}}), "sampler state: bad_words[2] is the id 10, not in 0..9");
    EXPECT_EQ(complaint({.bad = {{1}, {}}}), "sampler state: bad_lengths[1] is 0; it must be >= 1");
    EXPECT_EQ(complaint({.presence = kInfinity}), "sampler state: presence_penalty is inf; it must be finite");
    EXPECT_EQ(complaint({.frequency = -kInfinity}), "sampler state: frequency_penalty is -inf; it must be finite");
    EXPECT_EQ(complaint({.repetition = 0}), "sampler state: repetition_penalty is 0; it must be finite and > 0");
    EXPECT_EQ(complaint({.repetition = kInfinity}), "sampler state: repetition_penalty is inf; it must be finite and > 0");
    EXPECT_NE(complaint({.repetition = kNaN}), "");
}

} // namespace
} // namespace intarsia
