// Zeroed, 64-byte aligned memory that is asked of the system in whole pages, huge ones where it gives them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace intarsia {

class Memory {
public:
    Memory() = default;
    // Fails with INTARSIA_OUT_OF_MEMORY, naming `what` and the bytes. 0 bytes is an empty buffer with a null address.
    Memory(uint64_t bytes, const char *what);
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
    }
    std::byte *data_ = nullptr;
    uint64_t bytes_ = 0;
};

} // namespace intarsia
