// Which kernels an attention is made of.
#include "cuda/attention.h"
#include "cuda/kernels.h"

namespace intarsia::cuda {
namespace {

int shared_limit(const Context &context) {
    int bytes = 0;
    check(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, context.device), "shared memory of a block");
    return bytes;
}

// The same for every call of one model on one device, for the two kinds of kernels have different bits.
bool on_tensor_cores(const Context &context, const cpu::AttentionArgs &args) {
    const uint32_t dim = args.cache.head_dim;
    return args.cache.storage == cpu::Storage::BF16 && args.q_storage == cpu::Storage::BF16 && (dim == 64 || dim == 128) && args.scale > 0 &&
           aligned(args.q, 16) && aligned(args.cache.keys, 16) && aligned(args.cache.values, 16) && aligned(args.out, 8) &&
           shared_limit(context) >= (dim == 128 ? 163 : 84) * 1024;
}

} // namespace

void launch(const Context &context, const cpu::AttentionArgs &args) {
    if (args.n == 0) {
        return;
    }
    const uint32_t width = args.heads * args.cache.head_dim;
    const AttentionShape shape = {args.q,
                                  rows_of(args.out, width, args.out_storage),
                                  cpu::stride(width, args.q_storage),
                                  args.cache,
                                  args.heads,
                                  args.heads / args.cache.kv_heads,
                                  args.window,
                                  args.scale,
                                  args.sequences,
                                  args.query_starts,
                                  args.lengths,
                                  args.block_tables,
                                  args.max_blocks,
                                  args.n};
    if (!on_tensor_cores(context, args)) {
        launch_attention_any(context, shape, args.q_storage);
        return;
    }
    if (try_attention_single(context, shape) || try_attention_few(context, shape)) {
        return;
    }
    const bool all = args.n <= kFewTokens;
    if (!all) {
        (can_launch_attention_hopper(context, shape) ? launch_attention_hopper : launch_attention_prefill)(context, shape);
    }
    launch_attention_decode(context, shape, all);
}

} // namespace intarsia::cuda
