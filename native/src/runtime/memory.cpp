#include "runtime/memory.h"

#include <sys/mman.h>

#include "runtime/error.h"

namespace intarsia {

namespace {
constexpr uint64_t kHugePage = uint64_t{2} << 20;
} // namespace

Memory::Memory(uint64_t bytes, const char *what) {
    if (bytes == 0) return;
    // A huge page can only start at a multiple of its size: large buffers are mapped with one page to spare and the rest is returned.
    const bool huge = bytes >= 2 * kHugePage;
    const uint64_t mapped = huge ? bytes + kHugePage : bytes;
    void *address = mapped < bytes ? MAP_FAILED
                                   : mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED)
        fail(INTARSIA_OUT_OF_MEMORY, "no memory for %s: %llu bytes were asked of the system and refused", what,
             static_cast<unsigned long long>(bytes));
    auto *data = static_cast<std::byte *>(address);
    if (huge) {
        const uint64_t lead = (kHugePage - reinterpret_cast<uintptr_t>(data) % kHugePage) % kHugePage;
        const uint64_t kept = (bytes + 4095) / 4096 * 4096;
        if (lead != 0) munmap(data, lead);
        if (lead + kept < mapped) munmap(data + lead + kept, mapped - lead - kept);
        data += lead;
        madvise(data, kept, MADV_HUGEPAGE);
    }
    data_ = data;
    bytes_ = bytes;
}

Memory::~Memory() {
    if (data_ != nullptr) munmap(data_, bytes_);
}

} // namespace intarsia
