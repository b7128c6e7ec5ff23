#include "runtime/memory.h"

#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#include "runtime/error.h"
#include "runtime/gpu.h"

namespace intarsia {

namespace {
constexpr uint64_t kHugePage = uint64_t{2} << 20;
constexpr uint64_t kPage = 4096;

// The sanitizer knows nothing of mapped memory, so it is told: what is mapped behind a buffer, a page at least, is out of bounds.
#if defined(__SANITIZE_ADDRESS__)
constexpr uint64_t kFence = kPage;
void raise_fence(const void *from, uint64_t bytes) { ASAN_POISON_MEMORY_REGION(from, bytes); }
void lower_fence(const void *from, uint64_t bytes) { ASAN_UNPOISON_MEMORY_REGION(from, bytes); }
#else
constexpr uint64_t kFence = 0;
void raise_fence(const void *, uint64_t) {}
void lower_fence(const void *, uint64_t) {}
#endif

uint64_t held(uint64_t bytes) { return (bytes + kFence + kPage - 1) / kPage * kPage; }
} // namespace

Memory::Memory(uint64_t bytes, const char *what, std::shared_ptr<Gpu> gpu) {
    if (bytes == 0) return;
    if (gpu) {
        data_ = static_cast<std::byte *>(gpu->allocate(bytes, what));
        bytes_ = bytes;
        gpu_ = std::move(gpu);
        return;
    }
    // A huge page can only start at a multiple of its size: large buffers are mapped with one page to spare and the rest is returned.
    const bool huge = bytes >= kHugePage;
    const uint64_t kept = held(bytes);
    const uint64_t mapped = huge ? kept + kHugePage : kept;
    void *address = mapped < bytes ? MAP_FAILED
                                   : mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED)
        fail(INTARSIA_OUT_OF_MEMORY, "no memory for %s: %llu bytes were asked of the system and refused", what,
             static_cast<unsigned long long>(bytes));
    auto *data = static_cast<std::byte *>(address);
    if (huge) {
        const uint64_t lead = (kHugePage - reinterpret_cast<uintptr_t>(data) % kHugePage) % kHugePage;
        if (lead != 0) munmap(data, lead);
        if (lead + kept < mapped) munmap(data + lead + kept, mapped - lead - kept);
        data += lead;
        madvise(data, kept, MADV_HUGEPAGE);
    }
    raise_fence(data + bytes, kept - bytes);
    data_ = data;
    bytes_ = bytes;
}

Memory::~Memory() {
    if (data_ == nullptr) return;
    if (gpu_) {
        gpu_->release(data_);
        return;
    }
    lower_fence(data_ + bytes_, held(bytes_) - bytes_);
    munmap(data_, held(bytes_));
}

} // namespace intarsia
