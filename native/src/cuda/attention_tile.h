// One key block of 64 positions for tiles of 16 query rows, by one warp on tensor cores. Decode and prefill both are made of this, which is why their bits
// agree.
//
// Registers are those of mma.m16n8k16: of a tile of 16 x 8 results, the thread with g = lane / 4, t = lane % 4 has (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1).
#pragma once

#include "cuda/attention.h"

namespace intarsia::cuda {

#if defined(__CUDACC__)

// Rows of DIM bf16 in shared memory, at multiples of kAlign bytes; their 16-byte chunks are permuted so that eight rows of one chunk lie in different banks.
template <int DIM> struct Layout {
    static constexpr int kChunks = DIM / 8;
    static constexpr int kBytes = kKeys * DIM * 2; // of the keys, or values, of a key block
    static __device__ uint32_t at(uint32_t row, uint32_t chunk) { return (row * kChunks + (chunk ^ (row & 7))) * 16; }

    // From the address of a row's chunk 0 or 1 to 2 * pairs chunks, and 16 * sixteens rows, on.
    static __device__ uint32_t on(uint32_t address, uint32_t pairs, uint32_t sixteens) { return (address ^ pairs * 32) + sixteens * (16 * DIM * 2); }
};

constexpr int kAlign = 256;

__device__ inline uint32_t shared_address(const void *pointer) { return static_cast<uint32_t>(__cvta_generic_to_shared(pointer)); }

// 16 bytes from device to shared memory, or zeros.
__device__ inline void copy_async(uint32_t to, const void *from, bool there) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(there ? 16 : 0) : "memory");
}

__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

template <int PENDING> __device__ inline void wait_copies() { asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory"); }

__device__ inline void load_matrices(uint32_t (&r)[4], uint32_t address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

__device__ inline void load_transposed(uint32_t (&r)[4], uint32_t address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

__device__ inline void multiply(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Probabilities of a tile of 16 rows over a key block, with what belongs to rows g and g + 8.
struct Probabilities {
    uint32_t p[4][4]; // for each 16 positions, the left operand of p V
    float maximum[2];
    float sum[2];
};

using Scores = float[8][4]; // 16 rows x 64 positions

// Scores of M tiles; query(tile, step, a) gives the left operand for elements 16 step .. 16 step + 16.
template <int DIM, int M, class Query> __device__ inline void score(Scores (&s)[M], uint32_t keys, uint32_t lane, Query query) {
#pragma unroll
    for (int m = 0; m < M; ++m) {
#pragma unroll
        for (int j = 0; j < 8; ++j) {
            s[m][j][0] = s[m][j][1] = s[m][j][2] = s[m][j][3] = 0.0f;
        }
    }
    // Of each 16 keys matrices are (keys 0..7, k 0..7), (0..7, 8..15), (8..15, 0..7), (8..15, 8..15).
    const uint32_t first = keys + Layout<DIM>::at((lane & 7) + (lane >> 4) * 8, lane >> 3 & 1);
#pragma unroll
    for (int step = 0; step < DIM / 16; ++step) {
        uint32_t a[M][4];
#pragma unroll
        for (int m = 0; m < M; ++m) {
            query(m, step, a[m]);
        }
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            uint32_t b[4];
            load_matrices(b, Layout<DIM>::on(first, step, j));
#pragma unroll
            for (int m = 0; m < M; ++m) {
                multiply(s[m][2 * j], a[m], b[0], b[1]);
                multiply(s[m][2 * j + 1], a[m], b[2], b[3]);
            }
        }
    }
}

// All threads of `WARPS` warps that lie together and call this number theirs; 0 is __syncthreads'.
template <int WARPS> __device__ inline void meet_warps(uint32_t number) { asm volatile("bar.sync %0, %1;" ::"r"(number), "n"(WARPS * 32) : "memory"); }

// Scores of one tile by so many warps, which meet by `number`: each computes those of its share of the keys from the queries in `q`, in the order of sums of
// score(), and puts them where these keys were; all come back with those of all keys. `keys` is in shared memory, also at the address `at`; `upper`: there are
// rows from 8 on.
template <int DIM, int WARPS>
__device__ inline void score_together(Scores &s, const uint32_t (&q)[DIM / 16][4], char *keys, uint32_t at, uint32_t warp, uint32_t lane, bool upper,
                                      uint32_t number) {
    constexpr uint32_t kEights = 8 / WARPS;         // of keys, of a warp
    constexpr uint32_t kStep = kEights * 8 + 8;     // floats between rows: those of a quarter warp lie in different banks
    constexpr uint32_t kWarpKeys = Layout<DIM>::kBytes / WARPS;
    const uint32_t first = at + warp * kWarpKeys + Layout<DIM>::at(lane & 7, lane >> 3); // chunks 0..3
    float c[kEights][4] = {};
#pragma unroll
    for (int two = 0; two < DIM / 32; ++two) {
#pragma unroll
        for (uint32_t j = 0; j < kEights; ++j) {
            uint32_t b[4];
            load_matrices(b, (first ^ two * 64) + j * (8 * DIM * 2));
            multiply(c[j], q[2 * two], b[0], b[1]);
            multiply(c[j], q[2 * two + 1], b[2], b[3]);
        }
    }
    __syncwarp();
    const uint32_t mine = (lane / 4 * kStep + 2 * (lane % 4)) * 4;
#pragma unroll
    for (uint32_t j = 0; j < kEights; ++j) {
        char *const to = keys + warp * kWarpKeys + mine + j * 32;
        *reinterpret_cast<float2 *>(to) = make_float2(c[j][0], c[j][1]);
        if (upper) {
            *reinterpret_cast<float2 *>(to + 8 * kStep * 4) = make_float2(c[j][2], c[j][3]);
        }
    }
    meet_warps<WARPS>(number);
#pragma unroll
    for (int j = 0; j < 8; ++j) {
        const char *const from = keys + j / kEights * kWarpKeys + mine + j % kEights * 32;
        const float2 low = *reinterpret_cast<const float2 *>(from);
        const float2 high = upper ? *reinterpret_cast<const float2 *>(from + 8 * kStep * 4) : make_float2(0.0f, 0.0f);
        s[j][0] = low.x;
        s[j][1] = low.y;
        s[j][2] = high.x;
        s[j][3] = high.y;
    }
}

// What of a key block rows g and g + 8 of a tile see, relative to the block: lo <= i < hi.
struct Visible {
    int32_t lo[2], hi[2];
};

__device__ inline void mask(Scores &s, const Visible &visible, uint32_t lane) {
#pragma unroll
    for (int j = 0; j < 8; ++j) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const int32_t at = 8 * j + 2 * static_cast<int32_t>(lane % 4) + i % 2;
            s[j][i] = at >= visible.lo[i / 2] && at < visible.hi[i / 2] ? s[j][i] : -INFINITY;
        }
    }
}

// Scores to probabilities of rows g, or g + 8, but for the sum, which is left as the thread's own part of it; `factor` = scale log2 e > 0.
template <int HALF> __device__ inline void softmax_part(Scores &s, float factor, Probabilities &out) {
    float top = -INFINITY;
#pragma unroll
    for (int j = 0; j < 8; ++j) {
        top = fmaxf(top, fmaxf(s[j][2 * HALF], s[j][2 * HALF + 1]));
    }
    top = fmaxf(top, __shfl_xor_sync(0xFFFFFFFFu, top, 1));
    top = fmaxf(top, __shfl_xor_sync(0xFFFFFFFFu, top, 2));
    top = __fmul_rn(top, factor);
    const float reference = finite_or_zero(top);
    float sum = 0.0f;
#pragma unroll
    for (int j = 0; j < 8; ++j) {
#pragma unroll
        for (int i = 2 * HALF; i < 2 * HALF + 2; ++i) {
            s[j][i] = exp2_fast(__fmaf_rn(s[j][i], factor, -reference));
            sum = __fadd_rn(sum, s[j][i]);
        }
        out.p[j / 2][j % 2 * 2 + HALF] = pack_bf16(s[j][2 * HALF], s[j][2 * HALF + 1]);
    }
    out.maximum[HALF] = top;
    out.sum[HALF] = sum;
}

template <int HALF> __device__ inline void complete_sum(Probabilities &out) {
    out.sum[HALF] = __fadd_rn(out.sum[HALF], __shfl_xor_sync(0xFFFFFFFFu, out.sum[HALF], 1));
    out.sum[HALF] = __fadd_rn(out.sum[HALF], __shfl_xor_sync(0xFFFFFFFFu, out.sum[HALF], 2));
}

template <int HALF> __device__ inline void softmax_half(Scores &s, float factor, Probabilities &out) {
    softmax_part<HALF>(s, factor, out);
    complete_sum<HALF>(out);
}

__device__ inline void softmax(Scores &s, float factor, Probabilities &out) {
    softmax_half<0>(s, factor, out);
    softmax_half<1>(s, factor, out);
}

// o = p V for elements 16 pair .. 16 pair + 16 of M tiles: two tiles of 16 x 8 each.
template <int DIM, int M>
__device__ inline void mix(float (&o)[M][2][4], const Probabilities (&p)[M], uint32_t values, uint32_t pair, uint32_t lane) {
    const uint32_t first = values + Layout<DIM>::at(lane & 15, lane >> 4);
#pragma unroll
    for (int m = 0; m < M; ++m) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            o[m][0][i] = o[m][1][i] = 0.0f;
        }
    }
#pragma unroll
    for (int step = 0; step < 4; ++step) {
        uint32_t b[4];
        load_transposed(b, Layout<DIM>::on(first, pair, step));
#pragma unroll
        for (int m = 0; m < M; ++m) {
            multiply(o[m][0], p[m].p[step], b[0], b[1]);
            multiply(o[m][1], p[m].p[step], b[2], b[3]);
        }
    }
}

// Only positions lo <= i < hi of two neighbouring values, at i = at and at + 1, zero instead of the others.
__device__ inline uint32_t only_visible(uint32_t pair, int32_t at, int32_t lo, int32_t hi) {
    return (at >= lo && at < hi ? pair & 0xFFFFu : 0) | (at + 1 >= lo && at + 1 < hi ? pair & 0xFFFF0000u : 0);
}

// mix where values that some row does not see are not finite: 0 times them is not 0. Row by row, with what the row does not see replaced by zeros. Such
// numbers are rare, and this is slow.
template <int DIM>
__device__ inline void mix_carefully(float (&o)[2][4], const Probabilities &p, uint32_t values, uint32_t pair, const Visible &visible,
                                     uint32_t lane) {
    const uint32_t first = values + Layout<DIM>::at(lane & 15, lane >> 4);
#pragma unroll 1
    for (uint32_t row = 0; row < 16; ++row) {
        const uint32_t owner = row % 8 * 4;
        const int32_t lo = row < 8 ? __shfl_sync(0xFFFFFFFFu, visible.lo[0], owner) : __shfl_sync(0xFFFFFFFFu, visible.lo[1], owner);
        const int32_t hi = row < 8 ? __shfl_sync(0xFFFFFFFFu, visible.hi[0], owner) : __shfl_sync(0xFFFFFFFFu, visible.hi[1], owner);
        float r[2][4] = {};
#pragma unroll
        for (int step = 0; step < 4; ++step) {
            uint32_t b[4];
            load_transposed(b, Layout<DIM>::on(first, pair, step));
            const int32_t at = 16 * step + 2 * static_cast<int32_t>(lane % 4);
            multiply(r[0], p.p[step], only_visible(b[0], at, lo, hi), only_visible(b[1], at + 8, lo, hi));
            multiply(r[1], p.p[step], only_visible(b[2], at, lo, hi), only_visible(b[3], at + 8, lo, hi));
        }
        if (lane / 4 == row % 8) {
#pragma unroll
            for (int j = 0; j < 2; ++j) {
                if (row < 8) {
                    o[j][0] = r[j][0];
                    o[j][1] = r[j][1];
                } else {
                    o[j][2] = r[j][2];
                    o[j][3] = r[j][3];
                }
            }
        }
    }
}

#endif

} // namespace intarsia::cuda
