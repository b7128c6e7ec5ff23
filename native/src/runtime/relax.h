// What a thread does between two looks at something that is about to change.
#pragma once

namespace intarsia {

inline void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb"); // the yield hint takes no time on most cores
#endif
}

} // namespace intarsia
