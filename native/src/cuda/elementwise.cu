// The kernels that touch each element once: embedding, norm, rope table, heads, and the rest.
#include <algorithm>

#include "cuda/device_math.h"
#include "cuda/kernels.h"

namespace intarsia::cuda {

namespace {

using cpu::HeadsArgs;
using cpu::Storage;

constexpr uint32_t kThreads = 256;
constexpr uint32_t kWarps = kThreads / kWarp;
constexpr uint32_t kNormThreads = 128;

__device__ uint32_t stride_of(uint32_t width, Storage storage) { return storage == Storage::BF16 ? (width + 1) / 2 * 2 : width; }

// Grids over rows, and over the elements of a row.
dim3 grid_of(uint32_t rows, uint32_t width) { return dim3(rows, std::min(64u, (width + kThreads - 1) / kThreads)); }

template <typename Body> __device__ void each_element(uint32_t width, Body body) {
    for (uint32_t i = blockIdx.y * kThreads + threadIdx.x; i < width; i += gridDim.y * kThreads) body(i);
}

__global__ void embedding(const cpu::EmbeddingArgs args) {
    let_next_start();
    wait_for_earlier();
    const uint32_t width = args.weight.k;
    const uint64_t from = uint64_t(args.tokens[blockIdx.x]) * width, to = uint64_t{blockIdx.x} * width;
    each_element(width, [&](uint32_t i) {
        args.out[to + i] = args.weight.storage == Storage::F32 ? static_cast<const float *>(args.weight.data)[from + i]
                                                                : widen(static_cast<const __nv_bfloat16 *>(args.weight.data)[from + i]);
    });
}

// A warp for each group of a row.
__global__ void __launch_bounds__(kNormThreads) norm(const cpu::NormArgs args) {
    let_next_start();
    wait_for_earlier();
    const uint32_t lane = threadIdx.x % kWarp, groups = args.width / args.group;
    const uint64_t unit = uint64_t{blockIdx.x} * (kNormThreads / kWarp) + threadIdx.x / kWarp;
    if (unit >= uint64_t{args.n} * groups) return;
    const uint64_t row = unit / groups;
    const uint32_t start = static_cast<uint32_t>(unit % groups) * args.group;
    const float *x = args.x + row * args.width + start;
    const float inverse = inverse_rms(x, args.group, args.eps, lane);
    const uint64_t to = row * stride_of(args.width, args.out_storage) + start;
    if (args.group % 4 == 0) {
#pragma unroll 8
        for (uint32_t i = lane * 4; i < args.group; i += 4 * kWarp) {
            const float4 v = *reinterpret_cast<const float4 *>(x + i), w = *reinterpret_cast<const float4 *>(args.weight + i);
            put2(args.out, args.out_storage, to + i, v.x * inverse * w.x, v.y * inverse * w.y);
            put2(args.out, args.out_storage, to + i + 2, v.z * inverse * w.z, v.w * inverse * w.w);
        }
        return;
    }
    for (uint32_t i = lane; i < args.group; i += kWarp) put(args.out, args.out_storage, to + i, x[i] * inverse * args.weight[i]);
    if (lane == 0 && start + args.group == args.width) put_padding(args.out, args.out_storage, row, args.width);
}

__global__ void rope_table(const cpu::RopeTableArgs args) {
    let_next_start();
    wait_for_earlier();
    const float position = static_cast<float>(args.positions[blockIdx.x]);
    float *out = args.out + uint64_t{blockIdx.x} * 2 * args.half;
    for (uint32_t i = threadIdx.x; i < args.half; i += kThreads) {
        double sine, cosine;
        sincos(static_cast<double>(position * args.inverse_frequencies[i]), &sine, &cosine);
        out[i] = static_cast<float>(cosine) * args.scale;
        out[args.half + i] = static_cast<float>(sine) * args.scale;
    }
}

// Elements from `from` on.
struct Put {
    void *data;
    Storage storage;
    uint64_t from;
    __device__ void operator()(uint32_t at, float value) const { put(data, storage, from + at, value); }
    __device__ void operator()(uint32_t at, float value, float next) const { put2(data, storage, from + at, value, next); }
};

// One head by one warp; put(at, value) or, of even heads, put(at, value, next value).
__device__ void head(const HeadsArgs &args, const float *x, uint64_t row, uint32_t lane, const Put &put) {
    const uint32_t dim = args.head_dim, half = dim / 2;
    const float inverse = args.norm_weight != nullptr ? inverse_rms(x, dim, args.eps, lane) : 1.0f;
    const auto element = [&](uint32_t i) { return args.norm_weight != nullptr ? x[i] * inverse * args.norm_weight[i] : x[i]; };
    if (args.table == nullptr) {
        for (uint32_t i = lane; i < dim; i += kWarp) put(i, element(i));
        return;
    }
    const float *table = args.table + row * dim;
    if (half % 2 == 0) {
        const auto two = [](const float *from) { return *reinterpret_cast<const float2 *>(from); };
        for (uint32_t i = lane * 2; i < half; i += 2 * kWarp) {
            const float2 cosine = two(table + i), sine = two(table + half + i);
            float2 a = two(x + i), b = two(x + half + i);
            if (args.norm_weight != nullptr) {
                const float2 wa = two(args.norm_weight + i), wb = two(args.norm_weight + half + i);
                a = {a.x * inverse * wa.x, a.y * inverse * wa.y};
                b = {b.x * inverse * wb.x, b.y * inverse * wb.y};
            }
            put(i, fmaf(a.x, cosine.x, -(b.x * sine.x)), fmaf(a.y, cosine.y, -(b.y * sine.y)));
            put(half + i, fmaf(b.x, cosine.x, a.x * sine.x), fmaf(b.y, cosine.y, a.y * sine.y));
        }
        return;
    }
    for (uint32_t i = lane; i < half; i += kWarp) {
        const float cosine = table[i], sine = table[half + i], a = element(i), b = element(half + i);
        put(i, fmaf(a, cosine, -(b * sine)));
        put(half + i, fmaf(b, cosine, a * sine));
    }
}

// A warp for each head of q, k and v of each row.
__global__ void qkv(const cpu::QkvArgs args, uint32_t q_heads, uint32_t k_heads, uint32_t v_heads) {
    let_next_start();
    wait_for_earlier();
    const uint32_t lane = threadIdx.x % kWarp, heads = q_heads + k_heads + v_heads;
    const uint64_t unit = uint64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp;
    if (unit >= uint64_t{args.n} * heads) return;
    const uint64_t row = unit / heads;
    uint32_t h = static_cast<uint32_t>(unit % heads);
    const auto to_matrix = [&](const HeadsArgs &part, uint32_t number) {
        const uint32_t width = part.heads * part.head_dim;
        const uint64_t to = row * stride_of(width, part.out_storage) + uint64_t{number} * part.head_dim;
        head(part, part.x + row * width + uint64_t{number} * part.head_dim, row, lane,
             Put{part.out, part.out_storage, to});
    };
    if (h < q_heads) return to_matrix(args.q, h);
    h -= q_heads;
    const int32_t slot = args.slots != nullptr ? args.slots[row] : -1;
    const cpu::KvLayer &cache = args.cache;
    const auto cached = [&](uint32_t number) {
        const uint64_t block = static_cast<uint32_t>(slot) / cpu::kBlock, offset = static_cast<uint32_t>(slot) % cpu::kBlock;
        return ((block * cache.kv_heads + number) * cpu::kBlock + offset) * cache.head_dim;
    };
    if (h < k_heads) {
        if (args.k.out != nullptr) return to_matrix(args.k, h);
        if (slot < 0) return;
        const uint64_t to = cached(h);
        head(args.k, args.k.x + (row * k_heads + h) * args.k.head_dim, row, lane,
             Put{cache.keys, cache.storage, to});
    } else if (slot >= 0) {
        h -= k_heads;
        const uint64_t to = cached(h);
        const float *x = args.v + (row * v_heads + h) * cache.head_dim;
        for (uint32_t i = lane * 2; i < cache.head_dim; i += 2 * kWarp) put2(cache.values, cache.storage, to + i, x[i], x[i + 1]);
    }
}

__global__ void silu_times(const cpu::SiluMulArgs args) {
    let_next_start();
    wait_for_earlier();
    const uint64_t from = uint64_t{blockIdx.x} * args.width, to = uint64_t{blockIdx.x} * stride_of(args.width, args.out_storage);
    if (args.width % 4 == 0) {
        each_element(args.width / 4, [&](uint32_t i) {
            const float4 g = reinterpret_cast<const float4 *>(args.gate + from)[i], u = reinterpret_cast<const float4 *>(args.up + from)[i];
            put2(args.out, args.out_storage, to + 4 * i, silu_mul(g.x, u.x), silu_mul(g.y, u.y));
            put2(args.out, args.out_storage, to + 4 * i + 2, silu_mul(g.z, u.z), silu_mul(g.w, u.w));
        });
        return;
    }
    each_element(args.width, [&](uint32_t i) { put(args.out, args.out_storage, to + i, silu_mul(args.gate[from + i], args.up[from + i])); });
    if (threadIdx.x == 0 && blockIdx.y == 0) put_padding(args.out, args.out_storage, blockIdx.x, args.width);
}

__global__ void add(const cpu::AddArgs args) {
    let_next_start();
    wait_for_earlier();
    const uint64_t at = uint64_t{blockIdx.x} * args.width;
    each_element(args.width, [&](uint32_t i) { args.out[at + i] = args.a[at + i] + args.b[at + i]; });
}

__global__ void select_rows(const cpu::SelectRowsArgs args) {
    let_next_start();
    wait_for_earlier();
    const uint64_t from = uint64_t(args.rows[blockIdx.x]) * args.width, to = uint64_t{blockIdx.x} * args.width;
    each_element(args.width, [&](uint32_t i) { args.out[to + i] = args.x[from + i]; });
}

__global__ void round(const cpu::RoundArgs args) {
    let_next_start();
    wait_for_earlier();
    const uint64_t from = uint64_t{blockIdx.x} * args.width, to = uint64_t{blockIdx.x} * stride_of(args.width, args.out_storage);
    each_element(args.width, [&](uint32_t i) { put(args.out, args.out_storage, to + i, args.x[from + i]); });
    if (threadIdx.x == 0 && blockIdx.y == 0) put_padding(args.out, args.out_storage, blockIdx.x, args.width);
}

dim3 warps(uint64_t units) { return dim3(static_cast<uint32_t>((units + kWarps - 1) / kWarps)); }

} // namespace

void launch(const Context &context, const cpu::EmbeddingArgs &args) {
    launch(context, "embedding", embedding, grid_of(args.n, args.weight.k), kThreads, 0, args);
}

void launch(const Context &context, const cpu::NormArgs &args) {
    constexpr uint32_t kUnits = kNormThreads / kWarp;
    const uint64_t units = uint64_t{args.n} * (args.width / args.group);
    launch(context, "norm", norm, dim3(static_cast<uint32_t>((units + kUnits - 1) / kUnits)), kNormThreads, 0, args);
}

void launch(const Context &context, const cpu::RopeTableArgs &args) {
    launch(context, "rope table", rope_table, args.n, kThreads, 0, args);
}

void launch(const Context &context, const cpu::QkvArgs &args) {
    const uint32_t q = args.q.x != nullptr ? args.q.heads : 0, k = args.k.x != nullptr ? args.k.heads : 0;
    const uint32_t v = args.v != nullptr ? args.cache.kv_heads : 0;
    if (q + k + v != 0) launch(context, "q, k, v", qkv, warps(uint64_t{args.n} * (q + k + v)), kThreads, 0, args, q, k, v);
}

void launch(const Context &context, const cpu::SiluMulArgs &args) {
    launch(context, "silu_mul", silu_times, grid_of(args.n, args.width), kThreads, 0, args);
}

void launch(const Context &context, const cpu::AddArgs &args) { launch(context, "add", add, grid_of(args.n, args.width), kThreads, 0, args); }

void launch(const Context &context, const cpu::SelectRowsArgs &args) {
    launch(context, "select rows", select_rows, grid_of(args.n, args.width), kThreads, 0, args);
}

void launch(const Context &context, const cpu::RoundArgs &args) {
    launch(context, "round", round, grid_of(args.n, args.width), kThreads, 0, args);
}

} // namespace intarsia::cuda
