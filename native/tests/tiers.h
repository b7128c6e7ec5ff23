// Runs kernels of every tier the machine has, with any number of shares, in the floating-point mode of the thread team.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <gtest/gtest.h>

#include "cpu/args.h"
#include "cpu/vec_scalar.h"
#include "runtime/device.h"
#include "runtime/memory.h"

#include "cpu/math.h"

namespace intarsia::test {

// Denormals flushed to zero, on input too, while it lives.
class Flushed {
public:
#if defined(__x86_64__)
    Flushed() : saved_(_mm_getcsr()) { _mm_setcsr(static_cast<unsigned>(saved_) | 0x8040); }
    ~Flushed() { _mm_setcsr(static_cast<unsigned>(saved_)); }
#elif defined(__aarch64__)
    Flushed() {
        asm volatile("mrs %0, fpcr" : "=r"(saved_));
        asm volatile("msr fpcr, %0" : : "r"(saved_ | uint64_t{1} << 24));
    }
    ~Flushed() { asm volatile("msr fpcr, %0" : : "r"(saved_)); }
#else
#error "how does this processor flush denormals?"
#endif
    Flushed(const Flushed &) = delete;
    Flushed &operator=(const Flushed &) = delete;

private:
    uint64_t saved_;
};

// The scalar tier with the kernels of AMX by emulated tiles (tier_amx_emulated.cpp).
const cpu::Kernels &amx_emulated();

// The kernels of a tier by name, null if this build or machine lacks it.
inline const cpu::Kernels *kernels_of(const std::string &name) {
    if (name == "amx_emulated") {
        return &amx_emulated();
    }
    for (const Tier &tier : build_tiers()) {
        if (tier.supported && name == tier.kernels->tier) {
            return tier.kernels;
        }
    }
    return nullptr;
}

// A test of one tier, named by the parameter.
class TierTest : public testing::TestWithParam<const char *> {
protected:
    void SetUp() override {
        kernels_ = kernels_of(GetParam());
        if (!kernels_) {
            GTEST_SKIP() << "this machine or build has no tier " << GetParam();
        }
    }
    const cpu::Kernels &kernels() const { return *kernels_; }

private:
    const cpu::Kernels *kernels_ = nullptr;
};

#if defined(__aarch64__)
#define INTARSIA_TIERS "scalar", "neon", "amx_emulated"
#else
#define INTARSIA_TIERS "scalar", "avx2", "avx512", "amx", "amx_emulated"
#endif
#define INTARSIA_EVERY_TIER(suite)                                                                                     \
    INSTANTIATE_TEST_SUITE_P(Tier, suite, testing::Values(INTARSIA_TIERS),                                             \
                             [](const auto &info) { return std::string(info.param); })

// Memory of a thread, as much as any tier needs; what the last call left is there.
inline std::byte *scratch() {
    static Memory memory(uint64_t{4} << 20, "scratch");
    return memory.data();
}

// All shares of a kernel call, the last one first.
template <class Args> void run(void (*kernel)(const Args &, cpu::Share), const Args &args, uint32_t shares = 1) {
    const Flushed flushed;
    for (uint32_t i = shares; i > 0; --i) {
        kernel(args, {i - 1, shares, scratch()});
    }
}

// e^x of the kernels, which math_test measures; given it, the references are exact to the bit.
inline float kernel_exp(float x) { return cpu::exp(cpu::ScalarVec::all(x)).max(); }
inline float kernel_silu(float x) { return x / (1.0f + kernel_exp(-x)); }

constexpr uint32_t kShares[] = {1, 2, 3, 7};

inline uint32_t bits(float value) {
    uint32_t out;
    std::memcpy(&out, &value, 4);
    return out;
}
inline float from_bits(uint32_t value) {
    float out;
    std::memcpy(&out, &value, 4);
    return out;
}

// Equal bits; one NaN is as good as another, since the order of operands picks the payload.
inline bool same(float a, float b) { return bits(a) == bits(b) || (std::isnan(a) && std::isnan(b)); }
inline bool same(uint16_t a, uint16_t b) { return a == b; }

// The first difference between two sequences, of at least the length of `want`.
template <class A, class B> testing::AssertionResult same_bits(const A &got, const B &want) {
    if (got.size() != want.size()) {
        return testing::AssertionFailure() << got.size() << " elements, not " << want.size();
    }
    size_t different = 0;
    size_t first = 0;
    for (size_t i = want.size(); i > 0; --i) {
        if (!same(got[i - 1], want[i - 1])) {
            ++different;
            first = i - 1;
        }
    }
    if (different == 0) {
        return testing::AssertionSuccess();
    }
    return testing::AssertionFailure() << different << " of " << want.size() << " differ, the first at " << first
                                       << ": " << got[first] << ", not " << want[first];
}

// Random values: most of them ordinary, with a spread of magnitudes that makes every rounding count, some zeros of both
// signs.
class Random {
public:
    explicit Random(uint32_t seed) : engine_(seed) {}
    uint32_t next() { return static_cast<uint32_t>(engine_()); }
    uint32_t below(uint32_t bound) { return next() % bound; }
    float uniform(float lo, float hi) { return lo + (hi - lo) * static_cast<float>(next() >> 8) * 0x1p-24f; }
    float value() {
        const float ordinary = std::ldexp(uniform(-1, 1), static_cast<int>(below(5)) - 2);
        return below(32) == 0 ? std::copysign(0.0f, ordinary) : ordinary;
    }
    std::vector<float> values(size_t count, float factor = 1) {
        std::vector<float> out(count);
        for (float &v : out) {
            v = value() * factor;
        }
        return out;
    }

private:
    std::mt19937 engine_;
};

} // namespace intarsia::test
