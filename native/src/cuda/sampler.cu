// The token of each row, to the device and to the host: the largest logit that argmax.cu found, or what runtime/sampler_row.h samples. A row is shared by the
// blocks of a cluster, of which each warp has a run of ids; counters, lists and sums of the blocks lie in their shared memory, where the others find them.
#include "cuda/opened.h"
#include "runtime/sampler_row.h"

namespace intarsia::cuda {

namespace {

constexpr uint32_t kThreads = 1024, kWarps = kThreads / 32;
constexpr uint32_t kMostBlocks = 8; // of a cluster
constexpr uint32_t kListed = 256;
constexpr uint32_t kEach = kThreads / kListed; // threads of a key that is listed
constexpr uint32_t kBinsEach = grouped::kBins / kThreads;
static_assert(kBinsEach * kThreads == grouped::kBins && kEach <= 32 && kMostBlocks * kWarps <= kThreads && kGpuEdited <= kScratch);

// A choice, to all threads.
struct Found {
    uint64_t key;
    double before, reached;
    uint32_t id;
};

struct Shared {
    uint32_t low[grouped::kBins], high[grouped::kBins]; // halves of the counters; a tile of weights for in_order
    uint64_t listed[kListed], gathered[kListed];             // keys of this block, and of all
    uint32_t amounts[kListed], gathered_amounts[kListed];
    uint64_t of_warps[kWarps], of_block[2];  // of one reduction, and of two
    double sums[kWarps]; // of the warps of this block
    Found found;
    uint32_t count; // keys that were to be listed
};

__device__ uint32_t cluster_size() {
#if __CUDA_ARCH__ >= 900
    uint32_t size;
    asm("mov.u32 %0, %%cluster_nctaid.x;" : "=r"(size));
    return size;
#else
    return 1;
#endif
}

__device__ uint32_t cluster_rank() {
#if __CUDA_ARCH__ >= 900
    uint32_t rank;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
#else
    return 0;
#endif
}

__device__ double shuffled_up(double value, uint32_t lanes) { return __shfl_up_sync(0xFFFFFFFFu, value, lanes); }

// See runtime/sampler_row.h. Every thread makes every call but those within each and draw.
class Cluster {
public:
    static constexpr uint32_t kRoom = kListed;
    static constexpr bool kCautious = false;
    struct Drawn {
        uint32_t id;
        double before, reached, total;
    };
    struct InOrder {
        uint32_t id;
        double sum;
    };

    __device__ Cluster(Shared &shared, const float *logits, uint32_t vocabulary)
        : shared_(shared), logits_(logits), vocabulary_(vocabulary), blocks_(cluster_size()), rank_(cluster_rank()),
          warp_(threadIdx.x / 32), lane_(threadIdx.x % 32), run_((vocabulary + blocks_ * kThreads - 1) / (blocks_ * kThreads) * 32) {}

    // All threads of the row. Once more at the end: a block's shared memory is gone when it is done.
    __device__ void meet() {
#if __CUDA_ARCH__ >= 900
        if (blocks_ > 1) {
            asm volatile("barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;" ::: "memory");
            return;
        }
#endif
        __syncthreads();
    }

    template <class F> __device__ void each(F f) {
        const uint32_t begin = (rank_ * kWarps + warp_) * run_, end = end_of(begin);
        // Not unrolled: a pass over the ids is run once or a few times by each warp, and its code has to be fetched first. Many warps hide the latencies.
        float next = begin + lane_ < end ? logits_[begin + lane_] : 0;
#pragma unroll 1
        for (uint32_t id = begin + lane_; id < end; id += 32) {
            const float logit = next;
            next = id + 32 < end ? logits_[id + 32] : 0;
            f(id, grouped::counted(logit));
        }
    }

    template <class F> __device__ void share(uint32_t count, F f) {
        for (uint32_t i = rank_ * kThreads + threadIdx.x; i < count; i += blocks_ * kThreads) {
            f(i);
        }
    }
    __device__ void turn_to(const float *logits) { logits_ = logits; }

    __device__ double sum(double value) {
        return reduced(value, [](double a, double b) { return a + b; });
    }
    __device__ uint64_t least(uint64_t value) {
        return reduced(value, [](uint64_t a, uint64_t b) { return a < b ? a : b; });
    }
    __device__ uint64_t most(uint64_t value) { return ~least(~value); }
    // Of numbers that are not below 0.
    __device__ float least(float value) { return __uint_as_float(static_cast<uint32_t>(least(uint64_t{__float_as_uint(value)}))); }

    __device__ void clear() {
        for (uint32_t i = threadIdx.x; i < grouped::kBins; i += kThreads) {
            shared_.low[i] = shared_.high[i] = 0;
        }
        __syncthreads();
    }
    __device__ void add(uint32_t bin, uint32_t amount) {
        const uint32_t before = atomicAdd(&shared_.low[bin], amount);
        if (before + amount < before) {
            atomicAdd(&shared_.high[bin], 1u);
        }
    }

    template <class Unit> __device__ uint32_t reach(double wanted, double &before, Unit unit) {
        if (threadIdx.x == 0) {
            shared_.found.id = grouped::kNone;
        }
        meet();
        uint64_t amount[kBinsEach] = {};
        for (uint32_t b = 0; b < blocks_; ++b) {
            const Shared &there = of(b);
#pragma unroll
            for (uint32_t i = 0; i < kBinsEach; ++i) {
                const uint32_t bin = threadIdx.x * kBinsEach + i;
                amount[i] += uint64_t{there.high[bin]} << 32 | there.low[bin];
            }
        }
        double value[kBinsEach], mine = 0;
#pragma unroll
        for (uint32_t i = 0; i < kBinsEach; ++i) {
            value[i] = static_cast<double>(amount[i]) * unit(threadIdx.x * kBinsEach + i);
            mine += value[i];
        }
        double running = before + of_earlier(mine);
#pragma unroll
        for (uint32_t i = 0; i < kBinsEach; ++i) {
            const double next = running + value[i];
            if (running < wanted && next >= wanted) {
                shared_.found = {0, running, next, threadIdx.x * kBinsEach + i};
            }
            running = next;
        }
        __syncthreads();
        const Found found = shared_.found;
        meet();
        if (found.id != grouped::kNone) {
            before = found.before;
        }
        return found.id;
    }

    __device__ void forget() {
        if (threadIdx.x == 0) {
            shared_.count = 0;
        }
        __syncthreads();
    }
    __device__ void keep(uint64_t key, uint32_t amount) {
        const uint32_t at = atomicAdd(&shared_.count, 1u);
        if (at < kListed) {
            shared_.listed[at] = key;
            shared_.amounts[at] = amount;
        }
    }
    __device__ uint32_t kept() {
        meet();
        uint32_t count = 0;
        for (uint32_t b = 0; b < blocks_; ++b) {
            count += of(b).count;
        }
        return count;
    }
    __device__ grouped::Cut pick(double wanted, double before, double unit) {
        uint32_t total = 0;
        for (uint32_t b = 0; b < blocks_; ++b) {
            const Shared &there = of(b);
            const uint32_t count = there.count;
            if (threadIdx.x >= total && threadIdx.x < total + count) {
                shared_.gathered[threadIdx.x] = there.listed[threadIdx.x - total];
                shared_.gathered_amounts[threadIdx.x] = there.amounts[threadIdx.x - total];
            }
            total += count;
        }
        if (threadIdx.x == 0) {
            shared_.found.key = grouped::kAllKeys;
            shared_.found.before = shared_.found.reached = 0;
        }
        __syncthreads();
        const uint32_t own = threadIdx.x / kEach;
        const uint64_t key = own < total ? shared_.gathered[own] : 0;
        uint64_t up_to = 0, earlier = 0;
        for (uint32_t i = threadIdx.x % kEach; i < total; i += kEach) {
            const uint64_t other = shared_.gathered[i], amount = shared_.gathered_amounts[i];
            up_to += other <= key ? amount : 0;
            earlier += other < key ? amount : 0;
        }
#pragma unroll
        for (uint32_t step = 1; step < kEach; step *= 2) {
            up_to += __shfl_xor_sync(0xFFFFFFFFu, up_to, step);
            earlier += __shfl_xor_sync(0xFFFFFFFFu, earlier, step);
        }
        if (own < total && threadIdx.x % kEach == 0) {
            const double from = before + static_cast<double>(earlier) * unit, to = before + static_cast<double>(up_to) * unit;
            if (from < wanted && to >= wanted) {
                shared_.found = {key, from, to, 0};
            }
        }
        __syncthreads();
        const Found found = shared_.found;
        meet();
        return {found.key, found.before, found.reached};
    }

    template <class First, class F> __device__ Drawn draw(double u, First first, F f) {
        double mine = 0;
        each([&](uint32_t id, float logit) { mine += first(id, logit); });
#pragma unroll
        for (uint32_t step = 16; step > 0; step /= 2) {
            mine += __shfl_xor_sync(0xFFFFFFFFu, mine, step);
        }
        if (lane_ == 0) {
            shared_.sums[warp_] = mine;
        }
        meet();
        const uint32_t runs = blocks_ * kWarps;
        const double own = threadIdx.x < runs ? of(threadIdx.x / kWarps).sums[threadIdx.x % kWarps] : 0;
        const double until = of_earlier(own);
        if (threadIdx.x == kThreads - 1) {
            shared_.found = {0, 0, until + own, 0};
        }
        __syncthreads();
        // The run of ids in which it is, the same to all blocks; each thread has some neighbours of it.
        const double total = shared_.found.reached, goal = u * total;
        __syncthreads();
        if (until <= goal && (until + own > goal || threadIdx.x == kThreads - 1)) {
            atomicMax(&shared_.found.id, threadIdx.x);
        }
        __syncthreads();
        const uint32_t run = min(shared_.found.id, runs - 1);
        if (threadIdx.x == run) {
            shared_.found.before = until;
        }
        __syncthreads();
        const double before = shared_.found.before;
        __syncthreads();
        if (threadIdx.x == 0) {
            shared_.found = {0, 0, 0, grouped::kNone};
        }
        const uint32_t each = (run_ + kThreads - 1) / kThreads;
        const uint32_t end = end_of(run * run_);
        const uint32_t from = min(end, run * run_ + threadIdx.x * each), to = min(end, from + each);
        double sum = 0;
        for (uint32_t id = from; id < to; ++id) {
            sum += f(id, grouped::counted(logits_[id]));
        }
        double running = before + of_earlier(sum), earlier = 0, reached = 0;
        uint32_t mine_id = grouped::kNone;
        for (uint32_t id = from; id < to && mine_id == grouped::kNone; ++id) {
            earlier = running;
            running += f(id, grouped::counted(logits_[id]));
            if (earlier <= goal && running > goal) {
                mine_id = id;
                reached = running;
            }
        }
        if (mine_id != grouped::kNone) {
            atomicMin(&shared_.found.id, mine_id);
        }
        __syncthreads();
        if (mine_id != grouped::kNone && shared_.found.id == mine_id) {
            shared_.found.before = earlier;
            shared_.found.reached = reached;
        }
        __syncthreads();
        const Found found = shared_.found;
        meet();
        return {found.id, found.before, found.reached, total};
    }

    // By the first block, of which one thread adds.
    template <class F> __device__ InOrder in_order(F f, double goal) {
        constexpr uint32_t kTile = grouped::kBins;
        float *tile = reinterpret_cast<float *>(shared_.low);
        meet();
        if (rank_ == 0) {
            double running = 0;
            if (threadIdx.x == 0) {
                shared_.found.id = grouped::kNone;
            }
            for (uint32_t begin = 0; begin < vocabulary_; begin += kTile) {
                for (uint32_t i = threadIdx.x; i < kTile; i += kThreads) {
                    tile[i] = begin + i < vocabulary_ ? f(begin + i, grouped::counted(logits_[begin + i])) : 0;
                }
                __syncthreads();
                if (threadIdx.x == 0) {
                    uint32_t past = kTile;
#pragma unroll 8
                    for (uint32_t i = 0; i < kTile; ++i) {
                        running += tile[i];
                        past = running > goal && past == kTile ? i : past;
                    }
                    shared_.found.id = past < kTile ? begin + past : grouped::kNone;
                    shared_.found.reached = running;
                }
                __syncthreads();
                if (shared_.found.id != grouped::kNone) {
                    break;
                }
            }
        }
        meet();
        const InOrder result = {of(0).found.id, of(0).found.reached};
        meet();
        return result;
    }

private:
    __device__ uint32_t end_of(uint32_t begin) const { return begin < vocabulary_ ? min(vocabulary_, begin + run_) : begin; }

    // The shared memory of a block of the row.
    __device__ Shared &of(uint32_t block) const {
#if __CUDA_ARCH__ >= 900
        uint64_t there;
        asm("mapa.u64 %0, %1, %2;" : "=l"(there) : "l"(&shared_), "r"(block));
        return *reinterpret_cast<Shared *>(there);
#else
        return shared_;
#endif
    }

    // The sum over the earlier threads of the block.
    __device__ double of_earlier(double value) {
        double up_to = value;
#pragma unroll
        for (uint32_t step = 1; step < 32; step *= 2) {
            const double other = shuffled_up(up_to, step);
            up_to += lane_ >= step ? other : 0;
        }
        auto *of_warps = reinterpret_cast<double *>(shared_.of_warps);
        __syncthreads();
        if (lane_ == 31) {
            of_warps[warp_] = up_to;
        }
        __syncthreads();
        const double other = shuffled_up(up_to, 1);
        double earlier = 0;
        for (uint32_t i = 0; i < warp_; ++i) {
            earlier += of_warps[i];
        }
        return earlier + (lane_ > 0 ? other : 0);
    }

    template <class T, class Op> __device__ T reduced(T value, Op op) {
        static_assert(sizeof(T) == sizeof(uint64_t));
#pragma unroll
        for (uint32_t step = 16; step > 0; step /= 2) {
            value = op(value, __shfl_xor_sync(0xFFFFFFFFu, value, step));
        }
        auto *of_warps = reinterpret_cast<T *>(shared_.of_warps);
        __syncthreads();
        if (lane_ == 0) {
            of_warps[warp_] = value;
        }
        __syncthreads();
        value = of_warps[0];
        for (uint32_t i = 1; i < kWarps; ++i) {
            value = op(value, of_warps[i]);
        }
        if (blocks_ == 1) {
            return value;
        }
        reinterpret_cast<T &>(shared_.of_block[turn_]) = value;
        meet();
        value = reinterpret_cast<const T &>(of(0).of_block[turn_]);
        for (uint32_t b = 1; b < blocks_; ++b) {
            value = op(value, reinterpret_cast<const T &>(of(b).of_block[turn_]));
        }
        turn_ ^= 1; // who is late still reads it
        return value;
    }

    Shared &shared_;
    const float *logits_;
    const uint32_t vocabulary_, blocks_, rank_, warp_, lane_;
    const uint32_t run_; // ids of a warp
    uint32_t turn_ = 0;
};

// A cluster of blocks for each row. A word of the ring is written as a whole, so that whoever reads its turn reads its token.
__global__ void __launch_bounds__(kThreads, 1) choose(GpuArgmax a, float *edited) {
    __shared__ Shared shared;
    wait_for_earlier();
    let_next_start();
    const uint32_t row = blockIdx.x / cluster_size();
    auto token = static_cast<uint32_t>(a.tokens[row]);
    const GpuTurn turn = *a.turn;
    if (turn.samples != 0) {
        const intarsia_sampling sampling = a.sampling[row];
        const float *logits = a.logits + uint64_t{row} * a.vocabulary;
        Cluster cluster(shared, logits, a.vocabulary);
        if (sampling.state != 0) {
            float *own = edited + uint64_t{sampling.state - 1} * a.vocabulary;
            token = grouped::edit(cluster, a.vocabulary, turn.edits + sampling.target, logits, own);
            logits = own;
        }
        token = grouped::sample(cluster, sampling, a.vocabulary, token, grouped::counted(logits[token]));
        cluster.meet();
    }
    if (cluster_rank() != 0 || threadIdx.x != 0) {
        return;
    }
    a.tokens[row] = static_cast<int32_t>(token);
    const uint64_t word = uint64_t{turn.turn} << 32 | token;
    *reinterpret_cast<volatile uint64_t *>(a.ring + uint64_t{turn.turn % kGpuTurns} * a.ring_rows + row) = word;
}

// As many blocks a row as the device has room for.
uint32_t blocks_of_row(const Context &context, uint32_t rows) {
    int clusters = 0;
    check(cudaDeviceGetAttribute(&clusters, cudaDevAttrClusterLaunch, context.device), "asking for clusters");
    uint32_t blocks = clusters != 0 ? kMostBlocks : 1;
    while (blocks > 1 && uint64_t{rows} * blocks > 2 * static_cast<uint64_t>(context.multiprocessors)) {
        blocks /= 2;
    }
    return blocks;
}

} // namespace

void publish(const Context &context, const GpuArgmax &chosen) {
    const uint32_t blocks = blocks_of_row(context, chosen.rows);
    launch_clusters(context, "sampling", choose, dim3(chosen.rows * blocks), blocks, dim3(kThreads), 0, chosen, reinterpret_cast<float *>(context.scratch));
}

} // namespace intarsia::cuda
