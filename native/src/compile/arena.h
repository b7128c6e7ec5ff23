// Plans the scratch memory of an executable.
#pragma once

#include <cstdint>
#include <vector>

namespace intarsia {

constexpr uint64_t kArenaAlignment = 64;
constexpr uint64_t kMaxArena = uint64_t{1} << 48; // bytes

// Memory that is in use from instruction `first` to `last`, both included.
struct Buffer {
    uint64_t bytes;
    uint32_t first;
    uint32_t last;
    uint64_t offset = 0; // filled in by plan_arena
};

// Gives each buffer an offset such that buffers in use at the same time never overlap; answers the bytes of the arena,
// or UINT64_MAX if that would be more than kMaxArena. The buffers come in order of `first`.
uint64_t plan_arena(std::vector<Buffer> &buffers);

} // namespace intarsia
