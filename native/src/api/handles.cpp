#include "api/handles.h"

#include <shared_mutex>
#include <vector>

#include "runtime/error.h"

namespace intarsia::api {

namespace {

// A ticket: generation (32 bits) | index + 1 (24 bits) | tag (8 bits). A place is used again under another generation.
struct Place {
    std::shared_ptr<void> object;
    uint32_t generation = 1;
    uint32_t tag = 0;
};

constexpr size_t kMostPlaces = (1u << 24) - 2;

struct Table {
    std::shared_mutex mutex;
    std::vector<Place> places;
    std::vector<uint32_t> free;
};

// Never destroyed: handles may be used and dropped by threads that outlive the exit handlers.
Table &table() {
    static Table &table = *new Table;
    return table;
}

Place *find(Table &table, uint32_t tag, const void *ticket) {
    const uint64_t bits = reinterpret_cast<uintptr_t>(ticket);
    const uint64_t index = ((bits >> 8) & 0xFFFFFF) - 1;
    if ((bits & 0xFF) != tag || index >= table.places.size()) return nullptr;
    Place &place = table.places[index];
    return place.object && place.tag == tag && place.generation == bits >> 32 ? &place : nullptr;
}

} // namespace

void *issue(uint32_t tag, std::shared_ptr<void> object) {
    Table &t = table();
    const std::unique_lock lock(t.mutex);
    if (t.free.empty()) {
        if (t.places.size() >= kMostPlaces) fail(INTARSIA_OUT_OF_MEMORY, "too many handles are open: %zu", t.places.size());
        t.places.emplace_back();
        t.free.reserve(t.places.capacity()); // so that withdraw never allocates
        t.free.push_back(static_cast<uint32_t>(t.places.size() - 1));
    }
    const uint32_t index = t.free.back();
    t.free.pop_back();
    Place &place = t.places[index];
    place.object = std::move(object);
    place.tag = tag;
    return reinterpret_cast<void *>(uint64_t{place.generation} << 32 | uint64_t{index + 1} << 8 | tag);
}

std::shared_ptr<void> look_up(uint32_t tag, const char *name, const void *ticket) {
    Table &t = table();
    {
        const std::shared_lock lock(t.mutex);
        if (const Place *place = find(t, tag, ticket)) return place->object;
    }
    if (ticket == nullptr) fail(INTARSIA_INVALID_HANDLE, "the %s handle is null", name);
    fail(INTARSIA_INVALID_HANDLE, "the %s handle %p is not one: it was destroyed, or is of another kind", name, ticket);
}

std::shared_ptr<void> withdraw(uint32_t tag, const void *ticket) {
    Table &t = table();
    const std::unique_lock lock(t.mutex);
    Place *place = find(t, tag, ticket);
    if (place == nullptr) return nullptr;
    if (++place->generation == 0) place->generation = 1;
    t.free.push_back(static_cast<uint32_t>(place - t.places.data()));
    return std::move(place->object);
}

} // namespace intarsia::api
