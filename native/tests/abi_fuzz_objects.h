// What the fuzzer knows of the objects that it made, and the handles that it may give in their place.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "abi_fuzz.h"

namespace intarsia::fuzz {

template <class T> using Ref = std::shared_ptr<T>;

struct Device {
    intarsia_device *handle;
};

struct WeightSet {
    struct Entry {
        uint32_t id, n, k; // k = 0: a vector
    };
    intarsia_weights *handle;
    Ref<Device> device;
    uint32_t precision, format;
    std::vector<Entry> entries;
    bool alive = true;
};

struct Value {
    enum Kind { TOKENS, POSITIONS, SLOTS, ROWS, MATRIX, TABLE }; // the first four as in enum intarsia_input
    uint32_t id;
    Kind kind;
    uint32_t dim, width;
};

struct Graph {
    struct Append {
        uint32_t kv_heads, head_dim;
    };
    intarsia_graph *handle;
    Ref<WeightSet> weights;
    uint32_t frozen[2];                              // tokens, rows
    uint32_t hidden, heads, kv_heads, head_dim;      // of most of its ops
    std::vector<Value> values;
    std::map<uint32_t, Append> appends;              // by layer
    uint32_t ops = 0;                                // without inputs
    uint32_t vocabulary = 0, logits = 0;             // 0 = no embedding, no output
    bool sealed = false;
    bool undefined = false;                          // there are values of undefined content
};

struct Partition {
    intarsia_partition *handle;
    Ref<Graph> graph;
    std::vector<intarsia_piece_info> pieces;
};

struct Executable {
    intarsia_executable *handle;
    Ref<Partition> partition;
    uint32_t class_id, lo, hi;
    uint32_t fusion; // 0, or INTARSIA_COMPILE_NO_FUSION
};

struct Cache {
    intarsia_kv_cache *handle;
    Ref<Device> device;
    uint32_t precision, layers, kv_heads, head_dim, blocks;
};

struct Step {
    struct Sizes {
        uint32_t tokens, sequences, rows;
    };
    struct Buffer {
        void *address;
        uint64_t bytes;
    };
    intarsia_step *handle;
    Ref<Partition> partition;
    Ref<Cache> cache; // null if it was made without
    intarsia_step_options most;
    Buffer buffers[INTARSIA_BUFFER_RANKS + 1];
    bool begun = false;
    Sizes sizes = {};
    std::set<uint32_t> samplers = {}; // slots that have a sampler state
    int32_t *ints(uint32_t buffer) const { return static_cast<int32_t *>(buffers[buffer].address); }
    intarsia_sampling *sampling() const {
        return static_cast<intarsia_sampling *>(buffers[INTARSIA_BUFFER_SAMPLING].address);
    }
};

struct Recording {
    intarsia_recording *handle;
    Ref<Step> step;
    uint32_t tokens, rows; // 0 = any
    bool samples;
    uint32_t kernels;
};

enum class Kind { DEVICE, WEIGHTS, GRAPH, PARTITION, EXECUTABLE, CACHE, STEP, RECORDING };
constexpr int kKinds = 8;
template <class H> constexpr Kind kKind = Kind::DEVICE;
template <> inline constexpr Kind kKind<intarsia_weights> = Kind::WEIGHTS;
template <> inline constexpr Kind kKind<intarsia_graph> = Kind::GRAPH;
template <> inline constexpr Kind kKind<intarsia_partition> = Kind::PARTITION;
template <> inline constexpr Kind kKind<intarsia_executable> = Kind::EXECUTABLE;
template <> inline constexpr Kind kKind<intarsia_kv_cache> = Kind::CACHE;
template <> inline constexpr Kind kKind<intarsia_step> = Kind::STEP;
template <> inline constexpr Kind kKind<intarsia_recording> = Kind::RECORDING;

// Handles that live and handles that died.
class Handles {
public:
    template <class H> void born(H *handle) {
        ASSERT_NE(handle, nullptr);
        for (int kind = 0; kind < kKinds; kind++) {
            EXPECT_FALSE(has(live_[kind], handle)) << "a handle that is in use was given out again";
            EXPECT_FALSE(has(dead_[kind], handle)) << "a handle that was destroyed was given out again";
        }
        live_[index<H>()].push_back(handle);
    }
    template <class H> void died(H *handle) {
        auto &live = live_[index<H>()];
        live.erase(std::find(live.begin(), live.end(), handle));
        dead_[index<H>()].push_back(handle);
    }
    // Null, destroyed, of another kind, or made up: nothing that stands for a live object of this kind.
    template <class H> H *wrong(Random &random) const {
        for (;;) {
            const void *handle = candidate(random, index<H>());
            if (!has(live_[index<H>()], handle)) return static_cast<H *>(const_cast<void *>(handle));
        }
    }

private:
    template <class H> static constexpr int index() { return static_cast<int>(kKind<H>); }
    static bool has(const std::vector<void *> &list, const void *handle) {
        return std::find(list.begin(), list.end(), handle) != list.end();
    }
    const void *candidate(Random &random, int kind) const {
        const auto &other = live_[random.below(kKinds)];
        switch (random.below(6)) {
        case 0: return nullptr;
        case 1: return dead_[kind].empty() ? nullptr : random.of(dead_[kind]);
        case 2: return other.empty() ? nullptr : random.of(other);
        case 3: return reinterpret_cast<void *>(random.bits());
        case 4: return reinterpret_cast<void *>(random.bits() >> random.below(64));
        default: // one bit away from a live one
            return other.empty() ? nullptr
                                 : reinterpret_cast<void *>(reinterpret_cast<uintptr_t>(random.of(other)) ^
                                                            uint64_t{1} << random.below(64));
        }
    }
    std::vector<void *> live_[kKinds], dead_[kKinds];
};

// The objects of a line of calls. They are made, used and destroyed in any order.
class Objects {
public:
    explicit Objects(Session &session) : session(session), random(session.random) {}

    Session &session;
    Random &random;
    Handles handles;
    std::vector<Ref<Device>> devices;
    std::vector<Ref<WeightSet>> weights;
    std::vector<Ref<Graph>> graphs;
    std::vector<Ref<Partition>> partitions;
    std::vector<Ref<Executable>> executables;
    std::vector<Ref<Cache>> caches;
    std::vector<Ref<Step>> steps;
    std::vector<Ref<Recording>> recordings;

    // The handle, or a wrong one.
    template <class H> H *given(H *handle) {
        if (!session.spoils()) return handle;
        session.next.wrong = session.next.wrong_handle = true;
        return handles.wrong<H>(random);
    }
    // The number, or one that is certainly wrong.
    template <class T> T number(T valid, std::initializer_list<std::type_identity_t<T>> wrong) {
        return session.spoils_argument() ? random.of(wrong) : valid;
    }
    template <class T> T *remember(std::vector<Ref<T>> &list, T object) {
        handles.born(object.handle);
        return list.emplace_back(std::make_shared<T>(std::move(object))).get();
    }

    void destroy(std::vector<Ref<Device>> &list, size_t at) {
        end(list, at, "intarsia_device_destroy", intarsia_device_destroy);
    }
    void destroy(std::vector<Ref<WeightSet>> &list, size_t at) {
        list[at]->alive = false;
        end(list, at, "intarsia_weights_destroy", intarsia_weights_destroy);
    }
    void destroy(std::vector<Ref<Graph>> &list, size_t at) {
        end(list, at, "intarsia_graph_destroy", intarsia_graph_destroy);
    }
    void destroy(std::vector<Ref<Partition>> &list, size_t at) {
        end(list, at, "intarsia_partition_destroy", intarsia_partition_destroy);
    }
    void destroy(std::vector<Ref<Executable>> &list, size_t at) {
        end(list, at, "intarsia_executable_destroy", intarsia_executable_destroy);
    }
    void destroy(std::vector<Ref<Cache>> &list, size_t at) {
        end(list, at, "intarsia_kv_destroy", intarsia_kv_destroy);
    }
    void destroy(std::vector<Ref<Step>> &list, size_t at) {
        fence(*list[at], false);
        end(list, at, "intarsia_step_destroy", intarsia_step_destroy);
    }

    void destroy(std::vector<Ref<Recording>> &list, size_t at) {
        end(list, at, "intarsia_recording_destroy", intarsia_recording_destroy);
    }

    // Destroys one object, whatever depends on it.
    void destroy_any() {
        switch (random.below(8)) {
        case 0: return destroy_one_of(devices);
        case 1: return destroy_one_of(weights);
        case 2: return destroy_one_of(graphs);
        case 3: return destroy_one_of(partitions);
        case 4: return destroy_one_of(executables);
        case 5: return destroy_one_of(caches);
        case 6: return destroy_one_of(steps);
        default: return destroy_one_of(recordings);
        }
    }
    void destroy_all() {
        while (!devices.empty() || !weights.empty() || !graphs.empty() || !partitions.empty() || !executables.empty() ||
               !caches.empty() || !steps.empty() || !recordings.empty())
            destroy_any();
    }

    // Lets or forbids access to what lies between the buffers of a step, where the sanitizer can tell.
    static void fence(const Step &step, bool up);

private:
    template <class T> void destroy_one_of(std::vector<Ref<T>> &list) {
        if (!list.empty()) destroy(list, random.below(static_cast<uint32_t>(list.size())));
    }
    template <class T, class H>
    void end(std::vector<Ref<T>> &list, size_t at, const char *name, void (*function)(H *)) {
        H *handle = list[at]->handle;
        list.erase(list.begin() + static_cast<ptrdiff_t>(at));
        session.destroy(name, function, handle);
        handles.died(handle);
        if (random.once_in(4)) session.destroy(name, function, handle);                       // once more
        if (random.once_in(4)) session.destroy(name, function, handles.wrong<H>(random)); // nobody's
    }
};

} // namespace intarsia::fuzz
