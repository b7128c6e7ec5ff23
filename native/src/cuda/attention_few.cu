// Attention of up to eight tokens, where there are clusters. A work is a token and a head of the cache with the heads of q that share it, and is a cluster's; two
// warps of a block are a unit, and the units of a cluster take key blocks in turns. What earlier steps left in the cache is on its way before the kernel before
// this one is done. How the results of key blocks come together says attention_merge.h.
//
// As in attention_decode.cu, the step's buffers and what earlier steps wrote are read before wait_for_earlier(): the first kernels of a step, the embedding and
// the table of rotations, let others start only once they have waited themselves, so whatever runs beside this one is of this step.
#include <array>
#include <map>
#include <mutex>

#include "cuda/attention_merge.h"
#include "cuda/attention_tile.h"

namespace intarsia::cuda {
namespace {

constexpr uint32_t kMostTokens = 8;
constexpr uint32_t kWarps = 2; // of a unit
constexpr uint32_t kThreads = kWarps * 32;
constexpr uint32_t kUnits = 2; // of a block
constexpr uint32_t kMostShare = 40 << 10; // bytes of what is merged; with more there is a better kernel

struct Plan {
    Share share;
    uint32_t cluster;
};

// Shared memory: queries [kMergedRows, DIM], then of each unit the keys and values of a key block, then what is merged.
template <int DIM> struct Memory {
    static constexpr uint32_t kQueries = kMergedRows * DIM * 2;
    static constexpr uint32_t kUnit = 2 * Layout<DIM>::kBytes;
    static constexpr uint32_t kShare = kQueries + kUnits * kUnit;
};

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900

template <int DIM> class Few {
public:
    __device__ Few(const AttentionShape &shape, const Plan &plan, char *memory)
        : shape_(shape), memory_(memory), unit_(threadIdx.x / kThreads), base_(shared_address(memory) + Memory<DIM>::kQueries + unit_ * Memory<DIM>::kUnit),
          thread_(threadIdx.x % kThreads), warp_(thread_ / 32), lane_(threadIdx.x % 32), cluster_(plan.cluster), rank_(blockIdx.x % plan.cluster),
          turn_(unit_ * plan.cluster + rank_), head_(blockIdx.x / plan.cluster % shape.cache.kv_heads),
          row_(static_cast<int32_t>(blockIdx.x / plan.cluster / shape.cache.kv_heads)),
          merge_(plan.share, memory + Memory<DIM>::kShare, shared_address(memory) + Memory<DIM>::kShare) {
        bulk::cluster_arrive(); // this block is there
        find();
        lo_ = first_visible(position_, shape.window);
        first_ = lo_ / kKeys;
        blocks_ = position_ < 0 ? 0 : static_cast<uint32_t>(position_ / kKeys + 1 - first_);
    }

    __device__ void run() {
        // Of the first key block: tokens of this step are positions new_begin .. new_end of it, and come late.
        const int32_t start = first_of(turn_);
        const int32_t new_begin = min(max(before_ - start, 0), kKeys), new_end = min(max(position_ + 1 - start, 0), kKeys);
        const bool early = !reads_of_others(shape_);
        int32_t table = look_up(turn_);
        if (early) {
#pragma unroll 1
            for (uint32_t i = 0; i < 4; ++i) {
                fetch(i % 2, turn_, table, i < 2 ? 0 : new_end, i < 2 ? new_begin : kKeys);
            }
        }
        const uint32_t turns = kUnits * cluster_;
        let_next_start();
        wait_for_earlier();
        fetch_queries();
        if (!early || new_begin < new_end) {
#pragma unroll 1
            for (uint32_t i = 0; i < 2; ++i) {
                fetch(i, turn_, table, early ? new_begin : 0, early ? new_end : kKeys);
            }
        }
        commit_copies();
        bulk::cluster_wait();
        wait_copies<0>();
        __syncthreads();
        load_queries();
#pragma unroll 1
        for (uint32_t block = turn_; block < blocks_; block += turns) {
            const bool is_first = block == turn_, is_last = block + turns >= blocks_;
            if (!is_first) {
                wait_copies<1>(); // keys
                meet();
            }
            Scores s;
            score_together<DIM, kWarps>(s, q_, memory_ + (base_ - shared_address(memory_)), base_, warp_, lane_, false, number());
            if (!is_last) {
                table = look_up(block + turns);
                meet(); // the scores are read
                fetch(0, block + turns, table, 0, kKeys);
                commit_copies();
            }
            const Probabilities p = softmax_of(s, block);
            if (!is_first) {
                if (is_last) {
                    wait_copies<0>();
                } else {
                    wait_copies<1>(); // values
                }
                meet();
            }
            mix_to_share(p, block);
            if (!is_last) {
                meet(); // the values are read
                fetch(1, block + turns, table, 0, kKeys);
                commit_copies();
            }
        }
        bulk::cluster_arrive();
        bulk::cluster_wait();
        merge_.finish(shape_, static_cast<uint32_t>(row_), head_, blocks_, rank_, reinterpret_cast<float4 *>(memory_ + Memory<DIM>::kQueries),
                      threadIdx.x / 32, kUnits * kWarps, lane_);
    }

private:
    // The sequence of the token, if it is of one and not padding.
    __device__ void find() {
        const uint32_t sequences = *shape_.sequences;
        int32_t begin = 0, end = shape_.query_starts[1], length = shape_.lengths[0];
        uint32_t index = 0;
        bool found = sequences != 0 && row_ < end;
#pragma unroll 1
        for (uint32_t base = 0; !found && base < sequences; base += 32) {
            const uint32_t s = base + lane_;
            const bool there = s < sequences;
            const int32_t from = there ? shape_.query_starts[s] : 0, to = there ? shape_.query_starts[s + 1] : 0, own = there ? shape_.lengths[s] : 0;
            const uint32_t owner = __ffs(__ballot_sync(0xFFFFFFFFu, from <= row_ && row_ < to)) - 1;
            found = owner < 32;
            index = base + owner % 32;
            begin = __shfl_sync(0xFFFFFFFFu, from, owner);
            end = __shfl_sync(0xFFFFFFFFu, to, owner);
            length = __shfl_sync(0xFFFFFFFFu, own, owner);
        }
        position_ = found ? length - (end - row_) : -1;
        before_ = found ? length - (end - begin) : 0;
        tables_ = shape_.block_tables + uint64_t{index} * shape_.max_blocks;
    }

    __device__ int32_t first_of(uint32_t block) const { return (first_ + static_cast<int32_t>(block)) * kKeys; }

    // The blocks of the cache that a key block is made of: lane l has the one of positions 16 (l % 4) and following.
    __device__ int32_t look_up(uint32_t block) const {
        const int32_t at = first_of(block) + 16 * static_cast<int32_t>(lane_ % 4);
        return block < blocks_ && at <= position_ && at + 16 > lo_ ? tables_[at / 16] : 0;
    }

    // Positions begin .. end of a key block, keys (0) or values (1); zeros for what is not seen.
    __device__ void fetch(uint32_t which, uint32_t block, int32_t table, int32_t begin, int32_t end) const {
        if (block >= blocks_) return;
        constexpr int kChunks = Layout<DIM>::kChunks;
        constexpr int kRows = static_cast<int>(kThreads) / kChunks; // copied at a time
        const uint32_t chunk = thread_ % kChunks, to = base_ + which * Layout<DIM>::kBytes;
        const char *from = static_cast<const char *>(which == 0 ? shape_.cache.keys : shape_.cache.values) + head_ * (16 * DIM * 2) + chunk * 16;
        const int32_t start = first_of(block), lo = lo_ - start, hi = position_ - start;
#pragma unroll 4
        for (int32_t first = begin; first < end; first += kRows) {
            const int32_t row = first + static_cast<int32_t>(thread_ / kChunks);
            const uint64_t place = static_cast<uint32_t>(__shfl_sync(0xFFFFFFFFu, table, row / 16 % 4));
            const bool visible = row >= lo && row <= hi;
            if (row < end) {
                copy_async(to + Layout<DIM>::at(row, chunk), from + (visible ? place * shape_.cache.kv_heads * (16 * DIM * 2) + row % 16 * (DIM * 2) : 0),
                           visible);
            }
        }
    }

    __device__ void fetch_queries() const {
        constexpr uint32_t kChunks = Layout<DIM>::kChunks;
        for (uint32_t i = threadIdx.x; i < kMergedRows * kChunks; i += kUnits * kThreads) {
            const uint32_t row = i / kChunks, chunk = i % kChunks;
            const bool there = row < shape_.group;
            const auto *from = static_cast<const __nv_bfloat16 *>(shape_.q) + uint64_t{static_cast<uint32_t>(row_)} * shape_.q_step +
                               (head_ * shape_.group + (there ? row : 0)) * DIM + chunk * 8;
            copy_async(shared_address(memory_) + Layout<DIM>::at(row, chunk), from, there);
        }
    }

    // As the left operand of two steps at a time; rows from 8 on are zeros.
    __device__ void load_queries() {
        const uint32_t queries = shared_address(memory_) + Layout<DIM>::at(lane_ & 7, lane_ >> 3); // chunks 0..3
#pragma unroll
        for (int two = 0; two < DIM / 32; ++two) {
            uint32_t r[4];
            load_matrices(r, queries ^ two * 64);
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                q_[2 * two + i][0] = r[2 * i];
                q_[2 * two + i][2] = r[2 * i + 1];
                q_[2 * two + i][1] = q_[2 * two + i][3] = 0;
            }
        }
    }

    // All threads of the unit.
    __device__ uint32_t number() const { return unit_ + 1; }
    __device__ void meet() const { meet_warps<kWarps>(number()); }

    __device__ Probabilities softmax_of(Scores &s, uint32_t block) const {
        const int32_t start = first_of(block);
        if (start + kKeys > position_ + 1 || start < lo_) {
            const Visible visible = {{lo_ - start, lo_ - start}, {position_ + 1 - start, position_ + 1 - start}};
            mask(s, visible, lane_);
        }
        Probabilities p;
        softmax_half<0>(s, __fmul_rn(shape_.scale, 1.44269504f), p);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            p.p[i][1] = p.p[i][3] = 0;
        }
        return p;
    }

    __device__ void mix_to_share(const Probabilities &p, uint32_t block) const {
        constexpr uint32_t kPairs = DIM / 16 / kWarps;
        const uint32_t row = lane_ / 4;
        if (row < shape_.group) {
            merge_.put_row(block, row, p.maximum[0], p.sum[0], warp_ * 4 + lane_ % 4, kWarps * 4);
        }
        const Probabilities all[1] = {p};
#pragma unroll
        for (uint32_t k = 0; k < kPairs; ++k) {
            float part[1][2][4];
            mix<DIM, 1>(part, all, base_ + Layout<DIM>::kBytes, warp_ * kPairs + k, lane_);
            if (row < shape_.group) {
#pragma unroll
                for (uint32_t j = 0; j < 2; ++j) {
                    merge_.put(block, row, 8 * (warp_ * kPairs + k) + 4 * j + lane_ % 4, part[0][j][0], part[0][j][1]);
                }
            }
        }
    }

    const AttentionShape &shape_;
    char *memory_;
    uint32_t unit_; // of the block
    uint32_t base_; // of the unit's memory
    uint32_t thread_, warp_, lane_; // of the unit, of the unit, of the warp
    uint32_t cluster_, rank_, turn_; // turn_: the unit's, of those of the cluster
    uint32_t head_;
    int32_t row_;
    int32_t position_, before_; // of the token, or -1; of its sequence's first token of this step
    int32_t lo_, first_;
    uint32_t blocks_; // key blocks
    const int32_t *tables_;
    Merge<DIM> merge_;
    uint32_t q_[DIM / 16][4];
};

#endif

template <int DIM>
__global__ void __launch_bounds__(kUnits * kThreads) attention_few(const __grid_constant__ AttentionShape shape, const __grid_constant__ Plan plan) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    extern __shared__ __align__(kAlign) char memory[];
    Few<DIM>(shape, plan, memory).run();
#endif
}

template <int DIM> Share shares(const AttentionShape &shape, uint32_t cluster) {
    return share_of(shape.group, DIM, cluster, ceil_div(uint64_t{shape.max_blocks} * cpu::kBlock, kKeys));
}

// Whether the device can hold all works at once.
template <int DIM> bool fits(const AttentionShape &shape, uint32_t cluster) {
    const uint32_t share = shares<DIM>(shape, cluster).bytes();
    return share <= kMostShare &&
           clusters_at_once(attention_few<DIM>, cluster, kUnits * kThreads, Memory<DIM>::kShare + share) >= shape.n * shape.cache.kv_heads;
}

// Blocks of a cluster, 0 if there is no way: two blocks to a multiprocessor, fewer where no key block waits for another then. Sequences are seldom all as long as
// they can be, so nine tenths of that count.
template <int DIM> uint32_t cluster_of(const Context &context, const AttentionShape &shape) {
    const uint32_t works = shape.n * shape.cache.kv_heads, processors = static_cast<uint32_t>(context.multiprocessors);
    const uint32_t key_blocks = ceil_div(uint64_t{shape.max_blocks} * cpu::kBlock * 9, kKeys * 10);
    uint32_t cluster = 16;
    while (cluster > 2 && works * cluster > 2 * processors) {
        cluster /= 2;
    }
    while (cluster > 8 && cluster / 2 * kUnits >= key_blocks) {
        cluster /= 2;
    }
    if (cluster == 4 && key_blocks > 4 * kUnits && key_blocks <= 5 * kUnits && works * 5 * 2 <= processors * 5 && fits<DIM>(shape, 5)) {
        return 5;
    }
    while (cluster > 1 && !fits<DIM>(shape, cluster)) {
        cluster /= 2;
    }
    return cluster > 1 ? cluster : 0;
}

template <int DIM> bool run(const Context &context, const AttentionShape &shape) {
    static const cudaError_t allowed = [] {
        const cudaError_t bytes = cudaFuncSetAttribute(attention_few<DIM>, cudaFuncAttributeMaxDynamicSharedMemorySize, Memory<DIM>::kShare + kMostShare);
        return bytes != cudaSuccess ? bytes : cudaFuncSetAttribute(attention_few<DIM>, cudaFuncAttributeNonPortableClusterSizeAllowed, 1);
    }();
    check(allowed, "shared memory of attention");
    static std::mutex asking;
    static std::map<std::array<uint32_t, 5>, uint32_t> known; // by device and shape
    uint32_t cluster;
    {
        const std::lock_guard lock(asking);
        const std::array<uint32_t, 5> key{static_cast<uint32_t>(context.device), shape.n, shape.cache.kv_heads, shape.group, shape.max_blocks};
        const auto [found, is_new] = known.try_emplace(key);
        if (is_new) {
            found->second = cluster_of<DIM>(context, shape);
        }
        cluster = found->second;
    }
    if (cluster == 0) {
        return false;
    }
    const Plan plan{shares<DIM>(shape, cluster), cluster};
    launch_clusters(context, "attention", attention_few<DIM>, dim3(shape.n * shape.cache.kv_heads * cluster), cluster, dim3(kUnits * kThreads),
                    Memory<DIM>::kShare + plan.share.bytes(), shape, plan);
    return true;
}

} // namespace

bool try_attention_few(const Context &context, const AttentionShape &shape) {
    return shape.n <= kMostTokens && shape.group <= kMergedRows && has_bulk(context) && (shape.cache.head_dim == 128 ? run<128> : run<64>)(context, shape);
}

} // namespace intarsia::cuda
