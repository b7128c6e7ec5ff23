// Products with few rows: what counts is that the weights arrive at the rate of the memory. A block takes some tiles of 8 outputs, each of its warps one slice
// of the inputs. All weights of a block, or a ring's worth of them, are on their way to shared memory before the kernel waits for the one before it, so that
// reading goes on across the boundary between kernels; each thread reads back only what it fetched.
#include <algorithm>

#include "cuda/kernels.h"
#include "cuda/linear.h"
#include "cuda/norm.h"
#include "cuda/rows.h"
#include "runtime/error.h"

namespace intarsia::cuda {

namespace {

using cpu::Epilogue;
using cpu::LinearArgs;
using cpu::NormArgs;
using cpu::Storage;

constexpr uint32_t kWarp = 32;
constexpr uint32_t kOutputs = 8; // of a tile
constexpr uint32_t kMostShared = 220 << 10;

// As few as will do, so that blocks of the next kernels find room beside these and have their weights fetched.
constexpr int registers_of(uint32_t tiles, uint32_t groups) {
    return (tiles == 1 ? 64 : tiles == 2 ? 72 : tiles == 4 ? 80 : 96) + (groups - 1) * 16;
}

// Steps of weights that are on their way to a warp, if a slice has as many: the greater depth where there is room for it.
__host__ __device__ constexpr uint32_t depth_of(uint32_t tiles, bool deep) { return tiles <= 2 ? (deep ? 8 : 4) : (deep ? 4 : 2); }

// Shared memory, in bytes: the ring of weights, sums of slices (of two rounds), rows of bf16, and for a norm the rows of f32, its weight and a scale for each row.
struct Room {
    uint32_t sums, inputs, rows, weight, scales, end;
    uint32_t pitch;   // bytes between rows of bf16: rows of a pair lie in different banks
    uint32_t longer;  // f32 between rows of f32
};

Room room_of(uint32_t tiles, uint32_t depth, uint32_t groups, uint32_t rows, uint32_t k, bool norm, bool one_round) {
    const Slices slices = slices_of(k);
    Room room{};
    room.sums = tiles * (one_round ? std::min(depth, slices.each) : depth) * slices.count * kWarp * 16;
    room.inputs = room.sums + (one_round ? 1 : 2) * slices.count * tiles * groups * kWarp * 8;
    room.pitch = k * 2 + (k % 64 == 0 ? 64 : 0);
    room.rows = room.inputs + rows * room.pitch;
    room.longer = k;
    room.weight = room.rows + (norm ? rows * room.longer * 4 : 0);
    room.scales = room.weight + (norm ? k * 4 : 0);
    room.end = room.scales + (norm ? 64 : 0);
    return room;
}

// Groups: of 8 rows, 1 or 2.
template <uint32_t Tiles, bool Deep, uint32_t Groups, bool Norm>
__global__ void __maxnreg__(registers_of(Tiles, Groups))
    stream(const __grid_constant__ LinearArgs args, const __grid_constant__ NormArgs norm, const Room room, const Slices slices, uint32_t tiles,
           uint32_t block_rows) {
    extern __shared__ __align__(128) unsigned char shared[];
    constexpr uint32_t kDepth = depth_of(Tiles, Deep);
    const uint32_t threads = blockDim.x, lane = threadIdx.x % kWarp, slice = threadIdx.x / kWarp;
    const uint32_t g = lane / 4, t = lane % 4;
    const uint32_t k = args.parts[0].weight.k;
    const uint32_t row0 = blockIdx.y * block_rows, rows = min(block_rows, args.n - row0);
    const bool pair = args.epilogue == Epilogue::SILU_MUL; // tiles of gate and up take turns
    const uint32_t first = slice * slices.each, steps = min(slices.each, slices.steps - first);
    const uint32_t rounds = ceil_of(tiles - blockIdx.x * Tiles, gridDim.x * Tiles); // the grid has no block without a tile

    let_next_start();
    if constexpr (Norm) {
        for (uint32_t i = threadIdx.x; i < k / 4; i += threads) fetch(shared_address(shared + room.weight) + i * 16, norm.weight + i * 4);
        fetches_end();
    }

    // Fetching runs kDepth steps ahead.
    const __nv_bfloat16 *from[Tiles];
    const auto aim = [&](uint32_t round) {
#pragma unroll
        for (uint32_t i = 0; i < Tiles; i++) {
            const uint32_t tile = min((round * gridDim.x + blockIdx.x) * Tiles + i, tiles - 1);
            const TileOf at = pair ? TileOf{tile % 2, tile / 2 * kOutputs} : tile_of(args, tile, kOutputs);
            const cpu::Matrix &weight = args.parts[at.part].weight;
            from[i] = static_cast<const __nv_bfloat16 *>(weight.data) + uint64_t{min(at.first + g, weight.n - 1)} * k + first * kStep + t * 8;
        }
    };
    const uint32_t ring = shared_address(shared) + threadIdx.x * 16;
    const uint32_t total = rounds * steps;
    uint32_t fetched = 0, ahead_step = 0, ahead_round = 0;
    const auto fetch_step = [&](uint32_t slot) {
        if (fetched < total) {
#pragma unroll
            for (uint32_t i = 0; i < Tiles; i++) {
                fetch(ring + (slot * Tiles + i) * threads * 16, from[i]);
                from[i] += kStep;
            }
            fetched++;
            if (++ahead_step == steps) {
                ahead_step = 0;
                if (fetched < total) aim(++ahead_round);
            }
        }
        fetches_end();
    };
    aim(0);
#pragma unroll
    for (uint32_t slot = 0; slot < kDepth; slot++) fetch_step(slot);

    // What a thread will finish in a round, first of all: where that is, and what is to be added to it.
    struct End {
        uint32_t part, row, output;
        bool there;
        float2 residual;
    };
    const uint32_t ends = (pair ? Tiles / 2 : Tiles) * Groups * kWarp;
    const auto end_of = [&](uint32_t round, uint32_t e) {
        const uint32_t at = e % kWarp, r = e / kWarp % Groups, i = e / kWarp / Groups * (pair ? 2 : 1);
        const uint32_t row = r * 8 + at / 4, tile = (round * gridDim.x + blockIdx.x) * Tiles + i;
        End end{0, row0 + row, 0, e < ends && row < rows && tile < tiles, {}};
        if (!end.there) return end;
        const TileOf place = pair ? TileOf{0, tile / 2 * kOutputs} : tile_of(args, tile, kOutputs);
        end.part = place.part;
        end.output = place.first + at % 4 * 2;
        end.there = end.output < args.parts[end.part].weight.n;
        return end;
    };
    End end = end_of(0, threadIdx.x);

    wait_for_earlier();
    if (end.there) end.residual = residual_of(args, end.row, end.output);

    // This warp's slice of the rows of bf16, in shared memory.
    unsigned char *inputs = shared + room.inputs;
    if constexpr (Norm) {
        float *held = reinterpret_cast<float *>(shared + room.rows);
        const float *x = norm.x + uint64_t{row0} * k;
        for (uint32_t i = threadIdx.x; i < rows * k / 4; i += threads)
            reinterpret_cast<float4 *>(held)[i] = __ldcg(reinterpret_cast<const float4 *>(x) + i);
        wait_for_fetches<kDepth>();
        __syncthreads();
        float *scales = reinterpret_cast<float *>(shared + room.scales);
        float scale = 0;
        if (rows == 1) {
            scale = inverse_rms16(held, k, norm.eps, lane % 16);
        } else {
            for (uint32_t row = slice; row < rows; row += slices.count) {
                scale = inverse_rms16(held + row * room.longer, k, norm.eps, lane % 16);
                if (lane == 0) scales[row] = scale;
            }
            __syncthreads();
        }
        const float *weight = reinterpret_cast<const float *>(shared + room.weight);
        for (uint32_t row = 0; row < rows; row++) {
            if (rows != 1) scale = scales[row];
            for (uint32_t i = first * kStep + lane * 2; i < (first + steps) * kStep; i += kWarp * 2) {
                const float2 v = *reinterpret_cast<const float2 *>(held + row * room.longer + i), w = *reinterpret_cast<const float2 *>(weight + i);
                *reinterpret_cast<__nv_bfloat162 *>(inputs + row * room.pitch + i * 2) =
                    __floats2bfloat162_rn(normed(v.x, scale, w.x), normed(v.y, scale, w.y));
            }
        }
    } else {
        const __nv_bfloat16 *x = static_cast<const __nv_bfloat16 *>(args.x) + uint64_t{row0} * k + first * kStep;
        const uint32_t chunks = steps * 4; // of 16 bytes, in a row
        for (uint32_t i0 = lane; i0 < rows * chunks; i0 += kWarp * 4) {
            uint4 v[4];
#pragma unroll
            for (uint32_t j = 0; j < 4; j++) {
                const uint32_t i = i0 + j * kWarp;
                if (i < rows * chunks) v[j] = __ldcg(reinterpret_cast<const uint4 *>(x + uint64_t{i / chunks} * k) + i % chunks);
            }
#pragma unroll
            for (uint32_t j = 0; j < 4; j++) {
                const uint32_t i = i0 + j * kWarp;
                if (i < rows * chunks) *reinterpret_cast<uint4 *>(inputs + i / chunks * room.pitch + (first * 4 + i % chunks) * 16) = v[j];
            }
        }
    }
    __syncwarp();

    const unsigned char *low_row = inputs + g * room.pitch + first * kStep * 2 + t * 16;
    const unsigned char *high_row = low_row + 8 * room.pitch;
    uint32_t slot = 0;
    for (uint32_t round = 0; round < rounds; round++) {
        float sums[Tiles][4] = {};
        for (uint32_t s = 0; s < steps; s++) {
            uint4 low = {}, high = {};
            if (g < rows) low = *reinterpret_cast<const uint4 *>(low_row + s * kStep * 2);
            if constexpr (Groups == 2)
                if (g + 8 < rows) high = *reinterpret_cast<const uint4 *>(high_row + s * kStep * 2);
            wait_for_fetches<kDepth - 1>();
#pragma unroll
            for (uint32_t i = 0; i < Tiles; i++)
                step(sums[i], low, high, *reinterpret_cast<const uint4 *>(shared + ((slot * Tiles + i) * threads + threadIdx.x) * 16));
            fetch_step(slot);
            slot = slot + 1 == kDepth ? 0 : slot + 1;
        }

        // Sums of the slices meet in shared memory: [slice][tile][group][lane] of two outputs.
        float2 *meet = reinterpret_cast<float2 *>(shared + room.sums) + round % 2 * slices.count * Tiles * Groups * kWarp;
#pragma unroll
        for (uint32_t i = 0; i < Tiles; i++)
#pragma unroll
            for (uint32_t r = 0; r < Groups; r++)
                meet[((slice * Tiles + i) * Groups + r) * kWarp + lane] = make_float2(sums[i][r * 2], sums[i][r * 2 + 1]);
        __syncthreads();
        const auto sum = [&](uint32_t i, uint32_t r, uint32_t at) {
            const float2 *from = meet + (i * Groups + r) * kWarp + at;
            float2 v = make_float2(0, 0);
#pragma unroll
            for (uint32_t half = 0; half < kMostSlices; half += 8) { // eight at a time are on their way
                if (half >= slices.count) break;
                float2 parts[8];
#pragma unroll
                for (uint32_t s = 0; s < 8; s++)
                    if (half + s < slices.count) parts[s] = from[(half + s) * Tiles * Groups * kWarp];
#pragma unroll
                for (uint32_t s = 0; s < 8; s++)
                    if (half + s < slices.count) v = make_float2(__fadd_rn(v.x, parts[s].x), __fadd_rn(v.y, parts[s].y));
            }
            return v;
        };
        for (uint32_t e = threadIdx.x; e < ends; e += threads) {
            if (e != threadIdx.x) {
                end = end_of(round, e);
                if (end.there) end.residual = residual_of(args, end.row, end.output);
            }
            if (!end.there) continue;
            const uint32_t at = e % kWarp, r = e / kWarp % Groups, i = e / kWarp / Groups * (pair ? 2 : 1);
            if (pair) finish_silu(args, end.row, end.output, sum(i, r, at), sum(i + 1, r, at));
            else finish(args, args.parts[end.part], end.row, end.output, sum(i, r, at), end.residual);
        }
        if (round + 1 < rounds) {
            end = end_of(round + 1, threadIdx.x);
            if (end.there) end.residual = residual_of(args, end.row, end.output);
        }
    }
}

uint32_t tiles_of(const LinearArgs &args) {
    uint32_t tiles = 0;
    for (uint32_t p = 0; p < args.part_count; p++) tiles += ceil_of(args.parts[p].weight.n, kOutputs);
    return tiles;
}

template <uint32_t Tiles, bool Deep, uint32_t Groups, bool Norm>
bool try_one(const Context &context, const LinearArgs &args, const NormArgs *norm, uint32_t most_blocks) {
    const auto kernel = stream<Tiles, Deep, Groups, Norm>;
    static const cudaError_t allowed = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kMostShared);
    check(allowed, "linear, shared memory");
    const uint32_t k = args.parts[0].weight.k, tiles = tiles_of(args), blocks = std::min(ceil_of(tiles, Tiles), most_blocks);
    const bool one_round = blocks * Tiles >= tiles;
    uint32_t rows = std::min(args.n, 8 * Groups);
    const auto room = [&] { return room_of(Tiles, depth_of(Tiles, Deep), Groups, rows, k, Norm, one_round); };
    if (Deep && room().end > kMostShared) return false;
    while (rows > 1 && room().end > kMostShared) rows--;
    if (room().end > kMostShared) return false;
    const Slices slices = slices_of(k);
    launch(context, "linear", kernel, dim3(blocks, ceil_of(args.n, rows)), dim3(slices.count * kWarp), room().end, args,
           norm != nullptr ? *norm : NormArgs{}, room(), slices, tiles, rows);
    return true;
}

template <uint32_t Tiles, uint32_t Groups, bool Norm>
bool try_depths(const Context &context, const LinearArgs &args, const NormArgs *norm, uint32_t most_blocks) {
    const bool deep = slices_of(args.parts[0].weight.k).each > depth_of(Tiles, false) || ceil_of(tiles_of(args), Tiles) > most_blocks;
    return (deep && try_one<Tiles, true, Groups, Norm>(context, args, norm, most_blocks)) ||
           try_one<Tiles, false, Groups, Norm>(context, args, norm, most_blocks);
}

template <uint32_t Tiles> bool try_tiled(const Context &context, const LinearArgs &args, const NormArgs *norm, uint32_t most_blocks) {
    if (norm != nullptr) return try_depths<Tiles, 1, true>(context, args, norm, most_blocks);
    if (args.n <= 8) return try_depths<Tiles, 1, false>(context, args, nullptr, most_blocks);
    return try_depths<Tiles, 2, false>(context, args, nullptr, most_blocks);
}

bool even(uint32_t tiles, const LinearArgs &args) { return tiles % 2 == 0 || args.epilogue != Epilogue::SILU_MUL; }

} // namespace

bool can_slice(const LinearArgs &args) {
    if (args.parts[0].weight.storage != Storage::BF16 || args.parts[0].weight.k % kStep != 0 || args.parts[0].weight.k == 0) return false;
    for (uint32_t p = 0; p < args.part_count; p++)
        if (!aligned(args.parts[p].weight.data, 16)) return false;
    for (uint32_t p = 0; p < (args.epilogue == Epilogue::SILU_MUL ? 1 : args.part_count); p++) {
        const uint32_t element = args.epilogue == Epilogue::ADD ? 4 : cpu::element_bytes(args.out_storage);
        if (!aligned(args.parts[p].out, args.parts[p].weight.n % 2 == 0 ? 2 * element : element)) return false;
    }
    // Very wide rows would not fit in shared memory.
    return aligned(args.x, 16) && room_of(2, depth_of(2, false), 1, 1, args.parts[0].weight.k, false, false).end <= kMostShared;
}

bool can_stream(const NormArgs &norm, const LinearArgs &args) {
    return can_slice(args) && norm.group == norm.width && norm.width == args.parts[0].weight.k && norm.out_storage == Storage::BF16 && args.n != 0 &&
           args.n <= 8 && args.n == norm.n && aligned(norm.x, 16) && aligned(norm.weight, 16) &&
           room_of(2, depth_of(2, false), 1, args.n, norm.width, true, false).end <= kMostShared;
}

// As few tiles to a block as keep every multiprocessor busy once; where there are more, blocks go on from tile to tile.
StreamShape stream_shape(const Context &context, const LinearArgs &args) {
    const uint32_t tiles = tiles_of(args), processors = static_cast<uint32_t>(context.multiprocessors);
    for (const uint32_t each : {1u, 2u, 4u, 6u})
        if (even(each, args) && ceil_of(tiles, each) <= processors) return {each, processors};
    return {4, processors};
}

void launch_stream(const Context &context, const LinearArgs &args, const NormArgs *norm, StreamShape shape) {
    if (shape.tiles >= 6 && try_tiled<6>(context, args, norm, shape.blocks)) return;
    if (shape.tiles >= 4 && try_tiled<4>(context, args, norm, shape.blocks)) return;
    if ((shape.tiles >= 2 || !even(1, args)) && try_tiled<2>(context, args, norm, shape.blocks)) return;
    if (even(1, args) && try_tiled<1>(context, args, norm, shape.blocks)) return;
    fail(INTARSIA_UNSUPPORTED, "a linear op of %u inputs is too wide for the CUDA kernels", args.parts[0].weight.k);
}

} // namespace intarsia::cuda
