// The first largest of each row: parts of a row to a key each, the last of a row's parts to finish takes the largest key.
#include "cuda/kernels.h"
#include "cuda/rows.h"

namespace intarsia::cuda {
namespace {

constexpr uint32_t kThreads = 256;
constexpr uint32_t kMostParts = 128;

// Rising in the order (value rising, index falling). NaN is -infinity; -0 and denormals are 0.
struct Best {
    float value = -INFINITY;
    uint32_t index = 0xFFFFFFFFu;

    __device__ void see(float v, uint32_t i) {
        asm("add.ftz.f32 %0, %0, 0f00000000;" : "+f"(v));
        if (v > value) { // never of NaN
            value = v;
            index = i;
        }
    }

    __device__ uint64_t key() const {
        const uint32_t bits = __float_as_uint(value);
        const uint32_t rising = bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
        return uint64_t{rising} << 32 | (0xFFFFFFFFu - index);
    }
};

__device__ uint64_t largest_of_block(uint64_t key) {
    __shared__ uint64_t of_warps[kThreads / 32];
#pragma unroll
    for (uint32_t step = 16; step > 0; step /= 2) {
        const uint64_t other = __shfl_xor_sync(0xFFFFFFFFu, key, step);
        key = other > key ? other : key;
    }
    if (threadIdx.x % 32 == 0) {
        of_warps[threadIdx.x / 32] = key;
    }
    __syncthreads();
#pragma unroll
    for (uint32_t i = 0; i < kThreads / 32; ++i) {
        key = of_warps[i] > key ? of_warps[i] : key;
    }
    return key;
}

// The lowest key is that of a row of nothing but -infinity: its index is 0xFFFFFFFF, and the answer 0.
__device__ int32_t token_of(uint64_t key) {
    const uint32_t index = 0xFFFFFFFFu - static_cast<uint32_t>(key);
    return index == 0xFFFFFFFFu ? 0 : static_cast<int32_t>(index);
}

__global__ void __launch_bounds__(kThreads)
    argmax(const float *logits, uint32_t vocabulary, uint32_t part_units, uint64_t *keys, uint32_t *counters, int32_t *tokens) {
    __shared__ bool last;
    wait_for_earlier();
    let_next_start();
    const uint32_t row = blockIdx.y;
    const uint32_t parts = gridDim.x;
    const float *x = logits + uint64_t{row} * vocabulary;
    // Fours at multiples of 16 bytes, and what is before and after them.
    const uint32_t misfit = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(x) / 4 % 4);
    const uint32_t before = misfit == 0 ? 0 : 4 - misfit < vocabulary ? 4 - misfit : vocabulary;
    const uint32_t fours = (vocabulary - before) / 4;
    Best best;
    if (blockIdx.x == 0 && threadIdx.x < before) {
        best.see(x[threadIdx.x], threadIdx.x);
    }
    const float4 *from = reinterpret_cast<const float4 *>(x + before);
    const uint32_t begin = blockIdx.x * part_units;
    const uint32_t end = begin + part_units < fours ? begin + part_units : fours;
    uint32_t i = begin + threadIdx.x;
    const auto see = [&](float4 v, uint32_t at) {
        best.see(v.x, at);
        best.see(v.y, at + 1);
        best.see(v.z, at + 2);
        best.see(v.w, at + 3);
    };
    for (; i + 3 * kThreads < end; i += 4 * kThreads) {
        float4 v[4];
#pragma unroll
        for (uint32_t j = 0; j < 4; ++j) {
            v[j] = __ldcs(from + i + j * kThreads);
        }
#pragma unroll
        for (uint32_t j = 0; j < 4; ++j) {
            see(v[j], before + (i + j * kThreads) * 4);
        }
    }
    for (; i < end; i += kThreads) {
        see(__ldcs(from + i), before + i * 4);
    }
    if (blockIdx.x == parts - 1 && before + fours * 4 + threadIdx.x < vocabulary) {
        const uint32_t at = before + fours * 4 + threadIdx.x;
        best.see(x[at], at);
    }
    uint64_t key = largest_of_block(best.key());
    if (parts == 1) {
        if (threadIdx.x == 0) {
            tokens[row] = token_of(key);
        }
        return;
    }
    if (threadIdx.x == 0) {
        keys[row * kMostParts + blockIdx.x] = key;
        __threadfence();
        last = atomicAdd(&counters[row], 1) + 1 == parts;
    }
    __syncthreads();
    if (!last) {
        return;
    }
    __threadfence();
    key = threadIdx.x < parts ? __ldcg(&keys[row * kMostParts + threadIdx.x]) : 0;
    key = largest_of_block(key);
    if (threadIdx.x == 0) {
        tokens[row] = token_of(key);
        counters[row] = 0;
    }
}

} // namespace

void launch_argmax(const Context &context, const float *logits, uint32_t rows, uint32_t vocabulary, int32_t *tokens) {
    constexpr uint32_t kMostRows = 65535 < kCounters ? 65535 : kCounters;
    for (uint32_t row = 0; row < rows; row += kMostRows) { // as many as a grid is high and there are counters
        const uint32_t count = rows - row < kMostRows ? rows - row : kMostRows;
        const uint32_t fours = vocabulary / 4;
        uint32_t parts = ceil_div(uint64_t{8} * static_cast<uint32_t>(context.multiprocessors), count);
        parts = parts < ceil_div(fours, kThreads) ? parts : ceil_div(fours, kThreads);
        parts = parts < 1 ? 1 : parts < kMostParts ? parts : kMostParts;
        const uint32_t units = ceil_div(fours, parts) > 0 ? ceil_div(fours, parts) : 1;
        launch(context, "argmax", argmax, dim3(parts, count), dim3(kThreads), 0, logits + uint64_t{row} * vocabulary, vocabulary, units,
               reinterpret_cast<uint64_t *>(context.scratch), context.counters, tokens + row);
    }
}

} // namespace intarsia::cuda
