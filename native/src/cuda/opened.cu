#include "cuda/opened.h"

#include <algorithm>

#include "runtime/error.h"

namespace intarsia {

namespace cuda {

void check(cudaError_t error, const char *what) {
    if (error == cudaSuccess) return;
    cudaGetLastError(); // an error that does not last is not to be found by the next call
    fail(error == cudaErrorMemoryAllocation ? INTARSIA_OUT_OF_MEMORY : INTARSIA_DEVICE_FAULT, "CUDA, %s: %s (%s)", what,
         cudaGetErrorString(error), cudaGetErrorName(error));
}

} // namespace cuda

using cuda::check;

GpuContext::GpuContext(int ordinal, bool same_bits, uint64_t memory) : Context{} {
    device = ordinal;
    deterministic = same_bits;
    check(cudaSetDevice(ordinal), "choosing the device");
    check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, ordinal), "asking for the multiprocessors");
    size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "asking for free memory");
    limit = memory == 0 ? free / 10 * 9 : memory;
    if (limit > total)
        fail(INTARSIA_INVALID_ARGUMENT, "options.memory is %llu bytes, but device %d has %llu", static_cast<unsigned long long>(limit), ordinal,
             static_cast<unsigned long long>(total));
    try {
        check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
        cudaMemPoolProps props{};
        props.allocType = cudaMemAllocationTypePinned;
        props.location = {cudaMemLocationTypeDevice, ordinal};
        check(cudaMemPoolCreate(&pool, &props), "making a pool of memory");
        uint64_t keep = UINT64_MAX; // what is released stays in the pool until the device is closed
        check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep), "making a pool of memory");
        scratch_bytes = cuda::kScratch;
        scratch = static_cast<std::byte *>(allocate(scratch_bytes, "scratch"));
        counters = static_cast<uint32_t *>(allocate(cuda::kCounters * sizeof(uint32_t), "counters"));
        check(cudaMemsetAsync(counters, 0, cuda::kCounters * sizeof(uint32_t), stream), "zeroing counters");
        for (auto *ring : {&stages, &uploads})
            for (Slot &slot : *ring) check(cudaEventCreateWithFlags(&slot.done, cudaEventDisableTiming), "making an event");
        blas = cuda::load_blas(no_blas);
    } catch (...) {
        close();
        throw;
    }
}

// Errors are passed over: after a fault every call gives one.
void GpuContext::close() {
    if (stream != nullptr) cudaStreamSynchronize(stream);
    if (blas != nullptr) cuda::unload_blas(blas);
    for (auto *ring : {&stages, &uploads})
        for (Slot &slot : *ring) {
            if (slot.data != nullptr) cudaFreeHost(slot.data);
            if (slot.done != nullptr) cudaEventDestroy(slot.done);
        }
    for (const auto &[memory, bytes] : sizes) cudaFreeAsync(memory, stream);
    if (stream != nullptr) cudaStreamSynchronize(stream);
    if (pool != nullptr) cudaMemPoolDestroy(pool);
    if (stream != nullptr) cudaStreamDestroy(stream);
    cudaGetLastError();
}

void *GpuContext::allocate(uint64_t bytes, const char *what) {
    const uint64_t held = (bytes + 511) / 512 * 512; // what the pool takes
    void *memory = nullptr;
    if (held < bytes || held > limit - std::min(used, limit) ||
        cudaMallocFromPoolAsync(&memory, held, pool, stream) == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        size_t free = 0, total = 0;
        cudaMemGetInfo(&free, &total);
        fail(INTARSIA_OUT_OF_MEMORY,
             "no device memory for %.200s: %llu bytes were asked for; of the pool's %llu, %llu are taken, and the device has %llu free. Raise the "
             "device memory option, or lower the number of sequences, their length or the tokens of a step",
             what, static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(limit), static_cast<unsigned long long>(used),
             static_cast<unsigned long long>(free));
    }
    if (memory == nullptr) check(cudaPeekAtLastError() == cudaSuccess ? cudaErrorUnknown : cudaPeekAtLastError(), "taking memory from the pool");
    try {
        sizes.emplace(memory, held);
    } catch (...) {
        cudaFreeAsync(memory, stream);
        throw;
    }
    used += held;
    return memory;
}

void GpuContext::release(void *memory) {
    const auto found = sizes.find(memory);
    if (found == sizes.end()) return;
    used -= found->second;
    sizes.erase(found);
    cudaFreeAsync(memory, stream);
    cudaGetLastError();
}

GpuContext::Slot &GpuContext::next(Slot (&ring)[4], uint32_t &turn, uint64_t bytes) {
    Slot &slot = ring[turn++ % 4];
    check(cudaEventSynchronize(slot.done), "waiting for an earlier copy");
    if (slot.bytes >= bytes) return slot;
    if (slot.data != nullptr) check(cudaFreeHost(slot.data), "releasing pinned memory");
    slot.data = nullptr;
    slot.bytes = 0;
    void *data = nullptr;
    check(cudaHostAlloc(&data, bytes, cudaHostAllocPortable), "pinning memory");
    slot.data = static_cast<std::byte *>(data);
    slot.bytes = bytes;
    return slot;
}

} // namespace intarsia
