// Arguments of the CPU kernels, and the table of kernels that each instruction-set tier fills.
//
// Every kernel is called by all threads of a team at once, each with its Share of the work; shares never overlap in what they write and
// no reduction crosses them, so that the thread count never changes a bit. Matrices are row-major [n, width], rows stride(width, storage) elements apart.
#pragma once

#include <cstddef>
#include <cstdint>

namespace intarsia::cpu {

// How the elements of a value or weight are stored. bf16 is the upper half of an f32, rounded to nearest even. INT8 values are the
// inputs of linear ops over INT8 and INT4 matrices.
enum class Storage : uint8_t { F32, BF16, INT8, INT4 };

constexpr bool quantized(Storage storage) { return storage == Storage::INT8 || storage == Storage::INT4; }

// How the inputs of a linear op are stored whose matrix is stored so.
constexpr Storage input_storage(Storage matrix) { return quantized(matrix) ? Storage::INT8 : matrix; }

// One thread's part of a kernel call: it does part `index` of `count`, with memory of its own, Kernels::scratch bytes.
struct Share {
    uint32_t index;
    uint32_t count;
    std::byte *scratch = nullptr;
};

// A packed matrix [n outputs, k inputs]: tiles of 16 outputs, outputs past n are zero.
//   BF16: tile, pair of inputs (k rounded up to even, zero filled), 16 outputs, 2 inputs: 64 bytes a pair
//   F32:  tile, input, 16 outputs: 64 bytes an input
//   INT8: tile, 16 f32 scales, then quad of inputs (k rounded up to 4), 16 outputs, 4 inputs: 64 bytes a quad. A byte is q + 128, a weight
//         q * scale of its output, -127 <= q <= 127. A quad is an operand of vpdpbusd, and 16 of them are one of tdpbsud.
//   INT4: tile, 64 inputs (k rounded up), of which each 32 are a group with a scale: 32 f16 scales (group, 16 outputs), then 8 inputs, 16
//         outputs, 4 bytes, whose low halves are inputs 0..3 and whose high halves 4..7: 576 bytes. A half is q + 8, a weight q * scale of its
//         output and group, -8 <= q <= 7.
// quantize.h says how weights are quantized.
// The keys of one cache block are such a tile (16 positions x head_dim), and so are 16 elements of its values (16 elements x 16 positions).
struct Matrix {
    const void *data;
    uint32_t n;
    uint32_t k;
    Storage storage;
};

constexpr uint32_t kTile = 16;  // outputs of a tile
constexpr uint32_t kBlock = 16; // positions of a cache block
constexpr uint32_t kKeys = 64;  // positions of a key block of attention: four cache blocks

constexpr uint32_t kScaled = 32;         // inputs of a group of INT4 weights
constexpr uint32_t kQuantizedStep = 64;  // inputs to which rows of INT8 values and tiles of INT4 weights are padded
constexpr uint32_t kMostInputs = 131072; // of a quantized matrix: 127 * 127 * k stays below 2^31, so that its dot products are exact

constexpr uint32_t padded(uint32_t inputs) { return (inputs + kQuantizedStep - 1) / kQuantizedStep * kQuantizedStep; }

// Elements between the rows of a value of this width. BF16 rows are padded to an even count, the padding being zero, so that a pair
// never crosses rows; every kernel that writes BF16 writes the padding too. An INT8 row is padded(width) int8, the padding being zero, the sum
// of each 32 of them as i32, the sum of all as i32, and the f32 scale of the row, in whole cache lines (see RoundArgs).
constexpr uint32_t stride(uint32_t width, Storage storage) {
    switch (storage) {
    case Storage::F32: return width;
    case Storage::BF16: return (width + 1) / 2 * 2;
    default: return (padded(width) + padded(width) / kScaled * 4 + 8 + 63) / 64 * 64;
    }
}

// Bytes of what stride counts.
constexpr uint32_t element_bytes(Storage storage) { return storage == Storage::F32 ? 4 : storage == Storage::BF16 ? 2 : 1; }

constexpr uint32_t tiles(uint32_t outputs) { return (outputs + kTile - 1) / kTile; }

// Bytes of one tile over k inputs.
constexpr uint64_t tile_bytes(uint32_t k, Storage storage) {
    switch (storage) {
    case Storage::F32: return uint64_t{k} * 64;
    case Storage::BF16: return uint64_t{(k + 1) / 2} * 64;
    case Storage::INT8: return 64 + uint64_t{(k + 3) / 4} * 64;
    default: return uint64_t{padded(k) / kQuantizedStep} * (64 + 8 * 64);
    }
}

constexpr uint64_t matrix_bytes(uint32_t n, uint32_t k, Storage storage) { return tiles(n) * tile_bytes(k, storage); }

// One layer of the paged cache: block b, head h of the keys is a tile of 16 positions x head_dim, of the values tiles(head_dim) tiles
// of 16 elements x 16 positions.
struct KvLayer {
    void *keys;
    void *values;
    uint32_t kv_heads;
    uint32_t head_dim;
    Storage storage;

    constexpr uint64_t key_bytes() const { return tile_bytes(head_dim, storage); }                             // a block of one head
    constexpr uint64_t value_bytes() const { return tiles(head_dim) * tile_bytes(kBlock, storage); }           // a block of one head
};

// out[i, :] = weight[tokens[i], :]
struct EmbeddingArgs {
    const int32_t *tokens; // [n], checked
    Matrix weight;         // [vocabulary, width]
    float *out;            // [n, width]
    uint32_t n;
};

// out = x / sqrt(mean(x^2) + eps) * weight over groups of `group` elements.
// The mean: 16 lanes, lane l sums the squares of elements l, l + 16, ... by fma in rising order; then lanes are added pairwise
// (l, l + 8), (l, l + 4), (l, l + 2), (l, l + 1).
struct NormArgs {
    const float *x;      // [n, width]
    const float *weight; // [group]
    void *out;           // [n, width]
    uint32_t n;
    uint32_t width;
    uint32_t group;
    float eps;
    Storage out_storage; // INT8 only where group == width
    uint32_t room = 0; // rows that out has place for where n may be 1; 0 = n
    bool each = false; // the single row is computed by every thread, each to the row of its number
    bool passing = false; // out is read by the next call and by nothing else
};

enum class Epilogue : uint8_t {
    STORE,   // out_p = x W_p' + bias_p for each part p
    ADD,     // out_0 = residual + (x W_0' + bias_0)
    SILU_MUL // out_0 = silu(x W_0' + bias_0) * (x W_1' + bias_1)
};

// How the loops over many rows are cut: rows of a block, and inputs of a section, a multiple of 32. Any choice gives the same bits.
struct Blocking {
    uint16_t rows = 24;
    uint16_t section = 512;

    bool operator==(const Blocking &) const = default;
};

// The first is the default; which is fastest depends on the caches, and is measured when an executable is compiled.
constexpr Blocking kBlockings[] = {{24, 512}, {48, 256}, {96, 128}, {24, 256}, {48, 128}};
constexpr uint32_t kStreamRows = 24;              // up to here the weights are streamed, and there is nothing to choose
constexpr uint32_t kBlockingRows = 96;            // the most of any
constexpr uint32_t kBlockingScratch = 96 * 128;   // rows * section, the most of any

struct LinearPart {
    Matrix weight;     // [outputs, k]
    const float *bias; // [outputs] or null
    void *out;         // [n, outputs]
};

// The dot products are those of the precision: BF16: inputs in blocks of 32, inside a block one f32 sum over the even and one over the odd
// inputs, each by fma in rising order from zero, then c += even + odd. F32: one fma chain in rising order.
// Quantized, with q of the weights and values, whose integer sums are exact:
//   INT8: (float(sum over k of x w) * scale of the row of x) * scale of the output
//   INT4: a = fma(float(sum over the group of x w), scale of output and group, a) over groups of 32 in rising order from zero; a * scale of the row of x
struct LinearArgs {
    const void *x; // [n, k] in the storage of the weights; INT8 for INT4 weights
    uint32_t n;
    LinearPart parts[3]; // 1..3 parts for STORE, 1 for ADD, 2 equal ones for SILU_MUL
    uint32_t part_count;
    Epilogue epilogue;
    const float *residual; // ADD: [n, outputs]
    Storage out_storage;   // SILU_MUL and STORE: of every out; ADD is always F32
    Blocking blocking;
};

// out[i, j] = cos(p_i f_j) scale, out[i, half + j] = sin(p_i f_j) scale; the angle is rounded to f32, the functions are those of f64.
struct RopeTableArgs {
    const int32_t *positions;         // [n]
    const float *inverse_frequencies; // [half]
    float *out;                       // [n, 2 half]
    uint32_t n;
    uint32_t half;
    float scale;
};

// Heads of `head_dim`, each optionally normalized (NormArgs with group = head_dim), then rotated by the table unless that is null.
struct HeadsArgs {
    const float *x;           // [n, heads * head_dim]; null = no such part
    const float *norm_weight; // [head_dim] or null
    const float *table;       // [n, head_dim], cosines then sines, or null
    void *out;                // [n, heads * head_dim], or null: into the cache
    uint32_t heads;
    uint32_t head_dim;
    float eps;
    Storage out_storage;
};

// q, k and v of each token made ready for attention in one pass. A part whose x is null is left out.
struct QkvArgs {
    HeadsArgs q; // to q.out
    HeadsArgs k; // to k.out, or where that is null to the keys of the token's slot
    const float *v; // [n, kv_heads * head_dim] to the values of the token's slot, or null
    const int32_t *slots; // [n], -1 = write nothing
    KvLayer cache;
    uint32_t n;
    bool by_head = false; // each thread takes some heads of the cache, and the heads of q that share them, of all rows; there is q, k and v
    bool passing = false; // q, k and v are there, made by the call before, and read by nothing else
};

// Causal grouped-query attention. Each row works through key blocks of 64 absolute positions: scores by the dot product of the
// precision times scale; m = their maximum, p = exp(score - m); l = sum p (16 lanes as in NormArgs); in BF16 p is then rounded; o = p V by the dot product of the
// precision over positions. Blocks are merged in rising order: M = max(m, m'), l = l exp(m - M) + l' exp(m' - M), o likewise. Positions that are
// masked or past the length are never read into a sum.
struct AttentionArgs {
    const void *q; // [n, heads * head_dim]
    void *out;     // [n, heads * head_dim]
    Storage q_storage;
    Storage out_storage;
    KvLayer cache;
    uint32_t heads;
    uint32_t window; // 0 = none
    float scale;
    const uint32_t *sequences;   // how many; behind a pointer, so that resolved arguments serve steps with any number. On a device another word follows: not 0 if
                                 // of one sequence's cache blocks another writes to some in this step
    const int32_t *query_starts; // [sequences + 1]; rows of out past the last are set to zero
    const int32_t *lengths;      // [sequences]
    const int32_t *block_tables; // [sequences, max_blocks]
    uint32_t max_blocks;
    uint32_t n;
    bool by_head = false; // each thread takes some heads of the cache, as in QkvArgs
};

// out = silu(gate) * up, silu(x) = x / (1 + exp(-x))
struct SiluMulArgs {
    const float *gate; // [n, width]
    const float *up;   // [n, width]
    void *out;         // [n, width]
    uint32_t n;
    uint32_t width;
    Storage out_storage;
};

// out = a + b
struct AddArgs {
    const float *a; // [n, width]
    const float *b; // [n, width]
    float *out;     // [n, width]
    uint32_t n;
    uint32_t width;
};

// out[i, :] = x[rows[i], :]
struct SelectRowsArgs {
    const float *x;      // [tokens, width]
    const int32_t *rows; // [n], checked
    float *out;          // [n, width]
    uint32_t n;
    uint32_t width;
};

// f32 to bf16 or int8. INT8: m = the largest |x| of the row, q = x * (127 / m) to the nearest integer, ties to even, scale = m / 127. If m is
// below 2^-100, q and scale are 0; if the row has an infinity or NaN, q is 0 and the scale NaN, so that whatever it enters is NaN too.
struct RoundArgs {
    const float *x; // [n, width]
    void *out;      // [n, width]
    uint32_t n;
    uint32_t width;
    Storage out_storage = Storage::BF16; // or INT8
};

// The kernels of one tier. All tiers give the same bits.
struct Kernels {
    const char *tier;
    void (*embedding)(const EmbeddingArgs &, Share);
    void (*norm)(const NormArgs &, Share);
    void (*linear)(const LinearArgs &, Share);
    void (*rope_table)(const RopeTableArgs &, Share);
    void (*qkv)(const QkvArgs &, Share);
    void (*attention)(const AttentionArgs &, Share);
    void (*silu_mul)(const SiluMulArgs &, Share);
    void (*add)(const AddArgs &, Share);
    void (*select_rows)(const SelectRowsArgs &, Share);
    void (*round)(const RoundArgs &, Share);

    // Of the sampler, one row at a time; NaN counts as -infinity.
    // x[i] = e^((x[i] - max) / temperature) for a finite max, the largest: see softmax_weights of runtime/sampler.h.
    void (*softmax_weights)(float *x, uint32_t count, float max, float temperature);
    // The sum of e^(x[i] - max) in f64: lane l of 16 takes x[l], x[l + 16], ..., then a tree.
    double (*sum_of_exponentials)(const float *x, uint32_t count, double max);
    float (*largest)(const float *x, uint32_t count); // -infinity of nothing
    uint32_t (*find_first)(const float *x, uint32_t count, float value); // the index, or count

    uint64_t scratch = 0; // bytes that every thread needs, see Share
};

extern const Kernels kScalarKernels;
#if defined(__x86_64__)
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
#endif
#if defined(__aarch64__)
extern const Kernels kNeonKernels;
#endif

} // namespace intarsia::cpu
