#include "runtime/sample_job.h"

#include <limits>

namespace intarsia {

namespace {

uint32_t choose(const float *logits, uint32_t vocabulary, const intarsia_sampling &sampling, SamplerState *state, SamplerScratch &scratch) {
    if (sampling.target != 0) return sampling.target - 1;
    if (state == nullptr) return sample(logits, vocabulary, sampling, scratch);
    scratch.processed.resize(vocabulary);
    float *processed = scratch.processed.data();
    state->process(logits, processed);
    uint32_t id = sample(processed, vocabulary, sampling, scratch);
    if (!(processed[id] > -std::numeric_limits<float>::infinity())) id = state->least_allowed();
    state->append(id);
    return id;
}

} // namespace

void sample_row(const SampleJob &job, uint32_t row, SamplerScratch &scratch) {
    const float *logits = job.logits + uint64_t{row} * job.vocabulary;
    const intarsia_sampling &sampling = job.sampling[row];
    SamplerState *state = sampling.state == 0 ? nullptr : job.states[sampling.state - 1].get();
    const uint32_t id = choose(logits, job.vocabulary, sampling, state, scratch);
    job.sampled[row] = static_cast<int32_t>(id);
    if (sampling.logprobs == 0) return;
    const uint64_t at = uint64_t{row} * kLogprobs;
    job.ranks[row] = static_cast<int32_t>(
        logprobs(logits, job.vocabulary, id, sampling.logprobs - 1, job.logprobs + at, job.logprob_tokens + at, scratch));
}

} // namespace intarsia
