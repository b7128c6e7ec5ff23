// What processors of compute capability 9.0 and later have: barriers in shared memory that count bytes, copies of whole stretches by the copy engine, and
// clusters of blocks that write to each other's shared memory. On earlier ones kernels with these are never launched.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/context.h"

namespace intarsia::cuda {

inline bool has_bulk(const Context &context) {
    int major = 0;
    return cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, context.device) == cudaSuccess && major >= 9;
}

// How many clusters of so many blocks the device holds at once; 0 if it has no such.
template <typename... Parameters> uint32_t clusters_at_once(void (*kernel)(Parameters...), uint32_t cluster, uint32_t threads, uint32_t shared_bytes) {
    cudaLaunchAttribute attribute{};
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim = {cluster, 1, 1};
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(cluster);
    config.blockDim = dim3(threads);
    config.dynamicSmemBytes = shared_bytes;
    config.attrs = &attribute;
    config.numAttrs = 1;
    int count = 0;
    if (cudaOccupancyMaxActiveClusters(&count, kernel, &config) == cudaSuccess && count > 0) return static_cast<uint32_t>(count);
    cudaGetLastError();
    return 0;
}

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900

namespace bulk {

// A barrier's phase ends when `count` have arrived and all bytes expected have come.
__device__ inline void make_barrier(uint32_t barrier, uint32_t count) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(count) : "memory");
}
// Barriers just made are seen by the copy engine and by the other blocks of the cluster.
__device__ inline void barriers_made() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
__device__ inline void arrive_expecting(uint32_t barrier, uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}
// Until the phase of this parity has ended.
__device__ inline void wait(uint32_t barrier, uint32_t parity) {
    uint32_t ended;
    do {
        asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}"
                     : "=r"(ended)
                     : "r"(barrier), "r"(parity)
                     : "memory");
    } while (ended == 0);
}
// `bytes`, a multiple of 16, to shared memory; both addresses are multiples of 16. What is read once is the first to leave the second-level cache, so that what is
// used again, code not least, stays.
__device__ inline void copy_once(uint32_t to, const void *from, uint32_t bytes, uint32_t barrier) {
    asm volatile("{\n.reg .b64 first;\ncreatepolicy.fractional.L2::evict_first.b64 first, 1.0;\n"
                 "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], first;\n}" ::"r"(to),
                 "l"(from), "r"(bytes), "r"(barrier)
                 : "memory");
}

// All threads of all blocks of the cluster arrive; what they wrote before is seen by those that wait. One may leave without waiting.
__device__ inline void cluster_arrive() { asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory"); }
__device__ inline void cluster_wait() { asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory"); }
// Two floats to where `shared` lies in another block of the cluster.
__device__ inline void store_at(uint32_t shared, uint32_t rank, float2 v) {
    asm volatile("{\n.reg .b32 there;\nmapa.shared::cluster.u32 there, %0, %1;\nst.shared::cluster.v2.f32 [there], {%2, %3};\n}" ::"r"(shared), "r"(rank),
                 "f"(v.x), "f"(v.y)
                 : "memory");
}

} // namespace bulk

#endif

} // namespace intarsia::cuda
