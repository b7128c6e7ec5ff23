// What the fuzzer of the C ABI is made of: arguments that may be spoilt on purpose, each in memory of exactly its size,
// and calls whose answers are held against the rules of intarsia.h.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <gtest/gtest.h>

#include "intarsia.h"

namespace intarsia::fuzz {

class Random {
public:
    explicit Random(uint64_t seed) : engine_(seed) {}
    uint64_t bits() { return engine_(); }
    uint32_t below(uint32_t bound) { return static_cast<uint32_t>(engine_() % bound); }
    uint32_t from(uint32_t least, uint32_t most) { return least + below(most - least + 1); }
    bool once_in(uint32_t n) { return below(n) == 0; }
    float uniform(float lo, float hi) { return lo + (hi - lo) * static_cast<float>(engine_() >> 40) * 0x1p-24f; }
    template <class T> T of(std::initializer_list<T> values) {
        return values.begin()[below(static_cast<uint32_t>(values.size()))];
    }
    template <class T> const T &of(const std::vector<T> &values) {
        return values[below(static_cast<uint32_t>(values.size()))];
    }

private:
    std::mt19937_64 engine_;
};

// Control bits of the thread's floating-point mode: rounding, flushing of denormals, masks.
inline uint64_t float_mode() {
#if defined(__x86_64__)
    return _mm_getcsr() & 0xFFC0;
#elif defined(__aarch64__)
    uint64_t mode;
    asm volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
#else
    return 0;
#endif
}

inline void set_float_mode(uint64_t mode) {
#if defined(__x86_64__)
    _mm_setcsr(static_cast<uint32_t>(mode));
#elif defined(__aarch64__)
    asm volatile("msr fpcr, %0" : : "r"(mode));
#else
    static_cast<void>(mode);
#endif
}

// Some other mode: every rounding, with and without flushing.
inline uint64_t other_float_mode(Random &random, uint64_t mode) {
#if defined(__x86_64__)
    return mode ^ random.of({0x2000u, 0x4000u, 0x6000u, 0x8000u, 0x8040u, 0xE040u});
#elif defined(__aarch64__)
    return mode ^ (uint64_t{random.from(1, 7)} << 22);
#else
    return static_cast<void>(random), mode;
#endif
}

// How often each function of the header was called and succeeded, and how long it took at most. Threads may count
// together.
class Tally {
public:
    struct Entry {
        char result; // letter of the table: i status, v nothing
        std::atomic<uint64_t> calls{0}, successes{0}, longest_ns{0};
    };

    static Tally &get() {
        static Tally tally;
        return tally;
    }
    // Null for a function that is not in the library's own table.
    Entry *find(const std::string &name) {
        const auto entry = entries_.find(name);
        return entry == entries_.end() ? nullptr : &entry->second;
    }
    const std::map<std::string, Entry> &entries() const { return entries_; }
    uint64_t calls() const {
        uint64_t total = 0;
        for (const auto &[name, entry] : entries_) total += entry.calls;
        return total;
    }

private:
    Tally() {
        std::istringstream lines(intarsia_abi_table());
        for (std::string line; std::getline(lines, line);) {
            std::istringstream words(line);
            std::string kind, name, signature;
            words >> kind >> name >> signature;
            if (kind == "function") entries_[name].result = signature[0];
        }
    }
    std::map<std::string, Entry> entries_;
};

// Memory of exactly so many bytes, filled with canaries, `offset` bytes past an aligned address.
class Block {
public:
    static constexpr unsigned char kCanary = 0xA5;
    explicit Block(size_t bytes, size_t offset = 0)
        : bytes_(bytes), offset_(offset), memory_(new unsigned char[bytes + offset]) {
        std::memset(data(), kCanary, bytes);
    }
    unsigned char *data() const { return memory_.get() + offset_; }
    size_t bytes() const { return bytes_; }
    bool untouched(size_t from = 0) const {
        for (size_t i = from; i < bytes_; i++)
            if (data()[i] != kCanary) return false;
        return true;
    }

private:
    size_t bytes_, offset_;
    std::unique_ptr<unsigned char[]> memory_;
};

// What is known of the next call from the arguments made for it.
struct Foretold {
    bool wrong = false; // an argument is invalid, or the state is
    bool wrong_handle = false; // and it is a handle
    bool unsure = false; // it may be
};

template <class T>
concept Sized = requires(T t) { t.struct_size; };

// One line of calls by one thread.
class Session {
public:
    // One argument in `chaos` is spoilt, none for 0. Unless alone, other threads use the same handles, and no outcome
    // can be foretold.
    Session(uint64_t seed, uint32_t chaos, bool alone = true) : random(seed), chaos(chaos), alone(alone) {}

    Random random;
    uint32_t chaos;
    const bool alone;
    Foretold next;

    bool spoils() { return chaos != 0 && random.once_in(chaos); }
    bool spoils_argument() {
        const bool spoils = this->spoils();
        next.wrong |= spoils;
        return spoils;
    }

    // Calls a function with arguments, of which In and Out pass their pointers, and judges the answer. True if it
    // succeeded.
    template <class... P, class... A> bool call(const char *name, intarsia_status (*function)(P...), A &&...arguments) {
        const Foretold foretold = std::exchange(next, {});
        const uint64_t mode = float_mode();
        const uint64_t during = random.once_in(8) ? other_float_mode(random, mode) : mode;
        set_float_mode(during);
        const auto start = std::chrono::steady_clock::now();
        const intarsia_status status = function(raw(arguments)...);
        const auto end = std::chrono::steady_clock::now();
        const uint64_t after = float_mode();
        set_float_mode(mode);
        EXPECT_EQ(after, during) << name << " changed the floating-point mode";
        count(name, status == INTARSIA_OK, end - start);
        judge(name, status, foretold);
        if (status != INTARSIA_OK) {
            EXPECT_TRUE((untouched(arguments) && ...))
                << name << " failed and yet wrote an answer: " << intarsia_last_error();
        }
        return status == INTARSIA_OK;
    }

    template <class H> void destroy(const char *name, void (*function)(H *), H *handle) {
        next = {};
        const auto start = std::chrono::steady_clock::now();
        function(handle);
        count(name, true, std::chrono::steady_clock::now() - start);
    }

private:
    template <class T> static decltype(auto) raw(T &&argument) {
        if constexpr (requires { argument.pointer(); }) return argument.pointer();
        else return std::forward<T>(argument);
    }
    template <class T> static bool untouched(const T &argument) {
        if constexpr (requires { argument.untouched(); }) return argument.untouched();
        else return true;
    }

    static void count(const char *name, bool success, std::chrono::nanoseconds took) {
        Tally::Entry *entry = Tally::get().find(name);
        ASSERT_TRUE(entry) << name << " is not in the library's table";
        entry->calls++;
        entry->successes += success;
        const auto ns = static_cast<uint64_t>(took.count());
        for (uint64_t longest = entry->longest_ns;
             ns > longest && !entry->longest_ns.compare_exchange_weak(longest, ns);) {
        }
    }

    void judge(const char *name, intarsia_status status, const Foretold &foretold) const {
        const std::string error = status == INTARSIA_OK ? "" : intarsia_last_error();
        if (status != INTARSIA_OK) {
            ASSERT_TRUE(status > 0 && status < INTARSIA_DEVICE_FAULT) << name << ": status " << status << ", " << error;
            const std::string start = std::string(name) + ": ";
            ASSERT_TRUE(error.size() > start.size() && error.compare(0, start.size(), start) == 0)
                << name << ": status " << status << " with the error \"" << error << "\"";
        }
        if (!alone) return;
        if (foretold.wrong_handle) {
            EXPECT_EQ(status, INTARSIA_INVALID_HANDLE) << name << " was given a wrong handle; " << error;
        } else if (foretold.wrong) {
            EXPECT_NE(status, INTARSIA_OK) << name << " took what is invalid";
        } else if (!foretold.unsure) {
            EXPECT_EQ(status, INTARSIA_OK) << name << " refused what is valid: " << error;
        }
        EXPECT_TRUE(foretold.wrong_handle || foretold.unsure || status != INTARSIA_INVALID_HANDLE)
            << name << ": " << error;
    }
};

#define FUZZ_CALL(session, function, ...) (session).call(#function, &function, __VA_ARGS__)

// Nothing is spoilt while it lives.
class Calm {
public:
    explicit Calm(Session &session) : session_(session), chaos_(std::exchange(session.chaos, 0)) {}
    ~Calm() { session_.chaos = chaos_; }
    Calm(const Calm &) = delete;

private:
    Session &session_;
    uint32_t chaos_;
};

// `count` elements of T that the library may read or write; or, spoilt, a null or misaligned pointer.
template <class T> class Pointer {
public:
    Pointer(Session &session, size_t count)
        : offset_(alignof(T) > 1 && session.spoils_argument() ? session.random.from(1, alignof(T) - 1) : 0),
          null_(session.spoils_argument()), block_(count * sizeof(T), offset_) {}
    T *pointer() const { return null_ ? nullptr : reinterpret_cast<T *>(block_.data()); }
    size_t elements() const { return block_.bytes() / sizeof(T); }
    bool valid() const { return !null_ && offset_ == 0; }

private:
    size_t offset_;
    bool null_;

protected:
    Block block_;
};

// An array that is only read.
template <class T> class Array : public Pointer<const T> {
public:
    Array(Session &session, const std::vector<T> &values) : Pointer<const T>(session, values.size()) {
        if (!values.empty()) std::memcpy(this->block_.data(), values.data(), values.size() * sizeof(T));
    }
};

inline uint32_t wrong_size(Random &random, uint32_t size) {
    return random.of({0u, 1u, size - 4, size - 1, size + 1, size + 8, 0x7FFFFFFFu, 0xFFFFFFFFu});
}

// An array that is only written.
template <class T> class Answers : public Pointer<T> {
public:
    using Pointer<T>::Pointer;
    const Block &block() const { return this->block_; }
    bool untouched() const { return this->block_.untouched(); }
    bool written() const {
        const Block canary(sizeof(T));
        for (size_t at = 0; at < this->block_.bytes(); at += sizeof(T))
            if (std::memcmp(this->block_.data() + at, canary.data(), sizeof(T)) == 0) return false;
        return true;
    }
};

// A struct of options. Of one that lies about its size nothing else is there.
template <Sized T> class In : public Pointer<const T> {
public:
    In(Session &session, T value) : In(session, value, session.spoils_argument()) {}

private:
    In(Session &session, T value, bool lies) : Pointer<const T>(session, 1), lie_(sizeof(uint32_t)), lies_(lies) {
        value.struct_size = lies ? wrong_size(session.random, sizeof(T)) : uint32_t{sizeof(T)};
        std::memcpy(this->block_.data(), &value, sizeof(T));
        std::memcpy(lie_.data(), &value.struct_size, sizeof(uint32_t));
    }
    Block lie_;
    bool lies_;

public:
    const T *pointer() const {
        return lies_ && this->valid() ? reinterpret_cast<const T *>(lie_.data()) : Pointer<const T>::pointer();
    }
};

// Where an answer goes.
template <class T> class Out : public Pointer<T> {
public:
    explicit Out(Session &session) : Pointer<T>(session, 1) {}
    bool untouched() const { return this->block_.untouched(); }
    T value() const {
        T value;
        std::memcpy(&value, this->block_.data(), sizeof value);
        return value;
    }
};

// Where a struct of answers goes.
template <Sized T> class Out<T> : public Pointer<T> {
public:
    explicit Out(Session &session) : Pointer<T>(session, 1), lie_(sizeof(uint32_t)), lies_(session.spoils_argument()) {
        size_ = lies_ ? wrong_size(session.random, sizeof(T)) : uint32_t{sizeof(T)};
        std::memcpy(this->block_.data(), &size_, sizeof size_);
        std::memcpy(lie_.data(), &size_, sizeof size_);
    }
    T *pointer() const { return lies_ && this->valid() ? reinterpret_cast<T *>(lie_.data()) : Pointer<T>::pointer(); }
    bool untouched() const { return this->block_.untouched(sizeof size_) && kept(this->block_) && kept(lie_); }
    T value() const {
        T value;
        std::memcpy(&value, this->block_.data(), sizeof value);
        EXPECT_EQ(value.struct_size, sizeof value);
        return value;
    }

private:
    bool kept(const Block &block) const { return std::memcmp(block.data(), &size_, sizeof size_) == 0; }
    Block lie_;
    bool lies_;
    uint32_t size_;
};

// The buffer of a describing function: of exactly its capacity, null for capacity 0 or spoilt.
class Text {
public:
    Text(Session &session, uint64_t capacity) : block_(capacity), null_(capacity == 0 || session.spoils_argument()) {}
    char *pointer() const { return null_ ? nullptr : reinterpret_cast<char *>(block_.data()); }
    uint64_t capacity() const { return block_.bytes(); }
    bool untouched() const { return block_.untouched(); }
    // After a success that says that the whole text needs so many bytes.
    void check(uint64_t needed) const {
        EXPECT_GT(needed, 1u);
        if (null_) return;
        const uint64_t written = std::min(capacity(), needed);
        EXPECT_EQ(std::strlen(pointer()), written - 1);
        EXPECT_TRUE(block_.untouched(written));
    }

private:
    Block block_;
    bool null_;
};

} // namespace intarsia::fuzz
