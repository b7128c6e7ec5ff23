// What the two kernels of products by groups of warps share (linear_split.cu, linear_many.cu).
#pragma once

#include <cuda.h>

#include "cuda/heads.h"
#include "cuda/hopper.h"
#include "cuda/kernels.h"
#include "cuda/linear.h"
#include "cuda/rows.h"

namespace intarsia::cuda {

constexpr uint32_t kBlock = 64;     // inputs of a stage: rows of 128 bytes
constexpr uint32_t kRowBytes = 128;
constexpr uint32_t kManyRows = 128; // of a block of linear_many.cu

// Boxes of 64 inputs by some rows.
struct Maps {
    CUtensorMap x, weights[3];
};
Maps maps_of(const cpu::LinearArgs &args, uint32_t rows_box, uint32_t weights_box);

// Tiles of so many outputs, all parts together; those of SILU_MUL have halves of gate and of up.
uint32_t across_of(const cpu::LinearArgs &args, uint32_t outputs);

void launch_split(const Context &context, const cpu::LinearArgs &args, const Around &around, WgmmaShape shape);
void launch_many(const Context &context, const cpu::LinearArgs &args, const Around &around, WgmmaShape shape);

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

__device__ inline uint32_t aligned_shared() {
    extern __shared__ unsigned char shared[];
    return (shared_address(shared) + 1023) / 1024 * 1024;
}

// Waits for earlier kernels and lets the next start, which attention may do only after (attention.h); others have let it start by then.
__device__ inline void wait_for_earlier(const Around &around) {
    cuda::wait_for_earlier();
    if (around.attends) let_next_start();
}

// Products over the 64 inputs of a stage.
template <uint32_t Count> __device__ void multiply_stage(float (&d)[Count], uint32_t a, uint32_t b, bool add) {
    const uint64_t left = hopper::tile_of_rows(a), right = hopper::tile_of_rows(b);
#pragma unroll
    for (uint32_t i = 0; i < kBlock / 16; i++) hopper::multiply(d, left + i * hopper::kNextInputs, right + i * hopper::kNextInputs, i > 0 || add);
}

__device__ inline float fast_silu(float x) { return __fdividef(x, 1.0f + __expf(-x)); }

// Of a mean of squares.
__device__ inline float inverse_root(float sum, uint32_t count, float eps) { return __frsqrt_rn(__fdividef(sum, static_cast<float>(count)) + eps); }

__device__ inline const cpu::HeadsArgs &heads_of(const cpu::QkvArgs &args, uint32_t part) { return part == 0 ? args.q : args.k; }

// Where a head of a row goes, as bf16; null where nowhere. `part` is 0 for q, 1 for k, 2 for v; `slot` is the row's.
__device__ inline __nv_bfloat16 *place_of_head(const cpu::QkvArgs &args, uint32_t part, uint32_t row, uint32_t head, int32_t slot) {
    if (part < 2 && heads_of(args, part).out != nullptr)
        return static_cast<__nv_bfloat16 *>(heads_of(args, part).out) + (uint64_t{row} * heads_of(args, part).heads + head) * kWgmmaHead;
    return static_cast<__nv_bfloat16 *>(in_cache(part == 2 ? args.cache.values : args.cache.keys, args.cache, slot, head));
}

#endif

} // namespace intarsia::cuda
