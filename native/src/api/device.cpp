#include "runtime/device.h"

#include <cstring>

#include "api/guard.h"
#include "runtime/bandwidth.h"

using namespace intarsia;
using namespace intarsia::api;

namespace {

constexpr uint32_t kMostThreads = 256;
constexpr uint64_t kLeastRead = uint64_t{1} << 20;
constexpr uint64_t kMostRead = uint64_t{16} << 30;

// A char array of a struct as text; it must end within the array.
template <size_t N> std::string text_of(const char (&field)[N], const char *name) {
    const size_t length = strnlen(field, N);
    if (length == N) fail(INTARSIA_INVALID_ARGUMENT, "%s is not zero-terminated within %zu bytes", name, N);
    return {field, length};
}

} // namespace

extern "C" {

intarsia_status intarsia_device_plugin(const char *path) {
    return guarded(__func__, [&] { set_gpu_plugin(checked(path, "path")); });
}

intarsia_status intarsia_device_count(uint32_t *out_count) {
    return guarded(__func__, [&] { *checked(out_count, "out_count") = device_count(); });
}

intarsia_status intarsia_device_query(uint32_t index, intarsia_device_info *out_info) {
    return guarded(__func__, [&] {
        checked_struct(out_info, "out_info");
        intarsia_device_info info{};
        info.struct_size = sizeof info;
        device_query(index, info);
        *out_info = info;
    });
}

intarsia_status intarsia_device_open(const intarsia_device_options *options, intarsia_device **out_device) {
    return guarded(__func__, [&] {
        const auto &o = checked_struct(options, "options");
        checked(out_device, "out_device");
        check_reserved(o.reserved, "options");
        if (o.kind != INTARSIA_DEVICE_CPU && o.kind != INTARSIA_DEVICE_CUDA)
            fail(INTARSIA_INVALID_ARGUMENT, "device kind %u is unknown; %d is the CPU, %d is CUDA", o.kind, INTARSIA_DEVICE_CPU, INTARSIA_DEVICE_CUDA);
        if ((o.flags & ~uint32_t{INTARSIA_DEVICE_DETERMINISTIC}) != 0) fail(INTARSIA_INVALID_ARGUMENT, "options.flags has unknown bits: 0x%x", o.flags);
        const bool cuda = o.kind == INTARSIA_DEVICE_CUDA;
        if (!cuda && o.ordinal != 0) fail(INTARSIA_INVALID_ARGUMENT, "there is one CPU device, ordinal 0, but %u was asked for", o.ordinal);
        if (!cuda && o.memory != 0) fail(INTARSIA_INVALID_ARGUMENT, "options.memory is for CUDA devices; of the CPU it must be 0");
        if (o.threads > kMostThreads) fail(INTARSIA_INVALID_ARGUMENT, "threads is %u, not in 0..%u", o.threads, kMostThreads);
        const cpu::Kernels &kernels = select_kernels(text_of(o.tier, "options.tier"));
        const uint32_t threads = o.threads != 0 ? o.threads : std::min(default_threads(), kMostThreads);
        std::shared_ptr<Gpu> gpu;
        if (cuda) gpu = std::make_shared<Gpu>(o.ordinal, (o.flags & INTARSIA_DEVICE_DETERMINISTIC) != 0, o.memory);
        *out_device = make_handle<intarsia_device>(std::make_shared<Device>(kernels, threads, std::move(gpu)));
    });
}

void intarsia_device_destroy(intarsia_device *device) { destroy(device); }

intarsia_status intarsia_device_measure_read(intarsia_device *device, uint64_t bytes, double *out_bytes_per_second) {
    return guarded(__func__, [&] {
        const auto target = get(device);
        checked(out_bytes_per_second, "out_bytes_per_second");
        if (bytes < kLeastRead || bytes > kMostRead)
            fail(INTARSIA_INVALID_ARGUMENT, "bytes is %llu, not in %llu..%llu", static_cast<unsigned long long>(bytes),
                 static_cast<unsigned long long>(kLeastRead), static_cast<unsigned long long>(kMostRead));
        *out_bytes_per_second = target->gpu() ? target->gpu()->measure_read(bytes) : measure_read(*target, bytes);
    });
}

} // extern "C"
