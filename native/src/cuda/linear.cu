// Products with few rows: a warp takes two outputs and reads their weights once for up to eight rows.
//
// A dot product: lane l takes inputs 8 l .. 8 l + 7 of each 256 (one input of each 32 where the inputs are no multiple of 8), each by fma in rising
// order, then a tree over the lanes. It depends on nothing but the number of inputs, so that bits never depend on the rows of a call.
#include <algorithm>

#include "cuda/blas.h"
#include "cuda/device_math.h"
#include "cuda/kernels.h"
#include "runtime/error.h"

namespace intarsia::cuda {

namespace {

using cpu::Epilogue;
using cpu::LinearArgs;
using cpu::NormArgs;
using cpu::Storage;

constexpr uint32_t kThreads = 256;
constexpr uint32_t kOutputs = 2;                                // of a warp
constexpr uint32_t kBlockOutputs = kThreads / kWarp * kOutputs; // of a block
constexpr uint32_t kMostRows = 8;                               // of a block
constexpr uint32_t kMostFusedRows = 4;
constexpr uint32_t kMostShared = 96 << 10; // bytes of inputs that a block holds

// Eight bf16 of 16 bytes, or eight f32 of 32.
template <typename T> struct Eight;
template <> struct Eight<__nv_bfloat16> {
    uint4 data;
    __device__ void load(const __nv_bfloat16 *from) { data = *reinterpret_cast<const uint4 *>(from); }
    __device__ void stream(const __nv_bfloat16 *from) { data = __ldcs(reinterpret_cast<const uint4 *>(from)); }
    __device__ float at(int i) const {
        const uint32_t pair = i / 2 == 0 ? data.x : i / 2 == 1 ? data.y : i / 2 == 2 ? data.z : data.w;
        return __uint_as_float(i % 2 == 0 ? pair << 16 : pair & 0xFFFF0000u);
    }
};
template <> struct Eight<float> {
    float4 low, high;
    __device__ void load(const float *from) {
        low = *reinterpret_cast<const float4 *>(from);
        high = *reinterpret_cast<const float4 *>(from + 4);
    }
    __device__ void stream(const float *from) {
        low = __ldcs(reinterpret_cast<const float4 *>(from));
        high = __ldcs(reinterpret_cast<const float4 *>(from + 4));
    }
    __device__ float at(int i) const {
        const float4 &half = i < 4 ? low : high;
        return i % 4 == 0 ? half.x : i % 4 == 1 ? half.y : i % 4 == 2 ? half.z : half.w;
    }
};

// Output number `o` of the call: which part, and which of its outputs.
struct Place {
    uint32_t part, output;
};

__device__ Place place_of(const LinearArgs &args, uint32_t o) {
    uint32_t part = 0;
    while (part + 1 < args.part_count && o >= args.parts[part].weight.n) o -= args.parts[part++].weight.n;
    return {part, o};
}

template <typename T, uint32_t Rows, bool Fused>
__global__ void __launch_bounds__(kThreads) few_rows(const LinearArgs args, const NormArgs norm, uint32_t outputs) {
    extern __shared__ __align__(16) unsigned char shared[];
    const uint32_t k = args.parts[0].weight.k;
    const uint32_t pitch = (k + 7) / 8 * 8; // elements between rows of inputs in shared memory
    T *inputs = reinterpret_cast<T *>(shared);
    const uint32_t lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
    const uint32_t row0 = blockIdx.y * Rows;
    const uint32_t rows = min(Rows, args.n - row0);
    const bool pair = args.epilogue == Epilogue::SILU_MUL; // the two outputs are gate and up
    const uint32_t first = (blockIdx.x * (kThreads / kWarp) + warp) * (pair ? 1 : kOutputs);
    const bool wide = k % 8 == 0;

    const T *weight[kOutputs];
    Place place[kOutputs];
    bool there[kOutputs];
#pragma unroll
    for (uint32_t s = 0; s < kOutputs; s++) {
        there[s] = first + (pair ? 0 : s) < outputs;
        place[s] = !there[s] ? Place{0, 0} : pair ? Place{s, first} : place_of(args, first + s);
        weight[s] = static_cast<const T *>(args.parts[place[s].part].weight.data) + uint64_t{place[s].output} * k;
    }

    // Weights are nobody's output: the first of them are fetched while the kernel before this one still runs.
    constexpr uint32_t kAhead = sizeof(T) == 2 ? 4 : 2;
    Eight<T> ahead[kOutputs][kAhead];
    if (wide) {
#pragma unroll
        for (uint32_t s = 0; s < kOutputs; s++)
#pragma unroll
            for (uint32_t a = 0; a < kAhead; a++) {
                const uint32_t i = lane * 8 + a * 256;
                if (i < k) ahead[s][a].stream(weight[s] + i);
            }
    }
    let_next_start();
    wait_for_earlier();

    if constexpr (Fused) {
        __shared__ float scale[kMostRows];
        if (warp < rows) {
            const float inverse = inverse_rms(norm.x + uint64_t{row0 + warp} * k, k, norm.eps, lane);
            if (lane == 0) scale[warp] = inverse;
        }
        __syncthreads();
        for (uint32_t r = 0; r < rows; r++)
            for (uint32_t i = threadIdx.x; i < k; i += kThreads)
                inputs[r * pitch + i] = static_cast<T>(norm.x[uint64_t{row0 + r} * k + i] * scale[r] * norm.weight[i]);
    } else {
        const uint32_t stride = sizeof(T) == 2 ? (k + 1) / 2 * 2 : k;
        const T *x = static_cast<const T *>(args.x) + uint64_t{row0} * stride;
        if (wide) {
            constexpr uint32_t kEach = 16 / sizeof(T);
            const uint32_t chunks = k / kEach;
            for (uint32_t i = threadIdx.x; i < rows * chunks; i += kThreads)
                reinterpret_cast<uint4 *>(inputs)[i] = reinterpret_cast<const uint4 *>(x)[i];
        } else {
            for (uint32_t r = 0; r < rows; r++)
                for (uint32_t i = threadIdx.x; i < k; i += kThreads) inputs[r * pitch + i] = x[uint64_t{r} * stride + i];
        }
    }
    __syncthreads();

    float sums[kOutputs][Rows] = {};
    if (wide) {
        const auto multiply = [&](const Eight<T> (&w)[kOutputs], uint32_t i) {
#pragma unroll
            for (uint32_t r = 0; r < Rows; r++) {
                if (r >= rows) break;
                Eight<T> x;
                x.load(inputs + r * pitch + i);
#pragma unroll
                for (uint32_t s = 0; s < kOutputs; s++)
#pragma unroll
                    for (int e = 0; e < 8; e++) sums[s][r] = fmaf(w[s].at(e), x.at(e), sums[s][r]);
            }
        };
#pragma unroll
        for (uint32_t a = 0; a < kAhead; a++) {
            const uint32_t i = lane * 8 + a * 256;
            const Eight<T> now[kOutputs] = {ahead[0][a], ahead[1][a]};
            if (i < k) multiply(now, i);
        }
        uint32_t i = lane * 8 + kAhead * 256;
        for (; i + (kAhead - 1) * 256 < k; i += kAhead * 256) {
#pragma unroll
            for (uint32_t s = 0; s < kOutputs; s++)
#pragma unroll
                for (uint32_t a = 0; a < kAhead; a++) ahead[s][a].stream(weight[s] + i + a * 256);
#pragma unroll
            for (uint32_t a = 0; a < kAhead; a++) {
                const Eight<T> now[kOutputs] = {ahead[0][a], ahead[1][a]};
                multiply(now, i + a * 256);
            }
        }
        for (; i < k; i += 256) {
            Eight<T> now[kOutputs];
#pragma unroll
            for (uint32_t s = 0; s < kOutputs; s++) now[s].stream(weight[s] + i);
            multiply(now, i);
        }
    } else {
        for (uint32_t i = lane; i < k; i += kWarp) {
            const float w[kOutputs] = {widen(weight[0][i]), widen(weight[1][i])};
#pragma unroll
            for (uint32_t r = 0; r < Rows; r++) {
                if (r >= rows) break;
                const float x = widen(inputs[r * pitch + i]);
                sums[0][r] = fmaf(w[0], x, sums[0][r]);
                sums[1][r] = fmaf(w[1], x, sums[1][r]);
            }
        }
    }

#pragma unroll
    for (uint32_t r = 0; r < Rows; r++) {
        if (r >= rows) break;
        float value[kOutputs];
#pragma unroll
        for (uint32_t s = 0; s < kOutputs; s++) {
            value[s] = warp_sum(sums[s][r]);
            const float *bias = args.parts[place[s].part].bias;
            if (bias != nullptr) value[s] += bias[place[s].output];
        }
        if (lane != 0) continue;
        const uint64_t row = row0 + r;
        if (pair) {
            if (!there[0]) continue;
            const uint32_t width = args.parts[0].weight.n;
            const uint32_t stride = args.out_storage == Storage::BF16 ? (width + 1) / 2 * 2 : width;
            put(args.parts[0].out, args.out_storage, row * stride + first, silu_mul(value[0], value[1]));
            if (first + 1 == width) put_padding(args.parts[0].out, args.out_storage, row, width);
            continue;
        }
#pragma unroll
        for (uint32_t s = 0; s < kOutputs; s++) {
            if (!there[s]) continue;
            const cpu::LinearPart &part = args.parts[place[s].part];
            const uint32_t width = part.weight.n, output = place[s].output;
            if (args.epilogue == Epilogue::ADD) {
                static_cast<float *>(part.out)[row * width + output] = args.residual[row * width + output] + value[s];
                continue;
            }
            const uint32_t stride = args.out_storage == Storage::BF16 ? (width + 1) / 2 * 2 : width;
            put(part.out, args.out_storage, row * stride + output, value[s]);
            if (output + 1 == width) put_padding(part.out, args.out_storage, row, width);
        }
    }
}

template <typename T, uint32_t Rows, bool Fused> void launch_few(const Context &context, const LinearArgs &args, const NormArgs &norm) {
    const bool pair = args.epilogue == Epilogue::SILU_MUL;
    uint32_t outputs = 0;
    for (uint32_t p = 0; p < (pair ? 1 : args.part_count); p++) outputs += args.parts[p].weight.n;
    const uint32_t each = pair ? kThreads / kWarp : kBlockOutputs;
    const uint32_t k = args.parts[0].weight.k;
    const uint32_t rows = std::min(Rows, args.n);
    const auto bytes = static_cast<uint32_t>((k + 7) / 8 * 8 * sizeof(T) * rows);
    static const cudaError_t allowed =
        cudaFuncSetAttribute(few_rows<T, Rows, Fused>, cudaFuncAttributeMaxDynamicSharedMemorySize, 200 << 10);
    check(allowed, "linear, shared memory");
    launch(context, "linear", few_rows<T, Rows, Fused>, dim3((outputs + each - 1) / each, (args.n + Rows - 1) / Rows), dim3(kThreads), bytes, args,
           norm, outputs);
}

template <typename T> void launch_few(const Context &context, const LinearArgs &args) {
    const uint64_t row = (args.parts[0].weight.k + 7) / 8 * 8 * sizeof(T);
    const NormArgs none{};
    if (row > 200 << 10) fail(INTARSIA_UNSUPPORTED, "a linear op of %u inputs is too wide for the CUDA kernels", args.parts[0].weight.k);
    if (args.n == 1 || row * 4 > 200 << 10) launch_few<T, 1, false>(context, args, none);
    else if (args.n == 2) launch_few<T, 2, false>(context, args, none);
    else if (args.n <= 4 || row * 8 > kMostShared) launch_few<T, 4, false>(context, args, none);
    else launch_few<T, 8, false>(context, args, none);
}

template <typename T> void launch_fused(const Context &context, const NormArgs &norm, const LinearArgs &args) {
    if (args.n == 1) launch_few<T, 1, true>(context, args, norm);
    else if (args.n == 2) launch_few<T, 2, true>(context, args, norm);
    else launch_few<T, 4, true>(context, args, norm);
}

// With cuBLASLt, part by part; gate and up go through scratch memory. False if it has no kernel for one of them: then all is done by ours.
bool launch_many(const Context &context, const LinearArgs &args) {
    const uint32_t k = args.parts[0].weight.k;
    const Storage storage = args.parts[0].weight.storage;
    const uint32_t stride = storage == Storage::BF16 ? (k + 1) / 2 * 2 : k;
    for (uint32_t p = 0; p < args.part_count; p++)
        if (args.parts[p].weight.n % 8 != 0 || k % 8 != 0 || (args.parts[p].bias != nullptr && args.out_storage != Storage::F32)) return false;
    const auto product = [&](const cpu::LinearPart &part, void *out, Storage out_storage, const float *residual) {
        return multiply(context, {part.weight, nullptr, args.x, args.n, stride, part.bias, residual, out, nullptr, out_storage});
    };
    const auto products = [&](const cpu::LinearPart &a, const cpu::LinearPart &b, void *a_out, void *b_out, Storage out_storage) {
        const bool in_order = a.weight.n == b.weight.n && a.bias == nullptr && b.bias == nullptr && b.weight.data > a.weight.data && b_out > a_out;
        return in_order ? multiply(context, {a.weight, b.weight.data, args.x, args.n, stride, nullptr, nullptr, a_out, b_out, out_storage})
                        : product(a, a_out, out_storage, nullptr) && product(b, b_out, out_storage, nullptr);
    };
    if (args.epilogue == Epilogue::SILU_MUL) {
        const uint32_t width = args.parts[0].weight.n;
        const uint64_t bytes = uint64_t{args.n} * width * sizeof(float);
        if (2 * bytes > context.scratch_bytes) return false;
        auto *gate = reinterpret_cast<float *>(context.scratch), *up = reinterpret_cast<float *>(context.scratch + bytes);
        if (!products(args.parts[0], args.parts[1], gate, up, Storage::F32)) return false;
        launch(context, cpu::SiluMulArgs{gate, up, args.parts[0].out, args.n, width, args.out_storage});
        return true;
    }
    if (args.epilogue == Epilogue::ADD) return product(args.parts[0], args.parts[0].out, Storage::F32, args.residual);
    uint32_t done = 0;
    if (args.part_count > 1) { // the last two, which are k and v
        const cpu::LinearPart &a = args.parts[args.part_count - 2], &b = args.parts[args.part_count - 1];
        if (!products(a, b, a.out, b.out, args.out_storage)) return false;
        done = 2;
    }
    for (uint32_t p = 0; p + done < args.part_count; p++)
        if (!product(args.parts[p], args.parts[p].out, args.out_storage, nullptr)) return false;
    return true;
}

} // namespace

void launch(const Context &context, const LinearArgs &args) {
    if (args.n == 0) return;
    if (args.n > kMostRows && context.blas != nullptr && !context.deterministic && launch_many(context, args)) return;
    if (args.parts[0].weight.storage == Storage::F32) launch_few<float>(context, args);
    else launch_few<__nv_bfloat16>(context, args);
}

bool can_launch(const Context &, const NormArgs &norm, const LinearArgs &linear) {
    return norm.group == norm.width && norm.out_storage == linear.parts[0].weight.storage && linear.parts[0].weight.k == norm.width &&
           linear.n <= kMostFusedRows && linear.n != 0 && uint64_t{norm.width} * 4 * kMostFusedRows <= kMostShared;
}

void launch(const Context &context, const NormArgs &norm, const LinearArgs &linear) {
    if (linear.parts[0].weight.storage == Storage::F32) launch_fused<float>(context, norm, linear);
    else launch_fused<__nv_bfloat16>(context, norm, linear);
}

} // namespace intarsia::cuda
