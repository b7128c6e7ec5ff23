// Products of nine and more rows on Hopper: tiles come by the copy engine, a ring of them ahead of the groups of four warps that multiply (wgmma). The order of
// sums is not that of linear.h. Up to some hundred rows the kernel of linear_split.cu, with more mostly that of linear_many.cu.
#include "cuda/linear_wgmma.h"

namespace intarsia::cuda {

using cpu::Epilogue;
using cpu::LinearArgs;
using cpu::Storage;

Maps maps_of(const LinearArgs &args, uint32_t rows_box, uint32_t weights_box) {
    Maps maps{};
    maps.x = hopper::map_of(args.x, args.n, args.parts[0].weight.k, rows_box);
    for (uint32_t p = 0; p < args.part_count; p++) {
        const cpu::Matrix &weight = args.parts[p].weight;
        maps.weights[p] = hopper::map_of(weight.data, weight.n, weight.k, weights_box);
    }
    return maps;
}

uint32_t across_of(const LinearArgs &args, uint32_t outputs) {
    if (args.epilogue == Epilogue::SILU_MUL) return ceil_of(args.parts[0].weight.n, outputs / 2);
    uint32_t tiles = 0;
    for (uint32_t p = 0; p < args.part_count; p++) tiles += ceil_of(args.parts[p].weight.n, outputs);
    return tiles;
}

bool can_wgmma(const Context &context, const LinearArgs &args) {
    if (!hopper::is_here(context) || !aligned(args.x, 16) || (args.epilogue == Epilogue::ADD && !aligned(args.residual, 16))) return false;
    for (uint32_t p = 0; p < args.part_count; p++) {
        const cpu::LinearPart &part = args.parts[p];
        if (part.weight.storage != Storage::BF16 || part.bias != nullptr || part.weight.k % 8 != 0 || part.weight.n % 8 != 0) return false;
        if (!aligned(part.weight.data, 16) || (part.out != nullptr && !aligned(part.out, 16))) return false;
    }
    return true;
}

bool can_attend(const LinearArgs &args, const cpu::QkvArgs &heads) {
    if (args.epilogue != Epilogue::STORE || args.out_storage != Storage::F32 || args.part_count != 3 || !heads.passing || heads.n != args.n) return false;
    const auto fits = [](const cpu::LinearPart &part, const float *x, uint32_t count) {
        return x != nullptr && x == part.out && part.weight.n == count * kWgmmaHead;
    };
    const auto ready = [](const cpu::HeadsArgs &part) {
        return part.head_dim == kWgmmaHead && aligned(part.norm_weight, 16) && aligned(part.table, 16) &&
               (part.out == nullptr || (part.out_storage == Storage::BF16 && aligned(part.out, 16)));
    };
    const cpu::KvLayer &cache = heads.cache;
    return fits(args.parts[0], heads.q.x, heads.q.heads) && fits(args.parts[1], heads.k.x, heads.k.heads) && fits(args.parts[2], heads.v, cache.kv_heads) &&
           ready(heads.q) && heads.q.out != nullptr && ready(heads.k) && heads.k.heads == cache.kv_heads && cache.head_dim == kWgmmaHead &&
           cache.storage == Storage::BF16 && heads.slots != nullptr && aligned(cache.keys, 16) && aligned(cache.values, 16);
}

namespace {

// Microseconds that an H200 needs, by a model that was fitted to what it did need. `load`: blocks to a multiprocessor, which go through stages of so many times 16 KB
// (`late` ones come when there is room) and end with sums of so many times 8,192 outputs.
float time_of_split(const Context &context, const LinearArgs &args, WgmmaShape shape, bool attends) {
    const auto real = [](uint32_t count) { return static_cast<float>(count); };
    const uint32_t blocks = across_of(args, shape.outputs) * ceil_of(args.n, shape.rows) * shape.shares;
    const uint32_t stages = ceil_of(ceil_of(args.parts[0].weight.k, kBlock), shape.shares), ahead = 800 / (shape.outputs + shape.rows);
    const float load = real(blocks) / real(static_cast<uint32_t>(context.multiprocessors)), late = stages > ahead ? real(stages - ahead) : 0;
    const float box = real(shape.outputs + shape.rows) / 128, area = real(shape.outputs * shape.rows) / 8192;
    const float heads = attends ? 0.5f + 0.2f * area * load : 0, large = shape.outputs == 128 ? 0.5f : 0;
    const float lost = box >= 1.5f && shape.shares > 2 && load > 0.75f ? 0.4f * real(stages) : 0; // large clusters do not fit on all multiprocessors
    return 2.72f + large + heads + lost + 0.072f * real(stages) * box + (attends ? 0.3f : 0.15f) * late +
           load * (0.153f * real(stages) * box + 1.9f * area + 0.1f * real(shape.shares)) + 0.58f * area / real(shape.shares);
}

// The smaller tiles, which read more for what they multiply, are slower when all multiprocessors read.
float time_of_many(const Context &context, const LinearArgs &args, WgmmaShape shape) {
    const uint32_t tiles = across_of(args, shape.outputs) * ceil_of(args.n, 2 * kManyRows), clusters = static_cast<uint32_t>(context.multiprocessors) / 2;
    const float full = tiles < clusters ? static_cast<float>(tiles) / static_cast<float>(clusters) : 1;
    const float stage = shape.outputs == 256 ? 0.56f + 0.02f * full : shape.outputs == 192 ? 0.45f + 0.02f * full : 0.306f + 0.08f * full;
    const float end = (args.epilogue == Epilogue::SILU_MUL ? 1.7f : 2.7f) * static_cast<float>(shape.outputs) / 128;
    return 3 + static_cast<float>(ceil_of(tiles, clusters)) * (static_cast<float>(ceil_of(args.parts[0].weight.k, kBlock)) * stage + end);
}

} // namespace

WgmmaShape wgmma_shape(const Context &context, const LinearArgs &args, const Around &around) {
    const uint32_t blocks = ceil_of(args.parts[0].weight.k, kBlock);
    WgmmaShape best{256, kManyRows, 0};
    float least = 1e30f;
    const auto consider = [&](WgmmaShape shape, float time) {
        if (around.attends && shape.outputs % kWgmmaHead != 0) return;
        if (around.normed != nullptr && across_of(args, shape.outputs) > kSquareParts) return;
        if (time < least) least = time, best = shape;
    };
    for (const uint32_t outputs : {64u, 128u})
        for (const uint32_t rows : {16u, 32u, 64u, 128u})
            for (const uint32_t shares : {1u, 2u, 4u, 8u})
                if (const WgmmaShape split{outputs, rows, shares}; (rows >= 64 || rows >= args.n) && shares <= blocks && args.n <= 1024)
                    consider(split, time_of_split(context, args, split, around.attends));
    for (const uint32_t outputs : {128u, 192u, 256u}) {
        const WgmmaShape many{outputs, kManyRows, 0};
        consider(many, time_of_many(context, args, many));
    }
    return best;
}

void launch_wgmma(const Context &context, const LinearArgs &args, WgmmaShape shape, const Around &around) {
    shape.shares == 0 ? launch_many(context, args, around, shape) : launch_split(context, args, around, shape);
}

} // namespace intarsia::cuda
