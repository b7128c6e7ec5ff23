// Attention of any head size in any storage: a block for each row and head.
//
// Key blocks of 64 positions in rising order: scores by a warp, lanes over elements and a tree; the block's own maximum, exponentials, their sum in
// rising order, probabilities rounded as the storage says, their product with the values in rising order; merged as cpu/args.h says. A row's
// result depends on its own keys alone.
#include <algorithm>

#include "cuda/device_math.h"
#include "cuda/kernels.h"
#include "runtime/error.h"

namespace intarsia::cuda {

namespace {

using cpu::AttentionArgs;
using cpu::Storage;

constexpr uint32_t kThreads = 128;
constexpr uint32_t kMostElements = 1024 / kThreads; // of the result in a thread

__device__ float load(const void *data, Storage storage, uint64_t at) {
    return storage == Storage::F32 ? static_cast<const float *>(data)[at] : widen(static_cast<const __nv_bfloat16 *>(data)[at]);
}

// The sequence that a row belongs to, or the number of sequences.
__device__ uint32_t sequence_of(const AttentionArgs &args, uint32_t sequences, uint32_t row) {
    uint32_t low = 0, high = sequences;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (static_cast<uint32_t>(args.query_starts[middle + 1]) <= row) low = middle + 1;
        else high = middle;
    }
    return low;
}

__global__ void __launch_bounds__(kThreads) any_head(const AttentionArgs args) {
    __shared__ float query[1024];
    __shared__ float scores[cpu::kKeys];
    let_next_start();
    wait_for_earlier();
    const uint32_t row = blockIdx.x, head = blockIdx.y, dim = args.cache.head_dim, width = args.heads * dim;
    const uint32_t lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
    const uint64_t out = uint64_t{row} * width + uint64_t{head} * dim; // width is even
    const uint32_t sequences = *args.sequences;
    const uint32_t sequence = sequence_of(args, sequences, row);
    if (sequence == sequences) {
        for (uint32_t i = threadIdx.x; i < dim; i += kThreads) put(args.out, args.out_storage, out + i, 0.0f);
        return;
    }
    for (uint32_t i = threadIdx.x; i < dim; i += kThreads) query[i] = load(args.q, args.q_storage, out + i);
    __syncthreads();

    const uint32_t kv_head = head / (args.heads / args.cache.kv_heads);
    const int32_t *table = args.block_tables + uint64_t{sequence} * args.max_blocks;
    const uint32_t end = static_cast<uint32_t>(args.lengths[sequence] - (args.query_starts[sequence + 1] - static_cast<int32_t>(row)) + 1);
    const uint32_t begin = args.window != 0 && end > args.window ? end - args.window : 0;
    const auto place = [&](uint32_t position) {
        return ((uint64_t(table[position / cpu::kBlock]) * args.cache.kv_heads + kv_head) * cpu::kBlock + position % cpu::kBlock) * dim;
    };

    float result[kMostElements] = {};
    float most = -INFINITY, sum = 0;
    for (uint32_t from = begin / cpu::kKeys * cpu::kKeys; from < end; from += cpu::kKeys) {
        for (uint32_t key = warp; key < cpu::kKeys; key += kThreads / kWarp) {
            const uint32_t position = from + key;
            float score = -INFINITY;
            if (position >= begin && position < end) {
                const uint64_t at = place(position);
                float dot = 0;
                for (uint32_t i = lane; i < dim; i += kWarp) dot = fmaf(query[i], load(args.cache.keys, args.cache.storage, at + i), dot);
                score = warp_sum(dot) * args.scale;
            }
            if (lane == 0) scores[key] = score;
        }
        __syncthreads();
        float block_most = -INFINITY;
        for (uint32_t key = 0; key < cpu::kKeys; key++) block_most = fmaxf(block_most, scores[key]);
        const float before = scores[threadIdx.x % cpu::kKeys];
        __syncthreads();
        if (threadIdx.x < cpu::kKeys) scores[threadIdx.x] = before == -INFINITY ? 0.0f : expf(before - block_most);
        __syncthreads();
        float block_sum = 0, product[kMostElements] = {};
        const uint32_t first = begin > from ? begin - from : 0, last = min(cpu::kKeys, end - from);
        for (uint32_t key = first; key < last; key++) {
            float weight = scores[key];
            block_sum += weight;
            if (args.cache.storage == Storage::BF16) weight = widen(__float2bfloat16_rn(weight));
            const uint64_t at = place(from + key);
#pragma unroll
            for (uint32_t e = 0; e < kMostElements; e++) {
                const uint32_t i = e * kThreads + threadIdx.x;
                if (i < dim) product[e] = fmaf(weight, load(args.cache.values, args.cache.storage, at + i), product[e]);
            }
        }
        const float now = fmaxf(most, block_most);
        const float old_part = most == -INFINITY ? 0.0f : expf(most - now), new_part = expf(block_most - now);
        sum = sum * old_part + block_sum * new_part;
#pragma unroll
        for (uint32_t e = 0; e < kMostElements; e++) result[e] = result[e] * old_part + product[e] * new_part;
        most = now;
        __syncthreads();
    }
#pragma unroll
    for (uint32_t e = 0; e < kMostElements; e++) {
        const uint32_t i = e * kThreads + threadIdx.x;
        if (i < dim) put(args.out, args.out_storage, out + i, result[e] / sum);
    }
}

} // namespace

void launch(const Context &context, const AttentionArgs &args) {
    launch(context, "attention", any_head, dim3(args.n, args.heads), kThreads, 0, args);
}

} // namespace intarsia::cuda
