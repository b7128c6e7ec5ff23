#include "runtime/device.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "cpu/tier_amx.h"
#include "runtime/error.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#endif

namespace intarsia {

namespace {

constexpr const char *kTierVariable = "INTARSIA_CPU_TIER";

#if defined(__x86_64__)
// AVX2 with FMA and the conversions of f16. The compiler's look at cpuid asks too, by xgetbv, whether the system saves
// the registers, here and below.
[[maybe_unused]] bool runs_avx2() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    const bool f16c = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && f16c;
}

[[maybe_unused]] bool runs_avx512() {
    return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
}

// AMX with products of bf16 and int8, and whether the system saves tiles at all.
[[maybe_unused]] bool has_amx() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    constexpr unsigned kAll = 1u << 22 | 1u << 24 | 1u << 25; // bf16, tiles, int8
    if (!runs_avx512() || __get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & kAll) != kAll)
        return false;
    unsigned low = 0, high = 0;
    constexpr unsigned kTileStates = 3u << 17;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & kTileStates) == kTileStates;
}

// A process has to ask Linux for the state of tiles before it uses them; its threads then have it too. 0 or an error.
[[maybe_unused]] int ask_for_tiles() {
    constexpr int kRequestPermission = 0x1023, kTileData = 18;
    return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0 ? 0 : errno;
}
#endif

#if defined(INTARSIA_TIER_AVX512) && defined(INTARSIA_TIER_AMX)
const cpu::Kernels &amx_kernels() {
    static const cpu::Kernels kernels = [] {
        cpu::Kernels made = cpu::kAvx512Kernels;
        made.tier = "amx";
        made.linear = cpu::linear_amx;
        made.attention = cpu::attention_amx;
        made.scratch = cpu::kAmxScratch;
        return made;
    }();
    return kernels;
}

Tier amx_tier() {
    const bool there = has_amx();
    const int error = there ? ask_for_tiles() : 0;
    return {&amx_kernels(), there && error == 0, error};
}
#endif

} // namespace

std::span<const Tier> build_tiers() {
    static const Tier tiers[] = {
#if defined(INTARSIA_TIER_AVX512) && defined(INTARSIA_TIER_AMX)
        amx_tier(),
#endif
#if defined(INTARSIA_TIER_AVX512)
        {&cpu::kAvx512Kernels, runs_avx512()},
#endif
#if defined(INTARSIA_TIER_AVX2)
        {&cpu::kAvx2Kernels, runs_avx2()},
#endif
#if defined(INTARSIA_TIER_NEON)
        {&cpu::kNeonKernels, true},
#endif
        {&cpu::kScalarKernels, true},
    };
    return tiers;
}

namespace {

std::string names(std::span<const Tier> tiers) {
    std::string text;
    for (const Tier &tier : tiers) {
        if (!tier.supported) continue;
        if (!text.empty()) text += ' ';
        text += tier.kernels->tier;
    }
    return text;
}

// As much as fits, cut between characters of UTF-8.
template <size_t N> void copy(char (&to)[N], const std::string &from) {
    size_t bytes = std::min(from.size(), N - 1);
    if (bytes < from.size())
        while (bytes > 0 && (static_cast<unsigned char>(from[bytes]) & 0xC0) == 0x80) --bytes;
    std::memset(to, 0, N);
    std::memcpy(to, from.data(), bytes);
}

void query_cpu(intarsia_device_info &info) {
    const MemoryState memory = memory_state();
    info.kind = INTARSIA_DEVICE_CPU;
    info.available = 1;
    info.default_threads = default_threads();
    info.memory_total = memory.total;
    info.memory_free = memory.free;
    copy(info.name, cpu_name());
    copy(info.tiers, supported_tiers());
    try {
        copy(info.tier, select_kernels("").tier);
        copy(info.note, refusals(build_tiers()));
    } catch (const Error &error) { // the environment asks for what is not there: only an explicit tier can be opened
        copy(info.tier, "");
        copy(info.note, error.what());
    }
}

void query_cuda(uint32_t ordinal, intarsia_device_info &info) {
    info.kind = INTARSIA_DEVICE_CUDA;
    info.available = 0;
    info.default_threads = 0;
    info.memory_total = 0;
    info.memory_free = 0;
    copy(info.name, "CUDA");
    copy(info.tiers, "");
    copy(info.tier, "");
    copy(info.note, gpus().reason);
    if (gpus().devices.empty()) return;
    const GpuInfo gpu = gpu_info(ordinal);
    info.available = 1;
    info.memory_total = gpu.memory_total;
    info.memory_free = gpu.memory_free;
    copy(info.name, gpu.name);
    copy(info.note, "compute capability " + std::to_string(gpu.major) + "." + std::to_string(gpu.minor) + ", " +
                        std::to_string(gpu.multiprocessors) + " multiprocessors");
}

} // namespace

std::string refusals(std::span<const Tier> tiers) {
    std::string text;
    for (const Tier &tier : tiers)
        if (tier.refused != 0)
            text += std::string(text.empty() ? "" : "; ") + "the processor has tier " + tier.kernels->tier +
                    ", but the system refuses its registers: " + std::strerror(tier.refused);
    return text;
}

std::string supported_tiers() { return names(build_tiers()); }

const cpu::Kernels &select_kernels(const std::string &tier) {
    return select_kernels(tier, std::getenv(kTierVariable), build_tiers());
}

const cpu::Kernels &select_kernels(const std::string &tier, const char *environment, std::span<const Tier> tiers) {
    const std::string wanted = !tier.empty() || environment == nullptr ? tier : environment;
    for (const Tier &candidate : tiers)
        if (candidate.supported && (wanted.empty() || wanted == candidate.kernels->tier)) return *candidate.kernels;
    const bool built =
        std::any_of(tiers.begin(), tiers.end(), [&](const Tier &built) { return wanted == built.kernels->tier; });
    fail(INTARSIA_UNSUPPORTED, "CPU tier \"%.64s\", asked for by %s, %s; supported here: %s", wanted.c_str(),
         tier.empty() ? kTierVariable : "the device options",
         built ? "needs instructions that this machine lacks" : "is not one of this build", names(tiers).c_str());
}

uint32_t device_count() { return 1 + std::max<uint32_t>(1, static_cast<uint32_t>(gpus().devices.size())); }

void device_query(uint32_t index, intarsia_device_info &info) {
    if (index >= device_count()) fail(INTARSIA_INVALID_ARGUMENT, "device index is %u; it must be < %u", index, device_count());
    if (index == 0) return query_cpu(info);
    query_cuda(index - 1, info);
}

} // namespace intarsia
