// Runs resolved kernel calls on the thread team of a device.
#pragma once

#include <vector>

#include "compile/executable.h"
#include "runtime/device.h"
#include "runtime/sampler.h"

namespace intarsia {

// What sampling every row of a step takes. The parameters have been checked.
struct SampleJob {
    const float *logits; // [rows, vocabulary]
    uint32_t vocabulary;
    const intarsia_sampling *sampling; // [rows]
    int32_t *sampled;                  // [rows], out
    uint32_t rows;
    std::vector<SamplerScratch> &scratch; // of each member of the team
};

// Every member of the team goes through all calls in order, does its share of each, and meets the others after each; then the rows are
// sampled if there is a job. The team is woken once. nanoseconds, if not null, receives for each call, and for the sampling as one more,
// how long the slowest member was in it.
void run_calls(Device &device, const KernelArgs *calls, size_t count, SampleJob *sample, uint64_t *nanoseconds);

} // namespace intarsia
