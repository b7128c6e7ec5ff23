// How the results of key blocks come together where a cluster has a work: the heads of q of one token that share a head of the cache. Each block of the cluster,
// or as many as are a power of two, merges some elements of all key blocks: it gets them, and what they are merged by, in its shared memory from the blocks that
// compute them.
#pragma once

#include "cuda/attention.h"
#include "cuda/bulk.h"

namespace intarsia::cuda {

constexpr uint32_t kMergedRows = 8; // heads of q, at most

// How many of what a block of the cluster gets: pairs of elements of `rows` heads, or of a part of one. Powers of two.
struct Share {
    uint32_t pairs, rows;
    uint32_t capacity; // key blocks

    __host__ __device__ constexpr uint32_t bytes() const { return capacity * (pairs + rows) * 8; }
};

inline Share share_of(uint32_t group, uint32_t dim, uint32_t cluster, uint32_t key_blocks) {
    uint32_t rows = 1, blocks = 1;
    while (rows < group) rows *= 2;
    while (blocks * 2 <= cluster) blocks *= 2;
    return {rows * (dim / 2) / blocks, rows > blocks ? rows / blocks : 1, key_blocks};
}

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900

template <int DIM> class Merge {
public:
    // Shared memory at `base`, also at the address `at`: outputs [key block, pair], then maxima and sums [key block, row].
    __device__ Merge(const Share &share, char *base, uint32_t at) : share_(share), shift_(__ffs(share.pairs) - 1), base_(base), at_(at) {}

    // All blocks of the cluster are there before the first of these. Elements 2 pair, 2 pair + 1 of a row of a key block.
    __device__ void put(uint32_t block, uint32_t row, uint32_t pair, float a, float b) const {
        const uint32_t i = row * (DIM / 2) + pair;
        bulk::store_at(at_ + (block * share_.pairs + (i & (share_.pairs - 1))) * 8, i >> shift_, make_float2(a, b));
    }
    // Maximum and sum of a row, by one of so many threads that all have them.
    __device__ void put_row(uint32_t block, uint32_t row, float maximum, float sum, uint32_t thread, uint32_t threads) const {
        const uint32_t ranks = share_.pairs < DIM / 2 ? DIM / 2 / share_.pairs : 1, first = row * (DIM / 2) >> shift_;
        for (uint32_t i = thread; i < ranks; i += threads) {
            bulk::store_at(rows_at() + (block * share_.rows + (row & (share_.rows - 1))) * 8, first + i, make_float2(maximum, sum));
        }
    }

    // Once all are there: block `rank` writes its elements to row `token` of the output, by so many warps with room for kTogether float4 each.
    __device__ void finish(const AttentionShape &shape, uint32_t token, uint32_t head, uint32_t blocks, uint32_t rank, float4 *room, uint32_t warp, uint32_t warps,
                           uint32_t lane) const {
        const uint32_t of_row = min(share_.pairs, DIM / 2u);
        room += warp * kTogether;
#pragma unroll 1
        for (uint32_t i = warp * 32; i < share_.pairs; i += warps * 32) {
            const uint32_t pair = i + min(lane, of_row - 1), all = rank * share_.pairs + pair, row = all / (DIM / 2), own_row = pair / of_row;
            if (row >= shape.group) continue; // a warp's pairs are of one row
            const auto *outputs = reinterpret_cast<const float2 *>(base_) + pair;
            const auto *rows = reinterpret_cast<const float2 *>(base_ + (rows_at() - at_)) + own_row;
            float2 o = make_float2(0.0f, 0.0f);
            float sum = 0.0f, maximum = -INFINITY;
#pragma unroll 1
            for (uint32_t start = 0; start < blocks; start += kTogether) {
                const uint32_t together = min(blocks - start, kTogether);
                __syncwarp();
                prepare(room, rows + start * share_.rows, together, maximum, lane);
                __syncwarp();
#pragma unroll 4
                for (uint32_t b = 0; b < together; ++b) {
                    const float2 own = outputs[(start + b) * share_.pairs];
                    const float4 f = room[b];
                    o.x = merged(own.x, f.y, o.x, f.x);
                    o.y = merged(own.y, f.y, o.y, f.x);
                    sum = __fmaf_rn(f.z, f.y, __fmul_rn(sum, f.x));
                }
            }
            if (lane < of_row) {
                const bool any = blocks != 0;
                shape.out.put2(token, head * shape.group * DIM + 2 * all, any ? finished(o.x, sum) : 0.0f, any ? finished(o.y, sum) : 0.0f);
            }
        }
    }
    static constexpr uint32_t kTogether = 64; // key blocks

private:
    __device__ uint32_t rows_at() const { return at_ + share_.capacity * share_.pairs * 8; }

    // What older outputs and the new ones are multiplied by, and the sum, of so many key blocks of a row; `maximum` is of those before.
    __device__ void prepare(float4 *to, const float2 *from, uint32_t count, float &maximum, uint32_t lane) const {
#pragma unroll 1
        for (uint32_t i = 0; i < count; i += 32) {
            const uint32_t block = i + lane;
            const float2 own = block < count ? from[block * share_.rows] : make_float2(-INFINITY, 0.0f);
            const float4 factors = factors_of(own, maximum, lane);
            if (block < count) {
                to[block] = factors;
            }
        }
    }

    const Share &share_;
    uint32_t shift_; // of the pairs
    char *base_;
    uint32_t at_;
};

#endif

} // namespace intarsia::cuda
