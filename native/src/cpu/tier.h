// Rules of the kernel headers (all of src/cpu but args.h and pack.h).
//
// A tier is a class of 16 f32 lanes (vec_scalar.h, vec_avx2.h, vec_avx512.h), and the kernels are templates over it, each written
// once: tiers give the same bits because they are the same code. A tier file includes its class and then the kernels,
// and is compiled for its instruction set. Everything here lives in the anonymous namespace, and nothing uses inline
// functions or containers of the standard library: a function merged by the linker from differently compiled files
// would carry one tier's instructions into another.
#pragma once

#if defined(__CUDACC__) // for a device's threads too
#define INTARSIA_INLINE __host__ __device__ __forceinline__
#else
#define INTARSIA_INLINE [[gnu::always_inline]] inline
#endif

// INTARSIA_BLOCK, which each tier's vector header defines, marks the functions around an innermost loop.
