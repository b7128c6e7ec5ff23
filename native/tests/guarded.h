// Buffers between two inaccessible pages, so that one byte read or written past the end stops the test.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <stdexcept>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace intarsia::test {

// `count` elements of T that end where an inaccessible page begins. What lies between the page in front and the first
// element must still be there when the buffer goes. Elements start as bytes 0xFF: NaN for floats of every width.
template <class T> class Guarded {
public:
    explicit Guarded(size_t count) : count_(count) {
        const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        bytes_ = (count * sizeof(T) + page - 1) / page * page;
        total_ = bytes_ + 2 * page;
        void *base = mmap(nullptr, total_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (base == MAP_FAILED) {
            throw std::runtime_error("no memory for a guarded buffer");
        }
        base_ = static_cast<unsigned char *>(base);
        begin_ = base_ + page;
        if (bytes_ > 0 && mprotect(begin_, bytes_, PROT_READ | PROT_WRITE) != 0) {
            throw std::runtime_error("no access to a guarded buffer");
        }
        std::memset(begin_, kCanary, slack());
        std::memset(begin_ + slack(), 0xFF, bytes_ - slack());
    }
    Guarded(std::initializer_list<T> values) : Guarded(values.begin(), values.size()) {}
    Guarded(const std::vector<T> &values) : Guarded(values.data(), values.size()) {}
    Guarded(const T *values, size_t count) : Guarded(count) { copy(values); }
    Guarded(const Guarded &other) : Guarded(other.data(), other.count_) {}
    Guarded(Guarded &&other) noexcept
        : count_(other.count_), bytes_(other.bytes_), total_(other.total_), base_(std::exchange(other.base_, nullptr)),
          begin_(other.begin_) {}
    Guarded &operator=(const Guarded &) = delete;
    ~Guarded() {
        if (base_) {
            size_t broken = 0;
            for (size_t i = 0; i < slack(); ++i) {
                broken += begin_[i] != kCanary;
            }
            EXPECT_EQ(broken, 0u) << "bytes were written in front of a buffer";
            munmap(base_, total_);
        }
    }

    T *data() { return reinterpret_cast<T *>(begin_ + slack()); }
    const T *data() const { return reinterpret_cast<const T *>(begin_ + slack()); }
    size_t size() const { return count_; }
    size_t bytes() const { return count_ * sizeof(T); }
    T &operator[](size_t i) { return data()[i]; }
    const T &operator[](size_t i) const { return data()[i]; }
    T *begin() { return data(); }
    T *end() { return data() + count_; }
    const T *begin() const { return data(); }
    const T *end() const { return data() + count_; }
    std::vector<T> vector() const { return {begin(), end()}; }

private:
    static constexpr unsigned char kCanary = 0xA5;

    size_t slack() const { return bytes_ - count_ * sizeof(T); }
    void copy(const T *values) {
        if (count_ > 0) {
            std::memcpy(data(), values, count_ * sizeof(T));
        }
    }

    size_t count_;
    size_t bytes_ = 0; // accessible
    size_t total_ = 0;
    unsigned char *base_ = nullptr;
    unsigned char *begin_ = nullptr;
};

} // namespace intarsia::test
