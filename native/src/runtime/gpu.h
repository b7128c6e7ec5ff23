// CUDA devices, through the plug-in: which there are, and an opened one.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "runtime/gpu_plugin.h"

namespace intarsia {

// Names the plug-in's file before it is looked for; "" = beside this library. Fails with INTARSIA_INVALID_STATE once another was.
void set_gpu_plugin(const std::string &path);

// The devices, or why there are none; looked for once.
struct Gpus {
    const GpuPlugin *plugin = nullptr;
    std::vector<GpuInfo> devices;
    std::string reason; // why there is none
};
const Gpus &gpus();
// A device as it is now.
GpuInfo gpu_info(uint32_t ordinal);

// One opened device. A fault is final: from then on every call fails with its message.
class Gpu {
public:
    class Recording {
    public:
        Recording(std::shared_ptr<Gpu> gpu, GpuRecording *recording) : gpu_(std::move(gpu)), recording_(recording) {}
        ~Recording();
        Recording(const Recording &) = delete;
        Recording &operator=(const Recording &) = delete;

    private:
        friend class Gpu;
        std::shared_ptr<Gpu> gpu_;
        GpuRecording *recording_;
    };

    // memory: most bytes of the pool, 0 = nine tenths of what is free.
    Gpu(uint32_t ordinal, bool deterministic, uint64_t memory);
    ~Gpu();
    Gpu(const Gpu &) = delete;
    Gpu &operator=(const Gpu &) = delete;

    uint32_t ordinal() const { return ordinal_; }

    void *allocate(uint64_t bytes, const char *what);
    void release(void *memory);
    void *pin(uint64_t bytes);
    void unpin(void *memory);

    // See GpuPlugin. Only download and wait wait for the device.
    void upload(void *to, const void *from, uint64_t bytes);
    void stage(std::span<const GpuSegment> segments);
    void download(void *to, const void *from, uint64_t bytes);
    void run(std::span<const KernelArgs> calls);
    void argmax(const GpuArgmax &argmax);
    void wait();
    bool done();
    void profile(std::span<const KernelArgs> calls, const GpuArgmax *argmax, uint64_t *nanoseconds);
    double measure_read(uint64_t bytes);
    std::string measure(std::span<const KernelArgs> calls);
    void adopt(const std::string &choices);

    static std::unique_ptr<Recording> record(const std::shared_ptr<Gpu> &gpu, std::span<const KernelArgs> calls, const GpuArgmax *argmax);
    void replay(const Recording &recording);

private:
    template <typename Body> void call(Body body);

    const uint32_t ordinal_;
    const GpuPlugin &plugin_;
    GpuContext *context_ = nullptr;
    std::mutex mutex_; // calls take turns
    std::string fault_; // what broke the device; empty = nothing
};

} // namespace intarsia
