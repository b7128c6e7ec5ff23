#include "runtime/sampler_state.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "runtime/error.h"
#include "runtime/sampler_row.h"

namespace intarsia {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr uint64_t kMost = 1u << 24; // elements of an array

void check_count(const char *name, uint64_t count) {
    if (count > kMost)
        fail(INTARSIA_INVALID_ARGUMENT, "sampler state: %s is %llu; it must be <= %llu", name,
             static_cast<unsigned long long>(count), static_cast<unsigned long long>(kMost));
}

float finite(const char *name, float value) {
    if (!std::isfinite(value))
        fail(INTARSIA_INVALID_ARGUMENT, "sampler state: %s is %g; it must be finite", name, double{value});
    return value;
}

float positive(const char *name, float value) {
    if (!(value > 0) || !std::isfinite(value))
        fail(INTARSIA_INVALID_ARGUMENT, "sampler state: %s is %g; it must be finite and > 0", name, double{value});
    return value;
}

template <typename T> uint64_t bytes_of(const std::vector<T> &vector) { return vector.capacity() * sizeof(T); }

} // namespace

SamplerState::SamplerState(const intarsia_sampler_state &d, uint32_t vocabulary)
    : vocabulary_(vocabulary), presence_penalty_(finite("presence_penalty", d.presence_penalty)),
      frequency_penalty_(finite("frequency_penalty", d.frequency_penalty)),
      repetition_penalty_(positive("repetition_penalty", d.repetition_penalty)), min_tokens_(d.min_tokens) {
    check_count("prompt_count", d.prompt_count);
    check_count("output_count", d.output_count);
    check_count("allowed_count", d.allowed_count);
    check_count("stop_count", d.stop_count);
    check_count("bias_count", d.bias_count);
    check_count("bad_count", d.bad_count);
    sampled_ = d.output_count;
    allowed_ = ids(d.allowed, d.allowed_count, "allowed");
    std::sort(allowed_.begin(), allowed_.end());
    stops_ = ids(d.stops, d.stop_count, "stops");
    copy_biases(d);
    copy_bad_words(d);
    count_seen(d);
}

std::vector<uint32_t> SamplerState::ids(const int32_t *given, uint64_t count, const char *name) const {
    std::vector<uint32_t> copy(count);
    for (uint64_t i = 0; i < count; i++) {
        if (given[i] < 0 || static_cast<uint32_t>(given[i]) >= vocabulary_)
            fail(INTARSIA_INVALID_ARGUMENT, "sampler state: %s[%llu] is the id %d, not in 0..%u", name,
                 static_cast<unsigned long long>(i), given[i], vocabulary_ - 1);
        copy[i] = static_cast<uint32_t>(given[i]);
    }
    return copy;
}

// By id; of equal ids in the order given.
void SamplerState::copy_biases(const intarsia_sampler_state &d) {
    const std::vector<uint32_t> given = ids(d.bias_ids, d.bias_count, "bias_ids");
    std::vector<uint32_t> order(given.size());
    std::iota(order.begin(), order.end(), 0u);
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return given[a] < given[b]; });
    for (const uint32_t i : order) {
        bias_ids_.push_back(given[i]);
        biases_.push_back(finite("a bias", d.biases[i]));
    }
}

void SamplerState::copy_bad_words(const intarsia_sampler_state &d) {
    uint64_t end = 0, longest = 0;
    for (uint32_t i = 0; i < d.bad_count; i++) {
        if (d.bad_lengths[i] == 0) fail(INTARSIA_INVALID_ARGUMENT, "sampler state: bad_lengths[%u] is 0; it must be >= 1", i);
        end += d.bad_lengths[i];
        check_count("the sum of bad_lengths", end);
        bad_ends_.push_back(static_cast<uint32_t>(end));
        longest = std::max<uint64_t>(longest, d.bad_lengths[i]);
    }
    bad_words_ = ids(d.bad_words, end, "bad_words");
    if (longest == 0) return;
    tail_most_ = longest - 1;
    tail_.reserve(tail_most_);
    const uint32_t kept = static_cast<uint32_t>(std::min<uint64_t>(tail_most_, d.output_count));
    tail_ = ids(d.output + (d.output_count - kept), kept, "the end of output");
}

void SamplerState::count_seen(const intarsia_sampler_state &d) {
    std::vector<uint32_t> prompt = ids(d.prompt, d.prompt_count, "prompt");
    std::vector<uint32_t> output = ids(d.output, d.output_count, "output");
    if (!penalizes()) return;
    if (repetition_penalty_ == 1) prompt.clear();
    std::sort(prompt.begin(), prompt.end());
    std::sort(output.begin(), output.end());
    const auto see = [&](uint32_t id, uint32_t count) {
        if (seen_.empty() || seen_.back().id != id) seen_.push_back({id, count});
        else seen_.back().count += count;
    };
    for (size_t p = 0, o = 0; p < prompt.size() || o < output.size();) {
        if (o == output.size() || (p < prompt.size() && prompt[p] < output[o])) see(prompt[p++], 0);
        else see(output[o++], 1);
    }
}

void SamplerState::reserve() {
    if (penalizes() && seen_.size() == seen_.capacity()) seen_.reserve(2 * seen_.size() + 16);
    tail_.reserve(tail_most_);
}

void SamplerState::append(uint32_t token) noexcept {
    sampled_++;
    if (tail_most_ != 0) {
        if (tail_.size() == tail_most_) tail_.erase(tail_.begin());
        tail_.push_back(token);
    }
    if (!penalizes()) return;
    const auto at = std::lower_bound(seen_.begin(), seen_.end(), token, [](const Seen &s, uint32_t id) { return s.id < id; });
    if (at != seen_.end() && at->id == token) at->count++;
    else seen_.insert(at, {token, 1});
}

template <typename F> void SamplerState::each_banned(F f) const {
    uint32_t begin = 0;
    for (const uint32_t end : bad_ends_) {
        const size_t prefix = end - 1 - begin;
        if (prefix <= tail_.size() && std::equal(bad_words_.begin() + begin, bad_words_.begin() + (end - 1), tail_.end() - static_cast<ptrdiff_t>(prefix)))
            f(bad_words_[end - 1]);
        begin = end;
    }
    if (sampled_ < min_tokens_)
        for (const uint32_t id : stops_) f(id);
}

void SamplerState::process(const float *logits, float *processed) const noexcept {
    if (allowed_.empty()) {
        std::memcpy(processed, logits, sizeof(float) * vocabulary_);
    } else {
        std::fill(processed, processed + vocabulary_, -kInfinity);
        for (const uint32_t id : allowed_) processed[id] = logits[id];
    }
    each_banned([&](uint32_t id) { processed[id] = -kInfinity; });
    for (size_t i = 0; i < bias_ids_.size(); i++) processed[bias_ids_[i]] += biases_[i];
    penalize(processed);
}

void SamplerState::add_edits(std::vector<uint32_t> &words) const {
    const size_t at = words.size();
    words.resize(at + grouped::kEditWords);
    words.insert(words.end(), allowed_.begin(), allowed_.end());
    const size_t banned = words.size();
    each_banned([&](uint32_t id) { words.push_back(id); });
    const grouped::Edits edits = {static_cast<uint32_t>(allowed_.size()), static_cast<uint32_t>(words.size() - banned), static_cast<uint32_t>(bias_ids_.size()),
                                  static_cast<uint32_t>(seen_.size()), least_allowed(), repetition_penalty_, frequency_penalty_, presence_penalty_};
    std::memcpy(&words[at], &edits, sizeof edits);
    for (size_t i = 0; i < bias_ids_.size(); i++) words.insert(words.end(), {bias_ids_[i], std::bit_cast<uint32_t>(biases_[i])});
    for (const Seen &seen : seen_) words.insert(words.end(), {seen.id, seen.count});
}

void SamplerState::penalize(float *logits) const {
    for (const Seen &seen : seen_) {
        float logit = logits[seen.id];
        if (repetition_penalty_ != 1) logit = logit > 0 ? logit / repetition_penalty_ : logit * repetition_penalty_;
        if (seen.count != 0) {
            logit -= frequency_penalty_ * static_cast<float>(seen.count);
            logit -= presence_penalty_;
        }
        logits[seen.id] = logit;
    }
}

uint64_t SamplerState::bytes() const {
    return sizeof *this + bytes_of(allowed_) + bytes_of(stops_) + bytes_of(bias_ids_) + bytes_of(biases_) + bytes_of(bad_words_) +
           bytes_of(bad_ends_) + bytes_of(tail_) + bytes_of(seen_);
}

} // namespace intarsia
