// The weights of a model, laid out once for the kernels of its device and shared by all executables: of the CPU as cpu/args.h says, of a CUDA
// device row-major.
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

// A row-major matrix [outputs, inputs] to row-major values and scales (see cpu/quantize.h), every size checked.
void quantize_matrix(cpu::Storage format, uint32_t dtype, const int64_t *dims, const void *data, uint64_t bytes, void *out_values,
                     uint64_t value_bytes, void *out_scales, uint64_t scale_bytes);

class Weights {
public:
    // storage: F32 or BF16, the precision; matrices: how they are held, the same or quantized.
    Weights(std::shared_ptr<Device> device, cpu::Storage storage, cpu::Storage matrices);

    uint32_t add(const char *name, uint32_t dtype, const int64_t *dims, uint32_t rank, const void *data, uint64_t bytes);
    // A matrix that was quantized before to the format of the set (see cpu/quantize.h).
    uint32_t add_quantized(const char *name, const int64_t *dims, const void *values, uint64_t value_bytes, const void *scales,
                           uint64_t scale_bytes);

    // Weights never move once added. Fails with INTARSIA_INVALID_ARGUMENT on an unknown id.
    const Weight &at(uint32_t id) const;
    uint32_t size() const;
    uint64_t bytes() const;
    cpu::Storage storage() const { return storage_; }
    cpu::Storage matrices() const { return matrices_; }
    const std::shared_ptr<Device> &device() const { return device_; }

private:
    std::shared_ptr<Device> device_;
    void check_new(const char *name) const;
    uint32_t keep(Weight weight);

    cpu::Storage storage_, matrices_;
    mutable std::mutex mutex_; // guards what follows
    std::deque<Weight> weights_;
    std::unordered_map<std::string, uint32_t> ids_;
    uint64_t bytes_ = 0;
};

} // namespace intarsia
