// What the kernels share: elements of either storage, sums over a warp, norms.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "cpu/args.h"

namespace intarsia::cuda {

constexpr uint32_t kWarp = 32;

__device__ inline float widen(float value) { return value; }
__device__ inline float widen(__nv_bfloat16 value) { return __bfloat162float(value); }

// Element `at` of a matrix of either storage.
__device__ inline void put(void *data, cpu::Storage storage, uint64_t at, float value) {
    if (storage == cpu::Storage::F32) static_cast<float *>(data)[at] = value;
    else static_cast<__nv_bfloat16 *>(data)[at] = __float2bfloat16_rn(value);
}

// Elements `at`, which is even, and the next.
__device__ inline void put2(void *data, cpu::Storage storage, uint64_t at, float value, float next) {
    if (storage == cpu::Storage::F32) *reinterpret_cast<float2 *>(static_cast<float *>(data) + at) = {value, next};
    else *reinterpret_cast<__nv_bfloat162 *>(static_cast<__nv_bfloat16 *>(data) + at) = __floats2bfloat162_rn(value, next);
}

// The element that pads an odd row of bf16 is zero.
__device__ inline void put_padding(void *data, cpu::Storage storage, uint64_t row, uint32_t width) {
    if (storage == cpu::Storage::BF16 && width % 2 != 0) static_cast<__nv_bfloat16 *>(data)[row * (width + 1) + width] = __float2bfloat16_rn(0.0f);
}

// The same in every lane, always added in the same tree.
__device__ inline float warp_sum(float value) {
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(0xFFFFFFFFu, value, offset);
    return value;
}

__device__ inline float warp_max(float value) {
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) value = fmaxf(value, __shfl_xor_sync(0xFFFFFFFFu, value, offset));
    return value;
}

// 1 / sqrt(mean(x^2) + eps), by one warp: lane l takes elements 4 l .. 4 l + 3 of each 128, by fma in rising order, then a tree.
__device__ inline float inverse_rms(const float *x, uint32_t count, float eps, uint32_t lane) {
    float sum = 0;
    if (count % 4 == 0) {
        for (uint32_t i = lane * 4; i < count; i += 4 * kWarp) {
            const float4 v = *reinterpret_cast<const float4 *>(x + i);
            sum = fmaf(v.x, v.x, sum);
            sum = fmaf(v.y, v.y, sum);
            sum = fmaf(v.z, v.z, sum);
            sum = fmaf(v.w, v.w, sum);
        }
    } else {
        for (uint32_t i = lane; i < count; i += kWarp) sum = fmaf(x[i], x[i], sum);
    }
    return 1.0f / sqrtf(warp_sum(sum) / static_cast<float>(count) + eps);
}

// silu(gate) * up
__device__ inline float silu_mul(float gate, float up) { return gate / (1.0f + expf(-gate)) * up; }

} // namespace intarsia::cuda
