#include "runtime/run.h"

#include <atomic>
#include <chrono>

namespace intarsia {

namespace {

struct Run {
    const cpu::Kernels &kernels;
    Team &team;
    const KernelArgs *calls;
    size_t count;
    SampleJob *sample;
    uint64_t *nanoseconds;
};

struct Invoke {
    const cpu::Kernels &kernels;
    cpu::Share share;
    void operator()(const cpu::EmbeddingArgs &a) const { kernels.embedding(a, share); }
    void operator()(const cpu::NormArgs &a) const { kernels.norm(a, share); }
    void operator()(const cpu::LinearArgs &a) const { kernels.linear(a, share); }
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
        sample_row(job, row, scratch);
}

// Times each call where that is wanted; the slowest member's time is kept.
template <typename Body> void timed(uint64_t *slowest, Body &&body) {
    if (slowest == nullptr) return body();
    const auto start = std::chrono::steady_clock::now();
    body();
    const auto taken = static_cast<uint64_t>((std::chrono::steady_clock::now() - start).count());
    std::atomic_ref<uint64_t> kept(*slowest);
    for (uint64_t seen = kept.load(); seen < taken && !kept.compare_exchange_weak(seen, taken);) {}
}

void run_member(void *context, uint32_t member) {
    const Run &run = *static_cast<Run *>(context);
    const cpu::Share share{member, run.team.threads()};
    const Invoke invoke{run.kernels, share};
    for (size_t i = 0; i < run.count; i++) {
        if (i != 0) run.team.barrier();
        timed(run.nanoseconds == nullptr ? nullptr : run.nanoseconds + i, [&] { std::visit(invoke, run.calls[i]); });
    }
    if (run.sample != nullptr) {
        if (run.count != 0) run.team.barrier();
        timed(run.nanoseconds == nullptr ? nullptr : run.nanoseconds + run.count, [&] { sample_share(*run.sample, share); });
    }
}

} // namespace

void run_calls(Device &device, const KernelArgs *calls, size_t count, SampleJob *sample, uint64_t *nanoseconds) {
    Run run{device.kernels(), device.team(), calls, count, sample, nanoseconds};
    if (count == 0 && sample != nullptr && sample->rows == 1) { // nothing to share: the others stay asleep
        const FloatMode mode;
        sample_share(*sample, {0, 1});
    } else {
        device.team().run(run_member, &run);
    }
}

} // namespace intarsia
