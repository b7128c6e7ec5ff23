// Attention of one token, where there are clusters: one head of the cache is a cluster's, whose blocks take key blocks in turns. What earlier steps left in the
// cache is on its way before the kernel before this one is done. The results of key blocks go to scratch memory, and once all are there each block of the
// cluster merges some of the elements.
// (By way of the other blocks' shared memory, as in attention_few.cu, each key block takes 0.4 us more.)
//
// As in attention_decode.cu, the step's buffers and what earlier steps wrote are read before wait_for_earlier(): the first kernels of a step, the embedding and
// the table of rotations, let others start only once they have waited themselves, so whatever runs beside this one is of this step.
#include <map>
#include <mutex>
#include <tuple>

#include "cuda/attention_tile.h"
#include "cuda/bulk.h"

namespace intarsia::cuda {
namespace {

constexpr uint32_t kStages = 2;
constexpr uint32_t kWarps = 4;
constexpr uint32_t kThreads = kWarps * 32;
constexpr uint32_t kMostRows = 8;    // heads of q that share one of the cache
constexpr uint32_t kTogether = 128;  // key blocks that are merged at a time
// Blocks of a cluster. With 16 some multiprocessors have two of them, and no room for what comes after; with 8 no key block waits for another as long as
// sequences are no longer than kShort.
constexpr uint32_t kLargestCluster = 16, kSmallCluster = 8;
constexpr uint32_t kShort = kSmallCluster * kStages * kKeys; // positions

template <int DIM> struct Memory {
    static constexpr uint32_t kStage = 2 * Layout<DIM>::kBytes; // keys, then values
    static constexpr uint32_t kQueries = kStages * kStage;
    static constexpr uint32_t kBytes = kQueries + kTileRows * DIM * 2;
};

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900

template <int DIM> class Single {
public:
    __device__ Single(const AttentionShape &shape, float *partials, uint32_t cluster, char *memory)
        : shape_(shape), memory_(memory), base_(shared_address(memory)), warp_(threadIdx.x / 32), lane_(threadIdx.x % 32), cluster_(cluster),
          rank_(blockIdx.x % cluster), head_(blockIdx.x / cluster) {
        const uint32_t sequences = *shape.sequences;
        int32_t length = shape.lengths[0], tokens = shape.query_starts[1];
        tables_ = shape.block_tables;
        for (uint32_t i = 1; i < sequences && tokens == 0; ++i) { // a sequence may have none
            length = shape.lengths[i];
            tokens = shape.query_starts[i + 1];
            tables_ += shape.max_blocks;
        }
        position_ = sequences != 0 && tokens == 1 ? length - 1 : -1; // of the token; if it is of no sequence the row is padding
        lo_ = first_visible(position_, shape.window);
        first_ = lo_ / kKeys;
        blocks_ = position_ < 0 ? 0 : static_cast<uint32_t>(position_ / kKeys + 1 - first_);
        partials_ = partials + uint64_t{head_} * (uint64_t{shape.max_blocks} * cpu::kBlock / kKeys + 1) * (kMostRows * (DIM + 2));
    }

    __device__ void run() {
#pragma unroll 1
        for (uint32_t stage = 0; stage < kStages; ++stage) {
            fetch(rank_ + stage * cluster_, look_up(rank_ + stage * cluster_), stage, true);
        }
        let_next_start();
        const uint32_t newest = blocks_ - 1;
        const bool is_here = position_ >= 0 && newest % cluster_ == rank_ && newest / cluster_ < kStages;
        const int32_t table = is_here ? tables_[position_ / static_cast<int32_t>(cpu::kBlock)] : 0;
        wait_for_earlier();
        fetch_queries();
        if (is_here) {
            fetch_newest(table, newest / cluster_);
        }
        commit_copies();
        uint32_t stage = 0;
#pragma unroll 1
        for (uint32_t block = rank_; block < blocks_; block += cluster_) {
            if (block == rank_) {
                wait_copies<0>();
                __syncthreads();
                load_queries();
            } else {
                wait_copies<kStages - 1>();
                __syncthreads();
            }
            const uint32_t next = block + kStages * cluster_;
            const int4 tables = look_up(next);
            attend(block, stage);
            __syncthreads(); // the stage is free
            fetch(next, tables, stage, false);
            stage = stage + 1 == kStages ? 0 : stage + 1;
        }
        bulk::cluster_arrive();
        bulk::cluster_wait();
        merge();
    }

private:
    // The blocks of the cache that a key block is made of.
    __device__ int4 look_up(uint32_t block) const {
        int32_t found[4] = {};
        if (block < blocks_) {
#pragma unroll
            for (int k = 0; k < 4; ++k) {
                const int32_t at = (first_ + static_cast<int32_t>(block)) * kKeys + 16 * k;
                found[k] = at <= position_ && at + 16 > lo_ ? tables_[at / 16] : 0;
            }
        }
        return make_int4(found[0], found[1], found[2], found[3]);
    }

    // A key block to a stage, zeros for what is not seen; `early`: all but the token itself.
    __device__ void fetch(uint32_t block, const int4 &found, uint32_t stage, bool early) const {
        if (block < blocks_) {
            constexpr int kChunks = Layout<DIM>::kChunks;
            constexpr int kRows = static_cast<int>(kThreads) / kChunks; // 8 or 16, copied at a time
            const uint32_t chunk = threadIdx.x % kChunks, row = threadIdx.x / kChunks;
            const int32_t start = (first_ + static_cast<int32_t>(block)) * kKeys;
            uint32_t to = base_ + stage * Memory<DIM>::kStage + Layout<DIM>::at(row, chunk);
            const int32_t tables[4] = {found.x, found.y, found.z, found.w};
#pragma unroll
            for (int32_t part = 0; part < kKeys; part += static_cast<int32_t>(cpu::kBlock)) {
                const int32_t first = start + part;
                const int32_t table = tables[part / 16];
#pragma unroll
                for (int32_t i = 0; i < 16; i += kRows) {
                    const int32_t at = first + static_cast<int32_t>(row) + i;
                    const bool visible = at >= lo_ && at <= position_;
                    const uint64_t from = visible ? in_cache(table, static_cast<uint32_t>(i) + row) + chunk * 16 : 0;
                    if (!early || at != position_) {
                        copy_async(to, static_cast<const char *>(shape_.cache.keys) + from, visible);
                        copy_async(to + Layout<DIM>::kBytes, static_cast<const char *>(shape_.cache.values) + from, visible);
                    }
                    to += kRows * DIM * 2;
                }
            }
        }
        commit_copies();
    }

    // Bytes to a row of a block of this head.
    __device__ uint64_t in_cache(int32_t block, uint32_t row) const {
        return (uint64_t{static_cast<uint32_t>(block)} * shape_.cache.kv_heads + head_) * (16 * DIM * 2) + row * (DIM * 2);
    }

    // The token itself, key and value, to a stage.
    __device__ void fetch_newest(int32_t table, uint32_t stage) const {
        constexpr uint32_t kChunks = Layout<DIM>::kChunks;
        const uint32_t chunk = threadIdx.x % kChunks, row = static_cast<uint32_t>(position_) % kKeys;
        const uint64_t from = in_cache(table, row % 16) + chunk * 16;
        const uint32_t to = base_ + stage * Memory<DIM>::kStage + Layout<DIM>::at(row, chunk);
        if (threadIdx.x < kChunks) {
            copy_async(to, static_cast<const char *>(shape_.cache.keys) + from, true);
        } else if (threadIdx.x < 2 * kChunks) {
            copy_async(to + Layout<DIM>::kBytes, static_cast<const char *>(shape_.cache.values) + from, true);
        }
    }

    __device__ void fetch_queries() const {
        constexpr uint32_t kChunks = Layout<DIM>::kChunks;
        for (uint32_t i = threadIdx.x; i < kTileRows * kChunks; i += kThreads) {
            const uint32_t row = i / kChunks, chunk = i % kChunks;
            const bool there = row < shape_.group;
            const auto *from = static_cast<const __nv_bfloat16 *>(shape_.q) + (head_ * shape_.group + (there ? row : 0)) * DIM + chunk * 8;
            copy_async(base_ + Memory<DIM>::kQueries + Layout<DIM>::at(row, chunk), from, there);
        }
    }

    __device__ void load_queries() {
        const uint32_t queries = base_ + Memory<DIM>::kQueries + Layout<DIM>::at(lane_ & 15, lane_ >> 4);
#pragma unroll
        for (int step = 0; step < DIM / 16; ++step) {
            load_matrices(q_[step], Layout<DIM>::on(queries, step, 0));
        }
    }

    // Results of a key block: outputs [group, DIM], then maximum and sum of each row.
    __device__ uint32_t step() const { return shape_.group * (DIM + 2); }

    __device__ void attend(uint32_t block, uint32_t stage) {
        Scores s;
        const uint32_t at = base_ + stage * Memory<DIM>::kStage;
        score_together<DIM, kWarps>(s, q_, memory_ + stage * Memory<DIM>::kStage, at, warp_, lane_, false, 0);
        const int32_t start = (first_ + static_cast<int32_t>(block)) * kKeys;
        if (start + kKeys > position_ + 1 || start < lo_) {
            const Visible visible = {{lo_ - start, lo_ - start}, {position_ + 1 - start, position_ + 1 - start}};
            mask(s, visible, lane_);
        }
        Probabilities p[1];
        softmax_half<0>(s, __fmul_rn(shape_.scale, 1.44269504f), p[0]);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            p[0].p[i][1] = p[0].p[i][3] = 0;
        }
        constexpr uint32_t kPairs = DIM / 16 / kWarps;
        float *to = partials_ + uint64_t{block} * step();
        const uint32_t row = lane_ / 4;
#pragma unroll
        for (uint32_t k = 0; k < kPairs; ++k) {
            float part[1][2][4];
            mix<DIM, 1>(part, p, at + Layout<DIM>::kBytes, warp_ * kPairs + k, lane_);
            if (row < shape_.group) {
#pragma unroll
                for (uint32_t j = 0; j < 2; ++j) {
                    *reinterpret_cast<float2 *>(to + row * DIM + 16 * (warp_ * kPairs + k) + 8 * j + 2 * (lane_ % 4)) =
                        make_float2(part[0][j][0], part[0][j][1]);
                }
            }
        }
        if (warp_ == 0 && lane_ % 4 == 0 && row < shape_.group) {
            *reinterpret_cast<float2 *>(to + shape_.group * DIM + 2 * row) = make_float2(p[0].maximum[0], p[0].sum[0]);
        }
    }

    // Elements of this block: pairs of them from rank * each on, over all rows, some at once.
    __device__ void merge() {
        constexpr uint32_t kAtOnce = 16, kAcross = kThreads / kAtOnce;
        const uint32_t pairs = shape_.group * (DIM / 2), each = (pairs + cluster_ - 1) / cluster_;
        const uint32_t begin = min(rank_ * each, pairs), end = min(begin + each, pairs);
        auto *factors = reinterpret_cast<float4 *>(memory_);                         // [rows of this block][kTogether]
        auto *outputs = reinterpret_cast<float2 *>(factors + kMostRows * kTogether); // [kTogether][kAtOnce]
        const uint32_t first_row = begin / (DIM / 2), rows = begin < end ? (end - 1) / (DIM / 2) + 1 - first_row : 0;
        const uint32_t at = threadIdx.x % kAtOnce, across = threadIdx.x / kAtOnce;
#pragma unroll 1
        for (uint32_t base = begin; base < end; base += kAtOnce) {
            const uint32_t pair = min(base + at, end - 1);
            const float2 *from = reinterpret_cast<const float2 *>(partials_) + pair;
            float2 o = make_float2(0.0f, 0.0f);
            float sum = 0.0f;
#pragma unroll 1
            for (uint32_t start = 0; start < blocks_; start += kTogether) {
                const uint32_t together = min(blocks_ - start, kTogether);
                float2 loaded[kTogether / kAcross];
#pragma unroll
                for (uint32_t i = 0; i < kTogether / kAcross; ++i) {
                    if (across + i * kAcross < together) {
                        loaded[i] = __ldcg(from + (start + across + i * kAcross) * (step() / 2));
                    }
                }
                __syncthreads();
#pragma unroll 1
                for (uint32_t r = warp_; r < rows; r += kWarps) {
                    prepare(factors + r * kTogether, first_row + r, start, together);
                }
#pragma unroll
                for (uint32_t i = 0; i < kTogether / kAcross; ++i) {
                    outputs[(across + i * kAcross) * kAtOnce + at] = loaded[i];
                }
                __syncthreads();
                const float4 *f = factors + (pair / (DIM / 2) - first_row) * kTogether;
#pragma unroll 2
                for (uint32_t block = 0; block < together; ++block) { // all threads, of which the first kAtOnce count
                    const float2 own = outputs[block * kAtOnce + at];
                    o.x = merged(own.x, f[block].y, o.x, f[block].x);
                    o.y = merged(own.y, f[block].y, o.y, f[block].x);
                    sum = __fmaf_rn(f[block].z, f[block].y, __fmul_rn(sum, f[block].x));
                }
            }
            if (across == 0 && base + at < end) {
                const bool any = blocks_ != 0;
                shape_.out.put2(0, head_ * shape_.group * DIM + 2 * pair, any ? finished(o.x, sum) : 0.0f, any ? finished(o.y, sum) : 0.0f);
            }
        }
    }

    // What older outputs and the new ones are multiplied by, and the sum, of key blocks from .. from + count of a row, by one warp.
    __device__ void prepare(float4 *to, uint32_t row, uint32_t from, uint32_t count) const {
        const float *at = partials_ + shape_.group * DIM + 2 * row;
        float maximum = -INFINITY; // of what is before
        if (from != 0) {
            for (uint32_t block = lane_; block < from; block += 32) {
                maximum = fmaxf(maximum, __ldcg(at + uint64_t{block} * step()));
            }
#pragma unroll
            for (uint32_t k = 16; k > 0; k /= 2) {
                maximum = fmaxf(maximum, __shfl_xor_sync(0xFFFFFFFFu, maximum, k));
            }
        }
#pragma unroll 1
        for (uint32_t i = 0; i < count; i += 32) {
            const uint32_t block = i + lane_;
            const float2 own =
                block < count ? __ldcg(reinterpret_cast<const float2 *>(at + uint64_t{from + block} * step())) : make_float2(-INFINITY, 0.0f);
            const float4 factors = factors_of(own, maximum, lane_);
            if (block < count) {
                to[block] = factors;
            }
        }
    }

    const AttentionShape &shape_;
    char *memory_;
    uint32_t base_;
    uint32_t warp_, lane_;
    uint32_t cluster_, rank_, head_;
    int32_t position_, lo_, first_;
    uint32_t blocks_; // key blocks
    const int32_t *tables_;
    float *partials_; // of this head
    uint32_t q_[DIM / 16][4];
};

#endif

template <int DIM>
__global__ void __launch_bounds__(kThreads)
    attention_single(const __grid_constant__ AttentionShape shape, float *partials, uint32_t cluster) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    extern __shared__ __align__(kAlign) char memory[];
    Single<DIM>(shape, partials, cluster, memory).run();
#endif
}

uint64_t partial_bytes(const AttentionShape &shape) {
    const uint64_t blocks = uint64_t{shape.max_blocks} * cpu::kBlock / kKeys + 1;
    return shape.cache.kv_heads * blocks * kMostRows * (shape.cache.head_dim + 2) * 4;
}

// As many blocks to a cluster, up to `most`, as the device can hold for all heads at once; 0 if none.
template <int DIM> uint32_t cluster_of(uint32_t heads, uint32_t most) {
    for (uint32_t cluster = most; cluster > 1; cluster /= 2) {
        if (clusters_at_once(attention_single<DIM>, cluster, kThreads, Memory<DIM>::kBytes) >= heads) {
            return cluster;
        }
    }
    return 0;
}

template <int DIM> bool run(const Context &context, const AttentionShape &shape) {
    static const cudaError_t allowed = [] {
        const cudaError_t bytes = cudaFuncSetAttribute(attention_single<DIM>, cudaFuncAttributeMaxDynamicSharedMemorySize, Memory<DIM>::kBytes);
        return bytes != cudaSuccess ? bytes : cudaFuncSetAttribute(attention_single<DIM>, cudaFuncAttributeNonPortableClusterSizeAllowed, 1);
    }();
    check(allowed, "shared memory of attention");
    static std::mutex asking;
    static std::map<std::tuple<int, uint32_t, uint32_t>, uint32_t> known; // by device, heads and the most
    const uint32_t most = uint64_t{shape.max_blocks} * cpu::kBlock <= kShort ? kSmallCluster : kLargestCluster;
    uint32_t cluster;
    {
        const std::lock_guard lock(asking);
        const auto [found, is_new] = known.try_emplace({context.device, shape.cache.kv_heads, most}, 0);
        if (is_new) {
            found->second = cluster_of<DIM>(shape.cache.kv_heads, most);
        }
        cluster = found->second;
    }
    if (cluster == 0) {
        return false;
    }
    launch_clusters(context, "attention", attention_single<DIM>, dim3(shape.cache.kv_heads * cluster), cluster, dim3(kThreads), Memory<DIM>::kBytes, shape,
                    reinterpret_cast<float *>(context.scratch), cluster);
    return true;
}

} // namespace

bool try_attention_single(const Context &context, const AttentionShape &shape) {
    return shape.n == 1 && shape.group <= kMostRows && has_bulk(context) && partial_bytes(shape) <= context.scratch_bytes &&
           (shape.cache.head_dim == 128 ? run<128> : run<64>)(context, shape);
}

} // namespace intarsia::cuda
