// Rows of a table, widened to f32: eight elements a thread where the width allows it.
#include "cuda/kernels.h"
#include "cuda/rows.h"

namespace intarsia::cuda {
namespace {

constexpr uint32_t kThreads = 128;

template <bool Narrow, bool Eight>
__global__ void __launch_bounds__(kThreads) embedding(const int32_t *tokens, const void *weight, float *out, uint32_t width) {
    wait_for_earlier();
    let_next_start();
    const uint64_t token = static_cast<uint32_t>(tokens[blockIdx.x]);
    float *to = out + uint64_t{blockIdx.x} * width;
    const uint32_t first = blockIdx.y * kThreads + threadIdx.x;
    const uint32_t all = gridDim.y * kThreads;
    if constexpr (Eight) {
        for (uint32_t i = first * 8; i < width; i += all * 8) {
            float4 *at = reinterpret_cast<float4 *>(to + i);
            if constexpr (Narrow) {
                const uint4 v = *reinterpret_cast<const uint4 *>(static_cast<const __nv_bfloat16 *>(weight) + token * width + i);
                at[0] = make_float4(lower_bf16(v.x), upper_bf16(v.x), lower_bf16(v.y), upper_bf16(v.y));
                at[1] = make_float4(lower_bf16(v.z), upper_bf16(v.z), lower_bf16(v.w), upper_bf16(v.w));
            } else {
                const float4 *from = reinterpret_cast<const float4 *>(static_cast<const float *>(weight) + token * width + i);
                at[0] = from[0];
                at[1] = from[1];
            }
        }
    } else {
        for (uint32_t i = first; i < width; i += all) {
            if constexpr (Narrow) {
                to[i] = __bfloat162float(static_cast<const __nv_bfloat16 *>(weight)[token * width + i]);
            } else {
                to[i] = static_cast<const float *>(weight)[token * width + i];
            }
        }
    }
}

} // namespace

void launch(const Context &context, const cpu::EmbeddingArgs &args) {
    const uint32_t width = args.weight.k;
    if (args.n == 0 || width == 0) {
        return;
    }
    const bool narrow = args.weight.storage == cpu::Storage::BF16;
    const bool eight = width % 8 == 0 && aligned(args.weight.data, 16) && aligned(args.out, 16);
    const uint32_t parts = ceil_div(width, kThreads * (eight ? 8 : 1));
    launch(context, "embedding",
           narrow ? eight ? embedding<true, true> : embedding<true, false> : eight ? embedding<false, true> : embedding<false, false>,
           dim3(args.n, parts < 64 ? parts : 64), dim3(kThreads), 0, args.tokens, args.weight.data, args.out, width);
}

} // namespace intarsia::cuda
