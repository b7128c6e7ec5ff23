// The sum of an RMS norm over 16 threads that lie together in a warp: one definition for the kernel of its own and for the prologue of linear ops.
#pragma once

#include <cstdint>

namespace intarsia::cuda {

// 1 / sqrt(mean(x^2) + eps) of x[count], the same for all 16 threads: lane l of 16 sums the squares of x[l], x[l + 16], ... by fma in rising order; then
// lanes are added pairwise (l, l + 8), (l, l + 4), (l, l + 2), (l, l + 1). All threads of the warp must call it, with the same count.
__device__ inline float inverse_rms16(const float *x, uint32_t count, float eps, uint32_t lane) {
    constexpr uint32_t kBatch = 16; // loads in flight; the next batch is on its way while one is summed
    float squares = 0.0f;
    uint32_t i = lane;
    if (count >= kBatch * 16) {
        float now[kBatch];
#pragma unroll
        for (uint32_t j = 0; j < kBatch; j++) now[j] = x[i + j * 16];
        for (i += kBatch * 16; i - lane + kBatch * 16 <= count; i += kBatch * 16) {
            float next[kBatch];
#pragma unroll
            for (uint32_t j = 0; j < kBatch; j++) next[j] = x[i + j * 16];
#pragma unroll
            for (uint32_t j = 0; j < kBatch; j++) squares = __fmaf_rn(now[j], now[j], squares);
#pragma unroll
            for (uint32_t j = 0; j < kBatch; j++) now[j] = next[j];
        }
#pragma unroll
        for (uint32_t j = 0; j < kBatch; j++) squares = __fmaf_rn(now[j], now[j], squares);
    }
    for (; i < count; i += 16) squares = __fmaf_rn(x[i], x[i], squares);
#pragma unroll
    for (uint32_t step = 8; step > 0; step /= 2) squares = __fadd_rn(squares, __shfl_xor_sync(0xFFFFFFFFu, squares, step));
    return __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(__fdiv_rn(squares, static_cast<float>(count)), eps)));
}

// One element of the result.
__device__ inline float normed(float x, float inverse, float weight) { return __fmul_rn(__fmul_rn(x, inverse), weight); }

} // namespace intarsia::cuda
