// The sampler, as intarsia_sampling defines it. Its results depend on nothing but its arguments: not on the
// instruction-set tier, the C library or the thread count. To that end it computes in a FloatMode, which the caller
// sets (a team's members have it).
#pragma once

#include <cstdint>
#include <vector>

#include "intarsia.h"
#include "runtime/philox.h"

namespace intarsia {

// Reused between calls, so that sampling allocates nothing once it has seen its vocabulary.
struct SamplerScratch {
    std::vector<float> weights;
    std::vector<uint32_t> order;
    std::vector<uint64_t> keys;
    std::vector<double> sums;
    std::vector<float> processed; // the logits after a sampler state
    void reserve(uint32_t vocabulary); // all but `processed`
};

// Fails with INTARSIA_INVALID_ARGUMENT, naming the parameter, its value, its bound and the row.
void check_sampling(const intarsia_sampling &sampling, uint32_t row);

// The lowest id of the largest logit; NaN counts as -infinity, so that a row of nothing else gives 0.
uint32_t argmax(const float *logits, uint32_t vocabulary);

// x[i] = exp((x[i] - max) / temperature) for x[i] <= max, a finite number, and temperature >= 2^-126. Difference and
// quotient are those of f32. The exponential is computed in f64 and then rounded to f32 (off by less than 0.5001 units
// in the last place), and is 0 where the quotient is below -87 or NaN, so that no weight is denormal.
void softmax_weights(float *x, uint32_t count, float max, float temperature);

// The id sampled from logits [vocabulary], vocabulary >= 1, with parameters that check_sampling takes. A row whose
// largest logit is infinite has no softmax: the answer is argmax, that is the lowest id of +infinity, or 0 if all are
// -infinity or NaN.
uint32_t sample(const float *logits, uint32_t vocabulary, const intarsia_sampling &sampling, SamplerScratch &scratch);

// Log-probabilities of id and of the k likeliest ids, as intarsia_sampling defines them, into values and tokens [1 + k];
// entries that nothing is left for get -infinity and -1. The answer is the rank of id.
uint32_t logprobs(const float *logits, uint32_t vocabulary, uint32_t id, uint32_t k, float *values, int32_t *tokens,
                  SamplerScratch &scratch);

} // namespace intarsia
