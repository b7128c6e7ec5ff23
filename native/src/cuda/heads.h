// Where heads of q, k and v go once they are ready for attention.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "cpu/args.h"

namespace intarsia::cuda {

#if defined(__CUDACC__)

__device__ inline void *element(void *base, uint64_t at, bool narrow) { return static_cast<char *>(base) + at * (narrow ? 2 : 4); }

// A head of keys or values at a slot of a layer of the cache; null for a slot that stands for nothing.
__device__ inline void *in_cache(void *layer, const cpu::KvLayer &cache, int32_t slot, uint32_t head) {
    if (slot < 0) return nullptr;
    const uint64_t block = static_cast<uint32_t>(slot) / cpu::kBlock;
    const uint64_t at = ((block * cache.kv_heads + head) * cpu::kBlock + static_cast<uint32_t>(slot) % cpu::kBlock) * cache.head_dim;
    return element(layer, at, cache.storage == cpu::Storage::BF16);
}

#endif

} // namespace intarsia::cuda
