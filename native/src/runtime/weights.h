// The weights of a model, laid out once for the kernels of its device and shared by all executables.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "cpu/args.h"
#include "runtime/device.h"
#include "runtime/memory.h"

namespace intarsia {

struct Weight {
    std::string name;
    uint32_t rank; // 1: f32 vector of n elements; 2: packed matrix [n outputs, k inputs]
    uint32_t n;
    uint32_t k; // 1 for a vector
    Memory memory;
};

class Weights {
public:
    Weights(std::shared_ptr<Device> device, cpu::Storage storage) : device_(std::move(device)), storage_(storage) {}

    uint32_t add(const char *name, uint32_t dtype, const int64_t *dims, uint32_t rank, const void *data, uint64_t bytes);

    // Weights never move once added. Fails with INTARSIA_INVALID_ARGUMENT on an unknown id.
    const Weight &at(uint32_t id) const;
    uint32_t size() const;
    uint64_t bytes() const;
    cpu::Storage storage() const { return storage_; }
    const std::shared_ptr<Device> &device() const { return device_; }

private:
    std::shared_ptr<Device> device_;
    cpu::Storage storage_;
    mutable std::mutex mutex_; // guards what follows
    std::deque<Weight> weights_;
    std::unordered_map<std::string, uint32_t> ids_;
    uint64_t bytes_ = 0;
};

} // namespace intarsia
