// Which kernel does a linear op, and what it does besides.
#include "cuda/linear.h"

#include <algorithm>

#include "cuda/blas.h"
#include "cuda/kernels.h"
#include "cuda/rows.h"

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

constexpr uint32_t kJoinRows = 320; // from here cuBLASLt and a norm of its own are faster than a sum that makes the next product ready
// Rows from this width on: for narrower ones a kernel less saves little, and rounding them before they are scaled and not after took a model of width 64 from 1.8e-2
// to 2.2e-2 of error in its logits.
constexpr uint32_t kJoinWidth = 256;
// Between these, heads are made ready by a kernel of their own: it lets attention, whose keys and values take the most of such a layer, begin sooner.
constexpr uint32_t kLeastApart = 33, kMostApart = 64;
constexpr uint64_t kSquares = uint64_t{4} << 20; // bytes of scratch memory, its last

bool by_groups(const Context &context, const LinearArgs &args) { return !context.deterministic && args.n >= kWgmmaRows && can_wgmma(context, args); }

// Whether what a call reads lies apart from what it is to write besides: both may have had the same place at their own times.
bool apart(const LinearArgs &args, const void *out, uint64_t bytes) {
    const auto from = [&](const void *input, uint64_t input_bytes) {
        const auto *at = static_cast<const std::byte *>(input), *to = static_cast<const std::byte *>(out);
        return at == nullptr || to == nullptr || to + bytes <= at || at + input_bytes <= to;
    };
    const cpu::Matrix &weight = args.parts[0].weight;
    return from(args.x, uint64_t{args.n} * weight.k * 2) && from(args.residual, uint64_t{args.n} * weight.n * 4);
}

// Whether norm is all that comes between the two.
bool joins(const LinearArgs &first, const NormArgs &norm, const LinearArgs &second) {
    return first.epilogue == cpu::Epilogue::ADD && norm.passing && norm.x == first.parts[0].out && norm.out == second.x && norm.n == first.n &&
           second.n == first.n && norm.group == norm.width && norm.width >= kJoinWidth && norm.width == first.parts[0].weight.n && norm.width == second.parts[0].weight.k &&
           norm.out_storage == cpu::Storage::BF16 && aligned(norm.weight, 16) && aligned(norm.out, 16) &&
           apart(first, norm.out, uint64_t{norm.n} * norm.width * 2);
}

} // namespace

uint32_t launch_together(const Context &context, const KernelArgs *calls, uint32_t count, bool only_ask) {
    const auto *linear = std::get_if<LinearArgs>(calls);
    if (linear == nullptr || !by_groups(context, *linear)) return 0;
    Around around;
    uint32_t done = 0;
    if (linear->epilogue == cpu::Epilogue::ADD) {
        if (linear->n >= kJoinRows && context.blas != nullptr) return 0;
        const auto *norm = count > 2 ? std::get_if<NormArgs>(calls + 1) : nullptr;
        const auto *second = count > 2 ? std::get_if<LinearArgs>(calls + 2) : nullptr;
        if (norm == nullptr || second == nullptr || !joins(*linear, *norm, *second) || !by_groups(context, *second)) return 0;
        auto *squares = reinterpret_cast<float *>(context.scratch + context.scratch_bytes - kSquares);
        Around before;
        before.normed = norm->out;
        before.norm_weight = norm->weight;
        before.next_squares = squares;
        const WgmmaShape shape = wgmma_shape(context, *linear, before);
        const uint32_t parts = ceil_of(norm->width, shape.outputs);
        if (parts > kSquareParts || uint64_t{norm->n} * parts * sizeof(float) > kSquares) return 0;
        if (!only_ask) launch_wgmma(context, *linear, shape, before);
        around.squares = squares;
        around.square_parts = parts;
        around.eps = norm->eps;
        linear = second;
        done = 2;
    }
    const auto *heads = done + 1 < count ? std::get_if<cpu::QkvArgs>(calls + done + 1) : nullptr;
    const bool with_heads = linear->n < kLeastApart || linear->n > kMostApart;
    if (heads != nullptr && with_heads && can_attend(*linear, *heads) && apart(*linear, heads->q.out, uint64_t{heads->n} * heads->q.heads * kWgmmaHead * 2) &&
        apart(*linear, heads->k.out, uint64_t{heads->n} * heads->k.heads * kWgmmaHead * 2)) {
        around.attends = true;
        around.heads = *heads;
    } else if (done == 0) {
        return 0;
    }
    if (!only_ask) launch_wgmma(context, *linear, wgmma_shape(context, *linear, around), around);
    return done + (around.attends ? 2 : 1);
}

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
