// Products of up to some hundred rows on Hopper. Weights are the rows of a product, 64 to a group of four warps, and the tokens its columns; the inputs are
// shared out to the blocks of a cluster, whose sums are added in order.
#include "cuda/linear_wgmma.h"

namespace intarsia::cuda {

namespace {

using cpu::Epilogue;
using cpu::LinearArgs;
using cpu::Storage;

constexpr uint32_t kMostStages = 8;
constexpr uint32_t kHalfShared = 100 * 1024; // two blocks to a multiprocessor: one multiplies while the other begins or ends
constexpr uint32_t kAllShared = 200 * 1024;

template <uint32_t Outputs> constexpr uint32_t kThreads = Outputs * 2 + 32;
template <uint32_t Outputs> constexpr uint32_t kPitch = Outputs + 4; // floats between rows of sums: threads of a warp write to different banks

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

__device__ void store4(void *out, Storage storage, uint64_t at, float4 v) {
    if (storage == Storage::F32) *reinterpret_cast<float4 *>(static_cast<float *>(out) + at) = v;
    else *reinterpret_cast<uint2 *>(static_cast<__nv_bfloat16 *>(out) + at) = make_uint2(pack_bf16(v.x, v.y), pack_bf16(v.z, v.w));
}

__device__ float4 times(float4 v, float s) { return make_float4(v.x * s, v.y * s, v.z * s, v.w * s); }
__device__ float4 times(float4 v, float4 w) { return make_float4(v.x * w.x, v.y * w.y, v.z * w.z, v.w * w.w); }
__device__ float4 load4(const float *from) { return __ldg(reinterpret_cast<const float4 *>(from)); }

// Over `count` threads that lie together, in all of them.
__device__ float sum_of_squares(float4 v, uint32_t count) {
    float sum = v.x * v.x + v.y * v.y + (v.z * v.z + v.w * v.w);
    for (uint32_t step = count / 2; step > 0; step /= 2) sum += __shfl_xor_sync(0xFFFFFFFFu, sum, step);
    return sum;
}

// What a thread needs for its four outputs of a row, but for sums: on its way while others sum.
struct Ahead {
    float4 residual, weight, cosine, sine;
    int32_t slot;
};

__device__ Ahead look_ahead(const LinearArgs &args, const Around &around, uint32_t part, uint32_t row, uint32_t o, bool there) {
    Ahead ahead{};
    if (!there) return ahead;
    if (args.epilogue == Epilogue::ADD) {
        ahead.residual = __ldcg(reinterpret_cast<const float4 *>(args.residual + uint64_t{row} * args.parts[0].weight.n + o));
        if (around.normed != nullptr) ahead.weight = load4(around.norm_weight + o);
    } else if (around.attends) {
        ahead.slot = around.heads.slots[row];
        const cpu::HeadsArgs &heads = heads_of(around.heads, part);
        const uint32_t element = o % kWgmmaHead;
        if (part < 2 && heads.norm_weight != nullptr) ahead.weight = load4(heads.norm_weight + element);
        if (part < 2 && heads.table != nullptr) {
            const float *table = heads.table + uint64_t{row} * kWgmmaHead + element % (kWgmmaHead / 2);
            ahead.cosine = load4(table);
            ahead.sine = load4(table + kWgmmaHead / 2);
        }
    }
    return ahead;
}

// The norm's weights of an output and those after it in the line, to the second-level cache: they are of this layer alone, and were last used a step ago.
__device__ void prefetch_weight(const LinearArgs &args, const Around &around, TileOf at, uint32_t o) {
    const bool heads = around.attends && at.part < 2;
    const float *weights = heads ? heads_of(around.heads, at.part).norm_weight : around.normed != nullptr ? around.norm_weight + at.first : nullptr;
    if (weights != nullptr && at.first + o < args.parts[at.part].weight.n) asm volatile("prefetch.global.L2 [%0];" ::"l"(weights + o));
}

// A head of a row by a warp, lane l of which has elements 4 l .. 4 l + 3.
__device__ void finish_head(const cpu::QkvArgs &args, const Ahead &ahead, uint32_t part, uint32_t head, uint32_t row, bool there, float4 v) {
    const uint32_t lane = threadIdx.x % 32;
    if (part < 2) {
        const cpu::HeadsArgs &heads = heads_of(args, part);
        if (heads.norm_weight != nullptr) v = times(times(v, inverse_root(sum_of_squares(v, 32), kWgmmaHead, heads.eps)), ahead.weight);
        if (heads.table != nullptr) {
            const float4 sine = times(ahead.sine, lane < 16 ? -1.0f : 1.0f), &cosine = ahead.cosine;
            const auto other = [](float x) { return __shfl_xor_sync(0xFFFFFFFFu, x, 16); };
            const float4 o = make_float4(other(v.x), other(v.y), other(v.z), other(v.w));
            v = make_float4(v.x * cosine.x + o.x * sine.x, v.y * cosine.y + o.y * sine.y, v.z * cosine.z + o.z * sine.z, v.w * cosine.w + o.w * sine.w);
        }
    }
    if (!there) return;
    if (__nv_bfloat16 *to = place_of_head(args, part, row, head, ahead.slot)) store4(to, Storage::BF16, lane * 4, v);
}

#endif

// blockIdx: the share of the inputs (a cluster has them all), the tile of outputs, the tile of rows. The last warp loads, the others multiply.
template <uint32_t Outputs, uint32_t Columns>
__global__ void __launch_bounds__(kThreads<Outputs>, 2)
    split(const __grid_constant__ Maps maps, const __grid_constant__ LinearArgs args, const __grid_constant__ Around around, const uint32_t stages) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    constexpr uint32_t kWeightBytes = Outputs * kRowBytes, kStageBytes = kWeightBytes + Columns * kRowBytes, kWarps = Outputs / 16;
    __shared__ __align__(8) uint64_t full[kMostStages], empty[kMostStages];
    __shared__ float scales[Columns];
    const uint32_t ring = aligned_shared(), warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const bool pair = args.epilogue == Epilogue::SILU_MUL;
    const TileOf at = pair ? TileOf{0, blockIdx.y * (Outputs / 2)} : tile_of(args, blockIdx.y, Outputs);
    const uint32_t row0 = blockIdx.z * Columns, shares = gridDim.x, rank = blockIdx.x, rows = min(Columns, args.n - row0);
    const uint32_t blocks = ceil_of(args.parts[0].weight.k, kBlock), first = blocks * rank / shares, count = blocks * (rank + 1) / shares - first;
    if (threadIdx.x == 0) {
        for (uint32_t s = 0; s < stages; s++) {
            hopper::make_barrier(shared_address(full + s), 1);
            hopper::make_barrier(shared_address(empty + s), kWarps);
        }
        hopper::barriers_made();
    }
    __syncthreads();
    if (!around.attends) let_next_start();
    if (threadIdx.x < Outputs / 32) prefetch_weight(args, around, at, threadIdx.x * 32); // a line each

    if (warp == kWarps) {
        if (lane == 0) {
            const auto load = [once = gridDim.z == 1](uint32_t to, const CUtensorMap *map, uint32_t barrier, uint32_t k, uint32_t row) {
                once ? hopper::load_once(to, map, barrier, k, row) : hopper::load(to, map, barrier, k, row);
            };
            const auto load_weights = [&](uint32_t slot, uint32_t i) {
                const uint32_t barrier = shared_address(full + slot), to = ring + slot * kStageBytes, k = (first + i) * kBlock;
                hopper::arrive_expecting(barrier, kStageBytes);
                if (pair) {
                    load(to, &maps.weights[0], barrier, k, at.first);
                    load(to + kWeightBytes / 2, &maps.weights[1], barrier, k, at.first);
                } else {
                    load(to, &maps.weights[at.part], barrier, k, at.first);
                }
            };
            const auto load_rows = [&](uint32_t slot, uint32_t i) {
                hopper::load(ring + slot * kStageBytes + kWeightBytes, &maps.x, shared_address(full + slot), (first + i) * kBlock, row0);
            };
            const uint32_t ahead = min(stages, count);
            hopper::fetch_map(&maps.x);
            for (uint32_t i = 0; i < ahead; i++) load_weights(i, i);
            wait_for_earlier(around);
            for (uint32_t i = 0; i < ahead; i++) load_rows(i, i);
            uint32_t slot = 0, round = 0;
            for (uint32_t i = ahead; i < count; i++) {
                hopper::wait(shared_address(empty + slot), round);
                load_weights(slot, i);
                load_rows(slot, i);
                if (++slot == stages) slot = 0, round ^= 1;
            }
        }
    } else {
        float d[Columns / 2];
#pragma unroll
        for (uint32_t i = 0; i < Columns / 2; i++) d[i] = 0;
        wait_for_earlier(around);
        float squares[kSquareParts]; // of row threadIdx.x
#pragma unroll
        for (uint32_t i = 0; i < kSquareParts; i++)
            squares[i] = i < around.square_parts && threadIdx.x < rows ? __ldcg(around.squares + uint64_t{row0 + threadIdx.x} * around.square_parts + i) : 0;
        uint32_t slot = 0, round = 0, before = 0;
        for (uint32_t i = 0; i < count; i++) {
            const uint32_t stage = ring + slot * kStageBytes;
            hopper::wait(shared_address(full + slot), round);
            hopper::products_begin();
            multiply_stage(d, stage + warp / 4 * 64 * kRowBytes, stage + kWeightBytes, true);
            hopper::products_end();
            hopper::wait_for_products<1>();
            if (i > 0 && lane == 0) hopper::arrive(shared_address(empty + before));
            __syncwarp();
            before = slot;
            if (++slot == stages) slot = 0, round ^= 1;
        }
        hopper::wait_for_products<0>();
        hopper::keep(d);
        if (threadIdx.x < Columns) {
            float sum = 0;
#pragma unroll
            for (uint32_t i = 0; i < kSquareParts; i++) sum += squares[i];
            scales[threadIdx.x] = around.squares != nullptr ? inverse_root(sum, args.parts[0].weight.k, around.eps) : 1;
        }
        // All loads have come and been used: the ring takes the sums, [Columns][kPitch].
        asm volatile("bar.sync 1, %0;" ::"n"(kWarps * 32) : "memory");
        const uint32_t to = ring + (lane % 4 * 2 * kPitch<Outputs> + warp * 16 + lane / 4) * 4;
#pragma unroll
        for (uint32_t j = 0; j < Columns / 8; j++)
#pragma unroll
            for (uint32_t i = 0; i < 4; i++)
                asm volatile("st.shared.f32 [%0], %1;" ::"r"(to + ((j * 8 + i % 2) * kPitch<Outputs> + i / 2 * 8) * 4), "f"(d[j * 4 + i]) : "memory");
    }
    // Threads that lie together take a row's outputs, four each.
    const uint32_t threads = Outputs / (pair ? 8 : 4), width = args.parts[at.part].weight.n;
    const uint32_t end = warp < kWarps ? (rows * threads + 31) / 32 * 32 : 0; // whole warps
    uint32_t u = rank * kWarps * 32 + threadIdx.x;
    const auto ahead_of = [&](uint32_t unit) {
        const uint32_t o = at.first + unit % threads * 4;
        return look_ahead(args, around, at.part, row0 + unit / threads, o, unit < rows * threads && o < width && unit < end);
    };
    Ahead next = ahead_of(u);
    __syncwarp();
    hopper::cluster_sync();
    const auto sum = [&](uint32_t from) {
        float4 v[8];
#pragma unroll
        for (uint32_t r = 0; r < 8; r++)
            if (r < shares) v[r] = hopper::load_at(hopper::address_at(from, r));
#pragma unroll
        for (uint32_t r = 1; r < 8; r++)
            if (r < shares) v[0] = make_float4(v[0].x + v[r].x, v[0].y + v[r].y, v[0].z + v[r].z, v[0].w + v[r].w);
        return v[0];
    };
    while (u < end) {
        const uint32_t row = min(u / threads, Columns - 1), o = u % threads * 4, from = ring + (row * kPitch<Outputs> + o) * 4;
        const bool there = u < rows * threads && at.first + o < width;
        const uint64_t to = uint64_t{row0 + row} * width + at.first + o;
        const Ahead ahead = next;
        const float scale = scales[row];
        float4 v = times(sum(from), scale);
        if (pair) {
            const float4 up = times(sum(from + Outputs / 2 * 4), scale);
            v = make_float4(fast_silu(v.x) * up.x, fast_silu(v.y) * up.y, fast_silu(v.z) * up.z, fast_silu(v.w) * up.w);
        }
        u += kWarps * 32 * shares;
        next = ahead_of(u);
        if (args.epilogue == Epilogue::ADD) {
            const float4 &residual = ahead.residual;
            v = there ? make_float4(v.x + residual.x, v.y + residual.y, v.z + residual.z, v.w + residual.w) : float4{};
            if (there) store4(args.parts[0].out, Storage::F32, to, v);
            if (around.normed != nullptr) {
                if (there) store4(around.normed, Storage::BF16, to, times(v, ahead.weight));
                const float squares = sum_of_squares(v, threads);
                if (o == 0 && there) around.next_squares[uint64_t{row0 + row} * gridDim.y + blockIdx.y] = squares;
            }
        } else if (around.attends) {
            if constexpr (Outputs == kWgmmaHead) finish_head(around.heads, ahead, at.part, at.first / kWgmmaHead, row0 + row, there, v);
        } else if (there) {
            store4(args.parts[at.part].out, args.out_storage, to, v);
        }
    }
    __syncwarp();
    hopper::cluster_sync(); // others may still read this block's sums
#endif
}

template <uint32_t Outputs, uint32_t Columns> void launch_one(const Context &context, const LinearArgs &args, const Around &around, uint32_t shares) {
    static const cudaError_t allowed = cudaFuncSetAttribute(split<Outputs, Columns>, cudaFuncAttributeMaxDynamicSharedMemorySize, kAllShared + 1024);
    check(allowed, "linear, shared memory");
    constexpr uint32_t kStageBytes = (Outputs + Columns) * kRowBytes, kSums = Columns * kPitch<Outputs> * 4;
    const dim3 grid(shares, across_of(args, Outputs), ceil_of(args.n, Columns));
    // Clusters of many blocks do not fit everywhere: a quarter of the multiprocessors may be left over.
    const uint32_t places = static_cast<uint32_t>(context.multiprocessors) * (shares > 2 ? 3 : 4) / 4;
    const bool alone = grid.x * grid.y * grid.z <= places && kStageBytes * 4 > kHalfShared;
    const uint32_t fit = (alone ? kAllShared : kHalfShared) / kStageBytes, most = fit < kMostStages ? fit : kMostStages;
    const uint32_t each = ceil_of(ceil_of(args.parts[0].weight.k, kBlock), shares), stages = each < most ? each : most;
    const uint32_t bytes = 1024 + (stages * kStageBytes > kSums ? stages * kStageBytes : kSums);
    launch_clusters(context, "linear", split<Outputs, Columns>, grid, shares, dim3(kThreads<Outputs>), bytes,
                    maps_of(args, Columns, args.epilogue == Epilogue::SILU_MUL ? Outputs / 2 : Outputs), args, around, stages);
}

template <uint32_t Outputs> void launch_sized(const Context &context, const LinearArgs &args, const Around &around, WgmmaShape shape) {
    switch (shape.rows) {
    case 16: return launch_one<Outputs, 16>(context, args, around, shape.shares);
    case 32: return launch_one<Outputs, 32>(context, args, around, shape.shares);
    case 64: return launch_one<Outputs, 64>(context, args, around, shape.shares);
    default: return launch_one<Outputs, 128>(context, args, around, shape.shares);
    }
}

} // namespace

void launch_split(const Context &context, const LinearArgs &args, const Around &around, WgmmaShape shape) {
    shape.outputs == 64 ? launch_sized<64>(context, args, around, shape) : launch_sized<128>(context, args, around, shape);
}

} // namespace intarsia::cuda
