// RMS norm over groups of elements: 16 threads a group.
#include "cuda/kernels.h"
#include "cuda/norm.h"
#include "cuda/rows.h"

namespace intarsia::cuda {
namespace {

// Threads of a block: two groups where there are few, so that they spread over the multiprocessors.
constexpr uint32_t kFew = 32, kMany = 256;

__global__ void __launch_bounds__(kMany)
    norm(const float *x, const float *weight, Rows out, uint64_t units, uint32_t groups, uint32_t group, float eps) {
    wait_for_earlier();
    let_next_start();
    const uint64_t unit = (uint64_t{blockIdx.x} * blockDim.x + threadIdx.x) / 16;
    const uint32_t lane = threadIdx.x % 16;
    const uint64_t mine = unit < units ? unit : units - 1; // all threads of a warp take part in its shuffles
    const uint32_t row = static_cast<uint32_t>(mine / groups);
    const uint32_t start = static_cast<uint32_t>(mine % groups) * group;
    const float *from = x + uint64_t{row} * out.width + start;
    const float inverse = inverse_rms16(from, group, eps, lane);
    if (unit >= units) {
        return;
    }
#pragma unroll 8
    for (uint32_t i = lane; i < group; i += 16) {
        out.put(row, start + i, normed(from[i], inverse, weight[i]));
    }
}

// One group of up to kWide elements by a block, which holds them in shared memory: a row of its own is read by many threads at once.
constexpr uint32_t kWide = 8192;

__global__ void __launch_bounds__(kMany)
    norm_wide(const float *x, const float *weight, Rows out, uint32_t groups, uint32_t group, float eps) {
    extern __shared__ float held[];
    __shared__ float shared_inverse;
    wait_for_earlier();
    let_next_start();
    const uint32_t row = blockIdx.x / groups;
    const uint32_t start = blockIdx.x % groups * group;
    const float *from = x + uint64_t{row} * out.width + start;
    for (uint32_t i = threadIdx.x; i < group; i += kMany) {
        held[i] = from[i];
    }
    __syncthreads();
    if (threadIdx.x < 32) { // both halves of the warp do the same
        const float inverse = inverse_rms16(held, group, eps, threadIdx.x % 16);
        if (threadIdx.x == 0) {
            shared_inverse = inverse;
        }
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < group; i += kMany) {
        out.put(row, start + i, normed(held[i], shared_inverse, weight[i]));
    }
}

// One group by a warp of many: for rows enough to fill the device.
constexpr uint32_t kWarpWide = 2048, kRowsOfBlock = 4;

__global__ void __launch_bounds__(kRowsOfBlock * 32)
    norm_rows(const float *x, const float *weight, Rows out, uint64_t units, uint32_t groups, uint32_t group, float eps) {
    extern __shared__ __align__(16) float held_rows[];
    wait_for_earlier();
    let_next_start();
    const uint64_t unit = uint64_t{blockIdx.x} * kRowsOfBlock + threadIdx.x / 32;
    if (unit >= units) {
        return;
    }
    const uint32_t lane = threadIdx.x % 32;
    float *held = held_rows + threadIdx.x / 32 * group;
    const uint32_t row = static_cast<uint32_t>(unit / groups);
    const uint32_t start = static_cast<uint32_t>(unit % groups) * group;
    const float4 *from = reinterpret_cast<const float4 *>(x + uint64_t{row} * out.width + start);
#pragma unroll 8
    for (uint32_t i = lane; i < group / 4; i += 32) {
        reinterpret_cast<float4 *>(held)[i] = __ldcs(from + i);
    }
    __syncwarp();
    const float inverse = inverse_rms16(held, group, eps, lane % 16); // both halves of the warp do the same
#pragma unroll 8
    for (uint32_t i = lane; i < group / 4; i += 32) {
        const float4 v = reinterpret_cast<const float4 *>(held)[i];
        const float4 w = reinterpret_cast<const float4 *>(weight)[i];
        out.put4(row, start + 4 * i, make_float4(normed(v.x, inverse, w.x), normed(v.y, inverse, w.y), normed(v.z, inverse, w.z), normed(v.w, inverse, w.w)));
    }
}

} // namespace

void launch(const Context &context, const cpu::NormArgs &args) {
    if (args.n == 0 || args.width == 0) {
        return;
    }
    const uint32_t groups = args.width / args.group;
    const uint64_t units = uint64_t{args.n} * groups;
    const Rows out = rows_of(args.out, args.width, args.out_storage);
    if (args.group >= 256 && args.group <= kWarpWide && args.group % 4 == 0 && units >= uint64_t{4} * static_cast<uint32_t>(context.multiprocessors) &&
        aligned(args.x, 16) && aligned(args.weight, 16) && aligned(args.out, 16)) {
        launch(context, "norm", norm_rows, dim3(ceil_div(units, kRowsOfBlock)), dim3(kRowsOfBlock * 32), kRowsOfBlock * args.group * sizeof(float), args.x,
               args.weight, out, units, groups, args.group, args.eps);
        return;
    }
    if (args.group >= 256 && args.group <= kWide) {
        launch(context, "norm", norm_wide, dim3(static_cast<uint32_t>(units)), dim3(kMany), args.group * sizeof(float), args.x, args.weight, out,
               groups, args.group, args.eps);
        return;
    }
    const uint32_t threads = units * 16 <= uint64_t{kFew} * 4 * context.multiprocessors ? kFew : kMany;
    launch(context, "norm", norm, dim3(ceil_div(units * 16, threads)), dim3(threads), 0, args.x, args.weight, out, units, groups, args.group,
           args.eps);
}

} // namespace intarsia::cuda
