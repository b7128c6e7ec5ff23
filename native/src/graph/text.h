// Text for people, put together from strings and numbers.
#pragma once

#include <string>
#include <type_traits>

namespace intarsia {

// text("[", 3, ", ", name, "]")
template <typename... Parts> std::string text(const Parts &...parts) {
    std::string whole;
    const auto append = [&whole](const auto &part) {
        if constexpr (std::is_arithmetic_v<std::decay_t<decltype(part)>>) {
            whole += std::to_string(part);
        } else {
            whole += part;
        }
    };
    (append(parts), ...);
    return whole;
}

} // namespace intarsia
