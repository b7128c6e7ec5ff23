// What the library says of itself: versions, and the ABI as the compiler saw it.
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include "intarsia.h"
#include "intarsia_build.h"

namespace {

template <typename T> constexpr char letter() {
    if constexpr (std::is_void_v<T>) return 'v';
    else if constexpr (std::is_pointer_v<T>) return 'p';
    else if constexpr (std::is_same_v<T, float>) return 'f';
    else if constexpr (std::is_same_v<T, double>) return 'd';
    else {
        static_assert(std::is_integral_v<T> && (sizeof(T) == 4 || sizeof(T) == 8));
        return sizeof(T) == 4 ? 'i' : 'l';
    }
}

template <typename R, typename... A> std::string signature(R (*)(A...)) { return {letter<R>(), '(', letter<A>()..., ')'}; }

class Table {
public:
    template <typename F> void function(const char *name, F *pointer) { line("function " + std::string(name) + " " + signature(pointer)); }
    void structure(const char *name, size_t size) { line("struct " + std::string(name) + " " + std::to_string(size)); }
    void field(const char *owner, const char *name, size_t offset, size_t size) {
        line("field " + std::string(owner) + "." + name + " " + std::to_string(offset) + " " + std::to_string(size));
    }
    std::string text;

private:
    void line(const std::string &line) { text += line + "\n"; }
};

std::string abi() {
    Table t;
#define STRUCT(name) t.structure(#name, sizeof(name))
#define FIELD(owner, name) t.field(#owner, #name, offsetof(owner, name), sizeof(owner::name))
#define FUNCTION(name) t.function(#name, &name)
#include "api/abi.inc"
#undef STRUCT
#undef FIELD
#undef FUNCTION
    return t.text;
}

} // namespace

extern "C" {

uint32_t intarsia_abi_version(void) { return INTARSIA_ABI_VERSION; }
const char *intarsia_version(void) { return INTARSIA_VERSION; }
const char *intarsia_build_id(void) { return INTARSIA_BUILD_ID; }
const char *intarsia_header_hash(void) { return INTARSIA_HEADER_SHA256; }

const char *intarsia_abi_table(void) {
    try {
        static const std::string table = abi();
        return table.c_str();
    } catch (...) {
        return ""; // out of memory: the caller's comparison fails and says so
    }
}

} // extern "C"
