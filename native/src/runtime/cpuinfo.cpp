#include "runtime/cpuinfo.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <limits>
#include <thread>

namespace intarsia {

namespace {

constexpr uint32_t kMaxThreads = 256; // of a device

std::string read(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// Takes what comes before the separator off the front of `text`, and the separator.
std::string_view take(std::string_view &text, char separator) {
    const size_t end = std::min(text.find(separator), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return part;
}

std::string_view trim(std::string_view text) {
    constexpr const char *kBlanks = " \t\r\n";
    const size_t begin = std::min(text.find_first_not_of(kBlanks), text.size());
    return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

bool has_token(std::string_view list, std::string_view token) {
    while (!list.empty())
        if (take(list, ',') == token) return true;
    return false;
}

std::optional<uint32_t> cpus(std::optional<uint64_t> quota, std::optional<uint64_t> period) {
    if (!quota || !period || *quota == 0 || *period == 0) return {};
    const uint64_t whole = *quota / *period + (*quota % *period != 0 ? 1 : 0);
    return static_cast<uint32_t>(std::min<uint64_t>(whole, std::numeric_limits<uint32_t>::max()));
}

// Of mountinfo: octal escapes such as \040 for the blank.
std::string unescape(std::string_view text) {
    const auto digit = [&](size_t i) { return i < text.size() && text[i] >= '0' && text[i] <= '7'; };
    std::string plain;
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && digit(i + 1) && digit(i + 2) && digit(i + 3)) {
            plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
            i += 3;
        } else {
            plain += text[i];
        }
    }
    return plain;
}

struct Mount {
    std::string root;  // the directory of the tree that is mounted
    std::string point; // where it is mounted
};

std::vector<Mount> cgroup_mounts(std::string_view mountinfo, std::string_view controller) {
    std::vector<Mount> mounts;
    while (!mountinfo.empty()) {
        // 36 35 98:0 ROOT POINT options [optional fields] - TYPE source OPTIONS
        std::string_view line = take(mountinfo, '\n');
        for (int i = 0; i < 3; ++i) take(line, ' ');
        const std::string_view root = take(line, ' ');
        const std::string_view point = take(line, ' ');
        const size_t dash = line.find(" - ");
        if (dash == std::string_view::npos || root.empty() || point.empty()) continue;
        line.remove_prefix(dash + 3);
        const std::string_view type = take(line, ' ');
        take(line, ' ');
        if (controller.empty() ? type == "cgroup2" : type == "cgroup" && has_token(trim(line), controller))
            mounts.push_back({unescape(root), unescape(point)});
    }
    return mounts;
}

// The path of the process in the tree of a controller.
std::optional<std::string> cgroup_path(std::string_view cgroup, std::string_view controller) {
    while (!cgroup.empty()) {
        std::string_view line = take(cgroup, '\n'); // 4:cpu,cpuacct:/path; of v2 0::/path
        const std::string_view hierarchy = take(line, ':');
        const std::string_view controllers = take(line, ':');
        if (controller.empty() ? hierarchy == "0" && controllers.empty() : has_token(controllers, controller))
            return std::string(line);
    }
    return {};
}

// `path` as seen from `root`, if it lies there: "" or "/a/b". A path outside of the namespace ("/../x") lies nowhere.
std::optional<std::string> below(const std::string &path, const std::string &root) {
    if (path.empty() || path[0] != '/' || (path + "/").find("/../") != std::string::npos) return {};
    const std::string prefix = root == "/" ? "" : root;
    if (path.compare(0, prefix.size(), prefix) != 0) return {};
    std::string rest = path.substr(prefix.size());
    if (!rest.empty() && rest[0] != '/') return {};
    while (!rest.empty() && rest.back() == '/') rest.pop_back();
    return rest;
}

std::vector<std::string> directories(const std::string &root, std::string_view controller) {
    std::vector<std::string> found =
        cgroup_directories(read(root + "/proc/self/cgroup"), read(root + "/proc/self/mountinfo"), controller);
    for (std::string &directory : found) directory.insert(0, root);
    return found;
}

uint32_t affinity_cpus() {
    // The kernel refuses sets that are smaller than its own, whose size it does not tell.
    for (int cpus = 1024; cpus <= 1 << 20; cpus *= 4) {
        cpu_set_t *set = CPU_ALLOC(cpus);
        if (set == nullptr) break;
        const size_t bytes = CPU_ALLOC_SIZE(cpus);
        const int count = sched_getaffinity(0, bytes, set) == 0 ? CPU_COUNT_S(bytes, set) : 0;
        CPU_FREE(set);
        if (count > 0) return static_cast<uint32_t>(count);
    }
    return std::max(1u, std::thread::hardware_concurrency());
}

} // namespace

std::optional<uint64_t> parse_number(std::string_view text) {
    text = trim(text);
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return {};
    return value;
}

std::optional<uint32_t> parse_cpu_max(std::string_view text) {
    text = trim(text);
    const std::string_view quota = take(text, ' ');
    return cpus(parse_number(quota), parse_number(text));
}

std::optional<uint32_t> parse_cfs_quota(std::string_view quota, std::string_view period) {
    return cpus(parse_number(quota), parse_number(period));
}

std::optional<uint64_t> parse_field(std::string_view text, std::string_view name) {
    while (!text.empty()) {
        std::string_view line = take(text, '\n');
        if (line.substr(0, name.size()) != name) continue;
        line.remove_prefix(name.size());
        if (line.empty() || (line[0] != ' ' && line[0] != '\t')) continue; // a longer name
        line = trim(line);
        return parse_number(take(line, ' ')); // a unit may follow
    }
    return {};
}

std::optional<std::string> parse_cpu_name(std::string_view text) {
    while (!text.empty()) {
        std::string_view line = take(text, '\n');
        if (trim(take(line, ':')) != "model name") continue;
        if (line = trim(line); !line.empty()) return std::string(line);
    }
    return {};
}

std::vector<std::string> cgroup_directories(std::string_view cgroup, std::string_view mountinfo,
                                            std::string_view controller) {
    const std::vector<Mount> mounts = cgroup_mounts(mountinfo, controller);
    const std::optional<std::string> path = cgroup_path(cgroup, controller);
    if (mounts.empty() || !path) return {};
    // In a container the path may be that of the host, which cannot be seen here: then the mount is the container's own
    // directory.
    std::string point = mounts[0].point;
    std::string rest;
    for (const Mount &mount : mounts) {
        if (const auto inside = below(*path, mount.root)) {
            point = mount.point;
            rest = *inside;
            break;
        }
    }
    std::vector<std::string> found;
    for (; !rest.empty(); rest.resize(rest.rfind('/'))) found.push_back(point + rest);
    found.push_back(point);
    return found;
}

std::optional<uint32_t> cgroup_cpus(const std::string &root) {
    std::optional<uint32_t> least;
    const auto limit = [&](std::optional<uint32_t> cpus) {
        if (cpus && (!least || *cpus < *least)) least = cpus;
    };
    for (const std::string &directory : directories(root, "")) limit(parse_cpu_max(read(directory + "/cpu.max")));
    for (const std::string &directory : directories(root, "cpu"))
        limit(parse_cfs_quota(read(directory + "/cpu.cfs_quota_us"), read(directory + "/cpu.cfs_period_us")));
    return least;
}

uint32_t default_threads(const std::string &root) {
    return std::clamp(std::min(affinity_cpus(), cgroup_cpus(root).value_or(kMaxThreads)), 1u, kMaxThreads);
}

MemoryState memory_state(const std::string &root) {
    const std::string meminfo = read(root + "/proc/meminfo");
    const auto kib = [&](const char *name) -> std::optional<uint64_t> {
        const auto value = parse_field(meminfo, name);
        if (!value || *value > std::numeric_limits<uint64_t>::max() / 1024) return {};
        return *value * 1024;
    };
    MemoryState state{};
    state.total = kib("MemTotal:").value_or(0);
    state.free = kib("MemAvailable:").value_or(kib("MemFree:").value_or(0));
    const auto limit = [&](const std::string &directory, const char *most, const char *used, const char *cache) {
        const auto bytes = parse_number(read(directory + most));
        if (!bytes) return;
        const uint64_t usage = parse_number(read(directory + used)).value_or(0);
        const uint64_t unused = std::min(usage, parse_field(read(directory + "/memory.stat"), cache).value_or(0));
        state.total = std::min(state.total, *bytes);
        state.free = std::min(state.free, *bytes - std::min(*bytes, usage - unused));
    };
    for (const std::string &directory : directories(root, ""))
        limit(directory, "/memory.max", "/memory.current", "inactive_file");
    for (const std::string &directory : directories(root, "memory"))
        limit(directory, "/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file");
    return state;
}

std::string cpu_name(const std::string &root) { return parse_cpu_name(read(root + "/proc/cpuinfo")).value_or("CPU"); }

} // namespace intarsia
