// Attention of few query rows over many keys, which is bound by reading the cache.
//
// A thread block keeps a ring of key blocks in flight, whatever works they are of (attention_deal.h), and all its warps share one at a time: each takes 16 of the
// keys for q k, and after the scores have gone round, a quarter of the elements for p V, so that the results stay in registers. Where a work is cut, the results
// of its key blocks go to scratch memory, and the last thread block to arrive merges them all.
//
// Before wait_for_earlier() this reads the step's buffers and, unless a sequence reads what another writes in this step, what earlier steps left in the cache.
// Those steps are done: the first kernels of a step, the embedding and the table of rotations, let others start only once they have waited themselves, so whatever
// runs beside this one is of this step.
#include "cuda/attention_deal.h"
#include "cuda/attention_tile.h"

namespace intarsia::cuda {
namespace {

// Stages of the ring, and thread blocks of a multiprocessor. The longer ring is the better one where it is filled before the step's own keys are there, which
// takes a part of the time; more blocks hide more of what each does.
constexpr uint32_t kFewTokensStages = 3, kFewTokensBlocks = 2, kManyTokensStages = 2, kManyTokensBlocks = 3;
constexpr uint32_t kManyTokens = 129;
constexpr uint32_t kWarps = 4;
constexpr uint32_t kThreads = kWarps * 32;

template <int DIM, uint32_t kStages> struct Memory {
    static constexpr uint32_t kStage = 2 * Layout<DIM>::kBytes; // keys, then values
    static constexpr uint32_t kQueries = kTileRows * DIM * 2;   // of a work
    static constexpr uint32_t kBytes = kStages * (kStage + kQueries);
};

struct Plan {
    float *partials;
    uint64_t partial_room; // floats
    uint32_t *counters;    // one a thread block
    bool all;
};

template <int DIM, uint32_t kStages> class Decode {
public:
    __device__ Decode(const AttentionShape &shape, const Plan &plan, char *memory)
        : shape_(shape), plan_(plan), memory_(memory), ring_(shared_address(memory)), warp_(threadIdx.x / 32), lane_(threadIdx.x % 32) {}

    __device__ void run() {
        sequences_ = *shape_.sequences;
        bounds_ = deal<kThreads>(shape_, plan_.all, sequences_);
        // Without room for all partial results no work is cut.
        cut_ = bounds_.total * bounds_.rows * (DIM + 2) <= plan_.partial_room;
        Walk here = {};
        here.item = bounds_.end;
        if (bounds_.begin < bounds_.end) {
            here.item = bounds_.begin;
            here.index = bounds_.index;
            here.enter_sequence(shape_, plan_.all);
            here.work = bounds_.offset / here.extent.blocks;
            here.block = bounds_.offset - here.work * here.extent.blocks;
            here.enter_work(shape_);
            while (!cut_ && here.block != 0) { // another's
                here.next(shape_, plan_.all, sequences_);
            }
        }
        start(here);
        uint32_t done = 0; // items of the work
        uint32_t stage = 0;
        while (more(here)) {
            wait_copies<kStages - 2>();
            __syncthreads(); // the copies are there for all, and the stage before is free
            fetch<Positions::ALL>(stage == 0 ? kStages - 1 : stage - 1);
            commit_copies();
            const uint64_t first = here.item - here.block;
            const bool whole = !cut_ || (first >= bounds_.begin && first + here.extent.blocks <= bounds_.end);
            if (done == 0) {
                load_queries(here);
            }
            attend(here, stage, whole, done == 0);
            ++done;
            const bool last_block = here.block + 1 == here.extent.blocks;
            if (whole) {
                if (last_block) {
                    write(here);
                }
            } else if (last_block || here.item + 1 == bounds_.end) {
                hand_in(here, stage, first, done);
            }
            done = last_block ? 0 : done;
            here.next(shape_, plan_.all, sequences_);
            stage = stage + 1 == kStages ? 0 : stage + 1;
        }
        clear_padding();
    }

private:
    using Place = Memory<DIM, kStages>;
    static constexpr uint32_t kTogether = 16;             // results of key blocks that are loaded at a time to be merged
    static constexpr uint32_t kPairs = DIM / 16 / kWarps; // of tiles of 8 elements, of a warp
    enum class Positions { ALL, OLD, NEW }; // OLD: those before this step, and what nobody sees; NEW: those of this step, and the queries

    __device__ bool more(const Walk &walk) const { return walk.item < bounds_.end || (!cut_ && walk.block != 0 && walk.item < bounds_.total); }

    // Fills the ring but for one stage: first with what earlier steps wrote, and once that is allowed with the positions of this step.
    __device__ void start(const Walk &from) {
        const bool early = !reads_of_others(shape_);
        ahead_ = from;
        look_up();
        if (early) {
#pragma unroll 1
            for (uint32_t stage = 0; stage + 1 < kStages; ++stage) {
                fetch<Positions::OLD>(stage);
            }
            ahead_ = from;
            look_up();
        }
        wait_for_earlier();
        let_next_start();
#pragma unroll 1
        for (uint32_t stage = 0; stage + 1 < kStages; ++stage) {
            if (early) {
                fetch<Positions::NEW>(stage);
            } else {
                fetch<Positions::ALL>(stage);
            }
            commit_copies();
        }
    }

    // The cache blocks of the item that is fetched next.
    __device__ void look_up() {
        if (!more(ahead_)) {
            return;
        }
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            const int32_t at = ahead_.start() + 16 * k;
            blocks_[k] = at < ahead_.hi && at + 16 > ahead_.lo ? ahead_.sequence.table[at / 16] : 0;
        }
    }

    // The next item to a stage of the ring, if there is one: keys and values, zeros for what no row sees; with the first of a work its queries.
    template <Positions WHICH> __device__ void fetch(uint32_t stage) {
        if (!more(ahead_)) {
            return;
        }
        constexpr int kChunks = Layout<DIM>::kChunks;
        const uint32_t chunk = threadIdx.x % kChunks;
        constexpr int kRows = static_cast<int>(kThreads) / kChunks; // 8 or 16, copied at a time
        const uint32_t row = threadIdx.x / kChunks;
        const int32_t position = ahead_.start() + static_cast<int32_t>(row);
        if (WHICH != Positions::NEW || ahead_.start() + kKeys > ahead_.sequence.before) {
            const uint32_t to = ring_ + stage * Place::kStage + Layout<DIM>::at(row, chunk);
            const uint64_t in_block = row * (DIM * 2) + chunk * 16;
            const char *keys = static_cast<const char *>(shape_.cache.keys) + in_block;
            const char *values = static_cast<const char *>(shape_.cache.values) + in_block;
#pragma unroll
            for (int i = 0; i < kKeys; i += kRows) {
                const int32_t at = position + i;
                const bool visible = at >= ahead_.lo && at < ahead_.hi;
                const bool is_new = visible && at >= ahead_.sequence.before;
                if (WHICH == Positions::ALL || is_new == (WHICH == Positions::NEW)) {
                    const uint64_t block = uint64_t{static_cast<uint32_t>(blocks_[i / 16])} * shape_.cache.kv_heads + ahead_.head;
                    const uint64_t from = visible ? block * (16 * DIM * 2) + i % 16 * (DIM * 2) : 0;
                    copy_async(to + i * (DIM * 2), keys + from, visible);
                    copy_async(to + Layout<DIM>::kBytes + i * (DIM * 2), values + from, visible);
                }
            }
        }
        if (WHICH != Positions::OLD && (ahead_.block == 0 || ahead_.item == bounds_.begin)) {
#pragma unroll
            for (uint32_t r = row; r < kTileRows; r += kRows) {
                const bool there = r < ahead_.rows;
                const uint32_t in_sequence = there ? ahead_.row + r : ahead_.row;
                const uint32_t token = in_sequence / shape_.group;
                const uint64_t at = uint64_t{static_cast<uint32_t>(ahead_.sequence.start) + token} * shape_.q_step +
                                    (ahead_.head * shape_.group + (in_sequence - token * shape_.group)) * DIM + chunk * 8;
                copy_async(queries_of(ahead_) + Layout<DIM>::at(r, chunk), static_cast<const __nv_bfloat16 *>(shape_.q) + at, there);
            }
        }
        ahead_.next(shape_, plan_.all, sequences_);
        look_up();
    }

    __device__ uint32_t queries_of(const Walk &walk) const { return ring_ + kStages * Place::kStage + walk.works % kStages * Place::kQueries; }

    __device__ void load_queries(const Walk &here) {
        const uint32_t queries = queries_of(here) + Layout<DIM>::at(lane_ & 15, lane_ >> 4);
#pragma unroll
        for (int step = 0; step < DIM / 16; ++step) {
            load_matrices(q_[step], Layout<DIM>::on(queries, step, 0));
        }
    }

    // One item: merged into the registers, or to scratch memory.
    __device__ void attend(const Walk &here, uint32_t stage, bool whole, bool fresh) {
        Scores s;
        score_together<DIM, kWarps>(s, q_, memory_ + stage * Place::kStage, ring_ + stage * Place::kStage, warp_, lane_, here.rows > 8, 0);
        const int32_t start = here.start();
        const int32_t oldest = here.sequence.count == 1 ? here.sequence.before : here.sequence.before + static_cast<int32_t>(here.row / shape_.group);
        const bool full = start + kKeys <= oldest + 1 && start >= first_visible(here.hi - 1, shape_.window); // rows past the last may be anything
        Visible visible;
        if (!full) {
#pragma unroll
            for (uint32_t half = 0; half < 2; ++half) {
                const uint32_t in_tile = min(lane_ / 4 + 8 * half, here.rows - 1);
                const int32_t position = here.sequence.count == 1 ? here.sequence.before
                                                                  : here.sequence.before + static_cast<int32_t>((here.row + in_tile) / shape_.group);
                visible.lo[half] = first_visible(position, shape_.window) - start;
                visible.hi[half] = position + 1 - start;
            }
            mask(s, visible, lane_);
        }
        const float factor = __fmul_rn(shape_.scale, 1.44269504f);
        Probabilities p[1];
        softmax_half<0>(s, factor, p[0]);
        if (here.rows > 8) {
            softmax_half<1>(s, factor, p[0]);
        } else {
            p[0].maximum[1] = p[0].sum[1] = 0.0f;
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                p[0].p[i][1] = p[0].p[i][3] = 0;
            }
        }
        const uint32_t values = ring_ + stage * Place::kStage + Layout<DIM>::kBytes;
        float block[kPairs][2][4];
#pragma unroll
        for (uint32_t k = 0; k < kPairs; ++k) {
            float part[1][2][4];
            mix<DIM, 1>(part, p, values, warp_ * kPairs + k, lane_);
#pragma unroll
            for (int i = 0; i < 8; ++i) {
                block[k][i / 4][i % 4] = part[0][i / 4][i % 4];
            }
        }
        if (!full && here.sequence.count > 1) { // a single token sees what is not zeros
            bool odd = false;
#pragma unroll
            for (uint32_t i = 0; i < 8 * kPairs; ++i) {
                odd = odd || isnan(block[i / 8][i / 4 % 2][i % 4]);
            }
            if (__any_sync(0xFFFFFFFFu, odd)) {
#pragma unroll
                for (uint32_t k = 0; k < kPairs; ++k) {
                    mix_carefully<DIM>(block[k], p[0], values, warp_ * kPairs + k, visible, lane_);
                }
            }
        }
        if (!whole) {
            keep(here, block, p[0]);
            return;
        }
#pragma unroll
        for (uint32_t half = 0; half < 2; ++half) {
            if (fresh) {
                running_[half] = Running();
            }
            float old_factor, new_factor;
            running_[half].merge(p[0].maximum[half], p[0].sum[half], old_factor, new_factor);
#pragma unroll
            for (uint32_t j = 0; j < 2 * kPairs; ++j) {
#pragma unroll
                for (int i = 2 * half; i < 2 * half + 2; ++i) {
                    o_[j][i] = merged(block[j / 2][j % 2][i], new_factor, fresh ? 0.0f : o_[j][i], old_factor);
                }
            }
        }
    }

    // Results of a key block: outputs [rows, DIM], then maximum and sum of each row.
    __device__ float *partial(uint64_t item) const { return plan_.partials + item * (bounds_.rows * (DIM + 2)); }
    __device__ float2 *factors(float *partial) const { return reinterpret_cast<float2 *>(partial + bounds_.rows * DIM); }

    __device__ void keep(const Walk &here, const float (&o)[kPairs][2][4], const Probabilities &p) const {
        float *to = partial(here.item);
#pragma unroll
        for (uint32_t half = 0; half < 2; ++half) {
            const uint32_t row = lane_ / 4 + 8 * half;
            if (row < here.rows) {
#pragma unroll
                for (uint32_t j = 0; j < 2 * kPairs; ++j) {
                    const float *from = &o[j / 2][j % 2][2 * half];
                    *reinterpret_cast<float2 *>(to + row * DIM + 16 * kPairs * warp_ + 8 * j + 2 * (lane_ % 4)) = make_float2(from[0], from[1]);
                }
                if (warp_ == 0 && lane_ % 4 == 0) {
                    factors(to)[row] = make_float2(p.maximum[half], p.sum[half]);
                }
            }
        }
    }

    __device__ void write(const Walk &here) const {
#pragma unroll
        for (uint32_t half = 0; half < 2; ++half) {
            const uint32_t in_tile = lane_ / 4 + 8 * half;
            if (in_tile < here.rows) {
                const uint32_t row = here.row + in_tile;
                const uint32_t column = (here.head * shape_.group + row % shape_.group) * DIM + 16 * kPairs * warp_ + 2 * (lane_ % 4);
                const float sum = running_[half].sum;
#pragma unroll
                for (uint32_t j = 0; j < 2 * kPairs; ++j) {
                    shape_.out.put2(static_cast<uint32_t>(here.sequence.start) + row / shape_.group, column + 8 * j,
                                    finished(o_[j][2 * half], sum), finished(o_[j][2 * half + 1], sum));
                }
            }
        }
    }

    // `done` items of a cut work are in scratch; whoever completes it merges. A work is cut at the end of the thread block it begins in, so the counter is
    // that block's.
    __device__ void hand_in(const Walk &here, uint32_t stage, uint64_t first, uint32_t done) {
        __shared__ bool last;
        uint32_t *counter = plan_.counters + first / bounds_.each;
        __syncthreads();
        if (threadIdx.x == 0) {
            __threadfence();
            last = atomicAdd(counter, done) + done == here.extent.blocks;
            __threadfence();
            if (last) {
                *counter = 0;
            }
        }
        __syncthreads();
        if (last) {
            merge(here, reinterpret_cast<float4 *>(memory_ + stage * Place::kStage), first);
        }
    }

    // Factors first, all at once (the maximum so far is the same in any order), then the chains over them. `held` is the stage that was used last.
    __device__ void merge(const Walk &here, float4 *held, uint64_t first) {
        constexpr uint32_t kFactors = Place::kStage / sizeof(float4);
        const uint32_t segment = kFactors / here.rows / kTogether * kTogether; // key blocks
        const uint32_t units = here.rows * (DIM / 2); // pairs of elements
        const uint32_t step = bounds_.rows * (DIM + 2);
        const float *from = partial(first);
        for (uint32_t base = 0; base < units; base += kThreads) { // all threads, for the barriers
            const bool mine = base + threadIdx.x < units;
            const uint32_t unit = mine ? base + threadIdx.x : 0;
            const uint32_t row = unit / (DIM / 2);
            float2 o = make_float2(0.0f, 0.0f);
            float sum = 0.0f;
            for (uint32_t begin = 0; begin < here.extent.blocks; begin += segment) {
                const uint32_t end = min(begin + segment, here.extent.blocks);
                __syncthreads();
                for (uint32_t r = warp_; r < here.rows; r += kWarps) {
                    prepare(held + r * segment, from, step, r, begin, end);
                }
                __syncthreads();
                for (uint32_t block = begin; block < end; block += kTogether) {
                    float2 outputs[kTogether];
#pragma unroll
                    for (uint32_t j = 0; j < kTogether; ++j) { // no conditions, so that all are under way before the first is used
                        outputs[j] = __ldcg(reinterpret_cast<const float2 *>(from + uint64_t{min(block + j, end - 1)} * step) + unit);
                    }
#pragma unroll
                    for (uint32_t j = 0; j < kTogether; ++j) {
                        const float4 f = held[row * segment + block + j - begin];
                        const bool there = block + j < end;
                        o.x = merged(there ? outputs[j].x : 0.0f, f.y, o.x, f.x);
                        o.y = merged(there ? outputs[j].y : 0.0f, f.y, o.y, f.x);
                        sum = __fmaf_rn(f.z, f.y, __fmul_rn(sum, f.x));
                    }
                }
            }
            if (mine) {
                const uint32_t in_sequence = here.row + row;
                shape_.out.put2(static_cast<uint32_t>(here.sequence.start) + in_sequence / shape_.group,
                                (here.head * shape_.group + in_sequence % shape_.group) * DIM + unit % (DIM / 2) * 2, finished(o.x, sum),
                                finished(o.y, sum));
            }
        }
        __syncthreads(); // before there are scores again
    }

    // What older outputs and the new ones are multiplied by, and the sum, of key blocks begin .. end of a row, by one warp.
    __device__ void prepare(float4 *to, const float *from, uint32_t step, uint32_t row, uint32_t begin, uint32_t end) const {
        const uint64_t at = bounds_.rows * DIM + 2 * row;
        float maximum = -INFINITY; // of what is before
        for (uint32_t block = lane_; block < begin; block += 32) {
            maximum = fmaxf(maximum, __ldcg(from + uint64_t{block} * step + at));
        }
#pragma unroll
        for (uint32_t k = 16; k > 0; k /= 2) {
            maximum = fmaxf(maximum, __shfl_xor_sync(0xFFFFFFFFu, maximum, k));
        }
        for (uint32_t base = begin; base < begin + (end - begin + kTogether - 1) / kTogether * kTogether; base += 32) {
            const uint32_t block = base + lane_;
            float2 own = make_float2(-INFINITY, 0.0f);
            if (block < end) {
                own = __ldcg(reinterpret_cast<const float2 *>(from + uint64_t{block} * step + at));
            }
            const float4 factors = factors_of(own, maximum, lane_);
            if (block < (end - begin + kTogether - 1) / kTogether * kTogether + begin) { // what is too much is merged as nothing
                to[block - begin] = block < end ? factors : make_float4(1.0f, 0.0f, 0.0f, 0.0f);
            }
        }
    }

    // Rows past the last query.
    __device__ void clear_padding() const {
        for (uint32_t row = static_cast<uint32_t>(shape_.query_starts[sequences_]) + blockIdx.x; row < shape_.n; row += gridDim.x) {
            for (uint32_t i = threadIdx.x; i < shape_.out.width / 2; i += kThreads) {
                shape_.out.put2(row, 2 * i, 0.0f, 0.0f);
            }
        }
    }

    const AttentionShape &shape_;
    const Plan &plan_;
    char *memory_;
    uint32_t ring_;
    uint32_t warp_, lane_;
    uint32_t sequences_;
    Bounds bounds_;
    bool cut_;
    Walk ahead_;        // of the item that is fetched next
    int32_t blocks_[4]; // its cache blocks
    Running running_[2]; // of a work that lies in this thread block
    float o_[2 * kPairs][4];
    uint32_t q_[DIM / 16][4];
};

template <int DIM, uint32_t STAGES, uint32_t BLOCKS>
__global__ void __launch_bounds__(kThreads, BLOCKS)
    attention_decode(const __grid_constant__ AttentionShape shape, const __grid_constant__ Plan plan) {
    extern __shared__ __align__(kAlign) char memory[];
    Decode<DIM, STAGES>(shape, plan, memory).run();
}

template <int DIM, uint32_t STAGES, uint32_t BLOCKS> void run(const Context &context, const AttentionShape &shape, const Plan &plan, uint64_t items) {
    constexpr uint32_t kBytes = Memory<DIM, STAGES>::kBytes;
    check(cudaFuncSetAttribute(attention_decode<DIM, STAGES, BLOCKS>, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes), "shared memory of attention");
    const uint64_t places = uint64_t{BLOCKS} * static_cast<uint32_t>(context.multiprocessors);
    launch(context, "attention", attention_decode<DIM, STAGES, BLOCKS>, dim3(static_cast<uint32_t>(items < places ? items : places)), dim3(kThreads), kBytes, shape,
           plan);
}

template <int DIM> void run(const Context &context, const AttentionShape &shape, const Plan &plan, uint64_t items) {
    (shape.n < kManyTokens ? run<DIM, kFewTokensStages, kFewTokensBlocks> : run<DIM, kManyTokensStages, kManyTokensBlocks>)(context, shape, plan, items);
}

} // namespace

void launch_attention_decode(const Context &context, const AttentionShape &shape, bool all) {
    const Plan plan = {reinterpret_cast<float *>(context.scratch), context.scratch_bytes / 4, context.counters, all};
    const uint64_t works = uint64_t{shape.n} * shape.cache.kv_heads * ceil_div(shape.group, kTileRows); // never more
    const uint64_t items = works * (ceil_div(shape.max_blocks, kKeys / cpu::kBlock) + 1);
    (shape.cache.head_dim == 128 ? run<128> : run<64>)(context, shape, plan, items);
}

} // namespace intarsia::cuda
