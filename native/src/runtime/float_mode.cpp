// The floating-point mode of a thread: MXCSR on x86-64, FPCR and FPSR on aarch64. Elsewhere the promise of equal bits
// cannot be kept.
#include "runtime/team.h"

#if defined(__x86_64__)

#include <immintrin.h>

namespace intarsia {

namespace {
constexpr uint32_t kMode = 0x8000    // flush to zero
                           | 0x0040  // denormals are zero
                           | 0x1F80; // all exceptions masked; rounding control 0: to nearest
} // namespace

FloatMode::FloatMode() : saved_(_mm_getcsr()) { _mm_setcsr(kMode); }

FloatMode::~FloatMode() { _mm_setcsr(static_cast<uint32_t>(saved_)); }

} // namespace intarsia

#elif defined(__aarch64__)

namespace intarsia {

namespace {
constexpr uint64_t kMode = uint64_t{1} << 24; // FZ: flush inputs and results; rounding mode 0: to nearest; no traps
} // namespace

// Both registers hold 32 bits: FPCR, the mode, is saved in the upper half and FPSR, the exception flags, in the lower.
FloatMode::FloatMode() {
    uint64_t mode, flags;
    asm volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(mode), "=r"(flags));
    saved_ = mode << 32 | (flags & 0xFFFFFFFFu);
    asm volatile("msr fpcr, %0" : : "r"(kMode) : "memory");
}

FloatMode::~FloatMode() {
    asm volatile("msr fpcr, %0\n\tmsr fpsr, %1" : : "r"(saved_ >> 32), "r"(saved_ & 0xFFFFFFFFu) : "memory");
}

} // namespace intarsia

#else
#error "Intarsia sets the floating-point mode of x86-64 and aarch64 only"
#endif
