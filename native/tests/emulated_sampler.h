// A group of one thread, which samples a row as the threads of a CUDA device do (runtime/sampler_row.h). `Room`: keys that it lists; `Cautious`: it
// takes no sum of its own for exact.
#pragma once

#include <algorithm>
#include <vector>

#include "runtime/sampler_row.h"

namespace intarsia::emulated {

template <uint32_t Room = 256, bool Cautious = false> class Alone {
public:
    static constexpr uint32_t kRoom = Room;
    static constexpr bool kCautious = Cautious;
    struct Drawn {
        uint32_t id = grouped::kNone;
        double before = 0, reached = 0, total = 0;
    };
    struct InOrder {
        uint32_t id = grouped::kNone;
        double sum = 0;
    };

    Alone(const float *logits, uint32_t vocabulary) : logits_(logits), vocabulary_(vocabulary), bins_(grouped::kBins) {}

    template <class F> void each(F f) {
        for (uint32_t id = vocabulary_; id-- > 0;) f(id, grouped::counted(logits_[id])); // in any order but the definition's
    }
    template <class F> void share(uint32_t count, F f) {
        for (uint32_t i = count; i-- > 0;) f(i);
    }
    void meet() {}
    void turn_to(const float *logits) { logits_ = logits; }
    template <class T> T sum(T value) { return value; }
    template <class T> T least(T value) { return value; }
    template <class T> T most(T value) { return value; }

    void clear() { std::fill(bins_.begin(), bins_.end(), 0); }
    void add(uint32_t bin, uint32_t amount) { bins_[bin] += amount; }
    template <class Unit> uint32_t reach(double wanted, double &before, Unit unit) {
        for (uint32_t bin = 0; bin < grouped::kBins; bin++) {
            const double next = before + static_cast<double>(bins_[bin]) * unit(bin);
            if (next >= wanted) return bin;
            before = next;
        }
        return grouped::kNone;
    }

    void forget() { listed_.clear(); }
    void keep(uint64_t key, uint32_t amount) { listed_.push_back({key, amount}); }
    uint32_t kept() const { return static_cast<uint32_t>(listed_.size()); }
    grouped::Cut pick(double wanted, double before, double unit) {
        std::sort(listed_.begin(), listed_.end(), [](const Listed &a, const Listed &b) { return a.key < b.key; });
        for (const Listed &each : listed_) {
            const double reached = before + each.amount * unit;
            if (reached >= wanted) return {each.key, before, reached};
            before = reached;
        }
        return {};
    }

    template <class First, class F> Drawn draw(double u, First first, F f) {
        Drawn drawn;
        each([&](uint32_t id, float logit) { drawn.total += first(id, logit); });
        for (uint32_t id = 0; id < vocabulary_; id++) {
            drawn.before = drawn.reached;
            drawn.reached += f(id, grouped::counted(logits_[id]));
            if (drawn.reached > u * drawn.total) {
                drawn.id = id;
                break;
            }
        }
        return drawn;
    }
    template <class F> InOrder in_order(F f, double goal) {
        InOrder result;
        orders_++;
        for (uint32_t id = 0; id < vocabulary_; id++)
            if ((result.sum += f(id, grouped::counted(logits_[id]))) > goal) {
                result.id = id;
                break;
            }
        return result;
    }
    uint32_t orders() const { return orders_; } // sums that were taken in the definition's order

private:
    struct Listed {
        uint64_t key;
        uint32_t amount;
    };
    const float *logits_;
    uint32_t vocabulary_, orders_ = 0;
    std::vector<uint64_t> bins_;
    std::vector<Listed> listed_;
};

inline uint32_t largest(const float *logits, uint32_t vocabulary) {
    float most = -INFINITY;
    uint32_t best = 0;
    for (uint32_t id = 0; id < vocabulary; id++)
        if (const float logit = grouped::counted(logits[id]); logit > most) {
            most = logit;
            best = id;
        }
    return best;
}

// The token of a row whose parameters group_samples takes.
template <class Group> uint32_t sample(Group &group, const float *logits, uint32_t vocabulary, const intarsia_sampling &row) {
    const uint32_t best = largest(logits, vocabulary);
    return grouped::sample(group, row, vocabulary, best, grouped::counted(logits[best]));
}

// The same with what a sampler state makes of the logits.
template <class Group>
uint32_t sample_edited(Group &group, const intarsia_sampling &row, uint32_t vocabulary, const uint32_t *edits, const float *logits, float *edited) {
    const uint32_t best = grouped::edit(group, vocabulary, edits, logits, edited);
    return grouped::sample(group, row, vocabulary, best, grouped::counted(edited[best]));
}

} // namespace intarsia::emulated
