// A plug-in for a CUDA device that is none: its memory is the host's, its kernels are loops, and as on a device nothing that was asked for has
// happened before somebody waits for it. With it the host's side of CUDA devices is tested on machines without one.
//
// INTARSIA_EMULATED_FAULT=N of the environment: the N-th run or replay on the device that is opened first is a fault, which is found when the
// device is waited for.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <numeric>

#include "emulated_kernels.h"
#include "emulated_sampler.h"
#include "intarsia.h"
#include "intarsia_build.h"
#include "runtime/gpu_plugin.h"

namespace intarsia {

struct GpuRecording {
    std::vector<KernelArgs> calls;
    bool chooses;
    GpuArgmax choice;
};

struct GpuContext {
    uint64_t limit, used;
    std::map<void *, uint64_t> sizes;
    std::vector<std::function<void()>> asked;
    long faults_in; // runs until a fault, 0 = none
    bool broken;
};

namespace {

constexpr uint64_t kMemory = uint64_t{4} << 30;
uint64_t taken = 0; // by all contexts
uint32_t opened = 0;

int32_t say(char *message, int32_t status, const char *text) {
    std::strncpy(message, text, kGpuMessage - 1);
    message[kGpuMessage - 1] = 0;
    return status;
}

int32_t broken(char *message) { return say(message, INTARSIA_DEVICE_FAULT, "CUDA, running a step: an illegal memory access was emulated"); }

void choose(const GpuArgmax &a) {
    for (uint32_t row = 0; row < a.rows; row++) {
        const float *logits = a.logits + uint64_t{row} * a.vocabulary;
        uint32_t token = emulated::largest(logits, a.vocabulary);
        if (a.turn->samples != 0) {
            const intarsia_sampling &sampling = a.sampling[row];
            emulated::Alone<> alone(logits, a.vocabulary);
            std::vector<float> edited(a.vocabulary);
            token = sampling.state == 0 ? emulated::sample(alone, logits, a.vocabulary, sampling)
                                        : emulated::sample_edited(alone, sampling, a.vocabulary, a.turn->edits + sampling.target, logits, edited.data());
        }
        a.tokens[row] = static_cast<int32_t>(token);
        std::atomic_ref(a.ring[uint64_t{a.turn->turn % kGpuTurns} * a.ring_rows + row]).store(uint64_t{a.turn->turn} << 32 | token, std::memory_order_release);
    }
}

void launch_all(const std::vector<KernelArgs> &calls) {
    for (const KernelArgs &call : calls) std::visit([](const auto &args) { emulated::launch(args); }, call);
}

void ask(GpuContext *context, std::function<void()> work) {
    if (context->faults_in != 0 && --context->faults_in == 0)
        context->asked.emplace_back([context] { context->broken = true; });
    context->asked.push_back(std::move(work));
}

int32_t count(uint32_t *out, char *) {
    *out = 1;
    return 0;
}

int32_t query(uint32_t, GpuInfo *out, char *) {
    *out = {"Emulated", 9, 0, 1, kMemory, kMemory - taken};
    return 0;
}

int32_t open(uint32_t, uint32_t, uint64_t memory, GpuContext **out, char *) {
    const char *fault = std::getenv("INTARSIA_EMULATED_FAULT");
    const uint64_t limit = memory == 0 ? (kMemory - taken) / 10 * 9 : memory;
    *out = new GpuContext{limit, 0, {}, {}, fault != nullptr && opened == 0 ? std::atol(fault) : 0, false};
    opened++;
    return 0;
}

void release(GpuContext *context, void *memory) {
    const auto found = context->sizes.find(memory);
    if (found == context->sizes.end()) return;
    context->used -= found->second;
    taken -= found->second;
    context->sizes.erase(found);
    context->asked.emplace_back([memory] { std::free(memory); });
}

int32_t wait(GpuContext *context, char *message) {
    std::vector<std::function<void()>> work;
    work.swap(context->asked);
    for (const auto &each : work) {
        if (context->broken) return broken(message);
        each();
    }
    return context->broken ? broken(message) : 0;
}

// What is asked about gets done: there is no other moment for it.
int32_t ask_done(GpuContext *context, uint32_t *done, char *message) {
    *done = 1;
    return wait(context, message);
}

void close(GpuContext *context) {
    char ignored[kGpuMessage];
    wait(context, ignored);
    while (!context->sizes.empty()) release(context, context->sizes.begin()->first);
    context->broken = false;
    wait(context, ignored);
    delete context;
}

int32_t allocate(GpuContext *context, uint64_t bytes, const char *what, void **out, char *message) {
    void *memory = bytes > context->limit - context->used ? nullptr : std::aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (memory == nullptr) return say(message, INTARSIA_OUT_OF_MEMORY, (std::string("no device memory for ") + what).c_str());
    std::memset(memory, 0xFF, bytes); // NaN
    context->sizes[memory] = bytes;
    context->used += bytes;
    taken += bytes;
    *out = memory;
    return 0;
}

int32_t pin(GpuContext *, uint64_t bytes, void **out, char *message) {
    *out = std::calloc(1, std::max<uint64_t>(bytes, 64));
    return *out == nullptr ? say(message, INTARSIA_OUT_OF_MEMORY, "no memory to pin") : 0;
}

void unpin(GpuContext *, void *memory) { std::free(memory); }

int32_t upload(GpuContext *context, void *to, const void *from, uint64_t bytes, char *) {
    const auto *begin = static_cast<const std::byte *>(from);
    context->asked.emplace_back([to, kept = std::vector<std::byte>(begin, begin + bytes)] { std::memcpy(to, kept.data(), kept.size()); });
    return 0;
}

int32_t stage(GpuContext *context, const GpuSegment *segments, uint32_t count, char *message) {
    for (uint32_t i = 0; i < count; i++) {
        upload(context, segments[i].to, segments[i].from, segments[i].bytes, message);
        if (segments[i].earlier == nullptr) continue;
        context->asked.emplace_back([segment = segments[i]] {
            auto *words = static_cast<int32_t *>(segment.to);
            for (uint64_t w = 0; w < segment.bytes / 4; w++)
                if (words[w] < 0) words[w] = segment.earlier[-1 - words[w]];
        });
    }
    return 0;
}

int32_t download(GpuContext *context, void *to, const void *from, uint64_t bytes, char *message) {
    const int32_t status = wait(context, message);
    if (status == 0) std::memcpy(to, from, bytes);
    return status;
}

int32_t run(GpuContext *context, const KernelArgs *calls, uint32_t count, char *) {
    ask(context, [kept = std::vector<KernelArgs>(calls, calls + count)] { launch_all(kept); });
    return 0;
}

int32_t argmax(GpuContext *context, const GpuArgmax *argmax, char *) {
    context->asked.emplace_back([kept = *argmax] { choose(kept); });
    return 0;
}

int32_t record(GpuContext *, const KernelArgs *calls, uint32_t count, const GpuArgmax *argmax, GpuRecording **out, char *) {
    *out = new GpuRecording{{calls, calls + count}, argmax != nullptr, argmax == nullptr ? GpuArgmax{} : *argmax};
    return 0;
}

void discard(GpuContext *context, GpuRecording *recording) {
    char ignored[kGpuMessage];
    wait(context, ignored);
    delete recording;
}

int32_t replay(GpuContext *context, GpuRecording *recording, char *) {
    ask(context, [recording] {
        launch_all(recording->calls);
        if (recording->chooses) choose(recording->choice);
    });
    return 0;
}

int32_t profile(GpuContext *context, const KernelArgs *calls, uint32_t count, const GpuArgmax *argmax, uint64_t *nanoseconds, char *message) {
    const int32_t status = wait(context, message);
    if (status != 0) return status;
    const auto timed = [](auto work) {
        const auto start = std::chrono::steady_clock::now();
        work();
        return static_cast<uint64_t>((std::chrono::steady_clock::now() - start).count());
    };
    for (uint32_t i = 0; i < count; i++)
        nanoseconds[i] = timed([&] { std::visit([](const auto &args) { emulated::launch(args); }, calls[i]); });
    if (argmax != nullptr) nanoseconds[count] = timed([&] { choose(*argmax); });
    return 0;
}

// The fastest of some runs: the machine may have other work.
int32_t measure_read(GpuContext *, uint64_t bytes, double *bytes_per_second, char *) {
    const std::vector<uint64_t> memory(bytes / 8, 1);
    *bytes_per_second = 0;
    for (int run = 0; run < 5; run++) {
        const auto start = std::chrono::steady_clock::now();
        const uint64_t sum = std::accumulate(memory.begin(), memory.end(), uint64_t{0});
        const std::chrono::duration<double> taken_seconds = std::chrono::steady_clock::now() - start;
        *bytes_per_second = std::max(*bytes_per_second, static_cast<double>(sum * 8) / taken_seconds.count());
    }
    return 0;
}

int32_t measure(GpuContext *, const KernelArgs *calls, uint32_t count, char *choices, uint64_t capacity, uint64_t *needed, char *) {
    std::string lines = "emulated\n";
    for (uint32_t i = 0; i < count; i++)
        if (const auto *linear = std::get_if<cpu::LinearArgs>(&calls[i]))
            lines += std::to_string(linear->n) + " rows of " + std::to_string(linear->parts[0].weight.k) + "\n";
    *needed = lines.size() + 1;
    if (capacity >= *needed) std::memcpy(choices, lines.c_str(), *needed);
    return 0;
}

int32_t adopt(GpuContext *, const char *choices, char *message) {
    return std::strncmp(choices, "emulated\n", 9) == 0 ? 0 : say(message, INTARSIA_INVALID_ARGUMENT, "choices of another device");
}

constexpr GpuPlugin kPlugin = {kGpuPluginVersion, sizeof(KernelArgs), INTARSIA_BUILD_ID, count,  query, open,  close,    allocate, release,
                               pin,               unpin,              upload,            stage,  download, run, argmax,  wait,     ask_done,
                               record,            discard,            replay,            profile, measure_read, measure, adopt};

} // namespace
} // namespace intarsia

extern "C" __attribute__((visibility("default"))) const intarsia::GpuPlugin *intarsia_cuda_plugin();
extern "C" const intarsia::GpuPlugin *intarsia_cuda_plugin() { return &intarsia::kPlugin; }
