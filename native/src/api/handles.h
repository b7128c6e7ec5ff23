// Handles: what the caller holds is not an address but a ticket that is looked up here, so that a null, stale, foreign or
// mistyped one is found out and never dereferenced. An object lives as long as its handle or anything built on it.
#pragma once

#include <memory>
#include <mutex>

#include "compile/executable.h"
#include "graph/partition.h"
#include "runtime/kv_cache.h"
#include "runtime/step.h"

namespace intarsia::api {

// An object that is changed by calls, with the lock that makes them wait for each other.
template <typename T> struct Locked {
    template <typename... Args> explicit Locked(Args &&...args) : value(std::forward<Args>(args)...) {}
    std::mutex mutex;
    T value;
};

// What each opaque type of intarsia.h stands for.
template <typename Handle> struct Target;
#define INTARSIA_TARGET(handle, type, tag, text) \
    template <> struct Target<handle> {          \
        using Type = type;                       \
        static constexpr uint32_t kTag = tag;    \
        static constexpr const char *kName = text; \
    }
INTARSIA_TARGET(intarsia_device, Device, 1, "device");
INTARSIA_TARGET(intarsia_weights, Weights, 2, "weights");
INTARSIA_TARGET(intarsia_graph, Locked<std::shared_ptr<Graph>>, 3, "graph");
INTARSIA_TARGET(intarsia_partition, Partition, 4, "partition");
INTARSIA_TARGET(intarsia_executable, Executable, 5, "executable");
INTARSIA_TARGET(intarsia_kv_cache, KvCache, 6, "KV cache");
INTARSIA_TARGET(intarsia_step, Locked<Step>, 7, "step");
INTARSIA_TARGET(intarsia_recording, Recording, 8, "recording");
#undef INTARSIA_TARGET

// A ticket for an object. Throws std::bad_alloc.
void *issue(uint32_t tag, std::shared_ptr<void> object);
// The object of a ticket; fails with INTARSIA_INVALID_HANDLE naming what was expected.
std::shared_ptr<void> look_up(uint32_t tag, const char *name, const void *ticket);
// Ends a ticket and answers its object, which the caller then drops; null if the ticket was not valid.
std::shared_ptr<void> withdraw(uint32_t tag, const void *ticket);

template <typename Handle> Handle *make_handle(std::shared_ptr<typename Target<Handle>::Type> object) {
    return static_cast<Handle *>(issue(Target<Handle>::kTag, std::move(object)));
}

template <typename Handle> std::shared_ptr<typename Target<Handle>::Type> get(const Handle *handle) {
    using T = Target<Handle>;
    return std::static_pointer_cast<typename T::Type>(look_up(T::kTag, T::kName, handle));
}

} // namespace intarsia::api
