// Products of nine and more rows on Hopper: tiles come by the copy engine, a ring of them ahead of the warps that multiply (wgmma). The order of sums is not that
// of linear.h.
//
// Up to some hundred rows weights are the 64 rows of a product and the tokens its columns, 16 to 128; the inputs are shared out to the blocks of a cluster, whose
// sums are added in order. With more, 128 tokens by 128 or 256 outputs are a block's tile, and a pair of blocks with the same outputs share what they load of weights.
#include <cuda.h>

#include "cuda/hopper.h"
#include "cuda/kernels.h"
#include "cuda/linear.h"
#include "cuda/rows.h"

namespace intarsia::cuda {

namespace {

using cpu::Epilogue;
using cpu::LinearArgs;
using cpu::Storage;

constexpr uint32_t kBlock = 64;          // inputs of a stage: rows of 128 bytes
constexpr uint32_t kRowBytes = 128;
constexpr uint32_t kFewOutputs = 64;
constexpr uint32_t kFewStages = 8;       // at most
constexpr uint32_t kPitch = 68;          // floats between rows of sums: threads of a warp write to different banks
constexpr uint32_t kManyRows = 128;      // of a block
constexpr uint32_t kHalfShared = 100 * 1024; // two blocks of few columns to a multiprocessor: one multiplies while the other begins or ends

struct Maps {
    CUtensorMap x, weights[3];
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

__device__ float fast_silu(float x) { return __fdividef(x, 1.0f + __expf(-x)); }

__device__ void store4(void *out, Storage storage, uint64_t at, float4 v) {
    if (storage == Storage::F32) *reinterpret_cast<float4 *>(static_cast<float *>(out) + at) = v;
    else *reinterpret_cast<uint2 *>(static_cast<__nv_bfloat16 *>(out) + at) = make_uint2(pack_bf16(v.x, v.y), pack_bf16(v.z, v.w));
}

__device__ uint32_t aligned_shared() {
    extern __shared__ unsigned char shared[];
    return (shared_address(shared) + 1023) / 1024 * 1024;
}

// A place in the ring, and whether it is used an even or odd time.
struct Slot {
    uint32_t index = 0, round = 0;
    __device__ void next(uint32_t stages) {
        if (++index == stages) index = 0, round ^= 1;
    }
};

// Four products over the inputs of a stage.
template <uint32_t Count> __device__ void multiply_stage(float (&d)[Count], uint32_t a, uint32_t b, bool add) {
    const uint64_t left = hopper::tile_of_rows(a), right = hopper::tile_of_rows(b);
#pragma unroll
    for (uint32_t i = 0; i < kBlock / 16; i++) hopper::multiply(d, left + i * hopper::kNextInputs, right + i * hopper::kNextInputs, i > 0 || add);
}

#endif

// blockIdx: the share of the inputs (a cluster has them all), the tile of outputs, the tile of rows. Four warps multiply, one loads.
template <uint32_t Columns>
__global__ void __launch_bounds__(160) few(const __grid_constant__ Maps maps, const __grid_constant__ LinearArgs args, const uint32_t stages) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    constexpr uint32_t kWeightBytes = kFewOutputs * kRowBytes, kStageBytes = kWeightBytes + Columns * kRowBytes;
    __shared__ __align__(8) uint64_t full[kFewStages], empty[kFewStages];
    const uint32_t ring = aligned_shared(), warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const bool pair = args.epilogue == Epilogue::SILU_MUL;
    const TileOf at = pair ? TileOf{0, blockIdx.y * (kFewOutputs / 2)} : tile_of(args, blockIdx.y, kFewOutputs);
    const uint32_t row0 = blockIdx.z * Columns, shares = gridDim.x, rank = blockIdx.x;
    const uint32_t blocks = ceil_of(args.parts[0].weight.k, kBlock), first = blocks * rank / shares, count = blocks * (rank + 1) / shares - first;
    if (threadIdx.x == 0) {
        for (uint32_t s = 0; s < stages; s++) {
            hopper::make_barrier(shared_address(full + s), 1);
            hopper::make_barrier(shared_address(empty + s), 4);
        }
        hopper::barriers_made();
    }
    __syncthreads();
    let_next_start();

    if (warp == 4) {
        if (lane == 0) {
            const auto load_weights = [&](uint32_t slot, uint32_t i) {
                const uint32_t barrier = shared_address(full + slot), to = ring + slot * kStageBytes, k = (first + i) * kBlock;
                hopper::arrive_expecting(barrier, kStageBytes);
                if (pair) {
                    hopper::load(to, &maps.weights[0], barrier, k, at.first);
                    hopper::load(to + kWeightBytes / 2, &maps.weights[1], barrier, k, at.first);
                } else {
                    hopper::load(to, &maps.weights[at.part], barrier, k, at.first);
                }
            };
            const auto load_rows = [&](uint32_t slot, uint32_t i) {
                hopper::load(ring + slot * kStageBytes + kWeightBytes, &maps.x, shared_address(full + slot), (first + i) * kBlock, row0);
            };
            const uint32_t ahead = min(stages, count);
            for (uint32_t i = 0; i < ahead; i++) load_weights(i, i);
            wait_for_earlier();
            for (uint32_t i = 0; i < ahead; i++) load_rows(i, i);
            Slot at_slot;
            for (uint32_t i = ahead; i < count; i++, at_slot.next(stages)) {
                hopper::wait(shared_address(empty + at_slot.index), at_slot.round);
                load_weights(at_slot.index, i);
                load_rows(at_slot.index, i);
            }
        }
    } else {
        float d[Columns / 2];
#pragma unroll
        for (uint32_t i = 0; i < Columns / 2; i++) d[i] = 0;
        Slot slot;
        uint32_t before = 0;
        for (uint32_t i = 0; i < count; i++) {
            const uint32_t stage = ring + slot.index * kStageBytes;
            hopper::wait(shared_address(full + slot.index), slot.round);
            hopper::products_begin();
            multiply_stage(d, stage, stage + kWeightBytes, true);
            hopper::products_end();
            hopper::wait_for_products<1>();
            if (i > 0 && lane == 0) hopper::arrive(shared_address(empty + before));
            __syncwarp();
            before = slot.index;
            slot.next(stages);
        }
        hopper::wait_for_products<0>();
        hopper::keep(d);
        // All loads have come and been used: the ring takes the sums, [Columns][kPitch].
        asm volatile("bar.sync 1, 128;" ::: "memory");
        const uint32_t to = ring + (lane % 4 * 2 * kPitch + warp * 16 + lane / 4) * 4;
#pragma unroll
        for (uint32_t j = 0; j < Columns / 8; j++)
#pragma unroll
            for (uint32_t i = 0; i < 4; i++)
                asm volatile("st.shared.f32 [%0], %1;" ::"r"(to + ((j * 8 + i % 2) * kPitch + i / 2 * 8) * 4), "f"(d[j * 4 + i]) : "memory");
    }
    __syncwarp();
    hopper::cluster_sync();
    if (warp < 4) {
        wait_for_earlier();
        const uint32_t shift = pair ? 3 : 4, width = args.parts[at.part].weight.n;
        const uint32_t rows = min(Columns, args.n - row0);
        const auto sum = [&](uint32_t from) {
            float4 total = hopper::load_at(hopper::address_at(from, 0));
            for (uint32_t r = 1; r < shares; r++) {
                const float4 v = hopper::load_at(hopper::address_at(from, r));
                total = make_float4(total.x + v.x, total.y + v.y, total.z + v.z, total.w + v.w);
            }
            return total;
        };
        for (uint32_t u = rank * 128 + threadIdx.x; u < rows << shift; u += 128 * shares) {
            const uint32_t row = u >> shift, o = (u & ((1u << shift) - 1)) * 4, from = ring + (row * kPitch + o) * 4;
            if (at.first + o >= width) continue;
            const uint64_t to = uint64_t{row0 + row} * width + at.first + o;
            float4 residual{};
            if (args.epilogue == Epilogue::ADD) residual = __ldcg(reinterpret_cast<const float4 *>(args.residual + to));
            float4 v = sum(from);
            if (pair) {
                const float4 up = sum(from + kFewOutputs / 2 * 4);
                v = make_float4(fast_silu(v.x) * up.x, fast_silu(v.y) * up.y, fast_silu(v.z) * up.z, fast_silu(v.w) * up.w);
            }
            if (args.epilogue == Epilogue::ADD) {
                v = make_float4(v.x + residual.x, v.y + residual.y, v.z + residual.z, v.w + residual.w);
                store4(args.parts[0].out, Storage::F32, to, v);
            } else {
                store4(args.parts[at.part].out, args.out_storage, to, v);
            }
        }
    }
    __syncwarp();
    hopper::cluster_sync(); // others may still read this block's sums
#endif
}

template <uint32_t Outputs> constexpr uint32_t kManyStages = Outputs == 256 ? 4 : 6;
template <uint32_t Outputs> constexpr uint32_t kManyBytes = (kManyRows + Outputs) * kRowBytes; // of a stage

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

// One warp's rows g and g + 8 of a tile, from the registers.
template <uint32_t Outputs> __device__ void finish_many(const LinearArgs &args, TileOf at, uint32_t row0, const float (&d)[Outputs / 2]) {
    const uint32_t t = threadIdx.x % 4, width = args.parts[at.part].weight.n;
    void *out = args.parts[at.part].out;
    const auto put = [&](Storage storage, uint64_t to, float a, float b) {
        if (storage == Storage::F32) *reinterpret_cast<float2 *>(static_cast<float *>(out) + to) = make_float2(a, b);
        else *reinterpret_cast<uint32_t *>(static_cast<__nv_bfloat16 *>(out) + to) = pack_bf16(a, b);
    };
#pragma unroll
    for (uint32_t h = 0; h < 2; h++) {
        const uint32_t row = row0 + h * 8;
        if (row >= args.n) continue;
        const uint64_t begin = uint64_t{row} * width + at.first + t * 2;
        if (args.epilogue == Epilogue::SILU_MUL) {
#pragma unroll
            for (uint32_t j = 0; j < Outputs / 16; j++) {
                const uint32_t gate = j * 4 + h * 2, up = gate + Outputs / 4;
                if (at.first + j * 8 < width) put(args.out_storage, begin + j * 8, fast_silu(d[gate]) * d[up], fast_silu(d[gate + 1]) * d[up + 1]);
            }
        } else if (args.epilogue == Epilogue::ADD) {
#pragma unroll
            for (uint32_t part = 0; part < Outputs / 64; part++) {
                float2 residual[8];
#pragma unroll
                for (uint32_t j = 0; j < 8; j++)
                    if (at.first + part * 64 + j * 8 < width) residual[j] = __ldcg(reinterpret_cast<const float2 *>(args.residual + begin + part * 64 + j * 8));
#pragma unroll
                for (uint32_t j = 0; j < 8; j++)
                    if (const uint32_t i = (part * 8 + j) * 4 + h * 2; at.first + part * 64 + j * 8 < width)
                        put(Storage::F32, begin + part * 64 + j * 8, d[i] + residual[j].x, d[i + 1] + residual[j].y);
            }
        } else {
#pragma unroll
            for (uint32_t j = 0; j < Outputs / 8; j++)
                if (at.first + j * 8 < width) put(args.out_storage, begin + j * 8, d[j * 4 + h * 2], d[j * 4 + h * 2 + 1]);
        }
    }
}

#endif

// Clusters of two blocks take tiles of 256 rows and Outputs outputs in turn, all outputs of some rows first. A group of four warps loads, two multiply 64 rows each.
template <uint32_t Outputs>
__global__ void __launch_bounds__(384, 1)
    many(const __grid_constant__ Maps maps, const __grid_constant__ LinearArgs args, const uint32_t across, const uint32_t tiles) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    constexpr uint32_t kStages = kManyStages<Outputs>, kStageBytes = kManyBytes<Outputs>, kRowsBytes = kManyRows * kRowBytes;
    __shared__ __align__(8) uint64_t full[kStages], empty[kStages];
    const uint32_t ring = aligned_shared(), rank = hopper::cluster_rank(), group = threadIdx.x / 128, lane = threadIdx.x % 32;
    const bool pair = args.epilogue == Epilogue::SILU_MUL;
    const uint32_t blocks = ceil_of(args.parts[0].weight.k, kBlock), clusters = gridDim.x / 2;
    const auto outputs_of = [&](uint32_t tile) {
        return pair ? TileOf{0, tile % across * (Outputs / 2)} : tile_of(args, tile % across, Outputs);
    };
    const auto rows_of = [&](uint32_t tile) { return (tile / across * 2 + rank) * kManyRows; };
    if (threadIdx.x == 0) {
        for (uint32_t s = 0; s < kStages; s++) {
            hopper::make_barrier(shared_address(full + s), 1);
            hopper::make_barrier(shared_address(empty + s), 2 * 8); // the warps of both blocks
        }
        hopper::barriers_made();
    }
    hopper::cluster_sync();
    let_next_start();

    if (group == 0) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
        if (threadIdx.x == 0) {
            // Each block loads a half of the weights, for both.
            const auto load_weights = [&](uint32_t i, TileOf at, uint32_t block) {
                const uint32_t barrier = shared_address(full + i % kStages), to = ring + i % kStages * kStageBytes + kRowsBytes;
                hopper::arrive_expecting(barrier, kStageBytes);
                hopper::load_for(to + rank * (Outputs / 2) * kRowBytes, &maps.weights[pair ? rank : at.part], barrier, block * kBlock,
                                 pair ? at.first : at.first + rank * (Outputs / 2), 3);
            };
            const uint32_t first = blockIdx.x / 2, ahead = first < tiles ? min(kStages, blocks) : 0;
            for (uint32_t i = 0; i < ahead; i++) load_weights(i, outputs_of(first), i);
            wait_for_earlier();
            uint32_t i = 0;
            for (uint32_t tile = first; tile < tiles; tile += clusters) {
                const TileOf at = outputs_of(tile);
                const uint32_t row = rows_of(tile);
                for (uint32_t block = 0; block < blocks; block++, i++) {
                    if (i >= kStages) hopper::wait(shared_address(empty + i % kStages), (i / kStages - 1) & 1);
                    if (i >= ahead) load_weights(i, at, block);
                    hopper::load(ring + i % kStages * kStageBytes, &maps.x, shared_address(full + i % kStages), block * kBlock, row);
                }
            }
        }
    } else {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
        wait_for_earlier();
        float d[Outputs / 2];
        uint32_t i = 0;
        const auto release = [&](uint32_t stage) {
            if (lane < 2) hopper::arrive_at(shared_address(empty + stage % kStages), lane);
            __syncwarp();
        };
        for (uint32_t tile = blockIdx.x / 2; tile < tiles; tile += clusters) {
            for (uint32_t block = 0; block < blocks; block++, i++) {
                const uint32_t stage = ring + i % kStages * kStageBytes;
                hopper::wait(shared_address(full + i % kStages), i / kStages & 1);
                hopper::products_begin();
                multiply_stage(d, stage + (group - 1) * 64 * kRowBytes, stage + kRowsBytes, block > 0);
                hopper::products_end();
                hopper::wait_for_products<1>();
                if (block > 0) release(i - 1);
            }
            hopper::wait_for_products<0>();
            hopper::keep(d);
            release(i - 1);
            finish_many<Outputs>(args, outputs_of(tile), rows_of(tile) + (group - 1) * 64 + threadIdx.x / 32 % 4 * 16 + lane / 4, d);
            __syncwarp();
        }
    }
    __syncwarp();
    hopper::cluster_sync(); // the other block may still arrive here
#endif
}

using Encode = CUresult (*)(CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *, const cuuint64_t *, const cuuint64_t *, const cuuint32_t *,
                            const cuuint32_t *, CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

Encode find_encode() {
    void *found = nullptr;
    cudaDriverEntryPointQueryResult result{};
    if (cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000, cudaEnableDefault, &result) != cudaSuccess ||
        result != cudaDriverEntryPointSuccess) {
        cudaGetLastError();
        return nullptr;
    }
    return reinterpret_cast<Encode>(found);
}

// Null where this is no Hopper, or the driver has no maps.
Encode encode_of(int device) {
    static const Encode encode = find_encode();
    int major = 0, minor = 0;
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
    return major == 9 && minor == 0 ? encode : nullptr;
}

// Boxes of 64 inputs and so many rows of a matrix [rows, k] of bf16.
void map(const Context &context, CUtensorMap &to, const void *data, uint32_t rows, uint32_t k, uint32_t box_rows) {
    const cuuint64_t sizes[2] = {k, rows}, pitch[1] = {uint64_t{k} * 2};
    const cuuint32_t box[2] = {kBlock, box_rows}, steps[2] = {1, 1};
    const CUresult result = encode_of(context.device)(&to, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, const_cast<void *>(data), sizes, pitch, box, steps,
                                                      CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                                                      CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    if (result != CUDA_SUCCESS) check(cudaErrorInvalidValue, "linear, describing a matrix");
}

Maps maps_of(const Context &context, const LinearArgs &args, uint32_t rows_box, uint32_t weights_box) {
    Maps maps{};
    map(context, maps.x, args.x, args.n, args.parts[0].weight.k, rows_box);
    for (uint32_t p = 0; p < args.part_count; p++)
        map(context, maps.weights[p], args.parts[p].weight.data, args.parts[p].weight.n, args.parts[p].weight.k, weights_box);
    return maps;
}

uint32_t across_of(const LinearArgs &args, uint32_t outputs) {
    if (args.epilogue == Epilogue::SILU_MUL) return ceil_of(args.parts[0].weight.n, outputs / 2);
    uint32_t tiles = 0;
    for (uint32_t p = 0; p < args.part_count; p++) tiles += ceil_of(args.parts[p].weight.n, outputs);
    return tiles;
}

template <typename... Parameters, typename... Arguments>
void launch_clusters(const Context &context, void (*kernel)(Parameters...), dim3 grid, uint32_t cluster, uint32_t threads, uint32_t bytes, Arguments &&...arguments) {
    cudaLaunchAttribute attributes[2]{};
    attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[0].val.programmaticStreamSerializationAllowed = 1;
    attributes[1].id = cudaLaunchAttributeClusterDimension;
    attributes[1].val.clusterDim = {cluster, 1, 1};
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = dim3(threads);
    config.dynamicSmemBytes = bytes;
    config.stream = context.stream;
    config.attrs = attributes;
    config.numAttrs = 2;
    check(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...), "linear");
}

template <uint32_t Columns> void launch_few(const Context &context, const LinearArgs &args, uint32_t shares) {
    static const cudaError_t allowed = cudaFuncSetAttribute(few<Columns>, cudaFuncAttributeMaxDynamicSharedMemorySize, kHalfShared + 1024);
    check(allowed, "linear, shared memory");
    constexpr uint32_t kStageBytes = (kFewOutputs + Columns) * kRowBytes, kSums = Columns * kPitch * 4;
    constexpr uint32_t kFit = kHalfShared / kStageBytes, kMost = kFit < kFewStages ? kFit : kFewStages;
    const uint32_t blocks = ceil_of(args.parts[0].weight.k, kBlock), each = ceil_of(blocks, shares), stages = each < kMost ? each : kMost;
    const uint32_t bytes = 1024 + (stages * kStageBytes > kSums ? stages * kStageBytes : kSums);
    const bool pair = args.epilogue == Epilogue::SILU_MUL;
    launch_clusters(context, few<Columns>, dim3(shares, across_of(args, kFewOutputs), ceil_of(args.n, Columns)), shares, 160, bytes,
                    maps_of(context, args, Columns, pair ? kFewOutputs / 2 : kFewOutputs), args, stages);
}

template <uint32_t Outputs> void launch_many(const Context &context, const LinearArgs &args) {
    constexpr uint32_t kBytes = 1024 + kManyStages<Outputs> * kManyBytes<Outputs>;
    static const cudaError_t allowed = cudaFuncSetAttribute(many<Outputs>, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
    check(allowed, "linear, shared memory");
    const uint32_t across = across_of(args, Outputs), tiles = across * ceil_of(args.n, 2 * kManyRows);
    const uint32_t clusters = static_cast<uint32_t>(context.multiprocessors) / 2;
    launch_clusters(context, many<Outputs>, dim3(2 * (tiles < clusters ? tiles : clusters)), 2, 384, kBytes,
                    maps_of(context, args, kManyRows, Outputs / 2), args, across, tiles);
}

} // namespace

bool can_wgmma(const Context &context, const LinearArgs &args) {
    if (encode_of(context.device) == nullptr || !aligned(args.x, 16) || (args.epilogue == Epilogue::ADD && !aligned(args.residual, 16))) return false;
    for (uint32_t p = 0; p < args.part_count; p++) {
        const cpu::LinearPart &part = args.parts[p];
        if (part.weight.storage != Storage::BF16 || part.bias != nullptr || part.weight.k % 8 != 0 || part.weight.n % 8 != 0) return false;
        if (!aligned(part.weight.data, 16) || (part.out != nullptr && !aligned(part.out, 16))) return false;
    }
    return true;
}

// Up to 128 rows by a model of the time in microseconds, as measured on an H200: of a block's stages, of its beginning and end, and of how many there are. With
// more rows, tiles of many rows, the larger where fewer rounds of them make up for their longer ends; but where those are too few, shares of smaller ones.
WgmmaShape wgmma_shape(const Context &context, const LinearArgs &args) {
    const uint32_t processors = static_cast<uint32_t>(context.multiprocessors), blocks = ceil_of(args.parts[0].weight.k, kBlock);
    WgmmaShape best{16, 1};
    float least = 1e30f;
    const auto consider = [&](WgmmaShape shape, float time) {
        if (time < least) least = time, best = shape;
    };
    if (args.n > 128) {
        for (const uint32_t outputs : {128u, 256u}) {
            const uint32_t tiles = across_of(args, outputs) * ceil_of(args.n, 2 * kManyRows);
            const float stages = static_cast<float>(blocks) * (outputs == 256 ? 0.575f : 0.306f);
            consider({outputs, 0}, static_cast<float>(ceil_of(tiles, processors / 2)) * (stages + (outputs == 256 ? 4.5f : 2.6f)));
        }
        if (across_of(args, 128) * ceil_of(args.n, 2 * kManyRows) >= processors / 4 - 1) return best;
        uint32_t shares = 4;
        const uint32_t tiles = across_of(args, kFewOutputs) * ceil_of(args.n, 64);
        while (shares > 1 && (shares > blocks || tiles * shares > processors * 3 / 2)) shares /= 2;
        return {64, shares};
    }
    for (const uint32_t columns : {16u, 32u, 64u, 128u}) {
        if (columns < 64 && columns < args.n) continue;
        for (const uint32_t shares : {1u, 2u, 4u, 8u}) {
            if (shares > blocks) break;
            const float wide = static_cast<float>(columns), each = static_cast<float>(ceil_of(blocks, shares)), count = static_cast<float>(shares);
            const uint32_t all = across_of(args, kFewOutputs) * ceil_of(args.n, columns) * shares;
            const float stage = 0.11f + 0.0012f * wide, crowd = 0.0045f + 0.00008f * wide, share = 0.04f + 0.0014f * wide;
            consider({columns, shares}, each * stage + static_cast<float>(all) * crowd + count * share + 0.01f * wide);
        }
    }
    return best;
}

void launch_wgmma(const Context &context, const LinearArgs &args, WgmmaShape shape) {
    if (shape.shares == 0) return shape.width == 256 ? launch_many<256>(context, args) : launch_many<128>(context, args);
    switch (shape.width) {
    case 16: return launch_few<16>(context, args, shape.shares);
    case 32: return launch_few<32>(context, args, shape.shares);
    case 64: return launch_few<64>(context, args, shape.shares);
    default: return launch_few<128>(context, args, shape.shares);
    }
}

} // namespace intarsia::cuda
