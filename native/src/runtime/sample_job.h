// Sampling all rows of a step: what it reads and where the answers go.
#pragma once

#include <memory>
#include <vector>

#include "runtime/sampler.h"
#include "runtime/sampler_state.h"

namespace intarsia {

constexpr uint32_t kLogprobs = 1 + INTARSIA_MAX_LOGPROBS; // entries of a row: its own token, then the likeliest

// The parameters have been checked, and the states have room for one token more.
struct SampleJob {
    const float *logits; // [rows, vocabulary]
    uint32_t vocabulary;
    const intarsia_sampling *sampling; // [rows]
    std::unique_ptr<SamplerState> *states; // by slot
    int32_t *sampled;                  // [rows], out
    float *logprobs;                   // [rows, kLogprobs], out
    int32_t *logprob_tokens;           // [rows, kLogprobs], out
    int32_t *ranks;                    // [rows], out
    uint32_t rows;
    std::vector<SamplerScratch> &scratch; // of each member of the team
    const intarsia_sampling *on_device = nullptr; // [rows], or none: those whose `reserved` is 0 have been sampled by the device
};

// Samples or scores one row. Rows touch nothing in common.
void sample_row(const SampleJob &job, uint32_t row, SamplerScratch &scratch);

} // namespace intarsia
