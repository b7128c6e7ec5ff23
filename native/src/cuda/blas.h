// cuBLASLt, found when it is there and never linked to. For products of many rows.
#pragma once

#include <string>

#include "cpu/args.h"
#include "cuda/context.h"

namespace intarsia::cuda {

struct Blas;

// Null, with the reason, where it cannot be loaded. The device must be the current one.
Blas *load_blas(std::string &why_not);
void unload_blas(Blas *blas);

// One product, or two of equal shape over the same inputs.
struct Product {
    cpu::Matrix weight;    // [outputs, k]
    const void *second;    // data of the second's weights, after the first's; null = one product
    const void *x;         // [n, k], rows `x_stride` elements apart, stored as the weights
    uint32_t n;
    uint32_t x_stride;
    const float *bias;     // f32 [outputs], or null; only of one product with f32 outputs
    const float *residual; // f32 [n, outputs], or null
    void *out;             // [n, outputs]
    void *second_out;      // [n, outputs], after out
    cpu::Storage out_storage;
};

// out = residual + (x weight' + bias); false if cuBLASLt has no kernel for it, and nothing was done.
bool multiply(const Context &context, const Product &product);

} // namespace intarsia::cuda
