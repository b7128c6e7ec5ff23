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

} // namespace

void launch(const Context &context, const cpu::NormArgs &args) {
    if (args.n == 0 || args.width == 0) {
        return;
    }
    const uint32_t groups = args.width / args.group;
    const uint64_t units = uint64_t{args.n} * groups;
    const Rows out = rows_of(args.out, args.width, args.out_storage);
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
