// Products of many rows on Hopper: 128 tokens by 128, 192 or 256 outputs are a block's tile, and a pair of blocks with the same outputs share what they load
// of weights.
#include "cuda/linear_wgmma.h"

namespace intarsia::cuda {

namespace {

using cpu::Epilogue;
using cpu::LinearArgs;
using cpu::Storage;

template <uint32_t Outputs> constexpr uint32_t kStages = Outputs == 256 ? 4 : Outputs == 192 ? 5 : 6;
template <uint32_t Outputs> constexpr uint32_t kBytes = (kManyRows + Outputs) * kRowBytes; // of a stage

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

// One warp's rows g and g + 8 of a tile, from the registers: thread 4 g + t has outputs 8 j + 2 t and one more of each, as d[4 j ..] and d[4 j + 2 ..].
// Parts are 64 outputs, whose residuals are read before the products where there are registers for them, or as they are added. `weights`: of the norms of heads.
template <uint32_t Outputs> class End {
    static constexpr bool kEarly = Outputs == 128;
    static constexpr uint32_t kParts = Outputs / 64;

public:
    __device__ End(const LinearArgs &args, const Around &around, const float (&weights)[2][kWgmmaHead], TileOf at, uint32_t tile, uint32_t across, uint32_t row)
        : args_(args), around_(around), weights_(weights), at_(at), tile_(tile), across_(across), row_(row), t_(threadIdx.x % 4), width_(args.parts[at.part].weight.n) {
#pragma unroll
        for (uint32_t h = 0; h < 2; h++) {
#pragma unroll
            for (uint32_t i = 0; i < kSquareParts / 4; i++) {
                const uint32_t part = i * 4 + t_;
                squares_[h][i] = there(h) && part < around.square_parts ? __ldcg(around.squares + uint64_t{row + h * 8} * around.square_parts + part) : 0;
            }
            slots_[h] = around.attends && there(h) ? __ldg(around.heads.slots + row + h * 8) : -1;
        }
        if constexpr (kEarly) {
#pragma unroll
            for (uint32_t part = 0; part < kParts; part++) read_residuals(part);
        }
    }

    __device__ void finish(float (&d)[Outputs / 2]) {
        if (around_.squares != nullptr) {
#pragma unroll
            for (uint32_t h = 0; h < 2; h++) {
                float sum = squares_[h][0];
#pragma unroll
                for (uint32_t i = 1; i < kSquareParts / 4; i++) sum += squares_[h][i];
                const float scale = inverse_root(over_four(sum), args_.parts[0].weight.k, around_.eps);
#pragma unroll
                for (uint32_t j = 0; j < Outputs / 8; j++) d[j * 4 + h * 2] *= scale, d[j * 4 + h * 2 + 1] *= scale;
            }
        }
        if (args_.epilogue == Epilogue::SILU_MUL) multiply(d);
        else if (args_.epilogue == Epilogue::ADD) add(d);
        else if (around_.attends) attend(d);
        else store(d);
    }

private:
    __device__ bool there(uint32_t h) const { return row_ + h * 8 < args_.n; }
    __device__ bool within(uint32_t j) const { return at_.first + j * 8 < width_; }
    __device__ static float over_four(float v) {
        v += __shfl_xor_sync(0xFFFFFFFFu, v, 1);
        return v + __shfl_xor_sync(0xFFFFFFFFu, v, 2);
    }
    __device__ static float2 load2(const float *from) { return __ldg(reinterpret_cast<const float2 *>(from)); }
    __device__ uint64_t place(uint32_t h, uint32_t j) const { return uint64_t{row_ + h * 8} * width_ + at_.first + j * 8 + t_ * 2; }
    __device__ void put2(void *out, uint32_t h, uint32_t j, float a, float b) const {
        if (there(h) && within(j)) *reinterpret_cast<float2 *>(static_cast<float *>(out) + place(h, j)) = make_float2(a, b);
    }

    // Pairs of outputs of j and j + 1, as bf16 from `row` on: even threads write those of j, odd ones those of j + 1, 32 bytes together.
    __device__ void put4(__nv_bfloat16 *row, uint32_t h, uint32_t j, uint32_t limit, uint32_t now, uint32_t next) const {
        const bool odd = t_ % 2 != 0;
        const uint32_t other = __shfl_xor_sync(0xFFFFFFFFu, odd ? now : next, 1);
        const uint32_t to = (j + t_ % 2) * 8 + t_ / 2 * 4;
        if (there(h) && row != nullptr && to < limit) *reinterpret_cast<uint2 *>(row + to) = odd ? make_uint2(other, next) : make_uint2(now, other);
    }
    __device__ __nv_bfloat16 *row_of(void *out, uint32_t h) const { return static_cast<__nv_bfloat16 *>(out) + uint64_t{row_ + h * 8} * width_ + at_.first; }

    // value(h, j, i): what thread t makes of outputs 8 j + 2 t + i of a row.
    template <uint32_t Columns, typename Value> __device__ void write(void *out, Value value) const {
#pragma unroll
        for (uint32_t h = 0; h < 2; h++) {
            if (args_.out_storage == Storage::F32) {
#pragma unroll
                for (uint32_t j = 0; j < Columns; j++) put2(out, h, j, value(h, j, 0), value(h, j, 1));
            } else {
#pragma unroll
                for (uint32_t j = 0; j < Columns; j += 2)
                    put4(row_of(out, h), h, j, width_ - at_.first, pack_bf16(value(h, j, 0), value(h, j, 1)), pack_bf16(value(h, j + 1, 0), value(h, j + 1, 1)));
            }
        }
    }
    __device__ void store(const float (&d)[Outputs / 2]) const {
        write<Outputs / 8>(args_.parts[at_.part].out, [&](uint32_t h, uint32_t j, uint32_t i) { return d[j * 4 + h * 2 + i]; });
    }
    __device__ void multiply(const float (&d)[Outputs / 2]) const {
        write<Outputs / 16>(args_.parts[0].out, [&](uint32_t h, uint32_t j, uint32_t i) {
            const uint32_t gate = j * 4 + h * 2 + i;
            return fast_silu(d[gate]) * d[gate + Outputs / 4];
        });
    }

    __device__ void read_residuals(uint32_t part) {
        if (args_.epilogue != Epilogue::ADD) return;
#pragma unroll
        for (uint32_t h = 0; h < 2; h++)
#pragma unroll
            for (uint32_t j = 0; j < 8; j++)
                if (there(h) && within(part * 8 + j))
                    residuals_[kEarly ? part : 0][h][j] = __ldcg(reinterpret_cast<const float2 *>(args_.residual + place(h, part * 8 + j)));
    }

    __device__ void add(float (&d)[Outputs / 2]) {
        const bool normed = around_.normed != nullptr;
        float squares[2] = {};
#pragma unroll
        for (uint32_t part = 0; part < kParts; part++) {
            if constexpr (!kEarly) read_residuals(part);
            float2 weights[8];
#pragma unroll
            for (uint32_t j = 0; j < 8; j++) weights[j] = normed && within(part * 8 + j) ? load2(around_.norm_weight + at_.first + (part * 8 + j) * 8 + t_ * 2) : float2{};
#pragma unroll
            for (uint32_t h = 0; h < 2; h++) {
                uint32_t results[8];
#pragma unroll
                for (uint32_t j = 0; j < 8; j++) {
                    const uint32_t i = (part * 8 + j) * 4 + h * 2;
                    const bool here = there(h) && within(part * 8 + j);
                    const float2 residual = residuals_[kEarly ? part : 0][h][j];
                    const float a = d[i] + residual.x, b = d[i + 1] + residual.y;
                    if (here) squares[h] += a * a + b * b;
                    put2(args_.parts[0].out, h, part * 8 + j, a, b);
                    results[j] = pack_bf16(a * weights[j].x, b * weights[j].y);
                }
                if (normed) {
#pragma unroll
                    for (uint32_t j = 0; j < 8; j += 2) put4(row_of(around_.normed, h), h, part * 8 + j, width_ - at_.first, results[j], results[j + 1]);
                }
            }
        }
        if (!normed) return;
#pragma unroll
        for (uint32_t h = 0; h < 2; h++) {
            const float sum = over_four(squares[h]);
            if (there(h) && t_ == 0) around_.next_squares[uint64_t{row_ + h * 8} * across_ + tile_] = sum;
        }
    }

    __device__ void attend(float (&d)[Outputs / 2]) const {
        const cpu::HeadsArgs &heads = heads_of(around_.heads, at_.part);
        const bool normed = at_.part < 2 && heads.norm_weight != nullptr, rotated = at_.part < 2 && heads.table != nullptr;
#pragma unroll
        for (uint32_t h = 0; h < 2; h++) {
            const uint32_t row = there(h) ? row_ + h * 8 : 0;
            float2 cosines[8], sines[8];
#pragma unroll
            for (uint32_t j = 0; j < 8; j++) {
                const float *table = heads.table + uint64_t{row} * kWgmmaHead + j * 8 + t_ * 2;
                cosines[j] = rotated ? load2(table) : make_float2(1, 1);
                sines[j] = rotated ? load2(table + kWgmmaHead / 2) : float2{};
            }
#pragma unroll
            for (uint32_t begin = 0; begin + kWgmmaHead <= Outputs; begin += kWgmmaHead) {
                if (at_.first + begin >= width_) continue;
                float *const x = d + begin / 2 + h * 2; // element 8 j + 2 t + i of the head is x[4 j + i]
                if (normed) {
                    float sum = 0;
#pragma unroll
                    for (uint32_t j = 0; j < 16; j++) sum += x[j * 4] * x[j * 4] + x[j * 4 + 1] * x[j * 4 + 1];
                    const float scale = inverse_root(over_four(sum), kWgmmaHead, heads.eps);
#pragma unroll
                    for (uint32_t j = 0; j < 16; j++) {
                        const float2 weight = *reinterpret_cast<const float2 *>(&weights_[at_.part][j * 8 + t_ * 2]);
                        x[j * 4] *= scale * weight.x;
                        x[j * 4 + 1] *= scale * weight.y;
                    }
                }
                if (rotated) {
#pragma unroll
                    for (uint32_t j = 0; j < 8; j++) {
                        rotate(x[j * 4], x[j * 4 + 32], cosines[j].x, sines[j].x);
                        rotate(x[j * 4 + 1], x[j * 4 + 33], cosines[j].y, sines[j].y);
                    }
                }
                __nv_bfloat16 *to = place_of_head(around_.heads, at_.part, row, (at_.first + begin) / kWgmmaHead, slots_[h]);
#pragma unroll
                for (uint32_t j = 0; j < 16; j += 2)
                    put4(to, h, j, kWgmmaHead, pack_bf16(x[j * 4], x[j * 4 + 1]), pack_bf16(x[j * 4 + 4], x[j * 4 + 5]));
            }
        }
    }
    __device__ static void rotate(float &a, float &b, float cosine, float sine) {
        const float turned = b * cosine + a * sine;
        a = a * cosine - b * sine;
        b = turned;
    }

    const LinearArgs &args_;
    const Around &around_;
    const float (&weights_)[2][kWgmmaHead];
    TileOf at_;
    uint32_t tile_, across_, row_, t_, width_;
    float squares_[2][kSquareParts / 4];
    int32_t slots_[2];
    float2 residuals_[kEarly ? kParts : 1][2][8];
};

#endif

// Clusters of two blocks take tiles of 256 rows and Outputs outputs in turn, all outputs of some rows first. A group of four warps loads, two multiply 64 rows each.
template <uint32_t Outputs>
__global__ void __launch_bounds__(384, 1)
    many(const __grid_constant__ Maps maps, const __grid_constant__ LinearArgs args, const __grid_constant__ Around around, const uint32_t across,
         const uint32_t tiles) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    constexpr uint32_t kRing = kStages<Outputs>, kStageBytes = kBytes<Outputs>, kRowsBytes = kManyRows * kRowBytes;
    __shared__ __align__(8) uint64_t full[kRing], empty[kRing];
    __shared__ __align__(8) float weights[2][kWgmmaHead]; // of the norms of q and k
    const uint32_t ring = aligned_shared(), rank = hopper::cluster_rank(), group = threadIdx.x / 128, lane = threadIdx.x % 32;
    const bool pair = args.epilogue == Epilogue::SILU_MUL;
    const uint32_t blocks = ceil_of(args.parts[0].weight.k, kBlock), clusters = gridDim.x / 2;
    const auto outputs_of = [&](uint32_t tile) {
        return pair ? TileOf{0, tile % across * (Outputs / 2)} : tile_of(args, tile % across, Outputs);
    };
    const auto rows_of = [&](uint32_t tile) { return (tile / across * 2 + rank) * kManyRows; };
    if (threadIdx.x == 0) {
        for (uint32_t s = 0; s < kRing; s++) {
            hopper::make_barrier(shared_address(full + s), 1);
            hopper::make_barrier(shared_address(empty + s), 2 * 8); // the warps of both blocks
        }
        hopper::barriers_made();
    }
    hopper::cluster_sync();
    if (!around.attends) let_next_start();

    if (group == 0) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
        if (threadIdx.x == 0) {
            // Each block loads a half of the weights, for both.
            const auto load_weights = [&](uint32_t i, TileOf at, uint32_t block) {
                const uint32_t barrier = shared_address(full + i % kRing), to = ring + i % kRing * kStageBytes + kRowsBytes;
                hopper::arrive_expecting(barrier, kStageBytes);
                hopper::load_for(to + rank * (Outputs / 2) * kRowBytes, &maps.weights[pair ? rank : at.part], barrier, block * kBlock,
                                 pair ? at.first : at.first + rank * (Outputs / 2), 3);
            };
            const uint32_t first = blockIdx.x / 2, ahead = first < tiles ? min(kRing, blocks) : 0;
            hopper::fetch_map(&maps.x);
            for (uint32_t i = 0; i < ahead; i++) load_weights(i, outputs_of(first), i);
            wait_for_earlier(around);
            uint32_t i = 0;
            for (uint32_t tile = first; tile < tiles; tile += clusters) {
                const TileOf at = outputs_of(tile);
                const uint32_t row = rows_of(tile);
                for (uint32_t block = 0; block < blocks; block++, i++) {
                    if (i >= kRing) hopper::wait(shared_address(empty + i % kRing), (i / kRing - 1) & 1);
                    if (i >= ahead) load_weights(i, at, block);
                    hopper::load(ring + i % kRing * kStageBytes, &maps.x, shared_address(full + i % kRing), block * kBlock, row);
                }
            }
        }
    } else {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
        wait_for_earlier(around);
        if (around.attends) {
            if (const uint32_t i = threadIdx.x - 128; i < kWgmmaHead) {
                weights[0][i] = around.heads.q.norm_weight != nullptr ? around.heads.q.norm_weight[i] : 1;
                weights[1][i] = around.heads.k.norm_weight != nullptr ? around.heads.k.norm_weight[i] : 1;
            }
            asm volatile("bar.sync 1, 256;" ::: "memory");
        }
        float d[Outputs / 2];
        uint32_t i = 0;
        const auto release = [&](uint32_t stage) {
            if (lane < 2) hopper::arrive_at(shared_address(empty + stage % kRing), lane);
            __syncwarp();
        };
        for (uint32_t tile = blockIdx.x / 2; tile < tiles; tile += clusters) {
            End<Outputs> end(args, around, weights, outputs_of(tile), tile % across, across,
                             rows_of(tile) + (group - 1) * 64 + threadIdx.x / 32 % 4 * 16 + lane / 4);
            for (uint32_t block = 0; block < blocks; block++, i++) {
                const uint32_t stage = ring + i % kRing * kStageBytes;
                hopper::wait(shared_address(full + i % kRing), i / kRing & 1);
                hopper::products_begin();
                multiply_stage(d, stage + (group - 1) * 64 * kRowBytes, stage + kRowsBytes, block > 0);
                hopper::products_end();
                hopper::wait_for_products<1>();
                if (block > 0) release(i - 1);
            }
            hopper::wait_for_products<0>();
            hopper::keep(d);
            release(i - 1);
            end.finish(d);
            __syncwarp();
        }
    }
    __syncwarp();
    hopper::cluster_sync(); // the other block may still arrive here
#endif
}

template <uint32_t Outputs> void launch_one(const Context &context, const LinearArgs &args, const Around &around) {
    constexpr uint32_t kAll = 1024 + kStages<Outputs> * kBytes<Outputs>;
    static const cudaError_t allowed = cudaFuncSetAttribute(many<Outputs>, cudaFuncAttributeMaxDynamicSharedMemorySize, kAll);
    check(allowed, "linear, shared memory");
    const uint32_t across = across_of(args, Outputs), tiles = across * ceil_of(args.n, 2 * kManyRows);
    const uint32_t clusters = static_cast<uint32_t>(context.multiprocessors) / 2;
    launch_clusters(context, "linear", many<Outputs>, dim3(2 * (tiles < clusters ? tiles : clusters)), 2, dim3(384), kAll,
                    maps_of(args, kManyRows, Outputs / 2), args, around, across, tiles);
}

} // namespace

void launch_many(const Context &context, const LinearArgs &args, const Around &around, WgmmaShape shape) {
    switch (shape.outputs) {
    case 128: return launch_one<128>(context, args, around);
    case 192: return launch_one<192>(context, args, around);
    default: return launch_one<256>(context, args, around);
    }
}

} // namespace intarsia::cuda
