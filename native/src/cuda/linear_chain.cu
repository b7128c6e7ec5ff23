// Linear ops of any width and storage without the tensor cores: each output is one chain of fma in rising order of the inputs.
#include "cuda/kernels.h"
#include "cuda/linear.h"

namespace intarsia::cuda {

namespace {

using cpu::Epilogue;
using cpu::LinearArgs;
using cpu::Storage;

constexpr uint32_t kThreads = 256;
constexpr uint32_t kInputs = 32; // of a tile in shared memory

__device__ inline float widened(float value) { return value; }
__device__ inline float widened(__nv_bfloat16 value) { return __bfloat162float(value); }

// RowThreads x (kThreads / RowThreads) threads, each with Rows x Outputs results that lie as far apart as there are threads. Of SILU_MUL (Pair) there are
// two weights to each output.
template <typename T, uint32_t RowThreads, uint32_t Rows, uint32_t Outputs, bool Pair>
__global__ void __launch_bounds__(kThreads) chain(const __grid_constant__ LinearArgs args, uint32_t stride) {
    constexpr uint32_t kOutputThreads = kThreads / RowThreads, kRows = RowThreads * Rows, kOutputs = kOutputThreads * Outputs;
    constexpr uint32_t kSides = Pair ? 2 : 1;
    constexpr uint32_t kRowLoads = kRows * kInputs / kThreads, kWeightLoads = kOutputs * kInputs / kThreads;
    static_assert(kRowLoads * kThreads == kRows * kInputs && kWeightLoads * kThreads == kOutputs * kInputs);
    __shared__ float x_tile[kInputs][kRows + 1], w_tile[kSides][kInputs][kOutputs + 1];
    const uint32_t k = args.parts[0].weight.k;
    const TileOf at = Pair ? TileOf{0, blockIdx.x * kOutputs} : tile_of(args, blockIdx.x, kOutputs);
    const uint32_t width = args.parts[at.part].weight.n;
    const uint32_t row0 = blockIdx.y * kRows;
    const uint32_t input = threadIdx.x % kInputs, lead = threadIdx.x / kInputs;
    constexpr uint32_t kEach = kThreads / kInputs; // rows between those that a thread loads
    const T *x = static_cast<const T *>(args.x);
    float x_next[kRowLoads], w_next[kSides][kWeightLoads];
    const auto load_weights = [&](uint32_t from) {
#pragma unroll
        for (uint32_t s = 0; s < kSides; s++) {
            const T *weight = static_cast<const T *>(args.parts[at.part + s].weight.data);
#pragma unroll
            for (uint32_t i = 0; i < kWeightLoads; i++)
                w_next[s][i] = from + input < k ? widened(weight[uint64_t{min(at.first + lead + i * kEach, width - 1)} * k + from + input]) : 0.0f;
        }
    };
    const auto load_rows = [&](uint32_t from) {
#pragma unroll
        for (uint32_t i = 0; i < kRowLoads; i++)
            x_next[i] = from + input < k ? widened(x[uint64_t{min(row0 + lead + i * kEach, args.n - 1)} * stride + from + input]) : 0.0f;
    };

    let_next_start();
    load_weights(0);
    wait_for_earlier();
    load_rows(0);
    const uint32_t r = threadIdx.x / kOutputThreads, o = threadIdx.x % kOutputThreads;
    float sums[kSides][Rows][Outputs] = {};
    for (uint32_t from = 0; from < k; from += kInputs) {
        __syncthreads();
#pragma unroll
        for (uint32_t i = 0; i < kRowLoads; i++) x_tile[input][lead + i * kEach] = x_next[i];
#pragma unroll
        for (uint32_t s = 0; s < kSides; s++)
#pragma unroll
            for (uint32_t i = 0; i < kWeightLoads; i++) w_tile[s][input][lead + i * kEach] = w_next[s][i];
        __syncthreads();
        if (from + kInputs < k) {
            load_weights(from + kInputs);
            load_rows(from + kInputs);
        }
        const uint32_t inputs = min(kInputs, k - from);
#pragma unroll 8
        for (uint32_t i = 0; i < inputs; i++) {
            float xs[Rows];
#pragma unroll
            for (uint32_t a = 0; a < Rows; a++) xs[a] = x_tile[i][r + a * RowThreads];
#pragma unroll
            for (uint32_t s = 0; s < kSides; s++)
#pragma unroll
                for (uint32_t b = 0; b < Outputs; b++) {
                    const float w = w_tile[s][i][o + b * kOutputThreads];
#pragma unroll
                    for (uint32_t a = 0; a < Rows; a++) sums[s][a][b] = __fmaf_rn(w, xs[a], sums[s][a][b]);
                }
        }
    }

    const bool narrow = args.epilogue != Epilogue::ADD && args.out_storage == Storage::BF16;
    const uint32_t out_stride = narrow ? (width + 1) / 2 * 2 : width;
    const Storage storage = narrow ? Storage::BF16 : Storage::F32;
    const cpu::LinearPart &part = args.parts[at.part];
    const auto with_bias = [&](const float *bias, uint32_t output, float v) { return bias == nullptr ? v : __fadd_rn(v, bias[output]); };
#pragma unroll
    for (uint32_t a = 0; a < Rows; a++) {
        const uint32_t row = row0 + r + a * RowThreads;
        if (row >= args.n) continue;
#pragma unroll
        for (uint32_t b = 0; b < Outputs; b++) {
            const uint32_t output = at.first + o + b * kOutputThreads;
            if (output >= width) continue;
            float v = with_bias(part.bias, output, sums[0][a][b]);
            if constexpr (Pair) v = __fmul_rn(silu(v), with_bias(args.parts[1].bias, output, sums[kSides - 1][a][b]));
            if (args.epilogue == Epilogue::ADD) v = __fadd_rn(args.residual[uint64_t{row} * width + output], v);
            const uint64_t to = uint64_t{row} * out_stride + output;
            store(part.out, storage, to, v);
            if (output + 1 == width && out_stride > width) store(part.out, storage, to + 1, 0.0f);
        }
    }
}

template <typename T, uint32_t RowThreads, uint32_t Rows, uint32_t Outputs, bool Pair>
void launch_one(const Context &context, const LinearArgs &args) {
    constexpr uint32_t kRows = RowThreads * Rows, kOutputs = kThreads / RowThreads * Outputs;
    uint32_t across = 0;
    for (uint32_t p = 0; p < (Pair ? 1 : args.part_count); p++) across += ceil_of(args.parts[p].weight.n, kOutputs);
    launch(context, "linear", chain<T, RowThreads, Rows, Outputs, Pair>, dim3(across, ceil_of(args.n, kRows)), dim3(kThreads), 0, args,
           cpu::stride(args.parts[0].weight.k, args.parts[0].weight.storage));
}

template <typename T, bool Pair> void launch_sized(const Context &context, const LinearArgs &args) {
    if (args.n <= 16) launch_one<T, 8, 1, 1, Pair>(context, args);
    else launch_one<T, 16, 4, 4, Pair>(context, args);
}

} // namespace

void launch_chain(const Context &context, const LinearArgs &args) {
    const bool pair = args.epilogue == Epilogue::SILU_MUL;
    if (args.parts[0].weight.storage == Storage::F32) {
        if (pair) launch_sized<float, true>(context, args);
        else launch_sized<float, false>(context, args);
    } else {
        if (pair) launch_sized<__nv_bfloat16, true>(context, args);
        else launch_sized<__nv_bfloat16, false>(context, args);
    }
}

} // namespace intarsia::cuda
