// x / (1 + e^-x), one definition for the kernel of its own and for the epilogue of linear ops.
#pragma once

namespace intarsia::cuda {

__device__ inline float silu(float x) { return __fdiv_rn(x, __fadd_rn(1.0f, expf(-x))); }

} // namespace intarsia::cuda
