// Attention of many query rows on Hopper: the same sums as attention_prefill.cu, with products of whole warpgroups.
//
// A thread block takes tiles of 128 rows. One warpgroup copies key blocks to a ring in shared memory, those of the next tile too; two take 64 rows each, and take
// turns at the tensor cores: one computes probabilities and merges outputs while the other's products are under way. Where there are too few tiles for every
// multiprocessor, they are of 64 rows, and one warpgroup computes. Queries, probabilities and both outputs (of the key block, and so far) stay in registers, where a
// thread has the rows and columns that it has in tiles of mma.m16n8k16.
#include "cuda/attention_hopper.h"
#include "cuda/attention_rows.h"
#include "cuda/attention_tile.h"
#include "cuda/hopper.h"

namespace intarsia::cuda {
namespace {

constexpr int kDim = 128;
constexpr uint32_t kGroup = 128; // threads of a warpgroup
constexpr uint32_t kRowsOfGroup = 64;
template <uint32_t Consumers> constexpr uint32_t kThreads = (1 + Consumers) * kGroup; // Consumers: warpgroups that compute
constexpr uint32_t kStages = 4;
constexpr uint32_t kHalf = kKeys * 128; // bytes: elements 0..63, or 64..127, of the keys of a key block
constexpr uint32_t kStage = 4 * kHalf;  // keys, then values
constexpr uint32_t kBytes = kStages * kStage + 1024; // at a multiple of 1024

struct Shared {
    uint64_t full[kStages];  // a stage is copied
    uint64_t empty[kStages]; // and used
    uint64_t ready;          // the tile is there
    uint64_t taken;          // and known to all who compute
    PrefillTile tile;
    bool found;
    PrefillTile next_tile; // of the warpgroup that copies
    bool next_found;
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

constexpr uint32_t kCopying = 40, kComputing = 232;   // registers of a thread

// Where the next stage of the ring is; the same steps for who fills it and who uses it.
struct Turn {
    uint32_t stage = 0;
    uint32_t phase = 0;

    __device__ void next() {
        if (++stage == kStages) {
            stage = 0;
            phase ^= 1;
        }
    }
};

// Barriers by number: 0 is __syncthreads.
__device__ void group_sync() { asm volatile("bar.sync 1, %0;" ::"n"(kGroup) : "memory"); }
__device__ void turn_wait(uint32_t group) { asm volatile("bar.sync %0, %1;" ::"r"(2 + group), "n"(2 * kGroup) : "memory"); }
__device__ void turn_give(uint32_t group) { asm volatile("bar.arrive %0, %1;" ::"r"(2 + group), "n"(2 * kGroup) : "memory"); }

__device__ int32_t first_block(const PrefillTile &tile) { return tile.lo - tile.lo % kKeys; }

// Finds tiles of Consumers x 64 rows, by one warp.
template <uint32_t Consumers> class Search {
public:
    __device__ Search(const AttentionShape &shape, uint32_t sequences, uint32_t *counters) : shape_(shape), sequences_(sequences), counters_(counters) {}

    __device__ void next(Shared &shared) {
        if (started_) {
            const uint32_t ticket = threadIdx.x == 0 ? atomicAdd(counters_ + kTicket, 1) + gridDim.x : 0;
            ticket_ = __shfl_sync(0xFFFFFFFFu, ticket, 0);
        }
        started_ = true;
        PrefillTile tile;
        const bool found = finder_.find(shape_, sequences_, ticket_, tile);
        if (threadIdx.x == 0) {
            shared.next_tile = tile;
            shared.next_found = found;
        }
    }

private:
    const AttentionShape &shape_;
    uint32_t sequences_;
    uint32_t *counters_;
    PrefillFinder<Consumers * kRowsOfGroup> finder_;
    uint32_t ticket_ = blockIdx.x; // the first reads no counter
    bool started_ = false;
};

// All key blocks of a tile, by the first warpgroup: zeros for what no row sees. Once they are on their way its first warp looks for the next
// tile, and not before: who gets it is to be who needs it.
template <uint32_t Consumers>
__device__ void copy_tile(const AttentionShape &shape, const PrefillTile tile, uint32_t ring, Shared &shared, Turn &turn, Search<Consumers> &search) {
    constexpr int kChunks = kDim / 8;
    constexpr int kTogether = static_cast<int>(kGroup) / kChunks; // rows
    static_assert(kTogether == 8);
    const uint32_t chunk = threadIdx.x % kChunks;
    const int32_t row = static_cast<int32_t>(threadIdx.x / kChunks);
    const uint32_t to = ring + chunk / 8 * kHalf + static_cast<uint32_t>(row) * 128 + ((chunk % 8) ^ static_cast<uint32_t>(row)) * 16;
    const uint64_t in_block = (uint64_t{tile.head} * 16 + static_cast<uint32_t>(row)) * (kDim * 2) + chunk * 16;
    const char *keys = static_cast<const char *>(shape.cache.keys) + in_block;
    const char *values = static_cast<const char *>(shape.cache.values) + in_block;
    const uint64_t block_bytes = uint64_t{shape.cache.kv_heads} * (16 * kDim * 2);
    const int32_t *table = tile.sequence.table;
    int32_t blocks[4];
    const auto look_up = [&](int32_t start) {
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            const int32_t at = start + 16 * k;
            blocks[k] = at < tile.hi && at + 16 > tile.lo ? table[at / 16] : 0;
        }
    };
    look_up(first_block(tile));
#pragma unroll 1
    for (int32_t start = first_block(tile); start < tile.hi; start += kKeys) {
        barrier_wait(shared_address(&shared.empty[turn.stage]), turn.phase ^ 1);
        const uint32_t stage = to + turn.stage * kStage;
#pragma unroll
        for (int i = 0; i < kKeys / kTogether; ++i) {
            const int32_t position = start + kTogether * i + row;
            const bool visible = position >= tile.lo && position < tile.hi;
            const uint64_t from = visible ? static_cast<uint32_t>(blocks[i / 2]) * block_bytes + i % 2 * (kTogether * kDim * 2) : 0;
            copy_async(stage + i * (kTogether * 128), keys + from, visible);
            copy_async(stage + 2 * kHalf + i * (kTogether * 128), values + from, visible);
        }
        barrier_arrive_copied(shared_address(&shared.full[turn.stage]));
        turn.next();
        look_up(start + kKeys);
    }
    if (threadIdx.x < 32) {
        search.next(shared);
    }
}

// Left operands of a warp's 16 rows, from the first on; zeros past the sequence's last.
__device__ void load_queries(const AttentionShape &shape, const PrefillTile &tile, uint32_t first_row, uint32_t (&q)[kDim / 16][4]) {
    const uint32_t lane = threadIdx.x % 32;
#pragma unroll
    for (uint32_t half = 0; half < 2; ++half) {
        const uint32_t row = first_row + lane / 4 + 8 * half;
        const bool there = row < tile.all_rows;
        const uint32_t token = row / shape.group;
        const uint64_t at = uint64_t{static_cast<uint32_t>(tile.sequence.start) + token} * shape.q_step +
                            (tile.head * shape.group + (row - token * shape.group)) * kDim + 2 * (lane % 4);
        const uint32_t *from = reinterpret_cast<const uint32_t *>(static_cast<const __nv_bfloat16 *>(shape.q) + (there ? at : 0));
#pragma unroll
        for (int step = 0; step < kDim / 16; ++step) {
            q[step][half] = there ? from[step * 8] : 0;
            q[step][half + 2] = there ? from[step * 8 + 4] : 0;
        }
    }
}

// s = q k for the keys of a stage, under way.
__device__ __forceinline__ void begin_scores(Scores &s, const uint32_t (&q)[kDim / 16][4], uint32_t keys) {
    const uint64_t operand = right_operand(keys, 16);
    products_begin();
#pragma unroll
    for (int step = 0; step < kDim / 16; ++step) {
        product_transposed(s, q[step], operand + (step / 4 * kHalf + step % 4 * 32) / 16, step > 0); // addresses are in 16 bytes
    }
    products_commit();
}

// The accumulators are what the products made of them, and nothing before this has seen them.
template <int N> __device__ __forceinline__ void settle(float (&c)[N][4]) {
#pragma unroll
    for (int j = 0; j < N; ++j) {
        asm volatile("" : "+f"(c[j][0]), "+f"(c[j][1]), "+f"(c[j][2]), "+f"(c[j][3])::"memory");
    }
}

// What rows g and g + 8 of a warp have come to.
template <bool NARROW>
__device__ void write(const AttentionShape &shape, const PrefillTile &tile, uint32_t warp_row, const Running (&running)[2], const float (&o)[kDim / 8][4]) {
    const uint32_t lane = threadIdx.x % 32;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const uint32_t row = warp_row + 8 * half + lane / 4;
        if (row < tile.all_rows) {
            const uint32_t token = row / shape.group;
            const uint64_t at = uint64_t{static_cast<uint32_t>(tile.sequence.start) + token} * shape.out.step +
                                (tile.head * shape.group + (row - token * shape.group)) * kDim + 2 * (lane % 4);
            const float inverse = __fdiv_rn(1.0f, running[half].sum);
#pragma unroll
            for (int j = 0; j < kDim / 8; ++j) {
                const float a = __fadd_rn(__fmul_rn(o[j][2 * half], inverse), 0.0f); // as finished()
                const float b = __fadd_rn(__fmul_rn(o[j][2 * half + 1], inverse), 0.0f);
                if constexpr (NARROW) {
                    (static_cast<uint32_t *>(shape.out.data) + at / 2)[4 * j] = pack_bf16(a, b);
                } else {
                    (static_cast<float2 *>(shape.out.data) + at / 2)[4 * j] = make_float2(a, b);
                }
            }
        }
    }
}

// One warp's rows once more where something is not finite: operands straight from the cache, zeros for what a row does not see. Slow, and rare.
__device__ __noinline__ void attend_carefully(const AttentionShape &shape, PrefillTile tile, uint32_t warp_row, Running *running, float (*o)[4]) {
    const uint32_t lane = threadIdx.x % 32;
    uint32_t q[kDim / 16][4];
    load_queries(shape, tile, warp_row, q);
    const uint32_t first = 2 * (lane % 4); // of a pair of elements of keys, or of positions of values
    const auto in_cache = [&](const void *layer, int32_t position) {
        const uint64_t block = static_cast<uint32_t>(tile.sequence.table[position / 16]);
        return static_cast<const uint16_t *>(layer) + ((block * shape.cache.kv_heads + tile.head) * 16 + static_cast<uint32_t>(position) % 16) * kDim;
    };
    const auto seen = [&](int32_t position) { return position >= tile.lo && position < tile.hi; }; // by some row
    running[0] = running[1] = Running();
    for (int j = 0; j < kDim / 8; ++j) {
        o[j][0] = o[j][1] = o[j][2] = o[j][3] = 0.0f;
    }
#pragma unroll 1
    for (int32_t start = first_block(tile); start < tile.hi; start += kKeys) {
        Scores s;
#pragma unroll
        for (int j = 0; j < 8; ++j) {
            s[j][0] = s[j][1] = s[j][2] = s[j][3] = 0.0f;
            const int32_t position = start + 8 * j + static_cast<int32_t>(lane / 4);
            const uint32_t *key = seen(position) ? reinterpret_cast<const uint32_t *>(in_cache(shape.cache.keys, position) + first) : nullptr;
#pragma unroll
            for (int step = 0; step < kDim / 16; ++step) {
                multiply(s[j], q[step], key ? key[step * 8] : 0, key ? key[step * 8 + 4] : 0);
            }
        }
        Visible visible;
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const uint32_t row = min(warp_row + lane / 4 + 8 * half, tile.all_rows - 1);
            const int32_t position = tile.sequence.before + static_cast<int32_t>(row / shape.group);
            visible.lo[half] = first_visible(position, shape.window) - start;
            visible.hi[half] = position + 1 - start;
        }
        mask(s, visible, lane);
        Probabilities p;
        softmax(s, __fmul_rn(shape.scale, 1.44269504f), p);
        float old_factor[2], new_factor[2];
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            running[half].merge(p.maximum[half], p.sum[half], old_factor[half], new_factor[half]);
        }
#pragma unroll 1
        for (int j = 0; j < kDim / 8; ++j) {
            float sums[4] = {};
#pragma unroll 1
            for (uint32_t row = 0; row < 16; ++row) {
                const int32_t lo = __shfl_sync(0xFFFFFFFFu, row < 8 ? visible.lo[0] : visible.lo[1], row % 8 * 4);
                const int32_t hi = __shfl_sync(0xFFFFFFFFu, row < 8 ? visible.hi[0] : visible.hi[1], row % 8 * 4);
                float r[4] = {};
#pragma unroll
                for (int step = 0; step < 4; ++step) {
                    uint32_t b[2];
#pragma unroll
                    for (int k = 0; k < 2; ++k) {
                        const int32_t at = 16 * step + 8 * k + static_cast<int32_t>(first);
                        const auto value = [&](int32_t i) {
                            return i >= lo && i < hi && seen(start + i) ? uint32_t{in_cache(shape.cache.values, start + i)[8 * j + lane / 4]} : 0;
                        };
                        b[k] = value(at) | value(at + 1) << 16;
                    }
                    multiply(r, p.p[step], b[0], b[1]);
                }
                if (lane / 4 == row % 8) {
                    sums[row / 8 * 2] = row < 8 ? r[0] : r[2];
                    sums[row / 8 * 2 + 1] = row < 8 ? r[1] : r[3];
                }
            }
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                o[j][i] = merged(sums[i], new_factor[i / 2], o[j][i], old_factor[i / 2]);
            }
        }
    }
}

// A warpgroup's rows of a tile. Both warpgroups go through all its key blocks, so that they have as many turns.
template <uint32_t Consumers>
__device__ __forceinline__ void attend(const AttentionShape &shape, const PrefillTile tile, uint32_t group, uint32_t ring, Shared &shared, Turn &turn) {
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t group_row = tile.row + group * kRowsOfGroup; // the first of the warpgroup
    const uint32_t warp_row = group_row + threadIdx.x % kGroup / 32 * kTileRows;
    const auto position_of = [&](uint32_t row) { return tile.sequence.before + static_cast<int32_t>(min(row, tile.all_rows - 1) / shape.group); };
    const int32_t oldest = position_of(group_row);
    const int32_t newest = position_of(group_row + kRowsOfGroup - 1);
    const int32_t seen_by_all = first_visible(newest, shape.window);
    const float factor = __fmul_rn(shape.scale, 1.44269504f);
    const auto stage_full = [&] { barrier_wait(shared_address(&shared.full[turn.stage]), turn.phase); };

    int32_t positions[2]; // of rows g and g + 8
    uint32_t q[kDim / 16][4];
#pragma unroll
    for (uint32_t half = 0; half < 2; ++half) {
        positions[half] = position_of(warp_row + lane / 4 + 8 * half);
    }
    load_queries(shape, tile, warp_row, q);
    Running running[2];
    float o[kDim / 8][4];
#pragma unroll
    for (int j = 0; j < kDim / 8; ++j) {
        o[j][0] = o[j][1] = o[j][2] = o[j][3] = 0.0f;
    }
    int32_t start = first_block(tile);
    const int32_t count = __shfl_sync(0xFFFFFFFFu, (tile.hi - start + kKeys - 1) / kKeys, 0); // the same for all, as the compiler has to know
    Scores s;
    stage_full();
    fence_products();
    begin_scores(s, q, ring + turn.stage * kStage);
#pragma unroll 1
    for (int32_t left = count; left > 0; --left, start += kKeys) {
        products_wait<0>();
        settle(s);
        const bool full = start + kKeys <= oldest + 1 && start >= seen_by_all;
        if (!full) {
            Visible visible;
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                visible.lo[half] = first_visible(positions[half], shape.window) - start;
                visible.hi[half] = positions[half] + 1 - start;
            }
            mask(s, visible, lane);
        }
        Probabilities p;
        softmax_part<0>(s, factor, p);
        softmax_part<1>(s, factor, p);
        const uint32_t values = ring + turn.stage * kStage + 2 * kHalf;
        const uint32_t used = shared_address(&shared.empty[turn.stage]);
        turn.next();
        if (left > 1) {
            stage_full();
        }
        fence_products();
        if constexpr (Consumers == 2) {
            turn_wait(group);
        }
        const uint64_t operand = right_operand(values, kHalf);
        float block[kDim / 8][4];
        products_begin();
#pragma unroll
        for (int step = 0; step < 4; ++step) {
            product_of_rows(block, p.p[step], operand + step * (16 * 128) / 16, step > 0);
        }
        products_commit();
        begin_scores(s, q, ring + turn.stage * kStage); // after the last, nobody's: a branch would make the compiler wait for each product
        if constexpr (Consumers == 2) {
            turn_give(1 - group);
        }
        complete_sum<0>(p);
        complete_sum<1>(p);
        float old_factor[2], new_factor[2];
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            running[half].merge(p.maximum[half], p.sum[half], old_factor[half], new_factor[half]);
        }
        products_wait<1>();
        settle(block);
        __syncwarp();
        if (lane == 0) {
            barrier_arrive(used);
        }
#pragma unroll
        for (int j = 0; j < kDim / 8; ++j) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                o[j][i] = merged(block[j][i], new_factor[i / 2], o[j][i], old_factor[i / 2]);
            }
        }
    }
    products_wait<0>();
    settle(s);
    bool odd = false;
#pragma unroll
    for (int j = 0; j < kDim / 8; ++j) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            odd = odd || isnan(o[j][i]);
        }
    }
    if (__any_sync(0xFFFFFFFFu, odd)) { // perhaps of positions that other rows see: once more, row by row
        Running again_running[2]; // copies, for what has an address is not in registers
        float again[kDim / 8][4];
        attend_carefully(shape, tile, warp_row, again_running, again);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            running[half] = again_running[half];
        }
#pragma unroll
        for (int j = 0; j < kDim / 8; ++j) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                o[j][i] = again[j][i];
            }
        }
    }
    shape.out.narrow ? write<true>(shape, tile, warp_row, running, o) : write<false>(shape, tile, warp_row, running, o);
}

#endif

template <uint32_t Consumers>
__global__ void __launch_bounds__(kThreads<Consumers>, 1)
    attention_hopper([[maybe_unused]] const __grid_constant__ AttentionShape shape, [[maybe_unused]] uint32_t *counters) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    extern __shared__ __align__(1024) char memory[];
    __shared__ Shared shared;
    const uint32_t ring = (shared_address(memory) + 1023) / 1024 * 1024;
    const uint32_t sequences = *shape.sequences;
    const uint32_t ready = shared_address(&shared.ready), taken = shared_address(&shared.taken);
    if (threadIdx.x == 0) {
        for (uint32_t stage = 0; stage < kStages; ++stage) {
            barrier_make(shared_address(&shared.full[stage]), kGroup);
            barrier_make(shared_address(&shared.empty[stage]), Consumers * kGroup / 32);
        }
        barrier_make(ready, 1);
        barrier_make(taken, Consumers * kGroup);
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncthreads();
    Turn turn;
    uint32_t phase = 0; // of the tile
    if (threadIdx.x < kGroup) {
        if constexpr (Consumers == 2) {
            fewer_registers<kCopying>();
        }
        Search<Consumers> search(shape, sequences, counters);
        if (threadIdx.x < 32) {
            search.next(shared);
        }
        wait_for_earlier();
        let_next_start(); // and not before: what attention_decode.cu reads early rests on it
#pragma unroll 1
        for (;; phase ^= 1) {
            group_sync(); // the search is over
            const PrefillTile tile = shared.next_tile;
            const bool found = shared.next_found;
            group_sync(); // and its result read
            if (threadIdx.x == 0) {
                barrier_wait(taken, phase ^ 1);
                shared.tile = tile;
                shared.found = found;
                barrier_arrive(ready);
            }
            if (!found) {
                break;
            }
            copy_tile(shape, tile, ring, shared, turn, search);
        }
        wait_copies<0>();
        if (threadIdx.x == 0) {
            hand_back_tickets(counters);
        }
    } else {
        if constexpr (Consumers == 2) {
            more_registers<kComputing>();
        }
        const uint32_t group = __shfl_sync(0xFFFFFFFFu, threadIdx.x / kGroup - 1, 0);
        wait_for_earlier();
        let_next_start();
        if (Consumers == 2 && group == 1) {
            turn_give(0);
        }
#pragma unroll 1
        for (;; phase ^= 1) {
            barrier_wait(ready, phase);
            const PrefillTile tile = shared.tile;
            const bool found = shared.found;
            barrier_arrive(taken);
            if (!found) {
                break;
            }
            attend<Consumers>(shape, tile, group, ring, shared, turn);
        }
    }
#endif
}

} // namespace

bool can_launch_attention_hopper(const Context &context, const AttentionShape &shape) { return hopper::is_here(context) && shape.cache.head_dim == kDim; }

void launch_attention_hopper(const Context &context, const AttentionShape &shape) {
    const auto run = [&]<uint32_t Consumers>() {
        check(cudaFuncSetAttribute(attention_hopper<Consumers>, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes), "shared memory of attention");
        const uint64_t tiles = uint64_t{shape.n} * shape.cache.kv_heads; // never more
        const uint64_t most = static_cast<uint32_t>(context.multiprocessors);
        launch(context, "attention", attention_hopper<Consumers>, dim3(static_cast<uint32_t>(tiles < most ? tiles : most)), dim3(kThreads<Consumers>), kBytes,
               shape, context.counters);
    };
    const uint64_t small = ceil_div(uint64_t{shape.n} * shape.group, kRowsOfGroup) * uint64_t{shape.cache.kv_heads}; // of one sequence
    small <= static_cast<uint32_t>(context.multiprocessors) ? run.template operator()<1>() : run.template operator()<2>();
}

} // namespace intarsia::cuda
