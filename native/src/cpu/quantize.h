// Quantizes checkpoint matrices, and lays quantized ones out for the kernels. Compiled once for all tiers.
//
// A quantized matrix [n, k] outside of the kernels is row-major values and row-major scales:
//   INT8: int8 [n, k] in -127..127, f32 scales [n]. m = the largest |w| of the row, q = w * (127 / m) to the nearest integer, ties to even,
//         scale = m / 127.
//   INT4: halves of bytes [n, (k + 1) / 2], input 2 i low and 2 i + 1 high, each q + 8; f16 scales [n, (k + 31) / 32], one for each 32 inputs.
//         With e the weight of largest magnitude, the first of these, the scales tried are e / -8, e / -7.5, e / -8.5, e / -7 to the nearest f16; q = w / scale to the
//         nearest integer in -8..7; the scale kept is the first with the least sum of squared errors.
// Where m (or |e|) is below 2^-100, or the f16 is 0, q and scale are 0; where there is an infinity or NaN, for INT4 a magnitude above
// 2^60, q is 0 and the scale NaN.
#pragma once

#include "cpu/args.h"
#include "cpu/pack.h"

namespace intarsia::cpu {

constexpr uint64_t quantized_bytes(uint32_t k, Storage storage) { // values of a row
    return storage == Storage::INT8 ? k : (uint64_t{k} + 1) / 2;
}
constexpr uint64_t scale_bytes(uint32_t k, Storage storage) { // scales of a row
    return storage == Storage::INT8 ? 4 : (uint64_t{k} + kScaled - 1) / kScaled * 2;
}

// Row-major data [rows, k] to values and scales. row: scratch [k]. The caller flushes denormals.
void quantize(const void *data, Source source, uint64_t rows, uint32_t k, Storage storage, float *row, uint8_t *values,
              uint8_t *scales);

// 1..16 rows of values and scales to one tile. Neither needs alignment.
void pack_quantized(const uint8_t *values, const uint8_t *scales, uint32_t rows, uint32_t k, Storage storage,
                    uint8_t *tile);

} // namespace intarsia::cpu
