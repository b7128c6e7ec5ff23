// Products of up to eight rows where there is a copy engine (bulk.h). What counts is that the weights arrive at the rate of the memory, and, as a layer of one
// row is a chain of short kernels, how long it takes from the end of the kernel before to the end of this one. So a block asks for all its weights, or a ring's
// worth of them, before it waits for the kernel before it, and takes as little room as it can, so that blocks of the next kernels find theirs beside it and do
// the same. The rows of a tile of 8 outputs lie in shared memory as in the matrix, each of the block's warps multiplies one slice of the inputs.
//
// A kernel's code comes to a multiprocessor as slowly as its first data, and here each piece of it runs once or a few times: loops are left as loops, and what
// is rare (widths that are no multiple of 8 outputs, parts that end within a block) is left to linear_stream.cu. That is worth more than any unrolling.
//
// For q, k and v it also makes the heads ready (qkv.cu has that as a kernel of its own): the blocks of a cluster have one head, and hand it to the one of
// them that normalizes, rotates and stores it.
#include <algorithm>

#include "cuda/bulk.h"
#include "cuda/heads.h"
#include "cuda/kernels.h"
#include "cuda/linear.h"
#include "cuda/norm.h"
#include "cuda/rows.h"

namespace intarsia::cuda {

namespace {

using cpu::Epilogue;
using cpu::LinearArgs;
using cpu::NormArgs;
using cpu::QkvArgs;
using cpu::Storage;

constexpr uint32_t kWarp = 32;
constexpr uint32_t kOutputs = 8;  // of a tile
constexpr uint32_t kMostRows = 8;
constexpr uint32_t kMostDepth = 8; // groups of tiles that are on their way
constexpr uint32_t kMostShared = 224 << 10;
constexpr uint32_t kHeadsShared = 96 << 10; // with more, clusters wait for the kernel before to end, and a kernel of its own for the heads is faster
constexpr uint32_t kHeadTiles = 4; // of a block that makes heads ready

// As few as will do: registers decide how many blocks of the next kernels start beside these.
constexpr int registers_of(uint32_t tiles, uint32_t dim, bool direct) { return dim != 0 ? 80 : direct ? 56 : tiles == 1 ? 40 : 64; }
constexpr uint32_t kDirectSteps = 6; // of a slice, at most, whose inputs go to registers alone

// Shared memory, in bytes: barriers, the ring of weights, sums of slices (of two groups), rows of bf16, and for a norm the rows of f32 and a scale for each;
// heads that this block makes ready.
struct Room {
    uint32_t ring, sums, inputs, rows, scales, heads, end;
    uint32_t pitch; // bytes between rows of bf16: neighbouring rows lie in different banks
    uint32_t depth; // groups of tiles in the ring; with 1 there is no other group
};

constexpr uint32_t capacity_of(uint32_t n) { return n == 1 ? 1 : kMostRows; } // rows that a kernel is made for

Room room_of(const LinearArgs &args, uint32_t tiles, uint32_t depth, bool norm, uint32_t dim, bool direct = false) {
    const uint32_t k = args.parts[0].weight.k, n = args.n;
    Room room{};
    room.depth = depth;
    room.pitch = k * 2 + (k % 64 == 0 ? 64 : 0);
    room.ring = 128;
    room.sums = room.ring + depth * tiles * kOutputs * room.pitch;
    room.inputs = room.sums + (depth == 1 ? 1 : 2) * slices_of(k).count * tiles * capacity_of(n) * kOutputs * 4;
    room.rows = room.inputs + (direct ? 0 : n * room.pitch);
    room.scales = room.rows + (norm ? n * k * 4 : 0);
    room.heads = room.scales + (norm ? 32 : 0);
    room.end = room.heads + (dim == 0 ? 0 : kMostRows / (dim / 32) * dim * 4);
    return room;
}

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900

// step() of linear.h with the sides exchanged, which changes no bit: lane 4 g + t holds inputs 8 t .. 8 t + 7 of outputs g (low) and g + 8 (high) and of token
// g; it gets tokens 2 t, 2 t + 1 of outputs g (d[0], d[1]) and g + 8 (d[2], d[3]).
__device__ void step_turned(float (&d)[4], const uint4 &low, const uint4 &high, const uint4 &x) {
    multiply_add(d, low.x, high.x, low.y, high.y, x.x, x.y);
    multiply_add(d, low.z, high.z, low.w, high.w, x.z, x.w);
}

// inverse_rms16() of norm.h in fewer instructions, for a multiple of 32 elements.
__device__ float inverse_rms16_short(const float *x, uint32_t count, float eps, uint32_t lane) {
    constexpr uint32_t kBatch = 8; // loads; the next are on their way while these are summed
    float squares = 0.0f, now[kBatch];
#pragma unroll
    for (uint32_t j = 0; j < kBatch; j++) now[j] = lane + j * 16 < count ? x[lane + j * 16] : 0.0f;
#pragma unroll 1
    for (uint32_t i = lane + kBatch * 16; i - lane < count + kBatch * 16; i += kBatch * 16) {
        float next[kBatch];
#pragma unroll
        for (uint32_t j = 0; j < kBatch; j++) next[j] = i + j * 16 < count ? x[i + j * 16] : 0.0f;
#pragma unroll
        for (uint32_t j = 0; j < kBatch; j++) squares = __fmaf_rn(now[j], now[j], squares); // zeros change nothing
#pragma unroll
        for (uint32_t j = 0; j < kBatch; j++) now[j] = next[j];
    }
#pragma unroll
    for (uint32_t step = 8; step > 0; step /= 2) squares = __fadd_rn(squares, __shfl_xor_sync(0xFFFFFFFFu, squares, step));
    return __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(__fdiv_rn(squares, static_cast<float>(count)), eps)));
}

// Computed here and not, as the compiler might, where it is used: reading a kernel's arguments for the first time takes long.
template <typename T> __device__ void keep(T *&pointer) { asm volatile("" : "+l"(pointer)); }

// Heads of one cluster, by 16 threads a row: thread l has elements l, l + 16, ... so that sums are those of inverse_rms16.
template <uint32_t Dim, uint32_t Rows> struct Heads {
    static constexpr uint32_t kBlocks = Dim / 32, kEach = Dim / 16;
    static constexpr uint32_t kTurns = (Rows + 2 * kBlocks - 1) / (2 * kBlocks); // rows of a half of the warp
    float weight[kEach];        // of the norm, if there is one
    float table[kTurns][kEach]; // cosines, then sines, if there is a rotation
    int32_t slot[kTurns];
    const float *table_from;
    const int32_t *slot_from;
    char *to; // of q the head in the first row, of k and v in the first slot
    uint32_t step, first_row, n;
    float eps;
    bool in_cache, norm;

    __device__ uint32_t row_of(uint32_t turn) const { return first_row + turn * 2 * kBlocks; }

    // What is known before the step; part 0, 1, 2 is q, k, v.
    __device__ void prepare(const QkvArgs &args, uint32_t part, uint32_t head, uint32_t rank, uint32_t lane) {
        const cpu::HeadsArgs &own = part == 0 ? args.q : args.k;
        n = args.n;
        first_row = rank + lane / 16 * kBlocks;
        in_cache = part != 0;
        norm = part != 2 && own.norm_weight != nullptr;
        table_from = part == 2 || own.table == nullptr ? nullptr : own.table + lane % 16;
        slot_from = in_cache ? args.slots : nullptr;
        eps = own.eps;
        to = static_cast<char *>(part == 0 ? args.q.out : part == 1 ? args.cache.keys : args.cache.values) + (lane % 16) * 2;
        to += in_cache ? head * cpu::kBlock * Dim * 2 : head * Dim * 2;
        step = (in_cache ? args.cache.kv_heads * cpu::kBlock : args.q.heads) * Dim * 2; // bytes between blocks of the cache, or rows
        if (norm)
#pragma unroll
            for (uint32_t j = 0; j < kEach; j++) weight[j] = own.norm_weight[lane % 16 + 16 * j];
        keep(table_from), keep(slot_from), keep(to);
    }

    // What the step says.
    __device__ void load_step() {
#pragma unroll
        for (uint32_t turn = 0; turn < kTurns; turn++) {
            const uint32_t row = min(row_of(turn), n - 1);
            slot[turn] = slot_from == nullptr ? -1 : slot_from[row];
            if (table_from != nullptr)
#pragma unroll
                for (uint32_t j = 0; j < kEach; j++) table[turn][j] = table_from[row * Dim + 16 * j];
        }
    }

    // Rows of this block, as they lie in `held`.
    __device__ void finish(uint32_t lane, const float *held) const {
#pragma unroll
        for (uint32_t turn = 0; turn < kTurns; turn++) {
            float x[kEach], squares = 0;
#pragma unroll
            for (uint32_t j = 0; j < kEach; j++) {
                x[j] = held[(turn * 2 + lane / 16) * Dim + lane % 16 + 16 * j];
                squares = __fmaf_rn(x[j], x[j], squares);
            }
            if (norm) {
#pragma unroll
                for (uint32_t step = 8; step > 0; step /= 2) squares = __fadd_rn(squares, __shfl_xor_sync(0xFFFFFFFFu, squares, step));
                const float inverse = __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(__fdiv_rn(squares, static_cast<float>(Dim)), eps)));
#pragma unroll
                for (uint32_t j = 0; j < kEach; j++) x[j] = normed(x[j], inverse, weight[j]);
            }
            if (table_from != nullptr) {
#pragma unroll
                for (uint32_t j = 0; j < kEach / 2; j++) {
                    const float a = x[j], b = x[j + kEach / 2], cosine = table[turn][j], sine = table[turn][j + kEach / 2];
                    x[j] = __fmaf_rn(a, cosine, -__fmul_rn(b, sine));
                    x[j + kEach / 2] = __fmaf_rn(b, cosine, __fmul_rn(a, sine));
                }
            }
            const uint32_t row = row_of(turn), at = static_cast<uint32_t>(slot[turn]);
            if (row >= n || (in_cache && slot[turn] < 0)) continue;
            char *head = to + (in_cache ? uint64_t{at / cpu::kBlock} * step + at % cpu::kBlock * (Dim * 2) : uint64_t{row} * step);
#pragma unroll
            for (uint32_t j = 0; j < kEach; j++) reinterpret_cast<__nv_bfloat16 *>(head)[16 * j] = __float2bfloat16_rn(x[j]);
        }
    }
};
template <uint32_t Rows> struct Heads<0, Rows> {};

#endif

// Rows: 1, or up to 8. Pair: pairs of tiles are of gate and up, whose rows lie behind all gates'. Dim: of the heads that are made ready, or 0. Direct: one tile of
// few inputs, which go to registers alone, as each is used once.
template <uint32_t Tiles, uint32_t Rows, bool Norm, bool Pair, uint32_t Dim, bool Direct = false>
__global__ void __maxnreg__(registers_of(Tiles, Dim, Direct))
    few(const __grid_constant__ LinearArgs args, const __grid_constant__ NormArgs norm, const __grid_constant__ QkvArgs qkv, const Room room,
        const Slices slices) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    extern __shared__ __align__(128) unsigned char shared[];
    constexpr uint32_t kBlocks = Dim == 0 ? 1 : Dim / 32; // of a cluster
    constexpr uint32_t kPairs = (Tiles + 1) / 2;          // of tiles, which are multiplied together
    constexpr uint32_t kOfTile = Rows * kOutputs;
    const uint32_t lane = threadIdx.x % kWarp, slice = threadIdx.x / kWarp, g = lane / 4, t = lane % 4;
    const uint32_t k = args.parts[0].weight.k, n = Rows == 1 ? 1 : args.n;
    const uint32_t first = slice * slices.each, steps = min(slices.each, slices.steps - first);
    const uint32_t base = shared_address(shared), fetcher = slices.count - 1;
    // The block's outputs: of one part, and with each group so many further on.
    constexpr uint32_t outputs = Pair ? Tiles * kOutputs / 2 : Tiles * kOutputs;
    const uint32_t onward = gridDim.x * outputs;
    uint32_t part = 0, output = blockIdx.x * outputs;
    if constexpr (!Pair)
        while (part + 1 < args.part_count && output >= args.parts[part].weight.n) output -= args.parts[part++].weight.n;
    const uint32_t width = args.parts[part].weight.n;
    const uint32_t groups = room.depth == 1 ? 1 : ceil_of(width - output, onward);

    // By one warp.
    const auto fetch_group = [&](uint32_t group, uint32_t slot) {
        const uint32_t barrier = base + slot * 8;
        if (lane == 0) bulk::arrive_expecting(barrier, Tiles * kOutputs * k * 2);
        __syncwarp();
#pragma unroll 1
        for (uint32_t r = lane; r < Tiles * kOutputs; r += kWarp) {
            const bool up = Pair && r >= outputs;
            const uint32_t o = min(output + group * onward + (up ? r - outputs : r), width - 1);
            bulk::copy_once(base + room.ring + (slot * Tiles * kOutputs + r) * room.pitch,
                       static_cast<const __nv_bfloat16 *>(args.parts[up ? 1 : part].weight.data) + uint64_t{o} * k, k * 2, barrier);
        }
    };
    if (slice == fetcher) {
        if (lane < room.depth) bulk::make_barrier(base + lane * 8, 1);
        bulk::barriers_made();
        __syncwarp();
#pragma unroll 1
        for (uint32_t group = 0; group < min(groups, room.depth); group++) fetch_group(group, group);
    }
    let_next_start();
    if constexpr (Dim != 0) bulk::cluster_arrive(); // that this block has started
    constexpr uint32_t kHeld = 2;                   // pairs of the norm's weight that a thread keeps
    float2 held_weight[kHeld];
    if constexpr (Norm) {
#pragma unroll
        for (uint32_t j = 0; j < kHeld; j++) {
            const uint32_t i = lane * 2 + j * kWarp * 2;
            held_weight[j] = i < steps * kStep ? __ldg(reinterpret_cast<const float2 *>(norm.weight + first * kStep + i)) : float2{};
        }
    }
    Heads<Dim, Rows> heads;
    const uint32_t rank = blockIdx.x % kBlocks;
    if constexpr (Dim != 0)
        if (slice == 0) heads.prepare(qkv, part, output / Dim, rank, lane);

    // What a thread finishes of a group: two outputs of a row, of a tile or of a pair of gate and up.
    const uint32_t tile = threadIdx.x / (Rows * 4), row = threadIdx.x / 4 % Rows;
    const uint32_t mine = tile * kOutputs + threadIdx.x % 4 * 2; // from `output`
    const bool ends = mine < outputs && row < n, adds = args.epilogue == Epilogue::ADD, narrow = args.out_storage == Storage::BF16 && !adds;
    char *out = static_cast<char *>(element(args.parts[part].out, row * width + output + mine, narrow));
    const float *residual_at = args.residual + row * width + output + mine;
    const __nv_bfloat16 *x_from = static_cast<const __nv_bfloat16 *>(args.x) + first * kStep + (Direct ? g * k + t * 8 : lane * 8);
    const float4 *norm_from = reinterpret_cast<const float4 *>(norm.x) + threadIdx.x;
    keep(out), keep(residual_at), keep(x_from), keep(norm_from);
    __syncthreads(); // the barriers are there

    unsigned char *inputs = shared + room.inputs;
    wait_for_earlier();
    float2 residual = {};
    const auto load_residual = [&](uint32_t group) {
        if (adds && ends && output + group * onward + mine < width) residual = __ldcg(reinterpret_cast<const float2 *>(residual_at + group * onward));
    };
    load_residual(0);
    if constexpr (Norm) {
        float *held = reinterpret_cast<float *>(shared + room.rows);
#pragma unroll 1
        for (uint32_t i = threadIdx.x; i < n * k / 4; i += blockDim.x, norm_from += blockDim.x) fetch(shared_address(held) + i * 16, norm_from);
        fetches_end();
        if constexpr (Dim != 0)
            if (slice == 0) heads.load_step();
        wait_for_fetches<0>();
        __syncthreads();
        float *scales = reinterpret_cast<float *>(shared + room.scales);
        float scale = 0;
#pragma unroll 1
        for (uint32_t r = Rows == 1 ? 0 : slice; r < n; r += slices.count) {
            scale = inverse_rms16_short(held + r * k, k, norm.eps, lane % 16);
            if (Rows == 1) break; // every warp for itself
            if (lane == 0) scales[r] = scale;
        }
        if (Rows != 1) __syncthreads();
#pragma unroll 1
        for (uint32_t r = 0; r < n; r++) {
            if (Rows != 1) scale = scales[r];
            const float *from = held + r * k + first * kStep;
            __nv_bfloat162 *to = reinterpret_cast<__nv_bfloat162 *>(inputs + r * room.pitch + first * kStep * 2);
            const auto put = [&](uint32_t i, float2 w) {
                const float2 v = *reinterpret_cast<const float2 *>(from + i);
                to[i / 2] = __floats2bfloat162_rn(normed(v.x, scale, w.x), normed(v.y, scale, w.y));
            };
#pragma unroll
            for (uint32_t j = 0; j < kHeld; j++)
                if (const uint32_t i = lane * 2 + j * kWarp * 2; i < steps * kStep) put(i, held_weight[j]);
#pragma unroll 1
            for (uint32_t i = lane * 2 + kHeld * kWarp * 2; i < steps * kStep; i += kWarp * 2)
                put(i, *reinterpret_cast<const float2 *>(norm.weight + first * kStep + i));
        }
    } else if constexpr (!Direct) {
#pragma unroll 1
        for (uint32_t i = lane; i < steps * 4; i += kWarp, x_from += kWarp * 8) {
            constexpr uint32_t kFlying = Rows == 1 ? 1 : 4; // loads
#pragma unroll 1
            for (uint32_t r0 = 0; r0 < n; r0 += kFlying) {
                uint4 v[kFlying];
#pragma unroll
                for (uint32_t r = 0; r < kFlying; r++)
                    if (r0 + r < n) v[r] = __ldcg(reinterpret_cast<const uint4 *>(x_from + (r0 + r) * k));
#pragma unroll
                for (uint32_t r = 0; r < kFlying; r++)
                    if (r0 + r < n) *reinterpret_cast<uint4 *>(inputs + (r0 + r) * room.pitch + first * kStep * 2 + i * 16) = v[r];
            }
        }
    }
    __syncwarp();
    uint4 direct[Direct ? kDirectSteps : 1];
    if constexpr (Direct)
#pragma unroll
        for (uint32_t s = 0; s < kDirectSteps; s++) direct[s] = s < steps && g < n ? __ldcg(reinterpret_cast<const uint4 *>(x_from + s * kStep)) : uint4{};

    uint32_t slot = 0, parity = 0;
#pragma unroll 1
    for (uint32_t group = 0; group < groups; group++) {
        bulk::wait(base + slot * 8, parity);
        float sums[kPairs][4] = {};
        const unsigned char *x_at = inputs + g * room.pitch + first * kStep * 2 + t * 16;
        const unsigned char *weights = shared + room.ring + (slot * Tiles * kOutputs + g) * room.pitch + first * kStep * 2 + t * 16;
        const uint32_t next_pair = (Pair ? kOutputs : 2 * kOutputs) * room.pitch, high_of_pair = (Pair ? outputs : kOutputs) * room.pitch;
        const auto add_step = [&](const uint4 &x) {
#pragma unroll
            for (uint32_t i = 0; i < kPairs; i++) {
                const uint4 low = *reinterpret_cast<const uint4 *>(weights + i * next_pair);
                uint4 high = {};
                if constexpr (Tiles > 1) high = *reinterpret_cast<const uint4 *>(weights + i * next_pair + high_of_pair);
                step_turned(sums[i], low, high, x);
            }
            weights += kStep * 2;
        };
        if constexpr (Direct) {
#pragma unroll
            for (uint32_t s = 0; s < kDirectSteps; s++)
                if (s < steps) add_step(direct[s]);
        } else {
#pragma unroll 1
            for (uint32_t s = 0; s < steps; s++, x_at += kStep * 2) add_step(g < n ? *reinterpret_cast<const uint4 *>(x_at) : uint4{});
        }

        // Sums of the slices meet in shared memory: [slice][tile][row][output], gate and up taking turns.
        float *meet = reinterpret_cast<float *>(shared + room.sums) + group % 2 * (slices.count * Tiles * kOfTile);
        float *to = meet + slice * Tiles * kOfTile + t * 2 * kOutputs + g;
#pragma unroll
        for (uint32_t i = 0; i < kPairs; i++)
#pragma unroll
            for (uint32_t j = 0; j < 4; j++)
                if (t * 2 + j % 2 < n && i * 2 + j / 2 < Tiles) to[(i * 2 + j / 2) * kOfTile + j % 2 * kOutputs] = sums[i][j];
        __syncthreads();
        if (slice == fetcher && group + room.depth < groups) fetch_group(group + room.depth, slot); // all have read what lies there
        if (++slot == room.depth) slot = 0, parity ^= 1;
        if constexpr (Dim != 0) bulk::cluster_wait(); // all blocks have started
        if (ends) {
            float2 v[2] = {};
            const float2 *from = reinterpret_cast<const float2 *>(meet + (Pair ? 2 * tile : tile) * kOfTile + row * kOutputs) + threadIdx.x % 4;
#pragma unroll 1
            for (uint32_t i = 0; i < (Pair ? 2 : 1); i++) {
                v[1] = v[0];
                v[0] = {};
#pragma unroll 8
                for (uint32_t s = 0; s < slices.count; s++) {
                    const float2 add = from[s * (Tiles * kOfTile / 2)];
                    v[0] = make_float2(__fadd_rn(v[0].x, add.x), __fadd_rn(v[0].y, add.y));
                }
                from += kOfTile / 2;
            }
            const uint32_t o = output + group * onward + mine;
            if (o < width) {
                if constexpr (Dim != 0) {
                    v[0] = biased(args.parts[part], o, v[0]);
                    bulk::store_at(base + room.heads + (row / kBlocks * Dim + rank * (kHeadTiles * kOutputs) + mine) * 4, row % kBlocks, v[0]);
                } else {
                    const float2 done = Pair ? finished_silu(args, o, v[1], v[0]) : finished(args, args.parts[part], o, v[0], residual);
                    if (narrow) *reinterpret_cast<__nv_bfloat162 *>(out) = __floats2bfloat162_rn(done.x, done.y);
                    else *reinterpret_cast<float2 *>(out) = done;
                    out += onward * (narrow ? 2 : 4);
                }
            }
            if (groups != 1) load_residual(group + 1);
        }
    }
    if constexpr (Dim != 0) {
        __syncwarp();
        bulk::cluster_arrive();
        if (slice != 0 || rank >= n) return;
        bulk::cluster_wait();
        heads.finish(lane, reinterpret_cast<const float *>(shared + room.heads));
    }
#endif
}

struct Shape {
    uint32_t tiles, depth, blocks;
};

// Outputs of all parts are whole tiles, and of several parts whole blocks.
bool divides(const LinearArgs &args, uint32_t tiles) {
    const bool pair = args.epilogue == Epilogue::SILU_MUL;
    if (pair && tiles % 2 != 0) return false;
    const uint32_t whole = args.part_count == 1 ? kOutputs : tiles * kOutputs / (pair ? 2 : 1);
    for (uint32_t p = 0; p < args.part_count; p++)
        if (args.parts[p].weight.n % whole != 0) return false;
    return true;
}

// As few tiles to a block as keep every multiprocessor busy once; where there are more, blocks go on from group to group. No tiles if there is no room.
Shape shape_of(const Context &context, const LinearArgs &args, bool norm) {
    const uint32_t processors = static_cast<uint32_t>(context.multiprocessors), threads = slices_of(args.parts[0].weight.k).count * kWarp;
    uint32_t tiles = 0;
    for (uint32_t p = 0; p < args.part_count; p++) tiles += args.parts[p].weight.n / kOutputs;
    const auto fits = [&](uint32_t each, uint32_t depth) {
        return divides(args, each) && each * kOutputs / 2 * capacity_of(args.n) <= threads && room_of(args, each, depth, norm, 0).end <= kMostShared;
    };
    for (const uint32_t each : {1u, 2u, 4u, 6u})
        if (ceil_of(tiles, each) <= processors && fits(each, 1)) return {each, 1, ceil_of(tiles, each)};
    if (args.part_count != 1) return {};
    for (const uint32_t each : {2u, 4u, 1u})
        for (uint32_t depth = kMostDepth; depth >= 2; depth--)
            if (fits(each, depth)) return {each, depth, std::min(ceil_of(tiles, each), processors)};
    return {};
}

template <uint32_t Tiles, uint32_t Rows, bool Norm, bool Pair, uint32_t Dim, bool Direct = false>
void launch_one(const Context &context, const LinearArgs &args, const NormArgs *norm, const QkvArgs *qkv, Shape shape) {
    const auto kernel = few<Tiles, Rows, Norm, Pair, Dim, Direct>;
    static const cudaError_t allowed = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kMostShared);
    check(allowed, "linear, shared memory");
    const Slices slices = slices_of(args.parts[0].weight.k);
    const Room room = room_of(args, Tiles, shape.depth, Norm, Dim, Direct);
    launch_clusters(context, "linear", kernel, dim3(shape.blocks), Dim == 0 ? 1 : Dim / 32, dim3(slices.count * kWarp), room.end, args,
                    norm != nullptr ? *norm : NormArgs{}, qkv != nullptr ? *qkv : QkvArgs{}, room, slices);
}

template <uint32_t Rows, bool Norm> void launch_tiled(const Context &context, const LinearArgs &args, const NormArgs *norm, Shape shape) {
    if (args.epilogue == Epilogue::SILU_MUL) {
        (shape.tiles == 2   ? launch_one<2, Rows, Norm, true, 0>
         : shape.tiles == 4 ? launch_one<4, Rows, Norm, true, 0>
                            : launch_one<6, Rows, Norm, true, 0>)(context, args, norm, nullptr, shape);
    } else if (Rows == kMostRows && !Norm && shape.tiles == 1 && shape.depth == 1 && slices_of(args.parts[0].weight.k).each <= kDirectSteps) {
        launch_one<1, kMostRows, false, false, 0, true>(context, args, norm, nullptr, shape);
    } else {
        (shape.tiles == 1   ? launch_one<1, Rows, Norm, false, 0>
         : shape.tiles == 2 ? launch_one<2, Rows, Norm, false, 0>
         : shape.tiles == 4 ? launch_one<4, Rows, Norm, false, 0>
                            : launch_one<6, Rows, Norm, false, 0>)(context, args, norm, nullptr, shape);
    }
}

} // namespace

bool can_few(const Context &context, const NormArgs *norm, const LinearArgs &args) {
    return args.n != 0 && args.n <= kMostRows && has_bulk(context) && can_slice(args) && (norm == nullptr || can_stream(*norm, args)) &&
           (args.epilogue != Epilogue::ADD || aligned(args.residual, 8)) && shape_of(context, args, norm != nullptr).tiles != 0;
}

void launch_few(const Context &context, const LinearArgs &args, const NormArgs *norm) {
    const Shape shape = shape_of(context, args, norm != nullptr);
    (args.n == 1 ? norm != nullptr ? launch_tiled<1, true> : launch_tiled<1, false>
     : norm != nullptr ? launch_tiled<kMostRows, true> : launch_tiled<kMostRows, false>)(context, args, norm, shape);
}

bool can_few(const Context &context, const NormArgs &norm, const LinearArgs &args, const QkvArgs &qkv) {
    const uint32_t dim = qkv.cache.head_dim;
    if (!qkv.passing || !can_few(context, &norm, args) || args.epilogue != Epilogue::STORE || args.part_count != 3 || (dim != 64 && dim != 128)) return false;
    if (qkv.q.out_storage != Storage::BF16 || qkv.k.out != nullptr || qkv.cache.storage != Storage::BF16 || qkv.n != args.n) return false;
    const float *from[3] = {qkv.q.x, qkv.k.x, qkv.v};
    const uint32_t heads[3] = {qkv.q.heads, qkv.k.heads, qkv.cache.kv_heads};
    for (uint32_t p = 0; p < 3; p++)
        if (args.parts[p].out != from[p] || args.parts[p].weight.n != heads[p] * dim) return false;
    return qkv.q.head_dim == dim && qkv.k.head_dim == dim && kHeadTiles * kOutputs / 2 * capacity_of(args.n) <= slices_of(norm.width).count * kWarp &&
           room_of(args, kHeadTiles, 1, true, dim).end <= kHeadsShared;
}

void launch_few(const Context &context, const NormArgs &norm, const LinearArgs &args, const QkvArgs &qkv) {
    uint32_t outputs = 0;
    for (uint32_t p = 0; p < args.part_count; p++) outputs += args.parts[p].weight.n;
    const Shape shape{kHeadTiles, 1, outputs / (kHeadTiles * kOutputs)};
    const bool wide = qkv.cache.head_dim == 128;
    (args.n == 1 ? wide ? launch_one<kHeadTiles, 1, true, false, 128> : launch_one<kHeadTiles, 1, true, false, 64>
     : wide ? launch_one<kHeadTiles, kMostRows, true, false, 128> : launch_one<kHeadTiles, kMostRows, true, false, 64>)(context, args, &norm, &qkv, shape);
}

} // namespace intarsia::cuda
