// The work of decode, and which of it a thread block does.
//
// A work is 16 query rows (some heads of some tokens) of one head of the cache; an item is one key block of a work. The items of all works in order are dealt
// out: thread block i takes items i each .. (i + 1) each.
#pragma once

#include "cuda/attention.h"

namespace intarsia::cuda {

#if defined(__CUDACC__)

constexpr uint32_t kUncut = 4; // key blocks of a work that is rather not cut, for its parts would have to meet in device memory

// The items of one sequence; none if it is not for this kernel.
struct Extent {
    uint32_t tiles;  // of rows
    uint32_t first;  // key block
    uint32_t blocks; // key blocks of each work

    Extent() = default;
    __device__ Extent(const AttentionShape &shape, const Sequence &sequence, bool all) {
        const uint32_t count = sequence.count > 0 ? static_cast<uint32_t>(sequence.count) : 0;
        const bool ours = count > 0 && (all || is_decode(count, shape.group));
        tiles = (count * shape.group + kTileRows - 1) / kTileRows;
        first = static_cast<uint32_t>(first_visible(sequence.before, shape.window) / kKeys);
        blocks = ours ? static_cast<uint32_t>((sequence.before + sequence.count - 1) / kKeys) + 1 - first : 0;
    }
};

// What all sequences together are, and where a thread block begins.
struct Bounds {
    uint64_t total, begin, end; // items
    uint32_t each;
    uint32_t rows;   // the most of a tile
    uint32_t index;  // sequence of the first item
    uint32_t offset; // of the first item in it
};

// All threads come here.
template <uint32_t THREADS> __device__ Bounds deal(const AttentionShape &shape, bool all, uint32_t sequences) {
    __shared__ uint64_t items_of_warps[THREADS / 32];
    __shared__ uint2 most_of_warps[THREADS / 32]; // key blocks of a work, rows of a tile
    __shared__ uint32_t first[2];
    const auto items = [&](uint32_t index, uint2 &most) {
        const Sequence sequence(shape, index);
        const Extent extent(shape, sequence, all);
        if (extent.blocks > 0) {
            const uint32_t rows = static_cast<uint32_t>(sequence.count) * shape.group;
            most.x = max(most.x, extent.blocks);
            most.y = max(most.y, min(rows, kTileRows));
        }
        return uint64_t{shape.cache.kv_heads * extent.tiles} * extent.blocks;
    };
    const uint32_t each = (sequences + THREADS - 1) / THREADS;
    const uint32_t from = threadIdx.x * each;
    const uint32_t to = min(from + each, sequences);
    uint64_t own = 0;
    uint2 most = {0, 0};
    for (uint32_t i = from; i < to; ++i) {
        own += items(i, most);
    }
    const uint32_t lane = threadIdx.x % 32;
    uint64_t until = own; // and with it
#pragma unroll
    for (uint32_t step = 1; step < 32; step *= 2) {
        const uint64_t other = __shfl_up_sync(0xFFFFFFFFu, until, step);
        until += lane >= step ? other : 0;
        most.x = max(most.x, __shfl_xor_sync(0xFFFFFFFFu, most.x, step));
        most.y = max(most.y, __shfl_xor_sync(0xFFFFFFFFu, most.y, step));
    }
    if (lane == 31) {
        items_of_warps[threadIdx.x / 32] = until;
        most_of_warps[threadIdx.x / 32] = most;
    }
    __syncthreads();
    Bounds bounds = {};
    uint32_t blocks = 0;
#pragma unroll
    for (uint32_t w = 0; w < THREADS / 32; ++w) {
        until += w < threadIdx.x / 32 ? items_of_warps[w] : 0;
        bounds.total += items_of_warps[w];
        blocks = max(blocks, most_of_warps[w].x);
        bounds.rows = max(bounds.rows, most_of_warps[w].y);
    }
    bounds.each = max(static_cast<uint32_t>((bounds.total + gridDim.x - 1) / gridDim.x), blocks <= kUncut ? blocks : 1);
    bounds.begin = min(uint64_t{bounds.each} * blockIdx.x, bounds.total);
    bounds.end = min(bounds.begin + bounds.each, bounds.total);
    uint64_t before = until - own;
    if (bounds.begin >= before && bounds.begin < until) {
        uint32_t i = from;
        for (uint64_t count; bounds.begin - before >= (count = items(i, most)); ++i) {
            before += count;
        }
        first[0] = i;
        first[1] = static_cast<uint32_t>(bounds.begin - before);
    }
    __syncthreads();
    bounds.index = first[0];
    bounds.offset = first[1];
    return bounds;
}

// One item after another.
struct Walk {
    uint64_t item;
    uint32_t index; // of the sequence
    Sequence sequence;
    Extent extent;
    uint32_t work;  // of the sequence: kv head * tiles + tile
    uint32_t block; // from extent.first
    uint32_t works; // entered before this one

    // The work's:
    uint32_t head;  // of the cache
    uint32_t row;   // the first, of the sequence: token * group + head
    uint32_t rows;  // 1..16
    int32_t lo, hi; // positions that some row sees

    __device__ void enter_sequence(const AttentionShape &shape, bool all) {
        sequence = Sequence(shape, index);
        extent = Extent(shape, sequence, all);
    }

    __device__ void enter_work(const AttentionShape &shape) {
        head = extent.tiles == 1 ? work : work / extent.tiles;
        row = (work - head * extent.tiles) * kTileRows;
        rows = min(static_cast<uint32_t>(sequence.count) * shape.group - row, kTileRows);
        if (sequence.count == 1) {
            lo = first_visible(sequence.before, shape.window);
            hi = sequence.before + 1;
        } else {
            lo = first_visible(sequence.before + static_cast<int32_t>(row / shape.group), shape.window);
            hi = sequence.before + static_cast<int32_t>((row + rows - 1) / shape.group) + 1;
        }
    }

    __device__ void next(const AttentionShape &shape, bool all, uint32_t sequences) {
        ++item;
        if (++block < extent.blocks) {
            return;
        }
        block = 0;
        ++works;
        if (++work >= shape.cache.kv_heads * extent.tiles) {
            work = 0;
            do {
                if (++index >= sequences) {
                    return; // past the last item
                }
                enter_sequence(shape, all);
            } while (extent.blocks == 0);
        }
        enter_work(shape);
    }

    __device__ int32_t start() const { return static_cast<int32_t>((extent.first + block) * kKeys); }
};

#endif

} // namespace intarsia::cuda
