// Which kernel does a linear op.
#include "cuda/linear.h"

#include <algorithm>

#include "cuda/blas.h"
#include "cuda/kernels.h"

namespace intarsia::cuda {

namespace {

using cpu::LinearArgs;
using cpu::NormArgs;

constexpr uint32_t kFewRows = 64;   // up to here weights are streamed, for 16 rows at a time
constexpr uint32_t kWgmmaRows = 9;  // from here groups of warps multiply, where bits may depend on the number of rows
constexpr uint32_t kBlasRows = 65;  // from here cuBLASLt may be faster

void launch_ours(const Context &context, const LinearArgs &args) {
    if (!context.deterministic && args.n >= kWgmmaRows && can_wgmma(context, args)) launch_wgmma(context, args, wgmma_shape(context, args));
    else if (!can_slice(args)) launch_chain(context, args);
    else if (can_few(context, nullptr, args)) launch_few(context, args, nullptr);
    else if (args.n <= kFewRows) launch_stream(context, args, nullptr, stream_shape(context, args));
    else launch_tiles(context, args, tile_shape(context, args));
}

} // namespace

void launch(const Context &context, const LinearArgs &args) {
    if (args.n == 0) return;
    if (!context.deterministic && args.n >= kBlasRows && launch_blas(context, args, launch_ours)) return;
    launch_ours(context, args);
}

void prepare(const Context &context, const LinearArgs &args) {
    if (!context.deterministic && args.n >= kBlasRows) prepare_blas(context, args, launch_ours);
}

bool can_launch(const Context &, const NormArgs &norm, const LinearArgs &linear) { return can_stream(norm, linear); }

void launch(const Context &context, const NormArgs &norm, const LinearArgs &linear) {
    if (can_few(context, &norm, linear)) launch_few(context, linear, &norm);
    else launch_stream(context, linear, &norm, stream_shape(context, linear));
}

bool can_launch(const Context &context, const NormArgs &norm, const LinearArgs &linear, const cpu::QkvArgs &qkv) {
    return can_few(context, norm, linear, qkv);
}

void launch(const Context &context, const NormArgs &norm, const LinearArgs &linear, const cpu::QkvArgs &qkv) { launch_few(context, norm, linear, qkv); }

} // namespace intarsia::cuda
