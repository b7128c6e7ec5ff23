// Attention for f32, and for heads that the tensor cores' tiles do not fit: chains of f32 fused multiply-adds, a block of threads a row.
//
// A score is 32 chains over the elements, lane l over l, l + 32, ..., and a tree; o is a chain over the visible positions.
#include "cuda/attention.h"

namespace intarsia::cuda {
namespace {

constexpr uint32_t kThreads = 128;
constexpr uint32_t kMostDim = 1024;
constexpr uint32_t kEach = kMostDim / kThreads; // elements of a thread

template <class T> __device__ float element(const void *from, uint64_t at) {
    if constexpr (sizeof(T) == 2) {
        return __bfloat162float(static_cast<const __nv_bfloat16 *>(from)[at]);
    } else {
        return static_cast<const float *>(from)[at];
    }
}

__device__ float tree_max(float v) {
    for (uint32_t step = 16; step > 0; step /= 2) {
        v = fmaxf(v, __shfl_xor_sync(0xFFFFFFFFu, v, step));
    }
    return v;
}

__device__ float tree_sum(float v) {
    for (uint32_t step = 16; step > 0; step /= 2) {
        v = __fadd_rn(v, __shfl_xor_sync(0xFFFFFFFFu, v, step));
    }
    return v;
}

// The sequence whose tokens row is among: query_starts[i] <= row < query_starts[i + 1].
__device__ uint32_t sequence_of(const AttentionShape &shape, uint32_t sequences, int32_t row) {
    uint32_t low = 0;
    uint32_t high = sequences; // the answer is below
    while (low + 1 < high) {
        const uint32_t middle = (low + high) / 2;
        (shape.query_starts[middle] <= row ? low : high) = middle;
    }
    return low;
}

template <class T, class Q> __global__ void __launch_bounds__(kThreads) attention_any(const __grid_constant__ AttentionShape shape) {
    __shared__ float q[kMostDim];
    __shared__ float p[kKeys];
    wait_for_earlier();
    let_next_start();
    const uint32_t dim = shape.cache.head_dim;
    const uint32_t row = blockIdx.x;
    const uint32_t head = blockIdx.y;
    const uint32_t sequences = *shape.sequences;
    if (static_cast<int32_t>(row) >= shape.query_starts[sequences]) {
        for (uint32_t d = threadIdx.x; d < dim; d += kThreads) {
            shape.out.put(row, head * dim + d, 0.0f);
        }
        return;
    }
    const Sequence sequence(shape, sequence_of(shape, sequences, static_cast<int32_t>(row)));
    const int32_t position = sequence.before + static_cast<int32_t>(row) - sequence.start;
    const int32_t first = first_visible(position, shape.window);
    for (uint32_t d = threadIdx.x; d < dim; d += kThreads) {
        q[d] = element<Q>(shape.q, uint64_t{row} * shape.q_step + head * dim + d);
    }
    __syncthreads();
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t kv_head = head / shape.group;
    const auto at = [&](int32_t i) { // of a visible position
        const uint64_t block = static_cast<uint32_t>(sequence.table[i / static_cast<int32_t>(cpu::kBlock)]);
        return ((block * shape.cache.kv_heads + kv_head) * cpu::kBlock + static_cast<uint32_t>(i) % cpu::kBlock) * dim;
    };
    float maximum = -INFINITY;
    float sum = 0.0f;
    float o[kEach] = {};
    for (int32_t start = first - first % static_cast<int32_t>(kKeys); start <= position; start += kKeys) {
        const int32_t lo = first > start ? first - start : 0;
        const int32_t hi = position - start < static_cast<int32_t>(kKeys) ? position - start + 1 : static_cast<int32_t>(kKeys);
        for (int32_t i = lo + static_cast<int32_t>(threadIdx.x / 32); i < hi; i += kThreads / 32) {
            const uint64_t key = at(start + i);
            float s = 0.0f;
            for (uint32_t d = lane; d < dim; d += 32) {
                s = __fmaf_rn(q[d], element<T>(shape.cache.keys, key + d), s);
            }
            s = tree_sum(s);
            if (lane == 0) {
                p[i] = __fmul_rn(s, shape.scale);
            }
        }
        __syncthreads();
        // Every warp computes the sums, the first also leaves the probabilities.
        const int32_t a = static_cast<int32_t>(lane);
        const int32_t b = a + 32;
        const float sa = a >= lo && a < hi ? p[a] : -INFINITY;
        const float sb = b >= lo && b < hi ? p[b] : -INFINITY;
        const float top = tree_max(fmaxf(sa, sb));
        const float pa = a >= lo && a < hi ? expf(__fsub_rn(sa, top)) : 0.0f;
        const float pb = b >= lo && b < hi ? expf(__fsub_rn(sb, top)) : 0.0f;
        const float block_sum = tree_sum(__fadd_rn(pa, pb));
        __syncthreads();
        if (threadIdx.x < 32) {
            p[a] = sizeof(T) == 2 ? __bfloat162float(__float2bfloat16_rn(pa)) : pa;
            p[b] = sizeof(T) == 2 ? __bfloat162float(__float2bfloat16_rn(pb)) : pb;
        }
        __syncthreads();
        const float merged_top = fmaxf(maximum, top);
        const float old_factor = expf(__fsub_rn(maximum, merged_top));
        const float new_factor = expf(__fsub_rn(top, merged_top));
        sum = __fmaf_rn(block_sum, new_factor, __fmul_rn(sum, old_factor));
        maximum = merged_top;
        float block[kEach] = {};
        for (int32_t i = lo; i < hi; ++i) {
            const uint64_t value = at(start + i);
            const float weight = p[i];
#pragma unroll
            for (uint32_t j = 0; j < kEach; ++j) {
                const uint32_t d = threadIdx.x + j * kThreads;
                if (d < dim) {
                    block[j] = __fmaf_rn(weight, element<T>(shape.cache.values, value + d), block[j]);
                }
            }
        }
#pragma unroll
        for (uint32_t j = 0; j < kEach; ++j) {
            o[j] = merged(block[j], new_factor, o[j], old_factor);
        }
        __syncthreads(); // before p is written again
    }
#pragma unroll
    for (uint32_t j = 0; j < kEach; ++j) {
        const uint32_t d = threadIdx.x + j * kThreads;
        if (d < dim) {
            shape.out.put(row, head * dim + d, finished(o[j], sum));
        }
    }
}

} // namespace

void launch_attention_any(const Context &context, const AttentionShape &shape, cpu::Storage q_storage) {
    const bool narrow = shape.cache.storage == cpu::Storage::BF16;
    const bool narrow_q = q_storage == cpu::Storage::BF16;
    launch(context, "attention",
           narrow ? narrow_q ? attention_any<__nv_bfloat16, __nv_bfloat16> : attention_any<__nv_bfloat16, float>
                  : narrow_q ? attention_any<float, __nv_bfloat16> : attention_any<float, float>,
           dim3(shape.n, shape.heads), dim3(kThreads), 0, shape);
}

} // namespace intarsia::cuda
