#include "runtime/bandwidth.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "runtime/error.h"
#include "runtime/memory.h"

namespace intarsia {

namespace {

constexpr int kPasses = 5;
// A member reads as many streams side by side, which keeps more of the processor's prefetchers busy than one does.
constexpr uint64_t kStreams = 2;
constexpr uint64_t kLine = 64;

// Which vector registers does not matter, memory is slower than the smallest; but two lines of sums must fit in them.
using Lanes = uint64_t __attribute__((vector_size(16)));
constexpr uint64_t kLanes = kLine / sizeof(Lanes);

struct ReadJob {
    const std::byte *data;
    uint64_t lines; // of every stream
    uint32_t members;
    std::atomic<uint64_t> sum; // so that the loads are not optimized away
};

void fill(void *context, uint32_t member) {
    const auto &job = *static_cast<ReadJob *>(context);
    const uint64_t part = job.lines * kStreams * kLine;
    std::memset(const_cast<std::byte *>(job.data) + part * member, static_cast<int>(member + 1), part);
}

void read(void *context, uint32_t member) {
    auto &job = *static_cast<ReadJob *>(context);
    const auto *first = reinterpret_cast<const Lanes *>(job.data) + job.lines * kLanes * kStreams * member;
    const auto *second = first + job.lines * kLanes;
    Lanes sums[kStreams * kLanes] = {};
    for (uint64_t i = 0; i < job.lines * kLanes; i += kLanes) {
        for (uint64_t lane = 0; lane < kLanes; ++lane) {
            sums[lane] ^= first[i + lane];
            sums[kLanes + lane] ^= second[i + lane];
        }
    }
    uint64_t sum = 0;
    for (const Lanes &each : sums) sum ^= each[0] ^ each[1];
    job.sum.fetch_xor(sum, std::memory_order_relaxed);
}

} // namespace

double measure_read(Device &device, uint64_t bytes) {
    const uint64_t free = memory_state().free;
    if (free != 0 && bytes > free / 2)
        fail(INTARSIA_OUT_OF_MEMORY, "reading %llu bytes would take more than half of the %llu that are free",
             static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(free));
    const uint32_t members = device.team().threads();
    const Memory memory(bytes, "measuring reads");
    ReadJob job{memory.data(), bytes / (kLine * kStreams * members), members, {}};
    device.team().run(fill, &job);
    using Clock = std::chrono::steady_clock;
    double seconds[kPasses];
    for (double &pass : seconds) {
        const auto start = Clock::now();
        device.team().run(read, &job);
        pass = std::chrono::duration<double>(Clock::now() - start).count();
    }
    std::nth_element(seconds, seconds + kPasses / 2, seconds + kPasses);
    return static_cast<double>(job.lines * kStreams * kLine * members) / seconds[kPasses / 2];
}

} // namespace intarsia
