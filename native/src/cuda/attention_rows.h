// The tiles of query rows that prefill works on, and how thread blocks find them: by ticket, in the order of sequences, the last rows of each first, for they
// see the most keys.
#pragma once

#include "cuda/attention.h"

namespace intarsia::cuda {

#if defined(__CUDACC__)

constexpr uint32_t kTicket = kCounters - 1, kFinished = kCounters - 2;

// One tile of rows of one head of the cache.
struct PrefillTile {
    Sequence sequence;
    uint32_t head;
    uint32_t row;      // the first, of the sequence: token * group + head
    uint32_t all_rows; // of the sequence
    int32_t lo, hi;    // positions that some row sees
};

// Finds tiles of ROWS rows by ticket; tickets only rise.
template <uint32_t ROWS> class PrefillFinder {
public:
    __device__ bool find(const AttentionShape &shape, uint32_t sequences, uint32_t ticket, PrefillTile &tile) {
        const uint32_t lane = threadIdx.x % 32;
        for (; base_ < sequences; base_ += 32) {
            const uint32_t index = base_ + lane;
            uint32_t items = 0;
            if (index < sequences) {
                const Sequence sequence(shape, index);
                if (sequence.count > 0 && !is_decode(sequence.count, shape.group)) {
                    items = (sequence.count * shape.group + ROWS - 1) / ROWS * shape.cache.kv_heads;
                }
            }
            uint32_t until = items;
#pragma unroll
            for (uint32_t step = 1; step < 32; step *= 2) {
                const uint32_t other = __shfl_up_sync(0xFFFFFFFFu, until, step);
                until += lane >= step ? other : 0;
            }
            const uint32_t offset = ticket - before_;
            const uint32_t beyond = __ballot_sync(0xFFFFFFFFu, until > offset);
            if (beyond != 0) {
                const uint32_t owner = __ffs(beyond) - 1;
                const uint32_t in_sequence = offset - __shfl_sync(0xFFFFFFFFu, until - items, owner);
                place(shape, base_ + owner, in_sequence, tile);
                return true;
            }
            before_ += __shfl_sync(0xFFFFFFFFu, until, 31);
        }
        return false;
    }

private:
    __device__ static void place(const AttentionShape &shape, uint32_t index, uint32_t item, PrefillTile &tile) {
        tile.sequence = Sequence(shape, index);
        tile.all_rows = tile.sequence.count * shape.group;
        const uint32_t tiles = (tile.all_rows + ROWS - 1) / ROWS;
        tile.head = item % shape.cache.kv_heads;
        tile.row = (tiles - 1 - item / shape.cache.kv_heads) * ROWS;
        const uint32_t end = tile.row + ROWS < tile.all_rows ? tile.row + ROWS : tile.all_rows;
        tile.lo = first_visible(tile.sequence.before + static_cast<int32_t>(tile.row / shape.group), shape.window);
        tile.hi = tile.sequence.before + static_cast<int32_t>((end - 1) / shape.group) + 1;
    }

    uint32_t base_ = 0;   // sequence
    uint32_t before_ = 0; // tickets of the sequences before it
};

// Of the last thread block that is done: tickets from zero again for the next kernel.
__device__ inline void hand_back_tickets(uint32_t *counters) {
    __threadfence();
    if (atomicAdd(counters + kFinished, 1) + 1 == gridDim.x) {
        counters[kTicket] = 0;
        counters[kFinished] = 0;
    }
}

#endif

} // namespace intarsia::cuda
