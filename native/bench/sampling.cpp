// How long it takes to sample a token from one row of 151,936 logits, on one thread: logits as a model's, normally distributed with a
// standard deviation of 3.
//
//   cmake -S native -B build -G Ninja -DINTARSIA_BENCH=ON && ninja -C build intarsia_sampling
//   build/intarsia_sampling [--rounds N]
//
// Every round samples every way once, so that what else the machine does meanwhile hits all alike; a line has the median and the least.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "runtime/sampler.h"
#include "runtime/team.h"

namespace intarsia {
namespace {

constexpr uint32_t kVocabulary = 151'936;
constexpr uint32_t kRows = 16; // taken in turn: 9.7 MB, more than a core's own cache

struct Way {
    const char *name;
    float temperature;
    float top_p;
    int32_t top_k;
    std::vector<double> times; // microseconds
};

// Normally distributed, by the method of Box and Muller on the sampler's own generator.
std::vector<float> make_logits() {
    std::vector<float> logits(uint64_t{kVocabulary} * kRows);
    for (uint64_t i = 0; i < logits.size(); ++i)
        logits[i] = static_cast<float>(3 * std::sqrt(-2 * std::log(1 - uniform(1, i))) * std::cos(6.283185307179586 * uniform(2, i)));
    return logits;
}

void measure(int rounds) {
    const std::vector<float> logits = make_logits();
    std::vector<Way> ways = {{"greedy", 0, 1, 0, {}},
                             {"temperature 1", 1, 1, 0, {}},
                             {"temperature 1, top_k 50", 1, 1, 50, {}},
                             {"temperature 1, top_p 0.9", 1, 0.9f, 0, {}},
                             {"temperature 1, top_k 50, top_p 0.9", 1, 0.9f, 50, {}}};
    SamplerScratch scratch;
    FloatMode mode;
    uint64_t sum = 0;
    for (int round = -1; round < rounds; ++round) { // the first does not count
        for (Way &way : ways) {
            const intarsia_sampling sampling{.temperature = way.temperature, .top_p = way.top_p, .top_k = way.top_k, .reserved = 0,
                                             .seed = 7, .position = static_cast<uint64_t>(round + 1), .min_p = 0, .logprobs = 0,
                                             .state = 0, .target = 0};
            const float *row = logits.data() + static_cast<uint64_t>(round + 1) % kRows * kVocabulary;
            const auto start = std::chrono::steady_clock::now();
            sum += sample(row, kVocabulary, sampling, scratch);
            const std::chrono::duration<double, std::micro> taken = std::chrono::steady_clock::now() - start;
            if (round >= 0) way.times.push_back(taken.count());
        }
    }
    std::printf("one row of %u logits, one thread, %d rounds, microseconds: median, least\n", kVocabulary, rounds);
    for (Way &way : ways) {
        std::sort(way.times.begin(), way.times.end());
        std::printf("%-36s %8.1f %8.1f\n", way.name, way.times[way.times.size() / 2], way.times.front());
    }
    std::printf("sum of the ids: %llu\n", static_cast<unsigned long long>(sum)); // the same on every machine
}

} // namespace
} // namespace intarsia

int main(int count, char **words) {
    int rounds = 400;
    if (count == 3 && std::strcmp(words[1], "--rounds") == 0) rounds = std::atoi(words[2]);
    else if (count != 1) rounds = 0;
    if (rounds < 1) {
        std::fprintf(stderr, "usage: intarsia_sampling [--rounds N], N >= 1\n");
        return 2;
    }
    intarsia::measure(rounds);
    return 0;
}
