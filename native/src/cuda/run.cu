// Kernel calls: one by one, or captured in a graph that is launched as a whole.
#include <memory>

#include "cuda/kernels.h"
#include "cuda/opened.h"
#include "runtime/error.h"
#include "runtime/relax.h"

namespace intarsia::cuda {

namespace {

// Enqueues call i, together with those after it that the same kernels do; answers how many.
uint32_t enqueue(const Context &context, const KernelArgs *calls, uint32_t i, uint32_t count) {
    if (const uint32_t together = launch_together(context, calls + i, count - i); together != 0) return together;
    if (const auto *norm = std::get_if<cpu::NormArgs>(&calls[i]); norm != nullptr && norm->passing && i + 1 < count) {
        const auto *linear = std::get_if<cpu::LinearArgs>(&calls[i + 1]);
        if (linear != nullptr && linear->x == norm->out && can_launch(context, *norm, *linear)) {
            const auto *qkv = i + 2 < count ? std::get_if<cpu::QkvArgs>(&calls[i + 2]) : nullptr;
            if (qkv != nullptr && can_launch(context, *norm, *linear, *qkv)) {
                launch(context, *norm, *linear, *qkv);
                return 3;
            }
            launch(context, *norm, *linear);
            return 2;
        }
    }
    std::visit([&](const auto &args) { launch(context, args); }, calls[i]);
    return 1;
}

void enqueue_all(const Context &context, const KernelArgs *calls, uint32_t count) {
    for (uint32_t i = 0; i < count;) i += enqueue(context, calls, i, count);
}

class Event {
public:
    Event() { check(cudaEventCreate(&event_), "making an event"); }
    ~Event() { cudaEventDestroy(event_); }
    Event(const Event &) = delete;
    Event &operator=(const Event &) = delete;
    operator cudaEvent_t() const { return event_; }

private:
    cudaEvent_t event_ = nullptr;
};

} // namespace

void run(GpuContext &context, const KernelArgs *calls, uint32_t count) { enqueue_all(context, calls, count); }

void argmax(GpuContext &context, const GpuArgmax &argmax) {
    launch_argmax(context, argmax.logits, argmax.rows, argmax.vocabulary, argmax.tokens);
    publish(context, argmax);
}

bool done(GpuContext &context) {
    const cudaError_t state = cudaStreamQuery(context.stream);
    if (state != cudaSuccess && state != cudaErrorNotReady) check(state, "running a step");
    return state == cudaSuccess;
}

// A step takes about as long as waking a thread does, so that waiting is asking.
void wait(GpuContext &context) {
    while (!done(context)) relax();
}

GpuRecording *record(GpuContext &context, const KernelArgs *calls, uint32_t count, const GpuArgmax *choice) {
    for (uint32_t i = 0; i < count;) {
        const uint32_t together = launch_together(context, calls + i, count - i, true);
        if (const auto *linear = std::get_if<cpu::LinearArgs>(&calls[i]); linear != nullptr && together == 0) prepare(context, *linear);
        i += together != 0 ? together : 1;
    }
    auto recording = std::make_unique<GpuRecording>();
    cudaGraph_t graph = nullptr;
    check(cudaStreamBeginCapture(context.stream, cudaStreamCaptureModeRelaxed), "beginning a recording");
    try {
        enqueue_all(context, calls, count);
        if (choice != nullptr) argmax(context, *choice);
    } catch (...) {
        cudaStreamEndCapture(context.stream, &graph);
        if (graph != nullptr) cudaGraphDestroy(graph);
        cudaGetLastError();
        throw;
    }
    check(cudaStreamEndCapture(context.stream, &graph), "ending a recording");
    const cudaError_t made = cudaGraphInstantiate(&recording->graph, graph, 0);
    cudaGraphDestroy(graph);
    check(made, "making a recording ready");
    check(cudaGraphUpload(recording->graph, context.stream), "making a recording ready");
    return recording.release();
}

void profile(GpuContext &context, const KernelArgs *calls, uint32_t count, const GpuArgmax *choice, uint64_t *nanoseconds) {
    const Event from, to;
    const auto timed = [&](uint64_t *out, auto &&body) {
        check(cudaEventRecord(from, context.stream), "timing");
        body();
        check(cudaEventRecord(to, context.stream), "timing");
        check(cudaEventSynchronize(to), "timing");
        float milliseconds = 0;
        check(cudaEventElapsedTime(&milliseconds, from, to), "timing");
        *out = static_cast<uint64_t>(milliseconds * 1e6f);
    };
    for (uint32_t i = 0; i < count;) {
        uint32_t done = 0;
        uint64_t taken = 0;
        timed(&taken, [&] { done = enqueue(context, calls, i, count); });
        for (uint32_t k = 0; k < done; k++) nanoseconds[i + k] = k + 1 == done ? taken : 0;
        i += done;
    }
    if (choice != nullptr) timed(nanoseconds + count, [&] { argmax(context, *choice); });
}

} // namespace intarsia::cuda
