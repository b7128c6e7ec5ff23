// The kernels for every processor.
#include "cpu/ints_scalar.h"

#include "cpu/attention.h"
#include "cpu/elementwise.h"
#include "cpu/heads.h"
#include "cpu/linear.h"
#include "cpu/norm.h"
#include "cpu/sampling.h"

// Baseline x86-64 has no fused multiply-add and would call the C library for each. Where the processor has it, a second
// compilation of the same code does it inline: the same bits, for a fused multiply-add has one correct result.
// (Sanitizers do not know how to start in the resolvers that choose between the two.)
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define INTARSIA_KERNEL __attribute__((target_clones("fma", "default"), flatten)) void
#else
#define INTARSIA_KERNEL void
#endif

namespace intarsia::cpu {
namespace {

using V = ScalarVec;

INTARSIA_KERNEL embedding_scalar(const EmbeddingArgs &args, Share share) { embedding<V>(args, share); }
INTARSIA_KERNEL norm_scalar(const NormArgs &args, Share share) { norm<V>(args, share); }
INTARSIA_KERNEL linear_scalar(const LinearArgs &args, Share share) { linear<V>(args, share); }
INTARSIA_KERNEL rope_table_scalar(const RopeTableArgs &args, Share share) { rope_table<V>(args, share); }
INTARSIA_KERNEL qkv_scalar(const QkvArgs &args, Share share) { qkv<V>(args, share); }
INTARSIA_KERNEL attention_scalar(const AttentionArgs &args, Share share) { attention<V>(args, share); }
INTARSIA_KERNEL silu_mul_scalar(const SiluMulArgs &args, Share share) { silu_mul<V>(args, share); }
INTARSIA_KERNEL add_scalar(const AddArgs &args, Share share) { add<V>(args, share); }
INTARSIA_KERNEL select_rows_scalar(const SelectRowsArgs &args, Share share) { select_rows<V>(args, share); }
INTARSIA_KERNEL round_scalar(const RoundArgs &args, Share share) { round<V>(args, share); }

} // namespace

const Kernels kScalarKernels = {
    .tier = "scalar",
    .embedding = embedding_scalar,
    .norm = norm_scalar,
    .linear = linear_scalar,
    .rope_table = rope_table_scalar,
    .qkv = qkv_scalar,
    .attention = attention_scalar,
    .silu_mul = silu_mul_scalar,
    .add = add_scalar,
    .select_rows = select_rows_scalar,
    .round = round_scalar,
    .softmax_weights = softmax_weights,
    .sum_of_exponentials = sum_of_exponentials,
    .largest = largest,
    .find_first = find_first,
};

} // namespace intarsia::cpu
