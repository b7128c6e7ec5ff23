// The sum of an RMS norm: one definition for the kernel of its own, for heads and for the prologue of linear ops.
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

// The same of a group of 16 * FOURS elements by 4 threads that lie together, thread c of which has elements 16 j + 4 c .. 16 j + 4 c + 4 as x[j].
template <uint32_t FOURS> __device__ inline float inverse_rms4(const float4 (&x)[FOURS], float eps) {
    float4 s = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
#pragma unroll
    for (uint32_t j = 0; j < FOURS; j++) {
        s.x = __fmaf_rn(x[j].x, x[j].x, s.x);
        s.y = __fmaf_rn(x[j].y, x[j].y, s.y);
        s.z = __fmaf_rn(x[j].z, x[j].z, s.z);
        s.w = __fmaf_rn(x[j].w, x[j].w, s.w);
    }
#pragma unroll
    for (uint32_t step = 2; step > 0; step /= 2) { // lanes (l, l + 8), then (l, l + 4)
        s.x = __fadd_rn(s.x, __shfl_xor_sync(0xFFFFFFFFu, s.x, step));
        s.y = __fadd_rn(s.y, __shfl_xor_sync(0xFFFFFFFFu, s.y, step));
        s.z = __fadd_rn(s.z, __shfl_xor_sync(0xFFFFFFFFu, s.z, step));
        s.w = __fadd_rn(s.w, __shfl_xor_sync(0xFFFFFFFFu, s.w, step));
    }
    const float squares = __fadd_rn(__fadd_rn(s.x, s.z), __fadd_rn(s.y, s.w));
    return __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(__fdiv_rn(squares, static_cast<float>(16 * FOURS)), eps)));
}

// One element of the result.
__device__ inline float normed(float x, float inverse, float weight) { return __fmul_rn(__fmul_rn(x, inverse), weight); }

} // namespace intarsia::cuda
