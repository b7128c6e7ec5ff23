// q, k and v made ready for attention: norm over the head, rotation by the position, then to a matrix or into the cache. Heads of 64 or 128 by 4 threads that
// hold them in registers, others by 16.
#include "cuda/heads.h"
#include "cuda/kernels.h"
#include "cuda/norm.h"
#include "cuda/rows.h"

namespace intarsia::cuda {
namespace {

constexpr uint32_t kFew = 32, kMany = 256;

// One head of one token: where it comes from and where it goes.
struct Unit {
    const float *x;
    const float *norm_weight;
    const float *table;
    void *out; // its first element, or null: nowhere
    bool narrow;
};

__device__ void store(const Unit &unit, uint32_t i, float value) {
    if (!unit.out) {
        return;
    }
    if (unit.narrow) {
        static_cast<__nv_bfloat16 *>(unit.out)[i] = __float2bfloat16_rn(value);
    } else {
        static_cast<float *>(unit.out)[i] = value;
    }
}

__device__ Unit part(const cpu::HeadsArgs &args, uint32_t row, uint32_t head) {
    const uint32_t width = args.heads * args.head_dim;
    const bool narrow = args.out_storage == cpu::Storage::BF16;
    const uint32_t step = narrow ? (width + 1) / 2 * 2 : width;
    return {args.x + uint64_t{row} * width + head * args.head_dim, args.norm_weight,
            args.table ? args.table + uint64_t{row} * args.head_dim : nullptr,
            args.out ? element(args.out, uint64_t{row} * step + head * args.head_dim, narrow) : nullptr, narrow};
}

// All 16 threads of a head, and all heads of a warp, come here together; dim may differ between heads.
__device__ void head(const Unit &unit, uint32_t dim, float eps, uint32_t lane) {
    const float *x = unit.x;
    const float inverse = inverse_rms16(x, dim, eps, lane); // unused without a weight, but then cheap
    const auto value = [&](uint32_t i) {
        return unit.norm_weight ? normed(x[i], inverse, unit.norm_weight[i]) : x[i];
    };
    if (!unit.table) {
#pragma unroll 8
        for (uint32_t i = lane; i < dim; i += 16) {
            store(unit, i, value(i));
        }
        return;
    }
    const uint32_t half = dim / 2;
#pragma unroll 4
    for (uint32_t i = lane; i < half; i += 16) {
        const float cosine = unit.table[i];
        const float sine = unit.table[half + i];
        const float a = value(i);
        const float b = value(half + i);
        store(unit, i, __fmaf_rn(a, cosine, -__fmul_rn(b, sine)));
        store(unit, half + i, __fmaf_rn(b, cosine, __fmul_rn(a, sine)));
    }
}

__global__ void __launch_bounds__(kMany) qkv(const __grid_constant__ cpu::QkvArgs args, uint32_t q_heads, uint32_t k_heads, uint32_t v_heads) {
    wait_for_earlier();
    let_next_start();
    const uint32_t heads = q_heads + k_heads + v_heads;
    const uint64_t units = uint64_t{args.n} * heads;
    const uint64_t at = (uint64_t{blockIdx.x} * blockDim.x + threadIdx.x) / 16;
    const uint64_t mine = at < units ? at : units - 1;
    const uint32_t row = static_cast<uint32_t>(mine / heads);
    uint32_t h = static_cast<uint32_t>(mine % heads);
    const int32_t slot = args.slots ? args.slots[row] : -1;
    Unit unit;
    uint32_t dim = args.cache.head_dim;
    float eps = 1.0f;
    if (h < q_heads) {
        unit = part(args.q, row, h);
        dim = args.q.head_dim;
        eps = args.q.eps;
        if (h + 1 == q_heads && unit.narrow && args.q.heads * dim % 2 == 1 && threadIdx.x % 16 == 0 && at < units) {
            static_cast<__nv_bfloat16 *>(unit.out)[dim] = __float2bfloat16_rn(0.0f); // padding
        }
    } else if (h - q_heads < k_heads) {
        h -= q_heads;
        unit = part(args.k, row, h);
        dim = args.k.head_dim;
        eps = args.k.eps;
        if (!unit.out) {
            unit.out = in_cache(args.cache.keys, args.cache, slot, h);
            unit.narrow = args.cache.storage == cpu::Storage::BF16;
        } else if (h + 1 == k_heads && unit.narrow && args.k.heads * dim % 2 == 1 && threadIdx.x % 16 == 0 && at < units) {
            static_cast<__nv_bfloat16 *>(unit.out)[dim] = __float2bfloat16_rn(0.0f);
        }
    } else {
        h -= q_heads + k_heads;
        unit = {args.v + (uint64_t{row} * v_heads + h) * dim, nullptr, nullptr, in_cache(args.cache.values, args.cache, slot, h),
                args.cache.storage == cpu::Storage::BF16};
    }
    if (at >= units) {
        unit.out = nullptr;
    }
    head(unit, dim, eps, threadIdx.x % 16);
}

__device__ float4 load4(const float *from) { return *reinterpret_cast<const float4 *>(from); }

template <uint32_t FOURS>
__global__ void __launch_bounds__(kMany) qkv_held(const __grid_constant__ cpu::QkvArgs args, uint32_t q_heads, uint32_t k_heads, uint32_t v_heads) {
    constexpr uint32_t kDim = FOURS * 16;
    const uint32_t heads = q_heads + k_heads + v_heads;
    const uint32_t units = args.n * heads;
    const uint32_t at = (blockIdx.x * blockDim.x + threadIdx.x) / 4;
    const uint32_t mine = at < units ? at : units - 1;
    const uint32_t row = mine / heads;
    const uint32_t h = mine - row * heads;
    const uint32_t first = threadIdx.x % 4 * 4; // element; 16 j on
    const bool is_v = h >= q_heads + k_heads;
    const cpu::HeadsArgs &part = h < q_heads ? args.q : args.k;
    const uint32_t in_part = h < q_heads ? h : is_v ? h - q_heads - k_heads : h - q_heads;
    const uint32_t part_heads = is_v ? v_heads : part.heads;
    const float *weight = is_v ? nullptr : part.norm_weight;
    const float *table = is_v ? nullptr : part.table;
    const float *from = (is_v ? args.v : part.x) + (uint64_t{row} * part_heads + in_part) * kDim + first;
    void *out = is_v ? nullptr : part.out;
    const bool in_the_cache = out == nullptr, narrow = in_the_cache ? args.cache.storage == cpu::Storage::BF16 : part.out_storage == cpu::Storage::BF16;
    // Everything is on its way before the first is used.
    float4 w[FOURS], x[FOURS], turns[FOURS]; // turns: cosines, then sines
    if (weight) {
#pragma unroll
        for (uint32_t j = 0; j < FOURS; ++j) {
            w[j] = load4(weight + first + 16 * j);
        }
    }
    let_next_start();
    wait_for_earlier();
#pragma unroll
    for (uint32_t j = 0; j < FOURS; ++j) {
        x[j] = load4(from + 16 * j);
    }
    if (table) {
        table += uint64_t{row} * kDim + first;
#pragma unroll
        for (uint32_t j = 0; j < FOURS; ++j) {
            turns[j] = load4(table + 16 * j);
        }
    }
    if (in_the_cache) {
        void *slot = in_cache(is_v ? args.cache.values : args.cache.keys, args.cache, args.slots ? args.slots[row] : -1, in_part);
        out = slot ? element(slot, first, narrow) : nullptr;
    } else {
        out = element(out, (uint64_t{row} * part_heads + in_part) * kDim + first, narrow);
    }
    const float inverse = inverse_rms4(x, is_v ? 1.0f : part.eps); // unused without a weight, but all come here together
    if (weight) {
#pragma unroll
        for (uint32_t j = 0; j < FOURS; ++j) {
            x[j] = make_float4(normed(x[j].x, inverse, w[j].x), normed(x[j].y, inverse, w[j].y), normed(x[j].z, inverse, w[j].z),
                               normed(x[j].w, inverse, w[j].w));
        }
    }
    if (table) {
        const auto rotate = [](float &a, float &b, float cosine, float sine) {
            const float other = __fmaf_rn(b, cosine, __fmul_rn(a, sine));
            a = __fmaf_rn(a, cosine, -__fmul_rn(b, sine));
            b = other;
        };
#pragma unroll
        for (uint32_t j = 0; j < FOURS / 2; ++j) {
            const float4 &c = turns[j], &s = turns[j + FOURS / 2];
            float4 &a = x[j], &b = x[j + FOURS / 2];
            rotate(a.x, b.x, c.x, s.x);
            rotate(a.y, b.y, c.y, s.y);
            rotate(a.z, b.z, c.z, s.z);
            rotate(a.w, b.w, c.w, s.w);
        }
    }
    if (!out || at >= units) {
        return;
    }
#pragma unroll
    for (uint32_t j = 0; j < FOURS; ++j) {
        if (narrow) {
            static_cast<uint2 *>(out)[4 * j] = make_uint2(pack_bf16(x[j].x, x[j].y), pack_bf16(x[j].z, x[j].w));
        } else {
            static_cast<float4 *>(out)[4 * j] = x[j];
        }
    }
}

// Whether all heads are of `dim` and everything lies at multiples of 16 bytes.
bool can_hold(const cpu::QkvArgs &args, uint32_t dim) {
    const auto fits = [&](const cpu::HeadsArgs &part) {
        return !part.x || (part.head_dim == dim && aligned(part.x, 16) && aligned(part.norm_weight, 16) && aligned(part.table, 16) && aligned(part.out, 16));
    };
    return args.cache.head_dim == dim && fits(args.q) && fits(args.k) && aligned(args.v, 16) && aligned(args.cache.keys, 16) &&
           aligned(args.cache.values, 16);
}

} // namespace

void launch(const Context &context, const cpu::QkvArgs &args) {
    const uint32_t q_heads = args.q.x ? args.q.heads : 0;
    const uint32_t k_heads = args.k.x ? args.k.heads : 0;
    const uint32_t v_heads = args.v ? args.cache.kv_heads : 0;
    const uint64_t units = uint64_t{args.n} * (q_heads + k_heads + v_heads);
    if (units != 0 && units < uint64_t{1} << 28 && (can_hold(args, 128) || can_hold(args, 64))) {
        const uint32_t threads = units * 4 <= uint64_t{kFew} * context.multiprocessors ? kFew : kMany / 2;
        launch(context, "qkv", args.cache.head_dim == 128 ? qkv_held<8> : qkv_held<4>, dim3(ceil_div(units * 4, threads)), dim3(threads), 0, args,
               q_heads, k_heads, v_heads);
        return;
    }
    const uint64_t threads_needed = uint64_t{args.n} * (q_heads + k_heads + v_heads) * 16;
    if (threads_needed == 0) {
        return;
    }
    const uint32_t threads = threads_needed <= uint64_t{kFew} * 4 * context.multiprocessors ? kFew : kMany;
    launch(context, "qkv", qkv, dim3(ceil_div(threads_needed, threads)), dim3(threads), 0, args, q_heads, k_heads, v_heads);
}

} // namespace intarsia::cuda
