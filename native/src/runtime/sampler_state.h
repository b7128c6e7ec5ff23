// What the sampler knows of one sequence beyond its logits, as intarsia_sampler_state defines it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "intarsia.h"

namespace intarsia {

class SamplerState {
public:
    // Copies the definition, whose arrays must be there. Fails with INTARSIA_INVALID_ARGUMENT for an id that is not
    // below `vocabulary` and for a number out of bounds.
    SamplerState(const intarsia_sampler_state &definition, uint32_t vocabulary);

    // Makes room for one more token, so that append needs no memory. Throws std::bad_alloc.
    void reserve();
    // The sequence's next token, after a reserve.
    void append(uint32_t token) noexcept;

    // processed = logits after the steps 1 to 6, both [vocabulary]. Needs a FloatMode.
    void process(const float *logits, float *processed) const noexcept;
    // The same steps for a device, as words that grouped::Edits of sampler_row.h describes, appended to `words`.
    void add_edits(std::vector<uint32_t> &words) const;
    // What is sampled if nothing processed is above -infinity.
    uint32_t least_allowed() const { return allowed_.empty() ? 0 : allowed_.front(); }

    uint64_t bytes() const;

private:
    // An id of the prompt or of the output, where penalties ask for it.
    struct Seen {
        uint32_t id;
        uint32_t count; // in the output; 0 = in the prompt only
    };

    std::vector<uint32_t> ids(const int32_t *given, uint64_t count, const char *name) const;
    void copy_biases(const intarsia_sampler_state &definition);
    void copy_bad_words(const intarsia_sampler_state &definition);
    void count_seen(const intarsia_sampler_state &definition);
    // f(id) for the ids that are banned now.
    template <typename F> void each_banned(F f) const;
    bool penalizes_output() const { return presence_penalty_ != 0 || frequency_penalty_ != 0; }
    bool penalizes() const { return penalizes_output() || repetition_penalty_ != 1; }
    void penalize(float *logits) const;

    const uint32_t vocabulary_;
    const float presence_penalty_, frequency_penalty_, repetition_penalty_;
    const uint32_t min_tokens_;
    uint64_t sampled_ = 0;          // tokens of the output
    std::vector<uint32_t> allowed_; // rising; empty = all
    std::vector<uint32_t> stops_;
    std::vector<uint32_t> bias_ids_;
    std::vector<float> biases_;
    std::vector<uint32_t> bad_words_; // one after the other
    std::vector<uint32_t> bad_ends_;  // where each ends
    std::vector<uint32_t> tail_;      // the end of the output, as long as the longest bad word less 1
    size_t tail_most_ = 0;
    std::vector<Seen> seen_; // by rising id
};

} // namespace intarsia
