// What the kernels of linear ops share: the order of a dot product of bf16, where outputs lie, and what is done with them at the end.
//
// A dot product of bf16 over k inputs, k a multiple of 32, is the same whatever kernel computes it: inputs in steps of 32, each two products of the tensor
// cores (m16n8k16), the first over inputs 8 t .. 8 t + 3, the second over 8 t + 4 .. 8 t + 7, t = 0..3; the steps of a slice one after the other from zero;
// then the slices in rising order from zero. How many slices there are depends on k alone. Of other widths, and of f32, it is one chain of fma in
// rising order of the inputs. So bits never depend on how many rows a call has.
#pragma once

#include <cuda_bf16.h>

#include "cpu/args.h"
#include "cuda/context.h"
#include "cuda/silu.h"

namespace intarsia::cuda {

constexpr uint32_t kStep = 32;       // inputs
constexpr uint32_t kMostSlices = 16;

struct Slices {
    uint32_t steps; // of all slices
    uint32_t each;  // steps of a slice; the last may have fewer
    uint32_t count;
};

__host__ __device__ constexpr Slices slices_of(uint32_t k) {
    const uint32_t steps = k / kStep, share = (steps + kMostSlices - 1) / kMostSlices, each = share < 4 ? 4 : share;
    return {steps, each, (steps + each - 1) / each};
}

__host__ __device__ constexpr uint32_t ceil_of(uint32_t a, uint32_t b) { return (a + b - 1) / b; }

// How the kernel of few rows is cut; whatever the cut, the bits are the same.
struct StreamShape {
    uint32_t tiles;  // of 8 outputs, of a block at a time: 1, 2, 4 or 6; 2 or 6 for SILU_MUL, or 4
    uint32_t blocks; // at most, for each group of rows
};

StreamShape stream_shape(const Context &context, const cpu::LinearArgs &args);
// Whether the tensor cores' order applies: bf16, k a multiple of 32, addresses that vectors can be loaded from.
bool can_slice(const cpu::LinearArgs &args);
bool can_stream(const cpu::NormArgs &norm, const cpu::LinearArgs &args);
void launch_stream(const Context &context, const cpu::LinearArgs &args, const cpu::NormArgs *norm, StreamShape shape);

// The same for up to 8 rows where there is a copy engine, with a norm before it, and with q, k and v made ready for attention after it: then the parts' outs
// are not written.
bool can_few(const Context &context, const cpu::NormArgs *norm, const cpu::LinearArgs &args);
void launch_few(const Context &context, const cpu::LinearArgs &args, const cpu::NormArgs *norm);
bool can_few(const Context &context, const cpu::NormArgs &norm, const cpu::LinearArgs &args, const cpu::QkvArgs &qkv);
void launch_few(const Context &context, const cpu::NormArgs &norm, const cpu::LinearArgs &args, const cpu::QkvArgs &qkv);

// Tiles in shared memory, for many rows: 128 x 128, 64 x 128 or 64 x 64 rows and outputs.
enum class TileShape { LARGE, WIDE, SMALL };
TileShape tile_shape(const Context &context, const cpu::LinearArgs &args);
void launch_tiles(const Context &context, const cpu::LinearArgs &args, TileShape shape);

// Hopper's products of groups of warps, for nine and more rows; the order of sums is another than above, and another for each shape. bf16 without biases.
struct WgmmaShape {
    uint32_t outputs; // of a tile: 64 or 128; or, where `shares` is 0, 128, 192 or 256
    uint32_t rows;    // of a tile: 16, 32, 64 or 128; or, where `shares` is 0, 128
    uint32_t shares;  // of the inputs, each for a block of a cluster: 1, 2, 4 or 8
};

// What such a product does besides, so that no kernel of its own has to.
struct Around {
    // x is the result of a norm but for the scale of its rows, by which outputs are multiplied: sums of squares of parts of each row, [n, square_parts].
    const float *squares = nullptr;
    uint32_t square_parts = 0;
    float eps = 0;
    // ADD: the same for the next product: out times the norm's weight, and the sums of squares, [n, tiles of outputs].
    void *normed = nullptr;
    const float *norm_weight = nullptr;
    float *next_squares = nullptr;
    // STORE: outputs are heads that are made ready for attention and not written as they are.
    bool attends = false;
    cpu::QkvArgs heads{};
};
constexpr uint32_t kSquareParts = 16; // at most
constexpr uint32_t kWgmmaHead = 128;  // elements of a head

bool can_wgmma(const Context &context, const cpu::LinearArgs &args);
// Whether the heads that an op makes can be made ready where they are.
bool can_attend(const cpu::LinearArgs &args, const cpu::QkvArgs &heads);
WgmmaShape wgmma_shape(const Context &context, const cpu::LinearArgs &args, const Around &around = {});
void launch_wgmma(const Context &context, const cpu::LinearArgs &args, WgmmaShape shape, const Around &around = {});

// Any storage and width, without the tensor cores.
void launch_chain(const Context &context, const cpu::LinearArgs &args);

#if defined(__CUDACC__)

// d += a b: a [16, 16] tokens by inputs, b [16, 8] inputs by outputs, d [16, 8].
__device__ inline void multiply_add(float (&d)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// One step. Lane 4 g + t holds inputs 8 t .. 8 t + 7 of tokens g (low) and g + 8 (high) and of output g; it gets outputs 2 t, 2 t + 1 of tokens g
// (d[0], d[1]) and g + 8 (d[2], d[3]).
__device__ inline void step(float (&d)[4], const uint4 &low, const uint4 &high, const uint4 &weights) {
    multiply_add(d, low.x, high.x, low.y, high.y, weights.x, weights.y);
    multiply_add(d, low.z, high.z, low.w, high.w, weights.z, weights.w);
}

__device__ inline uint32_t shared_address(const void *shared) { return static_cast<uint32_t>(__cvta_generic_to_shared(shared)); }

// 16 bytes to shared memory, in the background.
__device__ inline void fetch(uint32_t to, const void *from) {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
}
__device__ inline void fetches_end() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// All groups of fetches of this thread but the last so many are there.
template <uint32_t Pending> __device__ inline void wait_for_fetches() { asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory"); }

__device__ inline void store(void *out, cpu::Storage storage, uint64_t at, float value) {
    if (storage == cpu::Storage::F32) static_cast<float *>(out)[at] = value;
    else static_cast<__nv_bfloat16 *>(out)[at] = __float2bfloat16_rn(value);
}

// Outputs o and o + 1 of a row; o is even, and past the width nothing is written but the padding of an odd row of bf16.
__device__ inline void store_pair(void *out, cpu::Storage storage, uint32_t width, uint32_t row, uint32_t o, float a, float b) {
    if (width % 2 == 0) {
        const uint64_t at = uint64_t{row} * width + o;
        if (storage == cpu::Storage::F32) *reinterpret_cast<float2 *>(static_cast<float *>(out) + at) = make_float2(a, b);
        else *reinterpret_cast<__nv_bfloat162 *>(static_cast<__nv_bfloat16 *>(out) + at) = __floats2bfloat162_rn(a, b);
        return;
    }
    const bool last = o + 1 == width;
    const uint64_t at = uint64_t{row} * (storage == cpu::Storage::F32 ? width : width + 1) + o;
    store(out, storage, at, a);
    if (!last) store(out, storage, at + 1, b);
    else if (storage == cpu::Storage::BF16) store(out, storage, at + 1, 0.0f);
}

__device__ inline float2 biased(const cpu::LinearPart &part, uint32_t o, float2 v) {
    if (part.bias == nullptr) return v;
    v.x = __fadd_rn(v.x, part.bias[o]);
    if (o + 1 < part.weight.n) v.y = __fadd_rn(v.y, part.bias[o + 1]);
    return v;
}

// What ADD adds to outputs o and o + 1 (o even, less than the width) of a row.
__device__ inline float2 residual_of(const cpu::LinearArgs &args, uint32_t row, uint32_t o) {
    if (args.epilogue != cpu::Epilogue::ADD) return {};
    const uint32_t width = args.parts[0].weight.n;
    const float *from = args.residual + uint64_t{row} * width + o;
    return {__ldcg(from), o + 1 < width ? __ldcg(from + 1) : 0.0f};
}

// Outputs o and o + 1 (o even, less than the width) of a part from their sums: STORE and ADD.
__device__ inline float2 finished(const cpu::LinearArgs &args, const cpu::LinearPart &part, uint32_t o, float2 v, float2 residual) {
    v = biased(part, o, v);
    if (args.epilogue != cpu::Epilogue::ADD) return v;
    return {__fadd_rn(residual.x, v.x), __fadd_rn(residual.y, v.y)};
}

// The same of SILU_MUL.
__device__ inline float2 finished_silu(const cpu::LinearArgs &args, uint32_t o, float2 gate, float2 up) {
    gate = biased(args.parts[0], o, gate);
    up = biased(args.parts[1], o, up);
    return {__fmul_rn(silu(gate.x), up.x), __fmul_rn(silu(gate.y), up.y)};
}

// To a row of a part's out.
__device__ inline void put(const cpu::LinearArgs &args, const cpu::LinearPart &part, uint32_t row, uint32_t o, float2 v) {
    store_pair(part.out, args.epilogue == cpu::Epilogue::ADD ? cpu::Storage::F32 : args.out_storage, part.weight.n, row, o, v.x, v.y);
}

__device__ inline void finish(const cpu::LinearArgs &args, const cpu::LinearPart &part, uint32_t row, uint32_t o, float2 v, float2 residual) {
    put(args, part, row, o, finished(args, part, o, v, residual));
}
__device__ inline void finish_silu(const cpu::LinearArgs &args, uint32_t row, uint32_t o, float2 gate, float2 up) {
    put(args, args.parts[0], row, o, finished_silu(args, o, gate, up));
}

// Tile number `tile`, of `size` outputs each, of a call: which part, and the first output. Parts begin new tiles.
struct TileOf {
    uint32_t part, first;
};
__device__ inline TileOf tile_of(const cpu::LinearArgs &args, uint32_t tile, uint32_t size) {
    uint32_t part = 0;
    while (part + 1 < args.part_count) {
        const uint32_t tiles = ceil_of(args.parts[part].weight.n, size);
        if (tile < tiles) break;
        tile -= tiles;
        part++;
    }
    return {part, tile * size};
}

#endif

} // namespace intarsia::cuda
