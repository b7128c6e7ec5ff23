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

struct Product {
    cpu::Matrix weight;    // [outputs, k]
    const void *x;         // [n, k], rows `x_stride` elements apart, stored as the weights
    uint32_t n;
    uint32_t x_stride;
    const float *residual; // f32 [n, outputs], or null
    void *out;             // [n, outputs]
    cpu::Storage out_storage;
};

// out = residual + x weight'; false if cuBLASLt has no kernel for it, and nothing was done.
bool multiply(const Context &context, const Product &product);

} // namespace intarsia::cuda
