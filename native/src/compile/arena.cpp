#include "compile/arena.h"

#include <functional>
#include <map>
#include <queue>

namespace intarsia {

namespace {

// The free ranges below the end of the arena. Ranges never touch each other.
class Space {
public:
    // The smallest free range that holds it; else the arena grows, from its last free range if that reaches the end.
    uint64_t allocate(uint64_t bytes) {
        auto best = free_.end();
        for (auto range = free_.begin(); range != free_.end(); ++range) {
            if (range->second >= bytes && (best == free_.end() || range->second < best->second)) {
                best = range;
            }
        }
        if (best != free_.end()) {
            const auto [offset, length] = *best;
            free_.erase(best);
            if (length > bytes) {
                free_.emplace(offset + bytes, length - bytes);
            }
            return offset;
        }
        uint64_t offset = end_;
        if (!free_.empty()) {
            const auto last = std::prev(free_.end());
            if (last->first + last->second == end_) {
                offset = last->first;
                free_.erase(last);
            }
        }
        end_ = offset + bytes;
        return offset;
    }

    void release(uint64_t offset, uint64_t bytes) {
        auto next = free_.upper_bound(offset);
        if (next != free_.begin()) {
            const auto previous = std::prev(next);
            if (previous->first + previous->second == offset) {
                offset = previous->first;
                bytes += previous->second;
                free_.erase(previous);
            }
        }
        if (next != free_.end() && offset + bytes == next->first) {
            bytes += next->second;
            free_.erase(next);
        }
        free_.emplace(offset, bytes);
    }

    uint64_t end() const { return end_; }

private:
    std::map<uint64_t, uint64_t> free_; // offset -> bytes
    uint64_t end_ = 0;
};

uint64_t aligned(uint64_t bytes) { return (bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment; }

} // namespace

uint64_t plan_arena(std::vector<Buffer> &buffers) {
    Space space;
    using Ending = std::pair<uint32_t, size_t>; // last instruction, buffer
    std::priority_queue<Ending, std::vector<Ending>, std::greater<>> in_use;
    for (size_t i = 0; i < buffers.size(); i++) {
        while (!in_use.empty() && in_use.top().first < buffers[i].first) {
            const Buffer &ended = buffers[in_use.top().second];
            space.release(ended.offset, aligned(ended.bytes));
            in_use.pop();
        }
        if (buffers[i].bytes > kMaxArena) {
            return UINT64_MAX;
        }
        buffers[i].offset = space.allocate(aligned(buffers[i].bytes));
        if (space.end() > kMaxArena) {
            return UINT64_MAX;
        }
        in_use.emplace(buffers[i].last, i);
    }
    return space.end();
}

} // namespace intarsia
