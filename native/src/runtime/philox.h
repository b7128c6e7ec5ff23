// Random numbers by counter: the same on every processor and device.
#pragma once

#include <cstdint>

#include "cpu/tier.h"

namespace intarsia {

// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): four words for a counter and a
// key.
struct Philox {
    uint32_t word[4];
};

INTARSIA_INLINE Philox philox4x32_10(const uint32_t counter[4], const uint32_t key[2]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; ++round) {
        const uint64_t a = uint64_t{0xD2511F53} * c0;
        const uint64_t b = uint64_t{0xCD9E8D57} * c2;
        c0 = static_cast<uint32_t>(b >> 32) ^ c1 ^ k0;
        c1 = static_cast<uint32_t>(b);
        c2 = static_cast<uint32_t>(a >> 32) ^ c3 ^ k1;
        c3 = static_cast<uint32_t>(a);
        k0 += 0x9E3779B9; // the golden ratio
        k1 += 0xBB67AE85; // the square root of 3, less 1
    }
    return {{c0, c1, c2, c3}};
}

// In [0, 1), 53 bits: the draw of a seed at a position.
INTARSIA_INLINE double uniform(uint64_t seed, uint64_t position) {
    const uint32_t counter[4] = {static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32), 0, 0};
    const uint32_t key[2] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
    const Philox draw = philox4x32_10(counter, key);
    const uint64_t bits = (uint64_t{draw.word[1]} << 32 | draw.word[0]) >> 11;
    return static_cast<double>(bits) * 0x1p-53;
}

} // namespace intarsia
