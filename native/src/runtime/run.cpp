#include "runtime/run.h"

#include <algorithm>
#include <atomic>
#include <chrono>

namespace intarsia {

namespace {

struct Run {
    Device &device;
    std::span<const KernelArgs> calls;
    std::span<const CallPlan> plan; // empty, or of each call
    SampleJob *sample;
    uint64_t *nanoseconds;
};

struct Invoke {
    const cpu::Kernels &kernels;
    cpu::Share share;
    const CallPlan &plan;
    void operator()(const cpu::EmbeddingArgs &a) const { kernels.embedding(a, share); }
    void operator()(const cpu::NormArgs &a) const { kernels.norm(a, share); }
    void operator()(const cpu::LinearArgs &a) const {
        if (!plan.own_row && !plan.by_head) return kernels.linear(a, share);
        kernels.linear(member_part(a, plan, share), plan.by_head ? cpu::Share{0, 1, share.scratch} : share);
    }
    void operator()(const cpu::RopeTableArgs &a) const { kernels.rope_table(a, share); }
    void operator()(const cpu::QkvArgs &a) const { kernels.qkv(a, share); }
    void operator()(const cpu::AttentionArgs &a) const { kernels.attention(a, share); }
    void operator()(const cpu::SiluMulArgs &a) const { kernels.silu_mul(a, share); }
    void operator()(const cpu::AddArgs &a) const { kernels.add(a, share); }
    void operator()(const cpu::SelectRowsArgs &a) const { kernels.select_rows(a, share); }
    void operator()(const cpu::RoundArgs &a) const { kernels.round(a, share); }
};

void sample_share(const SampleJob &job, cpu::Share share) {
    SamplerScratch &scratch = job.scratch[share.index];
    for (uint32_t row = share.index; row < job.rows; row += share.count)
        if (job.on_device == nullptr || job.on_device[row].reserved != 0) sample_row(job, row, scratch);
}

using Clock = std::chrono::steady_clock;

uint64_t nanoseconds_since(Clock::time_point start) { return static_cast<uint64_t>((Clock::now() - start).count()); }

// What an empty body is timed at.
uint64_t clock_cost() {
    static const uint64_t cost = [] {
        uint64_t least = UINT64_MAX;
        for (int i = 0; i < 64; i++) least = std::min(least, nanoseconds_since(Clock::now()));
        return least;
    }();
    return cost;
}

// Times each call where that is wanted; the slowest member's time is kept.
template <typename Body> void timed(uint64_t *slowest, Body &&body) {
    if (slowest == nullptr) return body();
    const auto start = Clock::now();
    body();
    const uint64_t all = nanoseconds_since(start);
    const uint64_t taken = all - std::min(all, clock_cost());
    std::atomic_ref<uint64_t> kept(*slowest);
    for (uint64_t seen = kept.load(); seen < taken && !kept.compare_exchange_weak(seen, taken);) {}
}

void run_member(void *context, uint32_t member) {
    const Run &run = *static_cast<Run *>(context);
    const cpu::Share share = run.device.share(member);
    const CallPlan alone;
    const size_t count = run.calls.size();
    const auto time_of = [&](size_t i) { return run.nanoseconds == nullptr ? nullptr : run.nanoseconds + i; };
    for (size_t i = 0; i < count; i++) {
        const CallPlan &plan = run.plan.empty() ? alone : run.plan[i];
        if (i != 0 && (plan.meets || run.nanoseconds != nullptr)) run.device.team().barrier();
        timed(time_of(i), [&] { std::visit(Invoke{run.device.kernels(), share, plan}, run.calls[i]); });
    }
    if (run.sample != nullptr) {
        if (count != 0) run.device.team().barrier();
        timed(time_of(count), [&] { sample_share(*run.sample, share); });
    }
}

} // namespace

void run_calls(Device &device, std::span<const KernelArgs> calls, std::span<const CallPlan> plan, SampleJob *sample, uint64_t *nanoseconds) {
    Run run{device, calls, plan, sample, nanoseconds};
    if (calls.empty() && sample != nullptr && sample->rows == 1) { // nothing to share: the others stay asleep
        const FloatMode mode;
        sample_share(*sample, {0, 1});
    } else {
        device.team().run(run_member, &run);
    }
}

} // namespace intarsia
