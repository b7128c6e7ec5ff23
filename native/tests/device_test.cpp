#include "runtime/device.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/bandwidth.h"
#include "runtime/error.h"

namespace intarsia {
namespace {

using Strings = std::vector<std::string>;

// A directory that stands for "/", removed at the end.
class FakeRoot {
public:
    FakeRoot() {
        std::string pattern = (std::filesystem::temp_directory_path() / "intarsia-device-XXXXXX").string();
        if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary directory");
        path_ = pattern;
    }
    ~FakeRoot() { std::filesystem::remove_all(path_); }
    FakeRoot(const FakeRoot &) = delete;
    FakeRoot &operator=(const FakeRoot &) = delete;

    void write(const std::string &file, const std::string &text) const {
        const std::filesystem::path path = path_ + file;
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path) << text;
    }
    const std::string &path() const { return path_; }

private:
    std::string path_;
};

const char *const kV2Mount = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

TEST(CpuInfo, Numbers) {
    EXPECT_EQ(parse_number("42\n"), 42u);
    EXPECT_EQ(parse_number(" 18446744073709551615 \n"), UINT64_MAX);
    for (const char *none : {"", "\n", "max\n", "-1\n", "1x", "0x10", "18446744073709551616", "1 2", "+1"})
        EXPECT_EQ(parse_number(none), std::nullopt) << none;
}

TEST(CpuInfo, CpuMax) {
    EXPECT_EQ(parse_cpu_max("200000 100000\n"), 2u);
    EXPECT_EQ(parse_cpu_max("150000 100000\n"), 2u);
    EXPECT_EQ(parse_cpu_max("200001 100000\n"), 3u);
    EXPECT_EQ(parse_cpu_max("1000 100000"), 1u);
    EXPECT_EQ(parse_cpu_max("18446744073709551615 1"), UINT32_MAX);
    for (const char *none : {"max 100000\n", "", "max", "100000", "100000 ", "100000 0", "0 100000", "-1 100000", "a b",
                             "100000 max", "1 2 3"})
        EXPECT_EQ(parse_cpu_max(none), std::nullopt) << none;
}

TEST(CpuInfo, CfsQuota) {
    EXPECT_EQ(parse_cfs_quota("250000\n", "100000\n"), 3u);
    EXPECT_EQ(parse_cfs_quota("50000\n", "100000\n"), 1u);
    EXPECT_EQ(parse_cfs_quota("-1\n", "100000\n"), std::nullopt);
    EXPECT_EQ(parse_cfs_quota("", ""), std::nullopt);
    EXPECT_EQ(parse_cfs_quota("100000", "0"), std::nullopt);
}

TEST(CpuInfo, Fields) {
    const char *text = "MemTotal:       24684084 kB\nMemFree:\t 7 kB\nMemFreeMore:  9 kB\ninactive_file 12\nBad: x "
                       "kB\nEmpty:\nLast: 5";
    EXPECT_EQ(parse_field(text, "MemTotal:"), 24684084u);
    EXPECT_EQ(parse_field(text, "MemFree:"), 7u);
    EXPECT_EQ(parse_field(text, "inactive_file"), 12u);
    EXPECT_EQ(parse_field(text, "Last:"), 5u);
    for (const char *none : {"MemFree", "inactive", "Bad:", "Empty:", "Missing:"})
        EXPECT_EQ(parse_field(text, none), std::nullopt) << none;
    EXPECT_EQ(parse_field("", "MemTotal:"), std::nullopt);
}

TEST(CpuInfo, CpuName) {
    EXPECT_EQ(
        parse_cpu_name("processor\t: 0\nmodel\t\t: 1\nmodel name\t: AMD EPYC 9R14: 96 cores \nmodel name\t: other\n"),
        "AMD EPYC 9R14: 96 cores");
    EXPECT_EQ(parse_cpu_name("model name\t:\nmodel name : X"), "X");
    EXPECT_EQ(parse_cpu_name("processor\t: 0\nCPU implementer\t: 0x41\n"), std::nullopt);
    EXPECT_EQ(parse_cpu_name(""), std::nullopt);
}

TEST(CpuInfo, DirectoriesOfV2) {
    EXPECT_EQ(cgroup_directories("0::/user.slice/a.service\n", kV2Mount, ""),
              (Strings{"/sys/fs/cgroup/user.slice/a.service", "/sys/fs/cgroup/user.slice", "/sys/fs/cgroup"}));
    EXPECT_EQ(cgroup_directories("0::/\n", kV2Mount, ""), Strings{"/sys/fs/cgroup"});
    EXPECT_EQ(cgroup_directories("0::/../../other\n", kV2Mount, ""), Strings{"/sys/fs/cgroup"});
    EXPECT_EQ(cgroup_directories("0::/a/..\n", kV2Mount, ""), Strings{"/sys/fs/cgroup"});
    EXPECT_EQ(cgroup_directories("0::/a\n", kV2Mount, "cpu"), Strings{});
    EXPECT_EQ(cgroup_directories("1:cpu:/a\n", kV2Mount, ""), Strings{});
    EXPECT_EQ(cgroup_directories("", kV2Mount, ""), Strings{});
    EXPECT_EQ(cgroup_directories("0::/a\n", "", ""), Strings{});
    EXPECT_EQ(cgroup_directories("garbage\n\n:::\n0::\n", "garbage\n - cgroup2\n" + std::string(kV2Mount), ""),
              Strings{"/sys/fs/cgroup"});
}

TEST(CpuInfo, DirectoriesOfV1) {
    const char *mounts = "31 30 0:27 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
                         "32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
                         "33 30 0:29 /docker/abc /sys/fs/cgroup/mem\\040ory ro - cgroup cgroup rw,memory\n"
                         "34 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    const char *paths = "5:cpuset:/s\n4:cpuacct,cpu:/jobs/7\n3:memory:/docker/abc/x\n0::/u\n";
    EXPECT_EQ(cgroup_directories(paths, mounts, "cpu"),
              (Strings{"/sys/fs/cgroup/cpu,cpuacct/jobs/7", "/sys/fs/cgroup/cpu,cpuacct/jobs",
                       "/sys/fs/cgroup/cpu,cpuacct"}));
    // A container that sees the host's path of its own directory, which is all that is mounted.
    EXPECT_EQ(cgroup_directories(paths, mounts, "memory"),
              (Strings{"/sys/fs/cgroup/mem ory/x", "/sys/fs/cgroup/mem ory"}));
    EXPECT_EQ(cgroup_directories("3:memory:/docker/abcdef\n", mounts, "memory"), Strings{"/sys/fs/cgroup/mem ory"});
    EXPECT_EQ(cgroup_directories(paths, mounts, ""), (Strings{"/sys/fs/cgroup/unified/u", "/sys/fs/cgroup/unified"}));
    EXPECT_EQ(cgroup_directories(paths, mounts, "pids"), Strings{});
}

TEST(CpuInfo, CpusOfNestedCgroups) {
    const FakeRoot root;
    EXPECT_EQ(cgroup_cpus(root.path()), std::nullopt);
    root.write("/proc/self/cgroup", "0::/outer/inner\n");
    root.write("/proc/self/mountinfo", kV2Mount);
    EXPECT_EQ(cgroup_cpus(root.path()), std::nullopt);
    root.write("/sys/fs/cgroup/outer/inner/cpu.max", "800000 100000\n");
    EXPECT_EQ(cgroup_cpus(root.path()), 8u);
    root.write("/sys/fs/cgroup/outer/cpu.max", "250000 100000\n");
    EXPECT_EQ(cgroup_cpus(root.path()), 3u);
    root.write("/sys/fs/cgroup/outer/inner/cpu.max", "max 100000\n");
    EXPECT_EQ(cgroup_cpus(root.path()), 3u);
    root.write("/sys/fs/cgroup/outer/cpu.max", "nonsense\n");
    EXPECT_EQ(cgroup_cpus(root.path()), std::nullopt);
}

TEST(CpuInfo, CpusOfV1) {
    const FakeRoot root;
    root.write("/proc/self/cgroup", "4:cpu,cpuacct:/a/b\n0::/a\n");
    root.write("/proc/self/mountinfo", "32 30 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpuacct,cpu\n");
    root.write("/sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us", "-1\n");
    root.write("/sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us", "100000\n");
    EXPECT_EQ(cgroup_cpus(root.path()), std::nullopt);
    root.write("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "350000\n");
    root.write("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
    EXPECT_EQ(cgroup_cpus(root.path()), 4u);
}

TEST(CpuInfo, ThreadsAreWhatBothAffinityAndQuotaAllow) {
    const FakeRoot root;
    const uint32_t free = default_threads(root.path());
    EXPECT_GE(free, 1u);
    EXPECT_LE(free, 256u);
    root.write("/proc/self/cgroup", "0::/\n");
    root.write("/proc/self/mountinfo", kV2Mount);
    root.write("/sys/fs/cgroup/cpu.max", "10000 100000\n");
    EXPECT_EQ(default_threads(root.path()), 1u);
    root.write("/sys/fs/cgroup/cpu.max", "99999900000 100000\n");
    EXPECT_EQ(default_threads(root.path()), free);
    root.write("/sys/fs/cgroup/cpu.max", "max 100000\n");

    cpu_set_t whole, one;
    ASSERT_EQ(sched_getaffinity(0, sizeof whole, &whole), 0);
    CPU_ZERO(&one);
    for (int cpu = 0; CPU_COUNT(&one) == 0; ++cpu)
        if (CPU_ISSET(cpu, &whole)) CPU_SET(cpu, &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    EXPECT_EQ(default_threads(root.path()), 1u);
    ASSERT_EQ(sched_setaffinity(0, sizeof whole, &whole), 0);
    EXPECT_EQ(default_threads(root.path()), free);
}

TEST(CpuInfo, MemoryOfTheMachine) {
    const FakeRoot root;
    MemoryState state = memory_state(root.path());
    EXPECT_EQ(state.total, 0u);
    EXPECT_EQ(state.free, 0u);
    root.write("/proc/meminfo", "MemTotal:  1000 kB\nMemFree:  200 kB\n");
    state = memory_state(root.path());
    EXPECT_EQ(state.total, 1000u * 1024);
    EXPECT_EQ(state.free, 200u * 1024);
    root.write("/proc/meminfo", "MemTotal:  1000 kB\nMemFree:  200 kB\nMemAvailable:  600 kB\n");
    EXPECT_EQ(memory_state(root.path()).free, 600u * 1024);
    root.write("/proc/meminfo", "MemTotal:  18446744073709551615 kB\nMemAvailable:  many kB\n");
    state = memory_state(root.path());
    EXPECT_EQ(state.total, 0u);
    EXPECT_EQ(state.free, 0u);
}

TEST(CpuInfo, MemoryOfNestedCgroups) {
    const FakeRoot root;
    root.write("/proc/meminfo", "MemTotal:  1000 kB\nMemAvailable:  600 kB\n");
    root.write("/proc/self/cgroup", "0::/outer/inner\n");
    root.write("/proc/self/mountinfo", kV2Mount);
    root.write("/sys/fs/cgroup/outer/inner/memory.max", "max\n");
    root.write("/sys/fs/cgroup/outer/inner/memory.current", "600000\n");
    root.write("/sys/fs/cgroup/outer/memory.max", "800000\n");
    root.write("/sys/fs/cgroup/outer/memory.current", "700000\n");
    MemoryState state = memory_state(root.path());
    EXPECT_EQ(state.total, 800000u);
    EXPECT_EQ(state.free, 100000u);
    // Unused file caches can be dropped.
    root.write("/sys/fs/cgroup/outer/memory.stat", "anon 300000\nfile 400000\ninactive_file 250000\n");
    EXPECT_EQ(memory_state(root.path()).free, 350000u);
    // The tightest level counts, and a cgroup may be past its limit.
    root.write("/sys/fs/cgroup/outer/inner/memory.max", "500000\n");
    state = memory_state(root.path());
    EXPECT_EQ(state.total, 500000u);
    EXPECT_EQ(state.free, 0u);
    // A limit above what the machine has limits nothing.
    root.write("/sys/fs/cgroup/outer/inner/memory.max", "9000000\n");
    root.write("/sys/fs/cgroup/outer/memory.max", "9000000\n");
    state = memory_state(root.path());
    EXPECT_EQ(state.total, 1000u * 1024);
    EXPECT_EQ(state.free, 600u * 1024);
}

TEST(CpuInfo, MemoryOfV1) {
    const FakeRoot root;
    root.write("/proc/meminfo", "MemTotal:  1000 kB\nMemAvailable:  600 kB\n");
    root.write("/proc/self/cgroup", "4:memory:/job\n");
    root.write("/proc/self/mountinfo", "32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
    root.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    root.write("/sys/fs/cgroup/memory/memory.usage_in_bytes", "900000\n");
    EXPECT_EQ(memory_state(root.path()).free, 600u * 1024);
    root.write("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "500000\n");
    root.write("/sys/fs/cgroup/memory/job/memory.usage_in_bytes", "450000\n");
    root.write("/sys/fs/cgroup/memory/job/memory.stat", "inactive_file 1\ntotal_inactive_file 50000\n");
    const MemoryState state = memory_state(root.path());
    EXPECT_EQ(state.total, 500000u);
    EXPECT_EQ(state.free, 100000u);
}

// What the choice of a tier says: its name, or the message of its error.
std::string chosen(const std::string &tier, const char *environment, std::span<const Tier> tiers) {
    try {
        return select_kernels(tier, environment, tiers).tier;
    } catch (const Error &error) {
        EXPECT_EQ(error.status(), INTARSIA_UNSUPPORTED);
        return error.what();
    }
}

TEST(Device, ChoosesATier) {
    cpu::Kernels wide{}, narrow{};
    wide.tier = "wide";
    narrow.tier = "narrow";
    const Tier both[] = {{&wide, true}, {&narrow, true}};
    const Tier old[] = {{&wide, false}, {&narrow, true}};
    EXPECT_EQ(chosen("", nullptr, both), "wide");
    EXPECT_EQ(chosen("", "", both), "wide");
    EXPECT_EQ(chosen("narrow", nullptr, both), "narrow");
    EXPECT_EQ(chosen("", "narrow", both), "narrow");
    EXPECT_EQ(chosen("wide", "narrow", both), "wide");
    EXPECT_EQ(chosen("wide", "nonsense", both), "wide");
    EXPECT_EQ(chosen("", nullptr, old), "narrow");
    EXPECT_EQ(chosen("wide", nullptr, old), "CPU tier \"wide\", asked for by the device options, needs instructions "
                                            "that this machine lacks; supported here: narrow");
    EXPECT_EQ(chosen("", "wide", old), "CPU tier \"wide\", asked for by INTARSIA_CPU_TIER, needs instructions that "
                                       "this machine lacks; supported here: narrow");
    EXPECT_EQ(
        chosen("", "Wide", both),
        "CPU tier \"Wide\", asked for by INTARSIA_CPU_TIER, is not one of this build; supported here: wide narrow");
    EXPECT_EQ(
        chosen("amx", "wide", both),
        "CPU tier \"amx\", asked for by the device options, is not one of this build; supported here: wide narrow");
}

TEST(Device, SaysWhatTheSystemRefuses) {
    cpu::Kernels wide{}, narrow{};
    wide.tier = "wide";
    narrow.tier = "narrow";
    const Tier tiers[] = {{&wide, false, EPERM}, {&narrow, true}};
    EXPECT_EQ(refusals(tiers), "the processor has tier wide, but the system refuses its registers: Operation not permitted");
    EXPECT_EQ(refusals(std::span(tiers).subspan(1)), "");
    EXPECT_EQ(chosen("", nullptr, tiers), "narrow");
}

TEST(Device, AgreesWithTheKernelAboutTheTiers) {
    std::string flags;
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);)
        if (line.rfind("flags", 0) == 0) flags = line + " ";
    [[maybe_unused]] const auto has = [&](const char *flag) {
        return flags.find(" " + std::string(flag) + " ") != std::string::npos;
    };
    std::string expected = "scalar";
    [[maybe_unused]] const bool avx2 = has("avx2") && has("fma") && has("f16c");
#if defined(INTARSIA_TIER_AVX2)
    if (avx2) expected = "avx2 " + expected;
#endif
#if defined(INTARSIA_TIER_AVX512)
    if (avx2 && has("avx512f") && has("avx512bw") && has("avx512vl") && has("avx512dq") && has("avx512_vnni"))
        expected = "avx512 " + expected;
#endif
#if defined(INTARSIA_TIER_NEON)
    expected = "neon " + expected;
#endif
    const std::string best = build_tiers().front().kernels->tier;
    if (expected.find("avx512") == 0 && best == "amx" && has("amx_tile") && has("amx_bf16") && has("amx_int8") &&
        refusals(build_tiers()).empty())
        expected = "amx " + expected;
    EXPECT_EQ(supported_tiers(), expected);
    EXPECT_STREQ(select_kernels("scalar").tier, "scalar");
}

class Environment {
public:
    explicit Environment(const char *value) {
        if (const char *was = std::getenv("INTARSIA_CPU_TIER")) saved_ = was;
        set(value);
    }
    ~Environment() { set(saved_ ? saved_->c_str() : nullptr); }

private:
    static void set(const char *value) {
        if (value != nullptr) setenv("INTARSIA_CPU_TIER", value, 1);
        if (value == nullptr) unsetenv("INTARSIA_CPU_TIER");
    }

    std::optional<std::string> saved_;
};

TEST(Device, DescribesTheCpu) {
    const Environment environment(nullptr);
    ASSERT_GE(device_count(), 1u);
    intarsia_device_info info;
    std::memset(&info, 0xAA, sizeof info);
    device_query(0, info);
    EXPECT_EQ(info.struct_size, 0xAAAAAAAAu); // the caller's
    EXPECT_EQ(info.kind, static_cast<uint32_t>(INTARSIA_DEVICE_CPU));
    EXPECT_EQ(info.available, 1u);
    EXPECT_EQ(info.default_threads, default_threads());
    EXPECT_GT(info.memory_total, 0u);
    EXPECT_LE(info.memory_free, info.memory_total);
    EXPECT_EQ(info.name, cpu_name());
    EXPECT_EQ(info.tiers, supported_tiers());
    EXPECT_EQ(info.tier, supported_tiers().substr(0, supported_tiers().find(' ')));
    EXPECT_EQ(info.note, refusals(build_tiers()));
}

TEST(Device, TellsOfAnEnvironmentThatAsksForTooMuch) {
    intarsia_device_info info;
    {
        const Environment environment("scalar");
        device_query(0, info);
        EXPECT_STREQ(info.tier, "scalar");
    }
    const Environment environment(std::string(500, 'x').c_str());
    device_query(0, info);
    EXPECT_EQ(info.available, 1u);
    EXPECT_STREQ(info.tier, "");
    EXPECT_NE(std::string(info.note).find("INTARSIA_CPU_TIER, is not one of this build; supported here: "),
              std::string::npos)
        << info.note;
    EXPECT_THROW(select_kernels(""), Error);
}

TEST(Device, SaysWhyThereIsNoCuda) {
    if (!gpus().devices.empty()) GTEST_SKIP() << "there is a CUDA device";
    ASSERT_EQ(device_count(), 2u);
    intarsia_device_info info;
    std::memset(&info, 0xAA, sizeof info);
    device_query(1, info);
    EXPECT_EQ(info.kind, static_cast<uint32_t>(INTARSIA_DEVICE_CUDA));
    EXPECT_EQ(info.available, 0u);
    EXPECT_STREQ(info.name, "CUDA");
    const std::string note = info.note; // a build without nvcc, a machine without a driver, a driver without a GPU
    EXPECT_TRUE(note.starts_with("there is no CUDA plug-in at ") || note.starts_with("there is no NVIDIA driver") ||
                note == "the NVIDIA driver finds no GPU")
        << note;
    EXPECT_THROW(gpu_info(0), Error);
    EXPECT_THROW(set_gpu_plugin("/elsewhere"), Error);
    EXPECT_STREQ(info.tier, "");
    try {
        device_query(2, info);
        FAIL() << "there is no device 2";
    } catch (const Error &error) {
        EXPECT_EQ(error.status(), INTARSIA_INVALID_ARGUMENT);
        EXPECT_STREQ(error.what(), "device index is 2; it must be < 2");
    }
}

TEST(Device, OpensWithKernelsAndATeam) {
    Device device(select_kernels("scalar"), 2);
    EXPECT_STREQ(device.kernels().tier, "scalar");
    EXPECT_EQ(device.team().threads(), 2u);
}

TEST(Bandwidth, ReadsOnAnyNumberOfThreads) {
    for (const uint32_t threads : {1u, 2u, 3u}) {
        Device device(select_kernels("scalar"), threads);
        const double rate = measure_read(device, (uint64_t{4} << 20) + 100); // not a whole number of lines for each
        EXPECT_GT(rate, 1e8);
        EXPECT_LT(rate, 1e13);
    }
    Device device(select_kernels("scalar"), 1);
    EXPECT_THROW(measure_read(device, memory_state().total), Error);
}

} // namespace
} // namespace intarsia
