// The device samples the tokens that a group of one thread samples on the host, which tests/sampler_row_test.cpp compares with the sampler.
#include "cuda/kernels.h"
#include "cuda/opened.h"
#include "cuda_device.h"
#include "emulated_sampler.h"
#include "sampled_rows.h"

namespace intarsia::test {
namespace {

using testing::SampledRows;

// Rows of one vocabulary on the device.
class Sampled {
public:
    Sampled(const std::vector<float> &logits, const std::vector<intarsia_sampling> &rows)
        : logits_(logits), sampling_(rows), tokens_(rows.size()), turn_(std::vector<uint32_t>{1, 1}), rows_(static_cast<uint32_t>(rows.size())) {
        expect_ok(cudaHostAlloc(reinterpret_cast<void **>(&ring_), kGpuTurns * rows.size() * 8, cudaHostAllocPortable));
        std::memset(ring_, 0, kGpuTurns * rows.size() * 8);
    }
    ~Sampled() { cudaFreeHost(ring_); }

    void sample(const cuda::Context &context) {
        const auto vocabulary = static_cast<uint32_t>(logits_.bytes() / 4 / rows_);
        cuda::launch_argmax(context, logits_.data(), rows_, vocabulary, tokens_.data());
        cuda::publish(context, {logits_.data(), rows_, vocabulary, tokens_.data(), turn_.data(), sampling_.data(), ring_, rows_});
    }

    std::vector<uint32_t> tokens() {
        std::vector<uint32_t> tokens;
        for (const int32_t token : tokens_.get()) tokens.push_back(static_cast<uint32_t>(token));
        for (uint32_t row = 0; row < rows_; ++row) EXPECT_EQ(ring_[rows_ + row], uint64_t{1} << 32 | tokens[row]);
        EXPECT_TRUE(tokens_.intact());
        return tokens;
    }

    void plain() { turn_.set({1, 0}); }

private:
    OnDevice<float> logits_;
    OnDevice<intarsia_sampling> sampling_;
    OnDevice<int32_t> tokens_;
    OnDevice<uint32_t> turn_;
    uint64_t *ring_ = nullptr;
    uint32_t rows_;
};

class CudaSampler : public CudaTest {
protected:
    void compare(const std::vector<float> &logits, const std::vector<intarsia_sampling> &rows) {
        Sampled sampled(logits, rows);
        sampled.sample(context);
        finish();
        const std::vector<uint32_t> tokens = sampled.tokens();
        const size_t vocabulary = logits.size() / rows.size();
        for (size_t row = 0; row < rows.size(); ++row) {
            const std::vector<float> own(logits.begin() + static_cast<long>(row * vocabulary), logits.begin() + static_cast<long>((row + 1) * vocabulary));
            emulated::Alone<256, true> alone(own.data(), static_cast<uint32_t>(vocabulary));
            ASSERT_EQ(tokens[row], emulated::sample(alone, own.data(), static_cast<uint32_t>(vocabulary), rows[row]))
                << "row " << row << " of " << rows.size() << ", " << testing::describe(rows[row], own);
        }
    }
};

TEST_F(CudaSampler, SamplesTheTokensOfTheHost) {
    SampledRows random(3);
    const uint32_t counts[] = {1, 1, 2, 5, 33, 40, 64, 100, 140, 300};
    for (int i = 0; i < 120; ++i) {
        const uint32_t most = i % 30 == 0 ? 151936 : i % 3 == 0 ? 20000 : 1500;
        const uint32_t vocabulary = i == 30 ? 151936 : 7 + random.below(most - 6);
        const uint32_t count = most == 151936 ? 1 + random.below(12) : counts[random.below(10)];
        std::vector<float> logits;
        std::vector<intarsia_sampling> rows;
        for (uint32_t row = 0; row < count; ++row) {
            const std::vector<float> own = random.logits(vocabulary);
            logits.insert(logits.end(), own.begin(), own.end());
            rows.push_back(random.parameters(vocabulary));
        }
        ASSERT_NO_FATAL_FAILURE(compare(logits, rows));
    }
}

TEST_F(CudaSampler, SumsInOrderWhatRoundingLeavesOpen) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
        const auto [logits, row] = testing::drawn_on_the_edge(seed);
        compare(logits, {row});
    }
    for (const uint32_t equal : {64u, 100000u}) {
        std::vector<float> logits(equal + 1, 1);
        logits[equal] = -40;
        compare(logits, {testing::sampling(1, 0, 0.5f)});
    }
}

TEST_F(CudaSampler, Times) {
    constexpr uint32_t kVocabulary = 151936, kMost = 256;
    SampledRows random(4);
    std::printf("microseconds for vocabulary %u: all, of which reading at 4.2 TB/s is\n", kVocabulary);
    std::printf("  rows  floor  greedy  temp 1  top_k 50  top_p .9  k 50 p .9  min_p .05\n");
    for (const float spread : {1.0f, 4.0f}) {
        std::vector<float> logits(uint64_t{kMost} * kVocabulary);
        for (float &v : logits) v = spread * 1.73f * (random.unit() + random.unit() + random.unit() + random.unit() - 2) * 2;
        for (const uint32_t rows : {1u, 8u, 64u, 256u}) {
            const std::vector<float> part(logits.begin(), logits.begin() + static_cast<long>(uint64_t{rows} * kVocabulary));
            std::vector<intarsia_sampling> kinds(6, testing::sampling(1, 0, 1));
            kinds[2].top_k = kinds[4].top_k = 50;
            kinds[3].top_p = kinds[4].top_p = 0.9f;
            kinds[5].min_p = 0.05f;
            std::printf("%6u %6.1f", rows, rows * kVocabulary * 4 / 4.2e6);
            for (int kind = 0; kind < 6; ++kind) {
                std::vector<intarsia_sampling> each(rows, kinds[kind]);
                for (uint32_t row = 0; row < rows; ++row) each[row].seed = row;
                Sampled sampled(part, each);
                if (kind == 0) sampled.plain();
                std::printf(" %8.1f", microseconds(4, [&](uint32_t) { sampled.sample(context); }));
            }
            std::printf("\n");
        }
    }
}

} // namespace
} // namespace intarsia::test
