// Attention of many query rows, which is bound by the tensor cores.
//
// A thread block takes tiles of 128 rows (the query heads of one head of the cache for neighbouring tokens), 32 rows a warp, and goes through the key blocks in
// rising order, the next one being copied to shared memory meanwhile. Tiles are taken from a ticket counter, the last tokens of a sequence first, for they
// see the most keys.
#include "cuda/attention_rows.h"
#include "cuda/attention_tile.h"

namespace intarsia::cuda {
namespace {

constexpr uint32_t kWarps = 4;
constexpr uint32_t kThreads = kWarps * 32;
constexpr int kTiles = 1; // of 16 rows, of a warp
constexpr uint32_t kWarpRows = kTiles * kTileRows;
constexpr uint32_t kRows = kWarps * kWarpRows;

template <int DIM> struct Memory {
    static constexpr uint32_t kQueries = kRows * DIM * 2;
    static constexpr uint32_t kStage = 2 * Layout<DIM>::kBytes; // keys, then values
    static constexpr uint32_t kBytes = kQueries + 2 * kStage;
};

// Copies of a key block to shared memory by the whole thread block.
template <int DIM> class Loader {
public:
    static constexpr int kChunks = Layout<DIM>::kChunks;
    static constexpr int kTogether = static_cast<int>(kThreads) / kChunks; // rows

    __device__ Loader(const AttentionShape &shape, const PrefillTile &tile) : tile_(tile) {
        const uint64_t head = uint64_t{tile.head} * (16 * DIM) + threadIdx.x / kChunks * DIM + threadIdx.x % kChunks * 8;
        keys_ = static_cast<const __nv_bfloat16 *>(shape.cache.keys) + head;
        values_ = static_cast<const __nv_bfloat16 *>(shape.cache.values) + head;
        block_step_ = uint64_t{shape.cache.kv_heads} * (16 * DIM);
    }

    // Looks up the cache blocks of the key block at start, which copy() then takes.
    __device__ void look_up(int32_t start) {
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            const int32_t at = start + 16 * k;
            blocks_[k] = at < tile_.hi && at + 16 > tile_.lo ? tile_.sequence.table[at / 16] : 0;
        }
    }

    __device__ void copy(uint32_t stage, int32_t start) const {
        const uint32_t chunk = threadIdx.x % kChunks;
        const int32_t row = static_cast<int32_t>(threadIdx.x / kChunks);
#pragma unroll
        for (int i = 0; i < kKeys / kTogether; ++i) {
            const int first = i * kTogether; // row = 16 k + what is below, for kTogether divides 16
            const uint64_t from = static_cast<uint32_t>(blocks_[first / 16]) * block_step_ + first % 16 * DIM;
            const int32_t position = start + first + row;
            const bool visible = position >= tile_.lo && position < tile_.hi;
            const uint32_t to = stage + Layout<DIM>::at(first + row, chunk);
            copy_async(to, keys_ + (visible ? from : 0), visible);
            copy_async(to + Layout<DIM>::kBytes, values_ + (visible ? from : 0), visible);
        }
    }

private:
    const PrefillTile &tile_;
    const __nv_bfloat16 *keys_, *values_; // of block 0, at this thread's chunk of its first row
    uint64_t block_step_;
    int32_t blocks_[4];
};

template <int DIM> __device__ void copy_queries(const AttentionShape &shape, const PrefillTile &tile, uint32_t to) {
    constexpr uint32_t kChunks = Layout<DIM>::kChunks;
    const uint32_t chunk = threadIdx.x % kChunks;
#pragma unroll 4
    for (uint32_t r = threadIdx.x / kChunks; r < kRows; r += kThreads / kChunks) {
        const uint32_t row = tile.row + r;
        const bool there = row < tile.all_rows;
        const uint64_t at = uint64_t{static_cast<uint32_t>(tile.sequence.start) + row / shape.group} * shape.q_step +
                            (tile.head * shape.group + row % shape.group) * DIM + chunk * 8;
        copy_async(to + Layout<DIM>::at(r, chunk), static_cast<const __nv_bfloat16 *>(shape.q) + (there ? at : 0), there);
    }
}

// Whether all rows of the tile are as they should be, and written: not CAREFUL leaves a tile with a NaN to be done again.
template <int DIM, bool CAREFUL> __device__ __forceinline__ bool attend(const AttentionShape &shape, const PrefillTile &tile, uint32_t memory) {
    using Place = Memory<DIM>;
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t first_row = tile.row + threadIdx.x / 32 * kWarpRows; // of the warp
    const bool idle = first_row >= tile.all_rows;
    const uint32_t last_row = first_row + kWarpRows <= tile.all_rows ? first_row + kWarpRows - 1 : tile.all_rows - 1;
    const int32_t oldest = tile.sequence.before + static_cast<int32_t>(first_row / shape.group); // positions of its rows
    const int32_t newest = tile.sequence.before + static_cast<int32_t>(last_row / shape.group);
    const float factor = __fmul_rn(shape.scale, 1.44269504f);
    const uint32_t queries = memory + threadIdx.x / 32 * (kWarpRows * DIM * 2) + Layout<DIM>::at(lane & 15, lane >> 4);
    const uint32_t stages = memory + Place::kQueries;
    Running running[kTiles][2];
    float o[kTiles][DIM / 8][4];
#pragma unroll
    for (int m = 0; m < kTiles; ++m) {
#pragma unroll
        for (int j = 0; j < DIM / 8; ++j) {
            o[m][j][0] = o[m][j][1] = o[m][j][2] = o[m][j][3] = 0.0f;
        }
    }
    __syncthreads(); // the tile before is done with the memory
    Loader<DIM> loader(shape, tile);
    const int32_t begin = tile.lo - tile.lo % kKeys;
    copy_queries<DIM>(shape, tile, memory);
    loader.look_up(begin);
    loader.copy(stages, begin);
    commit_copies();
    loader.look_up(begin + kKeys);
    uint32_t stage = stages;
#pragma unroll 1
    for (int32_t start = begin; start < tile.hi; start += kKeys) {
        wait_copies<0>();
        __syncthreads();
        const uint32_t other = stages + stages + Place::kStage - stage;
        if (start + kKeys < tile.hi) {
            loader.copy(other, start + kKeys);
            loader.look_up(start + 2 * kKeys);
        }
        commit_copies();
        if (!idle && start <= newest && start + kKeys > first_visible(oldest, shape.window)) {
            Probabilities p[kTiles];
            Visible visible[kTiles];
            const bool full = start + kKeys <= oldest + 1 && start >= first_visible(newest, shape.window);
            {
                Scores s[kTiles];
                score<DIM, kTiles>(s, stage, lane, [&](int m, int step, uint32_t(&a)[4]) {
                    load_matrices(a, Layout<DIM>::on(queries, step, m));
                });
#pragma unroll
                for (int m = 0; m < kTiles; ++m) {
                    if (!full) {
#pragma unroll
                        for (int half = 0; half < 2; ++half) {
                            const uint32_t row = first_row + 16 * m + 8 * half + lane / 4;
                            const uint32_t token = (row < tile.all_rows ? row : tile.all_rows - 1) / shape.group;
                            const int32_t position = tile.sequence.before + static_cast<int32_t>(token);
                            visible[m].lo[half] = first_visible(position, shape.window) - start;
                            visible[m].hi[half] = position + 1 - start;
                        }
                        mask(s[m], visible[m], lane);
                    }
                    softmax(s[m], factor, p[m]);
                }
            }
            float old_factor[kTiles][2], new_factor[kTiles][2];
#pragma unroll
            for (int m = 0; m < kTiles; ++m) {
#pragma unroll
                for (int half = 0; half < 2; ++half) {
                    running[m][half].merge(p[m].maximum[half], p[m].sum[half], old_factor[m][half], new_factor[m][half]);
                }
            }
            const uint32_t values = stage + Layout<DIM>::kBytes;
#pragma unroll
            for (int pair = 0; pair < DIM / 16; ++pair) {
                float block[kTiles][2][4];
                mix<DIM, kTiles>(block, p, values, pair, lane);
#pragma unroll
                for (int m = 0; m < kTiles; ++m) {
                    if constexpr (CAREFUL) {
                        if (!full) {
                            mix_carefully<DIM>(block[m], p[m], values, pair, visible[m], lane);
                        }
                    }
#pragma unroll
                    for (int j = 0; j < 2; ++j) {
#pragma unroll
                        for (int i = 0; i < 4; ++i) {
                            float &to = o[m][2 * pair + j][i];
                            to = merged(block[m][j][i], new_factor[m][i / 2], to, old_factor[m][i / 2]);
                        }
                    }
                }
            }
        }
        stage = other;
    }
    if constexpr (!CAREFUL) {
        bool odd = false;
#pragma unroll
        for (int m = 0; m < kTiles; ++m) {
#pragma unroll
            for (int j = 0; j < DIM / 8; ++j) {
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    odd = odd || isnan(o[m][j][i]);
                }
            }
        }
        if (__syncthreads_or(odd && !idle)) {
            return false;
        }
    }
#pragma unroll
    for (int m = 0; m < kTiles; ++m) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const uint32_t row = first_row + 16 * m + 8 * half + lane / 4;
            if (row < tile.all_rows) {
                const uint32_t to = static_cast<uint32_t>(tile.sequence.start) + row / shape.group;
                const uint32_t column = (tile.head * shape.group + row % shape.group) * DIM + 2 * (lane % 4);
                const float sum = running[m][half].sum;
#pragma unroll
                for (int j = 0; j < DIM / 8; ++j) {
                    shape.out.put2(to, column + 8 * j, finished(o[m][j][2 * half], sum), finished(o[m][j][2 * half + 1], sum));
                }
            }
        }
    }
    return true;
}

template <int DIM> __device__ __noinline__ void attend_carefully(const AttentionShape &shape, PrefillTile tile, uint32_t memory) {
    attend<DIM, true>(shape, tile, memory);
}

template <int DIM>
__global__ void __launch_bounds__(kThreads, 2) attention_prefill(const __grid_constant__ AttentionShape shape, uint32_t *counters) {
    extern __shared__ __align__(kAlign) char memory[];
    __shared__ uint32_t next;
    const uint32_t sequences = *shape.sequences;
    PrefillFinder<kRows> finder;
    PrefillTile tile;
    uint32_t ticket = blockIdx.x;
    bool found = finder.find(shape, sequences, ticket, tile);
    wait_for_earlier();
    let_next_start(); // and not before: what attention_decode.cu reads early rests on it
    while (found) {
        uint32_t taken = 0;
        if (threadIdx.x == 0) {
            taken = atomicAdd(counters + kTicket, 1) + gridDim.x;
        }
        if (!attend<DIM, false>(shape, tile, shared_address(memory))) {
            attend_carefully<DIM>(shape, tile, shared_address(memory));
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            next = taken;
        }
        __syncthreads();
        ticket = next;
        found = finder.find(shape, sequences, ticket, tile);
    }
    if (threadIdx.x == 0) {
        hand_back_tickets(counters);
    }
}

template <int DIM> void run(const Context &context, const AttentionShape &shape) {
    constexpr uint32_t kBytes = Memory<DIM>::kBytes;
    check(cudaFuncSetAttribute(attention_prefill<DIM>, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes), "shared memory of attention");
    const uint64_t tiles = uint64_t{shape.n} * shape.cache.kv_heads; // never more
    const uint64_t most = uint64_t{2} * static_cast<uint32_t>(context.multiprocessors);
    launch(context, "attention", attention_prefill<DIM>, dim3(static_cast<uint32_t>(tiles < most ? tiles : most)), dim3(kThreads), kBytes, shape,
           context.counters);
}

} // namespace

void launch_attention_prefill(const Context &context, const AttentionShape &shape) {
    shape.cache.head_dim == 128 ? run<128>(context, shape) : run<64>(context, shape);
}

} // namespace intarsia::cuda
