// Attention on CUDA: what a result is, and what its kernels share.
//
// One definition for every path. A row is one query head of one token. It works through key blocks of 64 absolute positions; in each, with the
// visible positions only:
//   s = q k, m_b = max s c, p = 2^(s c - m_b) where c = scale log2 e, l_b = sum p, o_b = p V, each from zero;
// blocks are merged in rising order, from m = -infinity, l = 0 and o = 0:
//   M = max(m, m_b), a = 2^(m - M), b = 2^(m_b - M), l = fma(l_b, b, l a), o = fma(o_b, b, o a), m = M.
// The result is o (1 / l). A block in which a row sees nothing changes none of its numbers, so that it does not matter who skips it.
//
// BF16 with heads of 64 or 128 (attention_decode.cu, attention_prefill.cu, attention_hopper.cu): q k and p V by mma.m16n8k16, or on Hopper by wgmma, whose
// results have the same bits: sums over 16 elements, one after another in rising order; p is
// rounded to bf16 for p V; l_b is 16 sums in rising order and then a tree. Which of the 16 rows of a tile a row is, and what the others are, changes nothing.
// Everything else (attention_any.cu): chains of f32 fused multiply-adds.
#pragma once

#include "cuda/rows.h"

namespace intarsia::cuda {

struct AttentionShape {
    const void *q;
    Rows out;
    uint32_t q_step; // elements between rows of q
    cpu::KvLayer cache;
    uint32_t heads, group; // group: heads of q that share one of the cache
    uint32_t window;
    float scale;
    const uint32_t *sequences;
    const int32_t *query_starts, *lengths, *block_tables;
    uint32_t max_blocks;
    uint32_t n;
};

// Decode takes the sequences with up to kTileRows rows or one token, prefill those with more. Of up to kFewTokens tokens decode takes all.
constexpr uint32_t kTileRows = 16;
constexpr int kKeys = static_cast<int>(cpu::kKeys);
constexpr uint32_t kFewTokens = 64;
void launch_attention_decode(const Context &context, const AttentionShape &shape, bool all);
bool try_attention_single(const Context &context, const AttentionShape &shape); // one token, where there are clusters; false = not launched
bool try_attention_few(const Context &context, const AttentionShape &shape); // up to eight, likewise
void launch_attention_prefill(const Context &context, const AttentionShape &shape);
bool can_launch_attention_hopper(const Context &context, const AttentionShape &shape); // prefill where there is wgmma
void launch_attention_hopper(const Context &context, const AttentionShape &shape);
void launch_attention_any(const Context &context, const AttentionShape &shape, cpu::Storage q_storage);

#if defined(__CUDACC__)

__device__ inline bool is_decode(uint32_t count, uint32_t group) { return count == 1 || count * group <= kTileRows; }

// The tokens of one sequence in this step.
struct Sequence {
    int32_t start;  // row of the first
    int32_t count;  // of tokens
    int32_t before; // positions that earlier steps wrote: the position of the first
    const int32_t *table;

    Sequence() = default;
    __device__ Sequence(const AttentionShape &shape, uint32_t index) {
        start = shape.query_starts[index];
        count = shape.query_starts[index + 1] - start;
        before = shape.lengths[index] - count;
        table = shape.block_tables + uint64_t{index} * shape.max_blocks;
    }
};

// Whether a sequence reads of the cache what another writes in this step.
__device__ inline bool reads_of_others(const AttentionShape &shape) { return shape.n != 1 && shape.sequences[1] != 0; }

// The first position that one at `position` sees.
__device__ inline int32_t first_visible(int32_t position, uint32_t window) {
    return window == 0 || window > static_cast<uint32_t>(position) ? 0 : position - static_cast<int32_t>(window) + 1;
}

__device__ inline float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// What the maximum is taken to be where nothing is visible, so that no infinity is subtracted from itself.
__device__ inline float finite_or_zero(float maximum) { return maximum == -INFINITY ? 0.0f : maximum; }

// The maximum and sum of the blocks so far, and what the next block's and the older outputs are multiplied by.
struct Running {
    float maximum = -INFINITY;
    float sum = 0.0f;

    __device__ void merge(float block_maximum, float block_sum, float &old_factor, float &new_factor) {
        const float top = fmaxf(maximum, block_maximum);
        const float reference = finite_or_zero(top);
        old_factor = exp2_fast(__fsub_rn(maximum, reference));
        new_factor = exp2_fast(__fsub_rn(block_maximum, reference));
        sum = __fmaf_rn(block_sum, new_factor, __fmul_rn(sum, old_factor));
        maximum = top;
    }
};

// Of 32 key blocks of a row in rising order, a lane each, with its maximum and sum: what older outputs and its own are multiplied by, and the sum. `maximum` is
// that of the blocks before, and then of these too.
__device__ inline float4 factors_of(float2 own, float &maximum, uint32_t lane) {
    float top = own.x;
#pragma unroll
    for (uint32_t k = 1; k < 32; k *= 2) {
        const float other = __shfl_up_sync(0xFFFFFFFFu, top, k);
        top = lane >= k ? fmaxf(top, other) : top;
    }
    const float older = __shfl_up_sync(0xFFFFFFFFu, top, 1);
    Running running;
    running.maximum = lane == 0 ? maximum : fmaxf(maximum, older);
    float old_factor, new_factor;
    running.merge(own.x, own.y, old_factor, new_factor);
    maximum = fmaxf(maximum, __shfl_sync(0xFFFFFFFFu, top, 31));
    return make_float4(old_factor, new_factor, own.y, 0.0f);
}

__device__ inline float merged(float block, float new_factor, float old, float old_factor) {
    return __fmaf_rn(block, new_factor, __fmul_rn(old, old_factor));
}

// The sum's -0 would tell whether an invisible block was merged; here it becomes 0.
__device__ inline float finished(float output, float sum) { return __fadd_rn(__fmul_rn(output, __fdiv_rn(1.0f, sum)), 0.0f); }

#endif

} // namespace intarsia::cuda
