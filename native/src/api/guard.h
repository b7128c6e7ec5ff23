// What every entry of the C ABI goes through: arguments checked, no exception lets out, the last error set.
#pragma once

#include <cstdint>
#include <new>

#include "api/handles.h"
#include "runtime/error.h"

namespace intarsia::api {


// Runs body; an exception becomes a status and the last error, which begins with the entry's name.
template <typename Body> intarsia_status guarded(const char *entry, Body &&body) noexcept;
intarsia_status report(const char *entry) noexcept; // inside a catch block

template <typename Body> intarsia_status guarded(const char *entry, Body &&body) noexcept {
    try {
        body();
        return INTARSIA_OK;
    } catch (...) {
        return report(entry);
    }
}

template <typename Handle> void destroy(const Handle *handle) noexcept {
    if (handle != nullptr) withdraw(Target<Handle>::kTag, handle).reset();
}

// A pointer argument: not null and aligned.
template <typename T> T *checked(T *pointer, const char *name) {
    if (pointer == nullptr) fail(INTARSIA_INVALID_ARGUMENT, "%s is null", name);
    if constexpr (!std::is_void_v<T>)
        if (reinterpret_cast<uintptr_t>(pointer) % alignof(T) != 0)
            fail(INTARSIA_INVALID_ARGUMENT, "%s is not aligned to %zu bytes", name, alignof(T));
    return pointer;
}

// A struct argument that begins with its size.
template <typename T> T &checked_struct(T *pointer, const char *name) {
    checked(pointer, name);
    if (pointer->struct_size != sizeof(T))
        fail(INTARSIA_INVALID_ARGUMENT, "%s.struct_size is %u, but this library knows %zu: caller and library differ in version", name,
             pointer->struct_size, sizeof(T));
    return *pointer;
}

inline void check_reserved(uint32_t reserved, const char *name) {
    if (reserved != 0) fail(INTARSIA_INVALID_ARGUMENT, "%s.reserved is %u, not 0", name, reserved);
}

cpu::Storage storage_of(uint32_t precision);
// How matrices are held; `native` for INTARSIA_WEIGHTS_NATIVE.
cpu::Storage matrices_of(uint32_t format, cpu::Storage native);

// Copies text with its final zero as far as it fits.
void copy_text(const std::string &text, char *buffer, uint64_t capacity, uint64_t *out_needed);

} // namespace intarsia::api
