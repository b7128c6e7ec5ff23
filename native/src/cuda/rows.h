// Rows of values as kernels read and write them: f32 or bf16, one element or four at a time.
#pragma once

#include <cuda_bf16.h>

#include "cpu/args.h"
#include "cuda/context.h"

namespace intarsia::cuda {

constexpr uint32_t ceil_div(uint64_t a, uint32_t b) { return static_cast<uint32_t>((a + b - 1) / b); }

inline bool aligned(const void *address, uint32_t bytes) { return reinterpret_cast<uintptr_t>(address) % bytes == 0; }

#if defined(__CUDACC__)

// Two values rounded to bf16, the first in the lower half.
__device__ inline uint32_t pack_bf16(float a, float b) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(a, b);
    return *reinterpret_cast<const uint32_t *>(&pair);
}

__device__ inline float lower_bf16(uint32_t pair) { return __uint_as_float(pair << 16); }
__device__ inline float upper_bf16(uint32_t pair) { return __uint_as_float(pair & 0xFFFF0000u); }

// A matrix [n, width] that a kernel writes, in either storage.
struct Rows {
    void *data;
    uint32_t width;
    uint32_t step; // elements between rows
    bool narrow;   // bf16

    // Element i of a row; the last of an odd bf16 row also zeroes the padding.
    __device__ void put(uint32_t row, uint32_t i, float value) const {
        const uint64_t at = uint64_t{row} * step + i;
        if (!narrow) {
            static_cast<float *>(data)[at] = value;
            return;
        }
        __nv_bfloat16 *to = static_cast<__nv_bfloat16 *>(data) + at;
        *to = __float2bfloat16_rn(value);
        if (i + 1 == width && step > width) {
            to[1] = __float2bfloat16_rn(0.0f);
        }
    }

    // Elements i and i + 1, both even offsets and inside the row.
    __device__ void put2(uint32_t row, uint32_t i, float a, float b) const {
        const uint64_t at = uint64_t{row} * step + i;
        if (narrow) {
            reinterpret_cast<uint32_t *>(data)[at / 2] = pack_bf16(a, b);
        } else {
            reinterpret_cast<float2 *>(data)[at / 2] = make_float2(a, b);
        }
    }

    // Elements i .. i + 4 of rows whose width is a multiple of 4.
    __device__ void put4(uint32_t row, uint32_t i, float4 v) const {
        const uint64_t at = uint64_t{row} * step + i;
        if (narrow) {
            reinterpret_cast<uint2 *>(data)[at / 4] = make_uint2(pack_bf16(v.x, v.y), pack_bf16(v.z, v.w));
        } else {
            reinterpret_cast<float4 *>(data)[at / 4] = v;
        }
    }
};

inline Rows rows_of(void *data, uint32_t width, cpu::Storage storage) {
    return {data, width, cpu::stride(width, storage), storage == cpu::Storage::BF16};
}

#endif

} // namespace intarsia::cuda
