// The table of functions that the library calls: exceptions become a status and a message, and the caller's current device stays what it was.
#include <algorithm>
#include <cstring>
#include <new>

#include "cuda/opened.h"
#include "intarsia_build.h"
#include "runtime/error.h"

namespace intarsia {

namespace {

using cuda::check;

class Chosen {
public:
    explicit Chosen(int device) {
        if (cudaGetDevice(&before_) != cudaSuccess) before_ = device;
        if (before_ != device) check(cudaSetDevice(device), "choosing the device");
        device_ = device;
    }
    ~Chosen() {
        if (before_ != device_) cudaSetDevice(before_);
    }
    Chosen(const Chosen &) = delete;
    Chosen &operator=(const Chosen &) = delete;

private:
    int before_ = 0, device_ = 0;
};

void say(char *message, const char *text) {
    std::strncpy(message, text, kGpuMessage - 1);
    message[kGpuMessage - 1] = 0;
}

template <typename Body> int32_t guarded(char *message, Body body) {
    try {
        body();
        return INTARSIA_OK;
    } catch (const Error &error) {
        say(message, error.what());
        return error.status();
    } catch (const std::bad_alloc &) {
        say(message, "no memory on the host");
        return INTARSIA_OUT_OF_MEMORY;
    } catch (const std::exception &error) {
        say(message, error.what());
        return INTARSIA_INTERNAL;
    }
}

template <typename Body> int32_t on(GpuContext *context, char *message, Body body) {
    return guarded(message, [&] {
        const Chosen chosen(context->device);
        body();
    });
}

int32_t count(uint32_t *out, char *message) {
    return guarded(message, [&] {
        int found = 0;
        const cudaError_t error = cudaGetDeviceCount(&found);
        cudaGetLastError();
        if (error == cudaErrorInsufficientDriver)
            fail(INTARSIA_UNSUPPORTED, "there is no NVIDIA driver, or it is older than CUDA %d.%d needs", CUDART_VERSION / 1000,
                 CUDART_VERSION % 1000 / 10);
        if (error == cudaErrorNoDevice) fail(INTARSIA_UNSUPPORTED, "the NVIDIA driver finds no GPU");
        if (error != cudaSuccess) fail(INTARSIA_UNSUPPORTED, "the NVIDIA driver does not answer: %s", cudaGetErrorString(error));
        *out = static_cast<uint32_t>(found);
    });
}

int32_t query(uint32_t ordinal, GpuInfo *out, char *message) {
    return guarded(message, [&] {
        const Chosen chosen(static_cast<int>(ordinal));
        cudaDeviceProp properties{};
        check(cudaGetDeviceProperties(&properties, static_cast<int>(ordinal)), "asking for the device's properties");
        size_t free = 0, total = 0;
        check(cudaMemGetInfo(&free, &total), "asking for free memory");
        GpuInfo info{};
        std::memcpy(info.name, properties.name, std::min(std::strlen(properties.name), sizeof info.name - 1));
        info.major = static_cast<uint32_t>(properties.major);
        info.minor = static_cast<uint32_t>(properties.minor);
        info.multiprocessors = static_cast<uint32_t>(properties.multiProcessorCount);
        info.memory_total = total;
        info.memory_free = free;
        *out = info;
    });
}

int32_t open(uint32_t ordinal, uint32_t deterministic, uint64_t memory, GpuContext **out, char *message) {
    return guarded(message, [&] {
        const Chosen chosen(static_cast<int>(ordinal));
        *out = new GpuContext(static_cast<int>(ordinal), deterministic != 0, memory);
    });
}

void close(GpuContext *context) {
    char ignored[kGpuMessage];
    on(context, ignored, [&] { delete context; });
}

int32_t allocate(GpuContext *context, uint64_t bytes, const char *what, void **out, char *message) {
    return on(context, message, [&] { *out = context->allocate(bytes, what); });
}

void release(GpuContext *context, void *memory) {
    char ignored[kGpuMessage];
    on(context, ignored, [&] { context->release(memory); });
}

int32_t pin(GpuContext *context, uint64_t bytes, void **out, char *message) {
    return on(context, message, [&] { check(cudaHostAlloc(out, std::max<uint64_t>(bytes, 64), cudaHostAllocPortable), "pinning memory"); });
}

void unpin(GpuContext *context, void *memory) {
    char ignored[kGpuMessage];
    on(context, ignored, [&] {
        cudaFreeHost(memory);
        cudaGetLastError();
    });
}

int32_t upload(GpuContext *context, void *to, const void *from, uint64_t bytes, char *message) {
    return on(context, message, [&] { cuda::upload(*context, to, from, bytes); });
}

int32_t stage(GpuContext *context, const GpuSegment *segments, uint32_t count, char *message) {
    return on(context, message, [&] { cuda::stage(*context, segments, count); });
}

int32_t download(GpuContext *context, void *to, const void *from, uint64_t bytes, char *message) {
    return on(context, message, [&] {
        check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, context->stream), "downloading");
        cuda::wait(*context);
    });
}

int32_t run(GpuContext *context, const KernelArgs *calls, uint32_t count, char *message) {
    return on(context, message, [&] { cuda::run(*context, calls, count); });
}

int32_t argmax(GpuContext *context, const GpuArgmax *argmax, char *message) {
    return on(context, message, [&] { cuda::argmax(*context, *argmax); });
}

int32_t wait(GpuContext *context, char *message) {
    return on(context, message, [&] { cuda::wait(*context); });
}

int32_t ask(GpuContext *context, uint32_t *done, char *message) {
    return on(context, message, [&] { *done = cuda::done(*context); });
}

int32_t record(GpuContext *context, const KernelArgs *calls, uint32_t count, const GpuArgmax *argmax, GpuRecording **out, char *message) {
    return on(context, message, [&] { *out = cuda::record(*context, calls, count, argmax); });
}

// What the device still runs of it is awaited by the driver.
void discard(GpuContext *context, GpuRecording *recording) {
    char ignored[kGpuMessage];
    on(context, ignored, [&] {
        cudaGraphExecDestroy(recording->graph);
        cudaGetLastError();
    });
    delete recording;
}

int32_t replay(GpuContext *context, GpuRecording *recording, char *message) {
    return on(context, message, [&] { check(cudaGraphLaunch(recording->graph, context->stream), "launching a recording"); });
}

int32_t profile(GpuContext *context, const KernelArgs *calls, uint32_t count, const GpuArgmax *argmax, uint64_t *nanoseconds, char *message) {
    return on(context, message, [&] { cuda::profile(*context, calls, count, argmax, nanoseconds); });
}

int32_t measure_read(GpuContext *context, uint64_t bytes, double *bytes_per_second, char *message) {
    return on(context, message, [&] { *bytes_per_second = cuda::measure_read(*context, bytes); });
}

int32_t measure(GpuContext *context, const KernelArgs *calls, uint32_t count, char *choices, uint64_t capacity, uint64_t *needed, char *message) {
    return on(context, message, [&] {
        const std::string lines = cuda::measure(*context, calls, count);
        *needed = lines.size() + 1;
        if (capacity >= *needed) std::memcpy(choices, lines.c_str(), *needed);
    });
}

int32_t adopt(GpuContext *context, const char *choices, char *message) {
    return on(context, message, [&] { cuda::adopt(*context, choices); });
}

constexpr GpuPlugin kPlugin = {
    kGpuPluginVersion, sizeof(KernelArgs), INTARSIA_BUILD_ID, count, query, open, close, allocate, release, pin, unpin, upload, stage,
    download, run, argmax, wait, ask, record, discard, replay, profile, measure_read, measure, adopt,
};

} // namespace
} // namespace intarsia

extern "C" __attribute__((visibility("default"))) const intarsia::GpuPlugin *intarsia_cuda_plugin() { return &intarsia::kPlugin; }
