// Memory of the host: zeroed, 64-byte aligned, asked of the system in whole pages, huge ones where it gives them. Or of a CUDA device: from its
// pool, 256-byte aligned, its content undefined, never to be read or written by the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace intarsia {

class Gpu;

class Memory {
public:
    Memory() = default;
    // Fails with INTARSIA_OUT_OF_MEMORY, naming `what` and the bytes. 0 bytes is an empty buffer with a null address.
    Memory(uint64_t bytes, const char *what, std::shared_ptr<Gpu> gpu = nullptr);
    ~Memory();
    Memory(Memory &&other) noexcept { swap(other); }
    Memory &operator=(Memory &&other) noexcept {
        swap(other);
        return *this;
    }

    std::byte *data() const { return data_; }
    template <typename T> T *as() const { return reinterpret_cast<T *>(data_); }
    uint64_t bytes() const { return bytes_; }

private:
    void swap(Memory &other) {
        std::swap(data_, other.data_);
        std::swap(bytes_, other.bytes_);
        std::swap(gpu_, other.gpu_);
    }
    std::byte *data_ = nullptr;
    uint64_t bytes_ = 0;
    std::shared_ptr<Gpu> gpu_; // whose memory it is; null: the host's
};

} // namespace intarsia
