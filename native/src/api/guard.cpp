#include "api/guard.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace intarsia::api {

namespace {
thread_local char last_error[1280] = "";
}

intarsia_status report(const char *entry) noexcept {
    try {
        throw;
    } catch (const Error &error) {
        std::snprintf(last_error, sizeof last_error, "%s: %s", entry, error.what());
        return error.status();
    } catch (const std::bad_alloc &) {
        std::snprintf(last_error, sizeof last_error, "%s: out of memory", entry);
        return INTARSIA_OUT_OF_MEMORY;
    } catch (const std::exception &error) {
        std::snprintf(last_error, sizeof last_error, "%s: internal error: %s", entry, error.what());
    } catch (...) {
        std::snprintf(last_error, sizeof last_error, "%s: internal error of an unknown kind", entry);
    }
    return INTARSIA_INTERNAL;
}

cpu::Storage storage_of(uint32_t precision) {
    switch (precision) {
    case INTARSIA_PRECISION_F32: return cpu::Storage::F32;
    case INTARSIA_PRECISION_BF16: return cpu::Storage::BF16;
    default: fail(INTARSIA_INVALID_ARGUMENT, "precision %u is unknown", precision);
    }
}

cpu::Storage matrices_of(uint32_t format, cpu::Storage native) {
    switch (format) {
    case INTARSIA_WEIGHTS_NATIVE: return native;
    case INTARSIA_WEIGHTS_INT8: return cpu::Storage::INT8;
    case INTARSIA_WEIGHTS_INT4: return cpu::Storage::INT4;
    default: fail(INTARSIA_INVALID_ARGUMENT, "weight format %u is unknown", format);
    }
}

void copy_text(const std::string &text, char *buffer, uint64_t capacity, uint64_t *out_needed) {
    checked(out_needed, "out_needed");
    if (capacity != 0) {
        checked(buffer, "buffer");
        const size_t length = std::min<uint64_t>(text.size(), capacity - 1);
        std::memcpy(buffer, text.data(), length);
        buffer[length] = 0;
    }
    *out_needed = text.size() + 1;
}

} // namespace intarsia::api

extern "C" const char *intarsia_last_error(void) { return intarsia::api::last_error; }
