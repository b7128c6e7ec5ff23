// Lays checkpoint tensors out for the kernels. Every source element type is read without alignment.
#pragma once

#include "cpu/args.h"

namespace intarsia::cpu {

enum class Source : uint8_t { F32, F16, BF16 };

// data: row-major [count]; out: f32 [count]. Exact.
void widen(const void *data, Source source, uint64_t count, float *out);

// Packs tiles [first, last) of a row-major matrix [n, k] (see Matrix). To BF16 storage: rounded to nearest even (NaN
// stays NaN); to F32: exact. out points at tile 0.
void pack(const void *data, Source source, uint32_t n, uint32_t k, Storage storage, void *out, uint32_t first,
          uint32_t last);

} // namespace intarsia::cpu
