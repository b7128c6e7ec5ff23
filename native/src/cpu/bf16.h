// bf16 as the upper half of an f32. Internal linkage: also included by files compiled for one instruction-set tier.
#pragma once

#include <cstdint>

namespace intarsia::cpu {
namespace {

inline float widen_bf16(uint16_t bits) { return __builtin_bit_cast(float, uint32_t{bits} << 16); }

// To nearest, ties to even; a NaN stays one and becomes quiet.
inline uint16_t round_bf16(float value) {
    const uint32_t bits = __builtin_bit_cast(uint32_t, value);
    const uint32_t nearest = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
    const uint32_t quiet = bits >> 16 | 0x40;
    return static_cast<uint16_t>((bits & 0x7FFFFFFF) > 0x7F800000 ? quiet : nearest);
}

} // namespace
} // namespace intarsia::cpu
