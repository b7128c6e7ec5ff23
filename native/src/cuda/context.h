// What every kernel launch needs: the device, its stream, scratch memory, and how kernels are chosen.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <utility>

namespace intarsia::cuda {

// Fails with INTARSIA_DEVICE_FAULT naming `what`, or with INTARSIA_OUT_OF_MEMORY, unless the call went well.
void check(cudaError_t error, const char *what);

struct Blas; // cuBLASLt, where it can be loaded

struct Context {
    int device;
    int multiprocessors;
    cudaStream_t stream;
    bool deterministic;      // only kernels whose bits do not depend on how a step was dispatched
    std::byte *scratch;      // device memory for the partial results within one call; 256-byte aligned
    uint64_t scratch_bytes;  // kScratch
    uint32_t *counters;      // device, kCounters of them, zero between kernels: who uses one resets it
    Blas *blas;              // null where there is no cuBLASLt
};

constexpr uint64_t kScratch = uint64_t{256} << 20;
constexpr uint32_t kCounters = 1 << 16;

// Launches with programmatic dependent launch: the kernel may start while the one before it still runs, and reads nothing that another kernel
// wrote, and writes nothing at all, before wait_for_earlier(). Blocks of a cluster, if there are more than one, lie next to each other in the grid's x.
template <typename... Parameters, typename... Arguments>
void launch_clusters(const Context &context, const char *name, void (*kernel)(Parameters...), dim3 grid, uint32_t cluster, dim3 block,
                     uint32_t shared_bytes, Arguments &&...arguments) {
    cudaLaunchAttribute attributes[2]{};
    attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[0].val.programmaticStreamSerializationAllowed = 1;
    attributes[1].id = cudaLaunchAttributeClusterDimension;
    attributes[1].val.clusterDim = {cluster, 1, 1};
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = context.stream;
    config.attrs = attributes;
    config.numAttrs = cluster > 1 ? 2 : 1;
    check(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...), name);
}

template <typename... Parameters, typename... Arguments>
void launch(const Context &context, const char *name, void (*kernel)(Parameters...), dim3 grid, dim3 block, uint32_t shared_bytes,
            Arguments &&...arguments) {
    launch_clusters(context, name, kernel, grid, 1, block, shared_bytes, std::forward<Arguments>(arguments)...);
}

#if defined(__CUDACC__)
// All that earlier kernels wrote is there to be read.
__device__ inline void wait_for_earlier() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// The next kernel may be started: its blocks take the place of those of this one that are done.
__device__ inline void let_next_start() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;");
#endif
}
#endif

} // namespace intarsia::cuda
