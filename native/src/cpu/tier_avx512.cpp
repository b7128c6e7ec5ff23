// The kernels for processors with AVX-512 (F, BW, VL, DQ, VNNI).
#include "cpu/ints_avx512.h"

#include "cpu/attention.h"
#include "cpu/elementwise.h"
#include "cpu/heads.h"
#include "cpu/linear.h"
#include "cpu/norm.h"
#include "cpu/sampling.h"

namespace intarsia::cpu {

const Kernels kAvx512Kernels = {
    .tier = "avx512",
    .embedding = embedding<Avx512Vec>,
    .norm = norm<Avx512Vec>,
    .linear = linear<Avx512Vec>,
    .rope_table = rope_table<Avx512Vec>,
    .qkv = qkv<Avx512Vec>,
    .attention = attention<Avx512Vec>,
    .silu_mul = silu_mul<Avx512Vec>,
    .add = add<Avx512Vec>,
    .select_rows = select_rows<Avx512Vec>,
    .round = round<Avx512Vec>,
    .softmax_weights = softmax_weights,
    .sum_of_exponentials = sum_of_exponentials,
    .largest = largest,
    .find_first = find_first,
};

} // namespace intarsia::cpu
