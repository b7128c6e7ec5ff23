// The devices: what they are, and an opened one. Every device has a thread team and the kernels of a CPU tier: a CUDA device samples with them
// what it does not sample itself.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "cpu/args.h"
#include "intarsia.h"
#include "runtime/cpuinfo.h"
#include "runtime/gpu.h"
#include "runtime/memory.h"
#include "runtime/team.h"

namespace intarsia {

// Instruction-set tiers this machine runs, best first, separated by blanks: "amx avx512 avx2 scalar".
std::string supported_tiers();

// Kernels of a tier by name; "" takes INTARSIA_CPU_TIER of the environment, else the best. Fails with
// INTARSIA_UNSUPPORTED naming the tier, who asked for it, and those supported.
const cpu::Kernels &select_kernels(const std::string &tier);

// The tiers of the build, best first and the last always supported.
struct Tier {
    const cpu::Kernels *kernels;
    bool supported;  // by this machine
    int refused = 0; // the system's error where it keeps from us what the processor has
};
std::span<const Tier> build_tiers();
// Which tiers are refused and why, empty if none.
std::string refusals(std::span<const Tier> tiers);

// The choice itself: of tiers like those of build_tiers(); `environment` may be null.
const cpu::Kernels &select_kernels(const std::string &tier, const char *environment, std::span<const Tier> tiers);

// The CPU is number 0; CUDA devices follow, or one that says why there is none.
uint32_t device_count();
// Fills all but struct_size. Fails with INTARSIA_INVALID_ARGUMENT on an unknown index.
void device_query(uint32_t index, intarsia_device_info &info);

class Device {
public:
    Device(const cpu::Kernels &kernels, uint32_t threads, std::shared_ptr<Gpu> gpu = nullptr)
        : kernels_(kernels), team_(threads), scratch_(kernels.scratch * threads, "the kernels of each thread"), gpu_(std::move(gpu)) {}
    const cpu::Kernels &kernels() const { return kernels_; }
    Team &team() { return team_; }
    // What a member does of a kernel call.
    cpu::Share share(uint32_t member) const { return {member, team_.threads(), scratch_.data() + member * kernels_.scratch}; }
    const std::shared_ptr<Gpu> &gpu() const { return gpu_; } // null: the CPU
    // How many do a kernel call together.
    uint32_t members() const { return gpu_ ? 1 : team_.threads(); }

private:
    const cpu::Kernels &kernels_;
    Team team_;
    Memory scratch_; // of the members, one after the other; pages that none has touched are not there
    std::shared_ptr<Gpu> gpu_;
};

} // namespace intarsia
