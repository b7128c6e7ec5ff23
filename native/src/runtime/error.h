// The one exception of the native code. It never crosses the C ABI: the api layer turns it into a status and the last error.
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <utility>

#include "intarsia.h"

namespace intarsia {

class Error : public std::exception {
public:
    Error(intarsia_status status, std::string message) : status_(status), message_(std::move(message)) {}
    intarsia_status status() const { return status_; }
    const char *what() const noexcept override { return message_.c_str(); }

private:
    intarsia_status status_;
    std::string message_;
};

// printf-style; always throws.
[[noreturn]] __attribute__((format(printf, 2, 3))) void fail(intarsia_status status, const char *format, ...);

} // namespace intarsia
