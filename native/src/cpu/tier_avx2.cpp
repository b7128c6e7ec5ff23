// The kernels for processors with AVX2 and FMA.
#include "cpu/ints_avx2.h"

#include "cpu/attention.h"
#include "cpu/elementwise.h"
#include "cpu/heads.h"
#include "cpu/linear.h"
#include "cpu/norm.h"
#include "cpu/sampling.h"

namespace intarsia::cpu {

const Kernels kAvx2Kernels = {
    .tier = "avx2",
    .embedding = embedding<Avx2Vec>,
    .norm = norm<Avx2Vec>,
    .linear = linear<Avx2Vec>,
    .rope_table = rope_table<Avx2Vec>,
    .qkv = qkv<Avx2Vec>,
    .attention = attention<Avx2Vec>,
    .silu_mul = silu_mul<Avx2Vec>,
    .add = add<Avx2Vec>,
    .select_rows = select_rows<Avx2Vec>,
    .round = round<Avx2Vec>,
    .softmax_weights = softmax_weights,
    .sum_of_exponentials = sum_of_exponentials,
    .largest = largest,
    .find_first = find_first,
};

} // namespace intarsia::cpu
