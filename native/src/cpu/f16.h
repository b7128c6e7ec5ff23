// f16, IEEE 754 binary16. Internal linkage: also included by files compiled for one instruction-set tier.
#pragma once

#include <cstdint>

namespace intarsia::cpu {
namespace {

// Exact, whatever the mode of the processor says about denormals.
inline float widen_f16(uint16_t bits) {
    const uint32_t sign = uint32_t{bits} >> 15 << 31;
    const uint32_t exponent = bits >> 10 & 31;
    const uint32_t mantissa = bits & 1023;
    if (exponent == 0) { // zero and subnormal: mantissa * 2^-24
        const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
        return __builtin_bit_cast(float, sign | __builtin_bit_cast(uint32_t, magnitude));
    }
    const uint32_t widened = exponent == 31 ? 255 : exponent + (127 - 15);
    return __builtin_bit_cast(float, sign | widened << 23 | mantissa << 13);
}

} // namespace
} // namespace intarsia::cpu
