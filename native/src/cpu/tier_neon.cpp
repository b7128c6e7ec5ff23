// The kernels for 64-bit ARM processors.
#include "cpu/ints_neon.h"

#include "cpu/attention.h"
#include "cpu/elementwise.h"
#include "cpu/heads.h"
#include "cpu/linear.h"
#include "cpu/norm.h"
#include "cpu/sampling.h"

namespace intarsia::cpu {

const Kernels kNeonKernels = {
    .tier = "neon",
    .embedding = embedding<NeonVec>,
    .norm = norm<NeonVec>,
    .linear = linear<NeonVec>,
    .rope_table = rope_table<NeonVec>,
    .qkv = qkv<NeonVec>,
    .attention = attention<NeonVec>,
    .silu_mul = silu_mul<NeonVec>,
    .add = add<NeonVec>,
    .select_rows = select_rows<NeonVec>,
    .round = round<NeonVec>,
    .softmax_weights = softmax_weights,
    .sum_of_exponentials = sum_of_exponentials,
    .largest = largest,
    .find_first = find_first,
};

} // namespace intarsia::cpu
