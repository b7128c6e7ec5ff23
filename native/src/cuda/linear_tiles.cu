// Products with many rows: tiles of rows and weights in shared memory, fetched some stages ahead, multiplied by the tensor cores in the order of linear.h.
#include <initializer_list>

#include "cuda/kernels.h"
#include "cuda/linear.h"

namespace intarsia::cuda {

namespace {

using cpu::Epilogue;
using cpu::LinearArgs;

constexpr uint32_t kWarp = 32;
constexpr uint32_t kStages = 4;
constexpr uint32_t kStage = 64;                 // inputs
constexpr uint32_t kPitch = kStage * 2;         // bytes of a row of a stage
constexpr uint32_t kColumns = 4, kColumn = 8;   // tiles of outputs of a warp

// Where 16 bytes of a row lie: chunk 0..7; odd rows have their halves exchanged, so that a pair of rows is read from different banks.
__device__ uint32_t place(uint32_t row, uint32_t chunk) { return row * kPitch + (chunk ^ (row % 2 * 4)) * 16; }

// A warp has 16 MTiles rows and 32 outputs, a block Down x Across warps. Of SILU_MUL a warp's outputs are 16 of gate and the same 16 of up.
template <uint32_t MTiles, uint32_t Down, uint32_t Across>
__global__ void __launch_bounds__(Down *Across *kWarp) tiles(const __grid_constant__ LinearArgs args, const Slices slices) {
    constexpr uint32_t kRows = 16 * MTiles * Down, kOutputs = kColumns * kColumn * Across, kThreads = Down * Across * kWarp;
    constexpr uint32_t kStageBytes = (kRows + kOutputs) * kPitch;
    extern __shared__ __align__(128) unsigned char shared[];
    const uint32_t k = args.parts[0].weight.k;
    const uint32_t lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, g = lane / 4, t = lane % 4;
    const bool pair = args.epilogue == Epilogue::SILU_MUL;
    const TileOf at = pair ? TileOf{0, blockIdx.x * (kOutputs / 2)} : tile_of(args, blockIdx.x, kOutputs);
    const cpu::LinearPart &part = args.parts[at.part];
    const uint32_t row0 = blockIdx.y * kRows;

    // Each thread fetches the same chunk of rows that lie kEach apart.
    constexpr uint32_t kEach = kThreads / 8, kRowFetches = kRows / kEach, kWeightFetches = kOutputs / kEach;
    const uint32_t chunk = threadIdx.x % 8, lead = threadIdx.x / 8;
    const __nv_bfloat16 *x[kRowFetches], *weights[kWeightFetches];
#pragma unroll
    for (uint32_t i = 0; i < kRowFetches; i++)
        x[i] = static_cast<const __nv_bfloat16 *>(args.x) + uint64_t{min(row0 + lead + i * kEach, args.n - 1)} * k + chunk * 8;
#pragma unroll
    for (uint32_t i = 0; i < kWeightFetches; i++) {
        const uint32_t r = lead + i * kEach;
        const uint32_t output = pair ? at.first + r / 32 * 16 + r % 16 : at.first + r;
        const cpu::Matrix &weight = pair ? args.parts[r / 16 % 2].weight : part.weight;
        weights[i] = static_cast<const __nv_bfloat16 *>(weight.data) + uint64_t{min(output, weight.n - 1)} * k + chunk * 8;
    }
    const uint32_t stages = ceil_of(k, kStage);
    const uint32_t to = shared_address(shared) + place(lead, chunk); // kEach is even: all rows of a thread are exchanged alike
    const auto fetch_rows = [&](uint32_t stage) {
        if (stage >= stages || stage * kStage + chunk * 8 >= k) return;
#pragma unroll
        for (uint32_t i = 0; i < kRowFetches; i++) fetch(to + stage % kStages * kStageBytes + i * kEach * kPitch, x[i] + stage * kStage);
    };
    const auto fetch_weights = [&](uint32_t stage) {
        if (stage >= stages || stage * kStage + chunk * 8 >= k) return;
#pragma unroll
        for (uint32_t i = 0; i < kWeightFetches; i++)
            fetch(to + stage % kStages * kStageBytes + (kRows + i * kEach) * kPitch, weights[i] + stage * kStage);
    };

    let_next_start();
#pragma unroll
    for (uint32_t stage = 0; stage < kStages - 1; stage++) fetch_weights(stage);
    wait_for_earlier();
#pragma unroll
    for (uint32_t stage = 0; stage < kStages - 1; stage++) {
        fetch_rows(stage);
        fetches_end();
    }

    const uint32_t down = warp / Across * 16 * MTiles, across = warp % Across * kColumns * kColumn;
    float sums[MTiles][kColumns][4] = {}, totals[MTiles][kColumns][4] = {};
    uint32_t in_slice = 0;
    for (uint32_t stage = 0; stage < stages; stage++) {
        wait_for_fetches<kStages - 2>();
        __syncthreads();
        fetch_rows(stage + kStages - 1);
        fetch_weights(stage + kStages - 1);
        fetches_end();
        const unsigned char *base = shared + stage % kStages * kStageBytes;
#pragma unroll
        for (uint32_t half = 0; half < 2; half++) {
            if (stage * 2 + half >= slices.steps) break;
            const uint32_t offset = place(g, half * 4 + t);
            uint4 weight[kColumns];
#pragma unroll
            for (uint32_t c = 0; c < kColumns; c++)
                weight[c] = *reinterpret_cast<const uint4 *>(base + (kRows + across + c * kColumn) * kPitch + offset);
#pragma unroll
            for (uint32_t m = 0; m < MTiles; m++) {
                const unsigned char *row = base + (down + m * 16) * kPitch + offset;
                const uint4 low = *reinterpret_cast<const uint4 *>(row), high = *reinterpret_cast<const uint4 *>(row + 8 * kPitch);
#pragma unroll
                for (uint32_t c = 0; c < kColumns; c++) step(sums[m][c], low, high, weight[c]);
            }
            if (++in_slice == slices.each || stage * 2 + half + 1 == slices.steps) {
                in_slice = 0;
#pragma unroll
                for (uint32_t m = 0; m < MTiles; m++)
#pragma unroll
                    for (uint32_t c = 0; c < kColumns; c++)
#pragma unroll
                        for (uint32_t i = 0; i < 4; i++) {
                            totals[m][c][i] = __fadd_rn(totals[m][c][i], sums[m][c][i]);
                            sums[m][c][i] = 0;
                        }
            }
        }
    }

#pragma unroll
    for (uint32_t m = 0; m < MTiles; m++)
#pragma unroll
        for (uint32_t h = 0; h < 2; h++) {
            const uint32_t row = row0 + down + m * 16 + h * 8 + g;
            if (row >= args.n) continue;
            const auto pair_of = [&](uint32_t c) { return make_float2(totals[m][c][h * 2], totals[m][c][h * 2 + 1]); };
            if (pair) {
#pragma unroll
                for (uint32_t c = 0; c < 2; c++) {
                    const uint32_t o = at.first + across / 2 + c * kColumn + t * 2;
                    if (o < part.weight.n) finish_silu(args, row, o, pair_of(c), pair_of(c + 2));
                }
            } else {
#pragma unroll
                for (uint32_t c = 0; c < kColumns; c++) {
                    const uint32_t o = at.first + across + c * kColumn + t * 2;
                    if (o < part.weight.n) finish(args, part, row, o, pair_of(c), residual_of(args, row, o));
                }
            }
        }
}

struct Size {
    uint32_t rows, outputs;
};
constexpr Size size_of(TileShape shape) {
    return shape == TileShape::LARGE ? Size{128, 128} : shape == TileShape::WIDE ? Size{64, 128} : Size{64, 64};
}

uint32_t across_of(const LinearArgs &args, uint32_t outputs) {
    if (args.epilogue == Epilogue::SILU_MUL) return ceil_of(args.parts[0].weight.n, outputs / 2);
    uint32_t tiles = 0;
    for (uint32_t p = 0; p < args.part_count; p++) tiles += ceil_of(args.parts[p].weight.n, outputs);
    return tiles;
}

template <uint32_t MTiles, uint32_t Down, uint32_t Across> void launch_one(const Context &context, const LinearArgs &args) {
    constexpr uint32_t kRows = 16 * MTiles * Down, kOutputs = kColumns * kColumn * Across, kBytes = kStages * (kRows + kOutputs) * kPitch;
    const auto kernel = tiles<MTiles, Down, Across>;
    static const cudaError_t allowed = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
    check(allowed, "linear, shared memory");
    launch(context, "linear", kernel, dim3(across_of(args, kOutputs), ceil_of(args.n, kRows)), dim3(Down * Across * kWarp), kBytes, args,
           slices_of(args.parts[0].weight.k));
}

} // namespace

// The shape whose tiles, dealt out to the multiprocessors, are done first; small tiles do less for each byte they read.
TileShape tile_shape(const Context &context, const LinearArgs &args) {
    TileShape best = TileShape::SMALL;
    uint64_t least = UINT64_MAX;
    for (const TileShape shape : {TileShape::LARGE, TileShape::WIDE, TileShape::SMALL}) {
        const Size size = size_of(shape);
        const uint64_t blocks = uint64_t{across_of(args, size.outputs)} * ceil_of(args.n, size.rows);
        const uint64_t processors = static_cast<uint64_t>(context.multiprocessors);
        const uint64_t effort = shape == TileShape::LARGE ? 100 : shape == TileShape::WIDE ? 110 : 135;
        const uint64_t cost = (blocks + processors - 1) / processors * size.rows * size.outputs * effort;
        if (cost < least) {
            least = cost;
            best = shape;
        }
    }
    return best;
}

void launch_tiles(const Context &context, const LinearArgs &args, TileShape shape) {
    switch (shape) {
    case TileShape::LARGE: return launch_one<4, 2, 4>(context, args);
    case TileShape::WIDE: return launch_one<2, 2, 4>(context, args);
    default: return launch_one<2, 2, 2>(context, args);
    }
}

} // namespace intarsia::cuda
