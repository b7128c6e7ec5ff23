// What Linux says about the CPUs and the memory that this process may use. Every file is read below `root`, "" being
// that of the system, and what is missing or makes no sense is passed over.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace intarsia {

// Threads that affinity and cgroup (v1 and v2, nested) allow, at least 1 and at most 256.
uint32_t default_threads(const std::string &root = "");

// Bytes of memory in all and free, with the cgroup's limit where that is lower. Free is what can be had without
// swapping: file caches that nobody uses count as free. Both are 0 if the system does not say.
struct MemoryState {
    uint64_t total;
    uint64_t free;
};
MemoryState memory_state(const std::string &root = "");

// The model of the first CPU, or "CPU".
std::string cpu_name(const std::string &root = "");

// ---- The parts of the above, which the tests look at.

// CPUs that the cgroups of the process grant by quota, rounded up; none: no limit.
std::optional<uint32_t> cgroup_cpus(const std::string &root);

// cpu.max, "QUOTA PERIOD" in microseconds: CPUs, rounded up. None for "max".
std::optional<uint32_t> parse_cpu_max(std::string_view text);

// cpu.cfs_quota_us and cpu.cfs_period_us: CPUs, rounded up. None for a quota of -1.
std::optional<uint32_t> parse_cfs_quota(std::string_view quota, std::string_view period);

// A decimal number alone in its file. None for "max".
std::optional<uint64_t> parse_number(std::string_view text);

// The number after `name` at the start of a line: "MemTotal:" of /proc/meminfo, "inactive_file" of memory.stat.
std::optional<uint64_t> parse_field(std::string_view text, std::string_view name);

// The first "model name" of /proc/cpuinfo, without the blanks around it.
std::optional<std::string> parse_cpu_name(std::string_view text);

// The directories that limit the process, its own first, up to the root of the mount, from the text of
// /proc/self/cgroup and /proc/self/mountinfo. `controller` is that of v1, such as "cpu"; "" means the one tree of v2.
std::vector<std::string> cgroup_directories(std::string_view cgroup, std::string_view mountinfo,
                                            std::string_view controller);

} // namespace intarsia
