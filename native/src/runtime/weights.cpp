#include "runtime/weights.h"

#include <algorithm>

#include "cpu/pack.h"
#include "runtime/error.h"

namespace intarsia {

namespace {

constexpr int64_t kLargestSide = int64_t{1} << 30;

cpu::Source source_of(uint32_t dtype, const char *name) {
    switch (dtype) {
    case INTARSIA_DTYPE_F32: return cpu::Source::F32;
    case INTARSIA_DTYPE_F16: return cpu::Source::F16;
    case INTARSIA_DTYPE_BF16: return cpu::Source::BF16;
    default: fail(INTARSIA_INVALID_ARGUMENT, "weight '%s': dtype %u is unknown", name, dtype);
    }
}

struct PackJob {
    const void *data;
    cpu::Source source;
    const Weight &weight;
    cpu::Storage storage;
    uint32_t members;
};

} // namespace

uint32_t Weights::add(const char *name, uint32_t dtype, const int64_t *dims, uint32_t rank, const void *data, uint64_t bytes) {
    if (name[0] == 0) fail(INTARSIA_INVALID_ARGUMENT, "a weight needs a name");
    const std::lock_guard lock(mutex_);
    if (ids_.contains(name)) fail(INTARSIA_INVALID_ARGUMENT, "weight '%s' was added before", name);
    const cpu::Source source = source_of(dtype, name);
    if (rank != 1 && rank != 2) fail(INTARSIA_INVALID_ARGUMENT, "weight '%s' has rank %u; 1 and 2 are known", name, rank);
    uint64_t count = 1;
    for (uint32_t i = 0; i < rank; i++) {
        if (dims[i] < 1 || dims[i] > kLargestSide)
            fail(INTARSIA_INVALID_ARGUMENT, "weight '%s': dimension %u is %lld, not in 1..%lld", name, i, static_cast<long long>(dims[i]),
                 static_cast<long long>(kLargestSide));
        count *= static_cast<uint64_t>(dims[i]);
    }
    const uint64_t expected = count * (source == cpu::Source::F32 ? 4 : 2);
    if (bytes != expected)
        fail(INTARSIA_INVALID_ARGUMENT, "weight '%s' has %llu bytes of data, but its shape needs %llu", name,
             static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(expected));

    Weight weight{.name = name, .rank = rank, .n = static_cast<uint32_t>(dims[0]), .k = 1, .memory = {}};
    if (rank == 1) {
        weight.memory = Memory(count * sizeof(float), name);
        cpu::widen(data, source, count, weight.memory.as<float>());
    } else {
        weight.k = static_cast<uint32_t>(dims[1]);
        weight.memory = Memory(cpu::matrix_bytes(weight.n, weight.k, storage_), name);
        PackJob job{data, source, weight, storage_, device_->team().threads()};
        device_->team().run(
            [](void *context, uint32_t member) {
                const auto &job = *static_cast<PackJob *>(context);
                const uint64_t tiles = cpu::tiles(job.weight.n);
                cpu::pack(job.data, job.source, job.weight.n, job.weight.k, job.storage, job.weight.memory.data(),
                          static_cast<uint32_t>(tiles * member / job.members), static_cast<uint32_t>(tiles * (member + 1) / job.members));
            },
            &job);
    }
    // The name first, then the weight: where memory for either is refused, nothing has changed.
    const auto id = static_cast<uint32_t>(weights_.size());
    const uint64_t held = weight.memory.bytes();
    const auto entry = ids_.emplace(name, id).first;
    try {
        weights_.push_back(std::move(weight));
    } catch (...) {
        ids_.erase(entry);
        throw;
    }
    bytes_ += held;
    return id;
}

const Weight &Weights::at(uint32_t id) const {
    const std::lock_guard lock(mutex_);
    if (id >= weights_.size()) fail(INTARSIA_INVALID_ARGUMENT, "there is no weight %u: the set has %zu", id, weights_.size());
    return weights_[id];
}

uint32_t Weights::size() const {
    const std::lock_guard lock(mutex_);
    return static_cast<uint32_t>(weights_.size());
}

uint64_t Weights::bytes() const {
    const std::lock_guard lock(mutex_);
    return bytes_;
}

} // namespace intarsia
