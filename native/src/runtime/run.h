// Runs resolved kernel calls on the thread team of a device.
#pragma once

#include <vector>

#include "compile/executable.h"
#include "runtime/device.h"
#include "runtime/sample_job.h"

namespace intarsia {

// Every member of the team goes through all calls in order, does its share of each, and meets the others after each; then the rows are
// sampled if there is a job. The team is woken once. nanoseconds, if not null, receives for each call, and for the sampling as one more,
// how long the slowest member was in it.
void run_calls(Device &device, const KernelArgs *calls, size_t count, SampleJob *sample, uint64_t *nanoseconds);

} // namespace intarsia
