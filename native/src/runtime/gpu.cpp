#include "runtime/gpu.h"

#include <dlfcn.h>

#include <filesystem>

#include "intarsia_build.h"
#include "runtime/error.h"

namespace intarsia {

namespace {

std::mutex naming;      // guards what follows
std::string named_path; // "" = beside this library
bool looked_for = false;

std::string beside_this_library() {
    Dl_info info{};
    if (dladdr(reinterpret_cast<const void *>(&gpus), &info) == 0 || info.dli_fname == nullptr) return "libintarsia_cuda.so";
    return (std::filesystem::path(info.dli_fname).parent_path() / "libintarsia_cuda.so").string();
}

const GpuPlugin *load(const std::string &path, std::string &reason) {
    if (std::error_code ignored; !std::filesystem::exists(path, ignored)) {
        reason = "there is no CUDA plug-in at " + path;
        return nullptr;
    }
    void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL); // stays loaded, as its threads and handlers do
    if (library == nullptr) {
        const char *error = dlerror();
        reason = std::string("the CUDA plug-in cannot be loaded: ") + (error == nullptr ? path.c_str() : error);
        return nullptr;
    }
    const auto entry = reinterpret_cast<GpuPluginEntry>(dlsym(library, kGpuPluginEntry));
    if (entry == nullptr) {
        reason = path + " is no CUDA plug-in: it does not export " + kGpuPluginEntry;
        return nullptr;
    }
    const GpuPlugin *plugin = entry();
    if (plugin->version != kGpuPluginVersion || plugin->call_bytes != sizeof(KernelArgs) || std::string(plugin->build_id) != INTARSIA_BUILD_ID) {
        reason = "the CUDA plug-in " + path + " is of another build than the library";
        return nullptr;
    }
    return plugin;
}

Gpus look() {
    Gpus found;
    std::string path;
    {
        const std::lock_guard lock(naming);
        looked_for = true;
        path = named_path.empty() ? beside_this_library() : named_path;
    }
    const GpuPlugin *plugin = load(path, found.reason);
    if (plugin == nullptr) return found;
    char message[kGpuMessage] = "";
    uint32_t count = 0;
    if (plugin->count(&count, message) != 0 || count == 0) {
        found.reason = message[0] != 0 ? message : "the driver knows no CUDA device";
        return found;
    }
    for (uint32_t i = 0; i < count; i++) {
        GpuInfo info{};
        if (plugin->query(i, &info, message) != 0) {
            found.devices.clear();
            found.reason = message;
            return found;
        }
        found.devices.push_back(info);
    }
    found.plugin = plugin;
    return found;
}

const GpuPlugin &plugin_for(uint32_t ordinal) {
    const Gpus &known = gpus();
    if (known.devices.empty()) fail(INTARSIA_UNSUPPORTED, "no CUDA device can be opened: %s", known.reason.c_str());
    if (ordinal >= known.devices.size())
        fail(INTARSIA_INVALID_ARGUMENT, "there is no CUDA device %u: there are %zu, from 0", ordinal, known.devices.size());
    return *known.plugin;
}

void check(int32_t status, const char *message) {
    if (status != 0) fail(status, "%s", message);
}

} // namespace

void set_gpu_plugin(const std::string &path) {
    const std::lock_guard lock(naming);
    if (path == named_path) return;
    if (looked_for)
        fail(INTARSIA_INVALID_STATE, "the CUDA plug-in has been looked for %s%s; it can be named only before",
             named_path.empty() ? "beside the library" : "at ", named_path.c_str());
    named_path = path;
}

const Gpus &gpus() {
    static const Gpus found = look();
    return found;
}

GpuInfo gpu_info(uint32_t ordinal) {
    char message[kGpuMessage] = "";
    GpuInfo info{};
    check(plugin_for(ordinal).query(ordinal, &info, message), message);
    return info;
}

Gpu::Gpu(uint32_t ordinal, bool deterministic, uint64_t memory) : ordinal_(ordinal), plugin_(plugin_for(ordinal)) {
    char message[kGpuMessage] = "";
    check(plugin_.open(ordinal, deterministic, memory, &context_, message), message);
}

Gpu::~Gpu() { plugin_.close(context_); }

template <typename Body> void Gpu::call(Body body) {
    const std::lock_guard lock(mutex_);
    if (!fault_.empty()) fail(INTARSIA_DEVICE_FAULT, "%s", fault_.c_str());
    char message[kGpuMessage] = "";
    const int32_t status = body(message);
    if (status == INTARSIA_DEVICE_FAULT) fault_ = message;
    check(status, message);
}

void *Gpu::allocate(uint64_t bytes, const char *what) {
    void *memory = nullptr;
    call([&](char *message) { return plugin_.allocate(context_, bytes, what, &memory, message); });
    return memory;
}

void Gpu::release(void *memory) {
    const std::lock_guard lock(mutex_);
    plugin_.release(context_, memory);
}

void *Gpu::pin(uint64_t bytes) {
    void *memory = nullptr;
    call([&](char *message) { return plugin_.pin(context_, bytes, &memory, message); });
    return memory;
}

void Gpu::unpin(void *memory) {
    const std::lock_guard lock(mutex_);
    plugin_.unpin(context_, memory);
}

void Gpu::upload(void *to, const void *from, uint64_t bytes) {
    call([&](char *message) { return plugin_.upload(context_, to, from, bytes, message); });
}

void Gpu::stage(std::span<const GpuSegment> segments) {
    call([&](char *message) { return plugin_.stage(context_, segments.data(), static_cast<uint32_t>(segments.size()), message); });
}

void Gpu::download(void *to, const void *from, uint64_t bytes) {
    call([&](char *message) { return plugin_.download(context_, to, from, bytes, message); });
}

void Gpu::run(std::span<const KernelArgs> calls) {
    call([&](char *message) { return plugin_.run(context_, calls.data(), static_cast<uint32_t>(calls.size()), message); });
}

void Gpu::argmax(const GpuArgmax &argmax) {
    call([&](char *message) { return plugin_.argmax(context_, &argmax, message); });
}

void Gpu::wait() {
    call([&](char *message) { return plugin_.wait(context_, message); });
}

bool Gpu::done() {
    uint32_t done = 0;
    call([&](char *message) { return plugin_.ask(context_, &done, message); });
    return done != 0;
}

void Gpu::profile(std::span<const KernelArgs> calls, const GpuArgmax *argmax, uint64_t *nanoseconds) {
    call([&](char *message) {
        return plugin_.profile(context_, calls.data(), static_cast<uint32_t>(calls.size()), argmax, nanoseconds, message);
    });
}

double Gpu::measure_read(uint64_t bytes) {
    double speed = 0;
    call([&](char *message) { return plugin_.measure_read(context_, bytes, &speed, message); });
    return speed;
}

std::string Gpu::measure(std::span<const KernelArgs> calls) {
    std::string choices(4096, 0);
    for (uint64_t needed = 0;;) {
        call([&](char *message) {
            return plugin_.measure(context_, calls.data(), static_cast<uint32_t>(calls.size()), choices.data(), choices.size(), &needed, message);
        });
        const bool whole = needed <= choices.size();
        choices.resize(whole ? needed - 1 : needed);
        if (whole) return choices;
    }
}

void Gpu::adopt(const std::string &choices) {
    call([&](char *message) { return plugin_.adopt(context_, choices.c_str(), message); });
}

std::unique_ptr<Gpu::Recording> Gpu::record(const std::shared_ptr<Gpu> &gpu, std::span<const KernelArgs> calls, const GpuArgmax *argmax) {
    GpuRecording *recording = nullptr;
    gpu->call([&](char *message) {
        return gpu->plugin_.record(gpu->context_, calls.data(), static_cast<uint32_t>(calls.size()), argmax, &recording, message);
    });
    return std::make_unique<Recording>(gpu, recording);
}

void Gpu::replay(const Recording &recording) {
    call([&](char *message) { return plugin_.replay(context_, recording.recording_, message); });
}

Gpu::Recording::~Recording() {
    const std::lock_guard lock(gpu_->mutex_);
    gpu_->plugin_.discard(gpu_->context_, recording_);
}

} // namespace intarsia
