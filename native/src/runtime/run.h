// Runs resolved kernel calls on the thread team of a device.
#pragma once

#include <span>
#include <vector>

#include "compile/executable.h"
#include "runtime/device.h"
#include "runtime/plan.h"
#include "runtime/sample_job.h"

namespace intarsia {

// Every member of the team goes through all calls in order, does its share of each, and meets the others before each, or where the plan says
// so if there is one; then the rows are sampled if there is a job. The team is woken once. nanoseconds, if not null, receives for each call, and
// for the sampling as one more, how long the slowest member was in it, less what it takes to read the clock; then all meet before each call.
void run_calls(Device &device, std::span<const KernelArgs> calls, std::span<const CallPlan> plan, SampleJob *sample, uint64_t *nanoseconds);

} // namespace intarsia
