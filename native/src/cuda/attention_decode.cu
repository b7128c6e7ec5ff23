// Attention of few query rows over many keys, which is bound by reading the cache.
//
// A work is 16 query rows (some heads of some tokens) of one head of the cache; its keys are cut into spans of four key blocks, one for each warp of
// a block of threads. The spans of all works in order are dealt out evenly: thread block i of g takes items total i / g up to total (i + 1) / g, found from
// what the step's buffers say. Each warp keeps a ring of tiles (the keys, then the values of a key block) in flight. A work that lies in
// one thread block is merged there; where a work is cut, the results of its key blocks go to scratch memory and the last to arrive merges them all.
//
// Before wait_for_earlier() this reads the step's buffers and, for a single token, what earlier steps left in the cache. Both were written at least two kernels ago, and those are
// done, because the kernel before this one lets others start only once it has waited itself.
#include "cuda/attention_tile.h"

namespace intarsia::cuda {
namespace {

constexpr uint32_t kWarps = 4;
constexpr uint32_t kThreads = kWarps * 32;
constexpr int32_t kSpan = kWarps * kKeys; // positions

// The spans of the works of one sequence; none if it is not for this kernel.
struct Extent {
    uint32_t tiles; // of rows
    uint32_t first; // span
    uint32_t spans;

    Extent() = default;
    __device__ Extent(const AttentionShape &shape, const Sequence &sequence, bool all) {
        const uint32_t count = sequence.count > 0 ? static_cast<uint32_t>(sequence.count) : 0;
        const bool ours = count > 0 && (all || is_decode(count, shape.group));
        tiles = (count * shape.group + kTileRows - 1) / kTileRows;
        first = static_cast<uint32_t>(first_visible(sequence.before, shape.window) / kSpan);
        spans = ours ? static_cast<uint32_t>((sequence.before + sequence.count - 1) / kSpan) + 1 - first : 0;
    }
};

// One item after another.
struct Walk {
    uint32_t index; // of the sequence
    Sequence sequence;
    Extent extent;
    uint32_t work; // of the sequence: kv head * tiles + tile
    uint32_t span; // from extent.first
    uint64_t item;

    __device__ void enter(const AttentionShape &shape, bool all) {
        sequence = Sequence(shape, index);
        extent = Extent(shape, sequence, all);
    }

    __device__ void next(const AttentionShape &shape, bool all, uint32_t sequences) {
        ++item;
        if (++span < extent.spans) {
            return;
        }
        span = 0;
        if (++work < shape.cache.kv_heads * extent.tiles) {
            return;
        }
        work = 0;
        do {
            if (++index >= sequences) {
                return; // past the last item
            }
            enter(shape, all);
        } while (extent.spans == 0);
    }
};

// The rows of a work, and what they see.
struct Tile {
    uint32_t head;  // of the cache
    uint32_t row;   // the first, of the sequence: token * group + head
    uint32_t rows;  // 1..16
    int32_t lo, hi; // positions that some row sees

    __device__ Tile(const AttentionShape &shape, const Walk &walk) {
        head = walk.work / walk.extent.tiles;
        row = walk.work % walk.extent.tiles * kTileRows;
        const uint32_t left = static_cast<uint32_t>(walk.sequence.count) * shape.group - row;
        rows = left < kTileRows ? left : kTileRows;
        lo = first_visible(walk.sequence.before + static_cast<int32_t>(row / shape.group), shape.window);
        hi = walk.sequence.before + static_cast<int32_t>((row + rows - 1) / shape.group) + 1;
    }

    __device__ bool sees(int32_t start) const { return start < hi && start + kKeys > lo; }
};

__device__ int32_t block_start(const Walk &walk, uint32_t warp) {
    return static_cast<int32_t>(((walk.extent.first + walk.span) * kWarps + warp) * kKeys);
}

enum class Positions { ALL, OLD, NEW }; // those before this step and what nobody sees; those of this step

// The keys or values of a key block to shared memory, by one warp; zeros for what no row sees.
template <int DIM, Positions WHICH>
__device__ void fill(uint32_t to, const void *layer, const AttentionShape &shape, const Walk &walk, const Tile &tile, int32_t start,
                     uint32_t lane) {
    constexpr int kChunks = Layout<DIM>::kChunks;
    constexpr int kTogether = 32 / kChunks; // rows
    const int32_t before = walk.sequence.before;
    if (WHICH == Positions::NEW && start + kKeys <= before) {
        return;
    }
    const uint32_t chunk = lane % kChunks;
    const int32_t row = static_cast<int32_t>(lane / kChunks);
    int32_t blocks[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        const int32_t at = start + 16 * k;
        blocks[k] = at < tile.hi && at + 16 > tile.lo ? walk.sequence.table[at / 16] : 0;
    }
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        const uint64_t block = static_cast<uint32_t>(blocks[k]);
        const char *from = static_cast<const char *>(layer) + ((block * shape.cache.kv_heads + tile.head) * (16 * DIM) + chunk * 8) * 2;
#pragma unroll
        for (int r = 0; r < 16; r += kTogether) {
            const int32_t in_block = r + row;
            const int32_t position = start + 16 * k + in_block;
            const bool visible = position >= tile.lo && position < tile.hi;
            const bool wanted = WHICH == Positions::ALL || (WHICH == Positions::OLD ? !visible || position < before : visible && position >= before);
            if (wanted) {
                copy_async(to + Layout<DIM>::at(16 * k + in_block, chunk), visible ? from + in_block * (DIM * 2) : layer, visible);
            }
        }
    }
}

// Where the results of a key block go on their way to being merged.
struct Partial {
    float *outputs;  // [rows, step]
    float2 *factors; // [rows]: maximum, sum
    uint32_t step;
};

struct Plan {
    float *partials;
    uint64_t partial_room; // floats
    uint32_t partial_rows; // of the result of a key block
    uint32_t *counters;    // one a thread block
    bool all;
};

template <int DIM, int SLOTS> struct Memory {
    static constexpr uint32_t kRing = SLOTS * Layout<DIM>::kBytes; // of a warp
    static constexpr uint32_t kStep = DIM + 8;                     // so that eight rows lie in different banks
    static constexpr uint32_t kOutputs = kWarps * kRing;
    static constexpr uint32_t kFactors = kOutputs + kWarps * kTileRows * kStep * 4;
    static constexpr uint32_t kBytes = kFactors + kWarps * kTileRows * 8;
};

struct Bounds {
    uint64_t total, begin, end;
    uint32_t index;  // sequence of the first item
    uint64_t offset; // of the first item in it
};

// The items of this thread block; all its threads come here.
__device__ Bounds deal(const AttentionShape &shape, bool all, uint32_t sequences) {
    __shared__ uint64_t of_warps[kWarps];
    __shared__ uint64_t first[2];
    const auto items = [&](uint32_t index) {
        const Extent extent(shape, Sequence(shape, index), all);
        return uint64_t{shape.cache.kv_heads} * extent.tiles * extent.spans;
    };
    const uint32_t each = (sequences + kThreads - 1) / kThreads;
    const uint32_t from = threadIdx.x * each;
    const uint32_t to = from + each < sequences ? from + each : sequences;
    uint64_t own = 0;
    for (uint32_t i = from; i < to; ++i) {
        own += items(i);
    }
    const uint32_t lane = threadIdx.x % 32;
    uint64_t until = own; // and with it
#pragma unroll
    for (uint32_t step = 1; step < 32; step *= 2) {
        const uint64_t other = __shfl_up_sync(0xFFFFFFFFu, until, step);
        until += lane >= step ? other : 0;
    }
    if (lane == 31) {
        of_warps[threadIdx.x / 32] = until;
    }
    __syncthreads();
    Bounds bounds = {};
#pragma unroll
    for (uint32_t w = 0; w < kWarps; ++w) {
        until += w < threadIdx.x / 32 ? of_warps[w] : 0;
        bounds.total += of_warps[w];
    }
    bounds.begin = bounds.total * blockIdx.x / gridDim.x;
    bounds.end = bounds.total * (blockIdx.x + 1) / gridDim.x;
    uint64_t before = until - own;
    if (bounds.begin >= before && bounds.begin < until) {
        uint32_t i = from;
        for (uint64_t count; bounds.begin - before >= (count = items(i)); ++i) {
            before += count;
        }
        first[0] = i;
        first[1] = bounds.begin - before;
    }
    __syncthreads();
    bounds.index = static_cast<uint32_t>(first[0]);
    bounds.offset = first[1];
    return bounds;
}

template <int DIM, int SLOTS> class Decode {
public:
    __device__ Decode(const AttentionShape &shape, const Plan &plan, char *memory)
        : shape_(shape), plan_(plan), memory_(memory), ring_(shared_address(memory) + threadIdx.x / 32 * Memory<DIM, SLOTS>::kRing),
          warp_(threadIdx.x / 32), lane_(threadIdx.x % 32) {}

    __device__ void run() {
        sequences_ = *shape_.sequences;
        bounds_ = deal(shape_, plan_.all, sequences_);
        // Without room for all partial results no work is cut.
        cut_ = bounds_.total * kWarps * plan_.partial_rows * (DIM + 2) <= plan_.partial_room;
        Walk here = {};
        here.item = bounds_.end;
        if (bounds_.begin < bounds_.end) {
            here.index = bounds_.index;
            here.enter(shape_, plan_.all);
            here.item = bounds_.begin;
            here.work = static_cast<uint32_t>(bounds_.offset / here.extent.spans);
            here.span = static_cast<uint32_t>(bounds_.offset % here.extent.spans);
            while (!cut_ && here.span != 0) { // another's
                here.next(shape_, plan_.all, sequences_);
            }
        }
        start(here);
        bool fresh = true;
        uint32_t done = 0; // items of the work
        while (more(here)) {
            const Tile tile(shape_, here);
            if (fresh) {
                load_queries(here, tile);
                done = 0;
            }
            const uint64_t first = here.item - here.span;
            const bool whole = !cut_ || (first >= bounds_.begin && first + here.extent.spans <= bounds_.end);
            attend(here, tile, whole);
            ++done;
            const bool last_span = here.span + 1 == here.extent.spans;
            if (whole) {
                merge_span(here, tile, fresh);
                if (last_span) {
                    write(here, tile);
                }
            } else if (last_span || here.item + 1 == bounds_.end) {
                hand_in(here, tile, first, done);
            }
            fresh = last_span;
            here.next(shape_, plan_.all, sequences_);
        }
        clear_padding();
    }

private:
    using Place = Memory<DIM, SLOTS>;
    static constexpr uint32_t kPairs = DIM / 2;                       // float2 of a row
    static constexpr uint32_t kUnits = kTileRows * kPairs / kThreads; // float2 of a thread

    __device__ bool more(const Walk &walk) const { return walk.item < bounds_.end || (!cut_ && walk.span != 0 && walk.item < bounds_.total); }

    // Fills the ring: for a single token first with what earlier steps wrote, and once that is allowed with the positions of this step. (Of several
    // sequences one may share blocks that another writes in this step.)
    __device__ void start(const Walk &from) {
        const bool early = shape_.n == 1;
        ahead_ = from;
        ahead_values_ = false;
        if (early) {
#pragma unroll 1
            for (uint32_t slot = 0; slot < SLOTS; ++slot) {
                fetch<Positions::OLD>(slot);
            }
        }
        wait_for_earlier();
        let_next_start();
        ahead_ = from;
        ahead_values_ = false;
#pragma unroll 1
        for (uint32_t slot = 0; slot < SLOTS; ++slot) {
            if (early) {
                fetch<Positions::NEW>(slot);
            } else {
                fetch<Positions::ALL>(slot);
            }
            commit_copies();
        }
    }

    // The next tile of the warp to a slot of its ring, if there is one.
    template <Positions WHICH> __device__ void fetch(uint32_t slot) {
        while (more(ahead_)) {
            const Tile tile(shape_, ahead_);
            const int32_t start = block_start(ahead_, warp_);
            if (tile.sees(start)) {
                fill<DIM, WHICH>(ring_ + slot * Layout<DIM>::kBytes, ahead_values_ ? shape_.cache.values : shape_.cache.keys, shape_, ahead_, tile,
                                 start, lane_);
                if (ahead_values_) {
                    ahead_.next(shape_, plan_.all, sequences_);
                }
                ahead_values_ = !ahead_values_;
                return;
            }
            ahead_.next(shape_, plan_.all, sequences_);
        }
    }

    // The tile that was fetched first is there.
    __device__ uint32_t take() {
        wait_copies<SLOTS - 1>();
        __syncwarp();
        return ring_ + slot_ * Layout<DIM>::kBytes;
    }

    // And is used no more: its place is for the next.
    __device__ void give() {
        __syncwarp();
        fetch<Positions::ALL>(slot_);
        commit_copies();
        slot_ = slot_ + 1 == SLOTS ? 0 : slot_ + 1;
    }

    __device__ void load_queries(const Walk &here, const Tile &tile) {
#pragma unroll
        for (uint32_t half = 0; half < 2; ++half) {
            const uint32_t in_tile = lane_ / 4 + 8 * half;
            const uint32_t row = tile.row + in_tile;
            const uint64_t at = uint64_t{static_cast<uint32_t>(here.sequence.start) + row / shape_.group} * shape_.q_step +
                                (tile.head * shape_.group + row % shape_.group) * DIM + 2 * (lane_ % 4);
            const uint32_t *from = reinterpret_cast<const uint32_t *>(static_cast<const __nv_bfloat16 *>(shape_.q) + at);
#pragma unroll
            for (int step = 0; step < DIM / 16; ++step) {
                q_[step][half] = in_tile < tile.rows ? from[step * 8] : 0;
                q_[step][half + 2] = in_tile < tile.rows ? from[step * 8 + 4] : 0;
            }
        }
    }

    __device__ Partial in_scratch(uint64_t slot) const {
        float *outputs = plan_.partials + slot * plan_.partial_rows * (DIM + 2);
        return {outputs, reinterpret_cast<float2 *>(outputs + plan_.partial_rows * DIM), DIM};
    }

    __device__ Partial in_block(uint32_t warp) const {
        return {reinterpret_cast<float *>(memory_ + Place::kOutputs) + warp * kTileRows * Place::kStep,
                reinterpret_cast<float2 *>(memory_ + Place::kFactors) + warp * kTileRows, Place::kStep};
    }

    // Elements 16 pair .. 16 pair + 16 of the rows of a tile.
    __device__ void keep(const float (&o)[2][4], const Partial &to, const Tile &tile, uint32_t pair) const {
#pragma unroll
        for (uint32_t half = 0; half < 2; ++half) {
            const uint32_t row = lane_ / 4 + 8 * half;
            if (row < tile.rows) {
#pragma unroll
                for (uint32_t j = 0; j < 2; ++j) {
                    *reinterpret_cast<float2 *>(to.outputs + row * to.step + 16 * pair + 8 * j + 2 * (lane_ % 4)) =
                        make_float2(o[j][2 * half], o[j][2 * half + 1]);
                }
            }
        }
    }

    // This warp's key block of an item, its result to where it will be merged.
    __device__ void attend(const Walk &here, const Tile &tile, bool whole) {
        const int32_t start = block_start(here, warp_);
        if (!tile.sees(start)) {
            return;
        }
        Scores s[1];
        score<DIM, 1>(s, take(), lane_, [&](int, int step, uint32_t (&a)[4]) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                a[i] = q_[step][i];
            }
        });
        give();
        Visible visible;
#pragma unroll
        for (uint32_t half = 0; half < 2; ++half) {
            const uint32_t in_tile = lane_ / 4 + 8 * half;
            const int32_t position = here.sequence.before + static_cast<int32_t>((tile.row + in_tile) / shape_.group);
            visible.lo[half] = first_visible(position, shape_.window) - start;
            visible.hi[half] = in_tile < tile.rows ? position + 1 - start : 0;
        }
        const bool mine = visible.lo[0] <= 0 && visible.lo[1] <= 0 && visible.hi[0] >= kKeys && visible.hi[1] >= kKeys;
        const bool full = __all_sync(0xFFFFFFFFu, mine);
        if (!full) {
            mask(s[0], visible, lane_);
        }
        Probabilities p[1];
        softmax(s[0], __fmul_rn(shape_.scale, 1.44269504f), p[0]);
        const uint32_t values = take();
        const Partial to = whole ? in_block(warp_) : in_scratch(here.item * kWarps + warp_);
        bool odd = false;
#pragma unroll 4
        for (uint32_t pair = 0; pair < DIM / 16; ++pair) {
            float o[1][2][4];
            mix<DIM, 1>(o, p, values, pair, lane_);
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                odd = odd || isnan(o[0][0][i]) || isnan(o[0][1][i]);
            }
            keep(o[0], to, tile, pair);
        }
        if (!full && __any_sync(0xFFFFFFFFu, odd)) {
#pragma unroll 1
            for (uint32_t pair = 0; pair < DIM / 16; ++pair) {
                float o[2][4];
                mix_carefully<DIM>(o, p[0], values, pair, visible, lane_);
                keep(o, to, tile, pair);
            }
        }
        give();
        if (lane_ % 4 == 0) {
            const uint32_t row = lane_ / 4;
#pragma unroll
            for (uint32_t half = 0; half < 2; ++half) {
                if (row + 8 * half < tile.rows) {
                    to.factors[row + 8 * half] = make_float2(p[0].maximum[half], p[0].sum[half]);
                }
            }
        }
    }

    // Unit i of a thread is float2 `pair` of row `row` of the work.
    __device__ static uint32_t row_of(uint32_t i) { return (threadIdx.x + i * kThreads) / kPairs; }
    __device__ static uint32_t pair_of(uint32_t i) { return (threadIdx.x + i * kThreads) % kPairs; }

    __device__ static void merge(Running &running, float2 &o, float2 factors, float2 block) {
        float old_factor, new_factor;
        running.merge(factors.x, factors.y, old_factor, new_factor);
        o.x = merged(block.x, new_factor, o.x, old_factor);
        o.y = merged(block.y, new_factor, o.y, old_factor);
    }

    // The key blocks that the warps have just done, in rising order.
    __device__ void merge_span(const Walk &here, const Tile &tile, bool fresh) {
        __syncthreads();
#pragma unroll
        for (uint32_t i = 0; i < kUnits; ++i) {
            if (fresh) {
                running_[i] = Running();
                o_[i] = make_float2(0.0f, 0.0f);
            }
            if (row_of(i) < tile.rows) {
#pragma unroll
                for (uint32_t w = 0; w < kWarps; ++w) {
                    if (tile.sees(block_start(here, w))) {
                        const Partial from = in_block(w);
                        merge(running_[i], o_[i], from.factors[row_of(i)],
                              *reinterpret_cast<const float2 *>(from.outputs + row_of(i) * from.step + 2 * pair_of(i)));
                    }
                }
            }
        }
        __syncthreads();
    }

    __device__ void put(const Walk &here, const Tile &tile, uint32_t i, float2 o, float sum) const {
        const uint32_t row = tile.row + row_of(i);
        shape_.out.put2(static_cast<uint32_t>(here.sequence.start) + row / shape_.group,
                        (tile.head * shape_.group + row % shape_.group) * DIM + 2 * pair_of(i), finished(o.x, sum), finished(o.y, sum));
    }

    __device__ void write(const Walk &here, const Tile &tile) const {
#pragma unroll
        for (uint32_t i = 0; i < kUnits; ++i) {
            if (row_of(i) < tile.rows) {
                put(here, tile, i, o_[i], running_[i].sum);
            }
        }
    }

    // `done` spans of a cut work are in scratch; whoever completes it merges. A work is cut at the end of the thread block it begins in, so the
    // counter is that block's.
    __device__ void hand_in(const Walk &here, const Tile &tile, uint64_t first, uint32_t done) {
        __shared__ bool last;
        __threadfence();
        __syncthreads();
        uint32_t *counter = plan_.counters + ((first + 1) * gridDim.x - 1) / bounds_.total;
        if (threadIdx.x == 0) {
            last = atomicAdd(counter, done) + done == here.extent.spans;
        }
        __syncthreads();
        if (last) {
            __threadfence();
            if (threadIdx.x == 0) {
                *counter = 0;
            }
            merge_scratch(here, tile, first);
        }
        __syncthreads();
    }

    __device__ void merge_scratch(const Walk &here, const Tile &tile, uint64_t first) const {
        constexpr int kTogether = 16; // loads in flight
        const int32_t begin = tile.lo / kKeys;
        const int32_t end = (tile.hi - 1) / kKeys + 1;
        const uint64_t origin = first * kWarps - here.extent.first * kWarps; // slot of key block 0
#pragma unroll 1
        for (uint32_t i = 0; i < kUnits; ++i) {
            const uint32_t row = row_of(i);
            if (row >= tile.rows) {
                return;
            }
            Running running;
            float2 o = make_float2(0.0f, 0.0f);
#pragma unroll 1
            for (int32_t block = begin; block < end; block += kTogether) {
                float2 factors[kTogether], outputs[kTogether];
#pragma unroll
                for (int j = 0; j < kTogether; ++j) {
                    if (block + j < end) {
                        const Partial from = in_scratch(origin + static_cast<uint32_t>(block + j));
                        factors[j] = __ldcg(from.factors + row);
                        outputs[j] = __ldcg(reinterpret_cast<const float2 *>(from.outputs + row * DIM) + pair_of(i));
                    }
                }
#pragma unroll
                for (int j = 0; j < kTogether; ++j) {
                    if (block + j < end) {
                        merge(running, o, factors[j], outputs[j]);
                    }
                }
            }
            put(here, tile, i, o, running.sum);
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
    Walk ahead_; // of the tile that is fetched next
    bool ahead_values_;
    uint32_t slot_ = 0; // of the tile that is used next
    uint32_t q_[DIM / 16][4];
    Running running_[kUnits]; // of a work that lies in this thread block
    float2 o_[kUnits];
};

template <int DIM, int SLOTS>
__global__ void __launch_bounds__(kThreads, 1)
    attention_decode(const __grid_constant__ AttentionShape shape, const __grid_constant__ Plan plan) {
    extern __shared__ __align__(kAlign) char memory[];
    Decode<DIM, SLOTS>(shape, plan, memory).run();
}

template <int DIM, int SLOTS> void run(const Context &context, const AttentionShape &shape, const Plan &plan, uint32_t blocks) {
    constexpr uint32_t kBytes = Memory<DIM, SLOTS>::kBytes;
    check(cudaFuncSetAttribute(attention_decode<DIM, SLOTS>, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes), "shared memory of attention");
    launch(context, "attention", attention_decode<DIM, SLOTS>, dim3(blocks), dim3(kThreads), kBytes, shape, plan);
}

} // namespace

void launch_attention_decode(const Context &context, const AttentionShape &shape, bool all) {
    const uint32_t rows = shape.n == 1 && shape.group < kTileRows ? shape.group : kTileRows;
    const Plan plan = {reinterpret_cast<float *>(context.scratch), context.scratch_bytes / 4, rows, context.counters, all};
    uint64_t blocks = static_cast<uint32_t>(context.multiprocessors);
    if (shape.n == 1) { // no more than there can be items
        const uint64_t spans = ceil_div(shape.max_blocks, kSpan / cpu::kBlock) + 1;
        const uint64_t most = spans * shape.cache.kv_heads * ceil_div(shape.group, kTileRows);
        blocks = most < blocks ? most : blocks;
    }
    int limit = 0;
    check(cudaDeviceGetAttribute(&limit, cudaDevAttrMaxSharedMemoryPerBlockOptin, context.device), "shared memory of a block");
    // For few tokens the next kernel's blocks had better find room beside these; for many, more tiles in flight.
    const auto deep = [&](uint32_t bytes) { return shape.n > 8 && static_cast<int>(bytes) + 256 <= limit; };
    const uint32_t grid = static_cast<uint32_t>(blocks);
    if (shape.cache.head_dim == 128) {
        (deep(Memory<128, 3>::kBytes) ? run<128, 3> : run<128, 2>)(context, shape, plan, grid);
    } else {
        (deep(Memory<64, 4>::kBytes) ? run<64, 4> : run<64, 2>)(context, shape, plan, grid);
    }
}

} // namespace intarsia::cuda
