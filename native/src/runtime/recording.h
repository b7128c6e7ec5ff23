// A recording: the resolved kernel calls of pieces at one exact size, run again by the team in one go. On a
// CUDA device it is a graph.
#pragma once

#include <memory>
#include <vector>

#include "compile/executable.h"
#include "runtime/gpu.h"
#include "runtime/memory.h"
#include "runtime/plan.h"

namespace intarsia {

class Recording {
public:
    Recording(uint64_t step, uint32_t tokens, uint32_t rows, bool samples, std::shared_ptr<Memory> arena, uint64_t arena_bytes,
              std::vector<KernelArgs> calls, std::vector<CallPlan> plan, std::unique_ptr<Gpu::Recording> graph = nullptr)
        : step_(step), tokens_(tokens), rows_(rows), samples_(samples), arena_(std::move(arena)), arena_bytes_(arena_bytes), calls_(std::move(calls)),
          plan_(std::move(plan)), graph_(std::move(graph)) {}

    // Id of the step whose buffers the calls address: they may be used only while that step lives.
    uint64_t step() const { return step_; }
    // The step sizes that it was recorded for, 0 if none of its pieces is over that dimension. The number of sequences is read at replay.
    uint32_t tokens() const { return tokens_; }
    uint32_t rows() const { return rows_; }
    bool samples() const { return samples_; }                 // ends with the sampling of all rows
    uint64_t arena_bytes() const { return arena_bytes_; }     // of the arena that it shares with the step's other recordings
    uint64_t bytes() const { return calls_.size() * (sizeof(KernelArgs) + sizeof(CallPlan)); }
    const std::vector<KernelArgs> &calls() const { return calls_; }
    const std::vector<CallPlan> &plan() const { return plan_; } // of each call
    const Gpu::Recording *graph() const { return graph_.get(); } // on a CUDA device

private:
    uint64_t step_;
    uint32_t tokens_, rows_;
    bool samples_;
    std::shared_ptr<Memory> arena_; // what the addresses in calls_ point into
    uint64_t arena_bytes_;
    std::vector<KernelArgs> calls_;
    std::vector<CallPlan> plan_;
    std::unique_ptr<Gpu::Recording> graph_;
};

} // namespace intarsia
