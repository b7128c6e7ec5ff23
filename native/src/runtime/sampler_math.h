// What the parts of the sampler share: the loops of the tiers, and the order of the ids.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <vector>

#include "cpu/args.h"
#include "runtime/sampler.h"

namespace intarsia {

// The loops in the best instructions of this machine, whatever tier the device has: the bits are the same.
const cpu::Kernels &sampler_kernels();

// Keys rise in the order (logit falling, index rising). NaN is -infinity; the sum makes -0 the same as 0, and a
// denormal too in a FloatMode.
inline uint64_t key(float logit, uint32_t index) {
    const float value = (logit >= -std::numeric_limits<float>::infinity() ? logit : -std::numeric_limits<float>::infinity()) + 0.0f;
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    const uint32_t falling = bits >> 31 != 0 ? bits : ~bits & 0x7FFFFFFFu;
    return uint64_t{falling} << 32 | index;
}

inline uint32_t index_of(uint64_t key) { return static_cast<uint32_t>(key); }

// keys = those of the first k ids, 1 <= k, in no order; ids whose logit is -infinity may be missing.
void find_top_k(const float *logits, uint32_t vocabulary, uint32_t k, std::vector<uint64_t> &keys);

} // namespace intarsia
