// An opened device: the context of the kernels, its pool of memory and what carries a step's inputs to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "cuda/blas.h"
#include "cuda/context.h"
#include "runtime/gpu_plugin.h"

namespace intarsia {

// Named by the plug-in's table.
struct GpuContext : cuda::Context {
    // Host memory that is copied from without the host waiting; each slot is free again when its event has passed.
    struct Slot {
        std::byte *data = nullptr;
        uint64_t bytes = 0;
        cudaEvent_t done = nullptr;
    };

    GpuContext(int ordinal, bool deterministic, uint64_t memory);
    ~GpuContext() { close(); }
    GpuContext(const GpuContext &) = delete;
    GpuContext &operator=(const GpuContext &) = delete;

    void *allocate(uint64_t bytes, const char *what);
    void release(void *memory);
    // The next slot of a ring, of at least so many bytes, once the device has done with it.
    Slot &next(Slot (&ring)[4], uint32_t &turn, uint64_t bytes);

    cudaMemPool_t pool = nullptr;
    uint64_t limit = 0, used = 0; // bytes of the pool
    std::unordered_map<void *, uint64_t> sizes;
    Slot stages[4] = {}, uploads[4] = {};
    uint32_t stage_turn = 0, upload_turn = 0;
    std::string no_blas; // why there is no cuBLASLt

private:
    void close();
};

struct GpuRecording {
    cudaGraphExec_t graph;
};

namespace cuda {

// What the plug-in does on an opened device; each fails by throwing an Error.
void upload(GpuContext &context, void *to, const void *from, uint64_t bytes);
void stage(GpuContext &context, const GpuSegment *segments, uint32_t count);
bool done(GpuContext &context);
void wait(GpuContext &context);
void run(GpuContext &context, const KernelArgs *calls, uint32_t count);
void publish(const Context &context, const GpuArgmax &chosen); // after launch_argmax: samples, and tells the host
void argmax(GpuContext &context, const GpuArgmax &argmax);
GpuRecording *record(GpuContext &context, const KernelArgs *calls, uint32_t count, const GpuArgmax *argmax);
void profile(GpuContext &context, const KernelArgs *calls, uint32_t count, const GpuArgmax *argmax, uint64_t *nanoseconds);
double measure_read(GpuContext &context, uint64_t bytes);
std::string measure(GpuContext &context, const KernelArgs *calls, uint32_t count);
void adopt(GpuContext &context, const char *choices);

} // namespace cuda
} // namespace intarsia
