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
    Sampled(const std::vector<float> &logits, const std::vector<intarsia_sampling> &rows, const std::vector<uint32_t> &edits = {0})
        : logits_(logits), sampling_(rows), edits_(edits), tokens_(rows.size()), turn_(std::vector<GpuTurn>{{1, 1, edits_.data()}}), rows_(static_cast<uint32_t>(rows.size())) {
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

    void plain() { turn_.set({{1, 0, nullptr}}); }

private:
    OnDevice<float> logits_;
    OnDevice<intarsia_sampling> sampling_;
    OnDevice<uint32_t> edits_;
    OnDevice<int32_t> tokens_;
    OnDevice<GpuTurn> turn_;
    uint64_t *ring_ = nullptr;
    uint32_t rows_;
};

class CudaSampler : public CudaTest {
protected:
    void compare(const std::vector<float> &logits, const std::vector<intarsia_sampling> &rows, const std::vector<uint32_t> &edits = {0}) {
        Sampled sampled(logits, rows, edits);
        sampled.sample(context);
        finish();
        const std::vector<uint32_t> tokens = sampled.tokens();
        const auto vocabulary = static_cast<uint32_t>(logits.size() / rows.size());
        for (size_t row = 0; row < rows.size(); ++row) {
            const float *own = logits.data() + row * vocabulary;
            emulated::Alone<256, true> alone(own, vocabulary);
            std::vector<float> edited(vocabulary);
            const uint32_t expected = rows[row].state == 0
                                          ? emulated::sample(alone, own, vocabulary, rows[row])
                                          : emulated::sample_edited(alone, rows[row], vocabulary, edits.data() + rows[row].target, own, edited.data());
            ASSERT_EQ(tokens[row], expected) << "row " << row << " of " << rows.size() << (rows[row].state != 0 ? ", edited, " : ", ")
                                             << testing::describe(rows[row], {own, own + vocabulary});
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
        std::vector<uint32_t> edits;
        uint32_t states = 0;
        for (uint32_t row = 0; row < count; ++row) {
            const std::vector<float> own = random.logits(vocabulary);
            logits.insert(logits.end(), own.begin(), own.end());
            rows.push_back(random.parameters(vocabulary));
            rows.back().target = static_cast<uint32_t>(edits.size());
            if (i % 2 != 0 && random.below(2) == 0) {
                rows.back().state = ++states;
                random.edits(vocabulary, edits);
            }
        }
        edits.push_back(0);
        ASSERT_NO_FATAL_FAILURE(compare(logits, rows, edits));
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
    std::printf("  rows  floor   greedy   temp 1 top_k 50 top_p .9 k50 p.9  min_p .05 edited p .9\n");
    for (const float spread : {1.0f, 4.0f}) {
        std::vector<float> logits(uint64_t{kMost} * kVocabulary);
        for (float &v : logits) v = spread * 1.73f * (random.unit() + random.unit() + random.unit() + random.unit() - 2) * 2;
        for (const uint32_t rows : {1u, 8u, 64u, 256u}) {
            const std::vector<float> part(logits.begin(), logits.begin() + static_cast<long>(uint64_t{rows} * kVocabulary));
            std::vector<intarsia_sampling> kinds(7, testing::sampling(1, 0, 1));
            kinds[2].top_k = kinds[4].top_k = 50;
            kinds[3].top_p = kinds[4].top_p = kinds[6].top_p = 0.9f;
            kinds[5].min_p = 0.05f;
            std::printf("%6u %6.1f", rows, rows * kVocabulary * 4 / 4.2e6);
            for (int kind = 0; kind < 7; ++kind) {
                std::vector<intarsia_sampling> each(rows, kinds[kind]);
                std::vector<uint32_t> edits;
                for (uint32_t row = 0; row < rows; ++row) {
                    each[row].seed = row;
                    each[row].target = static_cast<uint32_t>(edits.size());
                    each[row].state = kind == 6 ? 1 + row : 0;
                    random.edits(kVocabulary, edits);
                }
                Sampled sampled(part, each, edits);
                if (kind == 0) sampled.plain();
                std::printf(" %8.1f", microseconds(4, [&](uint32_t) { sampled.sample(context); }));
            }
            std::printf("\n");
        }
    }
}

} // namespace
} // namespace intarsia::test
