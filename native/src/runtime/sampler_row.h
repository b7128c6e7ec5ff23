// How a group of threads samples a row: the same id as sample() of sampler.h gives, whose definition is intarsia_sampling's, without a sort.
//
// All threads of a group run the same code, each over some of the ids; what they share goes through the group:
//   each(f)            f(id, logit) for all ids, each by one thread; NaN comes as -infinity, denormals and -0 as 0
//   sum, least, most   of a value of each thread, to all of them
//   clear, add(i, n)   kBins counters of 64 bits, added to by 32
//   reach(...)         the bin in which a sum over them reaches a number
//   keep(key, n)       a list of which the first kRoom are kept, emptied by `forget`, counted by `kept`
//   pick(...)          the same in rising order of the list's keys
//   draw(u, f)         the first id, in rising order, at which the running sum of f exceeds u times the whole sum
//   in_order(f, goal)  sums one by one in rising order of the ids, until they exceed a goal
//   share(n, f)        f(i) for i < n, each by one thread
//   meet, turn_to(x)   writes are seen by all; the logits are x from now on
// A CUDA device's is in cuda/sampler.cu. Sums of many threads have no order. Where they are exact, as sums of weights above 2^-28 of their total are,
// that does not matter; elsewhere they are apart from the definition's by less than `slack`, and a choice that this leaves open is made by in_order.
#pragma once

#include <cfloat>
#include <cmath>
#include <cstdint>

#include "cpu/exponential.h"
#include "intarsia.h"
#include "runtime/philox.h"

#if defined(__CUDACC__)
#pragma nv_diagnostic push
#pragma nv_diag_suppress 20014 // a group is of the host or of the device, as its caller is
#endif

namespace intarsia {

// Whether a group can sample such a row. With top_p, whose last id has a weight of (1 - top_p) / vocabulary of the sum at least, if all sums up to
// there are exact.
inline bool group_samples(const intarsia_sampling &row, uint32_t vocabulary) {
    return row.target == 0 && row.logprobs == 0 && (row.temperature < FLT_MIN || row.top_p == 1 || (1 - double{row.top_p}) * 0x1p27 >= vocabulary);
}

namespace grouped {

constexpr uint32_t kBinBits = 11, kBins = 1 << kBinBits;
constexpr uint32_t kNone = 0xFFFFFFFF;

INTARSIA_INLINE uint32_t bits_of(float value) { return __builtin_bit_cast(uint32_t, value); }
INTARSIA_INLINE double power_of_two(int exponent) { return __builtin_bit_cast(double, static_cast<uint64_t>(1023 + exponent) << 52); }

// Of f32, where denormals are 0: a - b, a / b and a b.
#if defined(__CUDA_ARCH__)
#define INTARSIA_FLUSHED(name, instruction, operation)                                     \
    INTARSIA_INLINE float name(float a, float b) {                                         \
        float result;                                                                      \
        asm(instruction ".rn.ftz.f32 %0, %1, %2;" : "=f"(result) : "f"(a), "f"(b));        \
        return result;                                                                     \
    }
#else
INTARSIA_INLINE float flushed(float x) { return x > -FLT_MIN && x < FLT_MIN ? 0 : x; }
#define INTARSIA_FLUSHED(name, instruction, operation) \
    INTARSIA_INLINE float name(float a, float b) { return flushed(flushed(a) operation flushed(b)); }
#endif
INTARSIA_FLUSHED(difference, "sub", -)
INTARSIA_FLUSHED(ratio, "div", /)
INTARSIA_FLUSHED(product, "mul", *)
#undef INTARSIA_FLUSHED
// cpu::exponential rounded to f32, in half the operations: the same series by fused multiply-adds is less than 2^-45 of it off, which matters only where it
// is next to the middle between two f32. There the other is computed too.
INTARSIA_INLINE float rounded_exponential(double x) {
    constexpr double kShift = 0x1.8p52;
    constexpr uint32_t kHalf = 1u << 28, kDoubt = 512; // of the 29 bits that rounding takes away
    const double shifted = __builtin_fma(x, 1.4426950408889634, kShift);
    const double r = __builtin_fma(kShift - shifted, 0.6931471805599453, x);
    double p = 1.0 / 39916800;
    p = __builtin_fma(p, r, 1.0 / 3628800);
    p = __builtin_fma(p, r, 1.0 / 362880);
    p = __builtin_fma(p, r, 1.0 / 40320);
    p = __builtin_fma(p, r, 1.0 / 5040);
    p = __builtin_fma(p, r, 1.0 / 720);
    p = __builtin_fma(p, r, 1.0 / 120);
    p = __builtin_fma(p, r, 1.0 / 24);
    p = __builtin_fma(p, r, 1.0 / 6);
    p = __builtin_fma(p, r, 0.5);
    p = __builtin_fma(p, r, 1.0);
    p = __builtin_fma(p, r, 1.0);
    // times a power of two, which is only in the bits of the exponent
    const uint64_t bits = __builtin_bit_cast(uint64_t, p) + (__builtin_bit_cast(uint64_t, shifted) << 52);
    const uint32_t rest = static_cast<uint32_t>(bits) & (2 * kHalf - 1);
    return static_cast<float>(rest - (kHalf - kDoubt) < 2 * kDoubt ? cpu::exponential(x) : __builtin_bit_cast(double, bits));
}
// A logit as it counts.
INTARSIA_INLINE float counted(float logit) {
    if (!(logit >= -INFINITY)) return -INFINITY;
    return logit > -FLT_MIN && logit < FLT_MIN ? 0.0f : logit;
}

struct Weights {
    float max, temperature, min_p, least_quotient;

    INTARSIA_INLINE Weights(float largest, const intarsia_sampling &row)
        : max(largest), temperature(row.temperature), min_p(row.min_p), least_quotient(-87) {
        if (min_p > 0) least_quotient = fmaxf(-87, logf(min_p) - 1e-4f); // a bound
    }
    INTARSIA_INLINE float quotient(float logit) const { return ratio(difference(logit, max), temperature); }
    // 0 if the id is dropped by min_p.
    INTARSIA_INLINE float of_quotient(float quotient) const {
        if (!(quotient >= least_quotient)) return 0;
        const float weight = rounded_exponential(quotient);
        return weight >= min_p ? weight : 0;
    }
    INTARSIA_INLINE float of(float logit) const { return of_quotient(quotient(logit)); }
};

// Weights by size: bins of 1/32 of an octave from 1 down to 2^-40, and one for all that is less.
struct Octaves {
    static constexpr uint32_t kShift = 18, kOne = 0x3F800000, kLast = 40 * 32;
    INTARSIA_INLINE static uint32_t of(float weight) {
        const uint32_t bin = (kOne - bits_of(weight)) >> kShift;
        return bin < kLast ? bin : kLast;
    }
    // Exponent of the least weight of a bin.
    INTARSIA_INLINE static uint32_t exponent(uint32_t bin) { return (kOne - (bin << kShift) - ((1u << kShift) - 1)) >> 23; }
    // Of any bin but the last: what its weights are multiples of, and how many.
    INTARSIA_INLINE static double unit(uint32_t bin) { return power_of_two(static_cast<int>(exponent(bin)) - 150); }
    INTARSIA_INLINE static uint32_t units(float weight, uint32_t bin) {
        const uint32_t bits = bits_of(weight);
        return ((bits & 0x7FFFFF) | 0x800000) << ((bits >> 23) - exponent(bin));
    }
    // Bounds of the quotients of a bin.
    INTARSIA_INLINE static float least_quotient(uint32_t bin) {
        return bin == kLast ? -87.0f : logf(__builtin_bit_cast(float, kOne - ((bin + 1) << kShift))) - 1e-4f;
    }
    INTARSIA_INLINE static float most_quotient(uint32_t bin) { return logf(__builtin_bit_cast(float, kOne - (bin << kShift))) + 1e-4f; }
};
static_assert(Octaves::kLast < kBins);

// Bins of equal width for quotients from 0 down to -87, to count in.
struct Quotients {
    INTARSIA_INLINE static uint32_t of(float quotient) { return static_cast<uint32_t>(quotient * -23.5f); }
};
static_assert(87 * 23.5 < kBins);

// Keys rise in the order (logit falling, id rising).
struct Keys {
    uint32_t id_bits;
    INTARSIA_INLINE explicit Keys(uint32_t vocabulary) : id_bits(0) {
        while ((vocabulary - 1) >> id_bits != 0) id_bits++;
    }
    INTARSIA_INLINE uint64_t of(uint32_t id, float logit) const {
        const uint32_t bits = bits_of(logit), falling = bits >> 31 != 0 ? bits : ~bits & 0x7FFFFFFF;
        return uint64_t{falling} << id_bits | id;
    }
};
constexpr uint64_t kAllKeys = UINT64_MAX;

// Where the sum over keys in rising order reaches what is wanted: before and with that key. Without one, there is less than that.
struct Cut {
    uint64_t key = kAllKeys;
    double before = 0, reached = 0;
};

// What is kept of a row's ids, and the choice among them.
template <class Group> class Choice {
public:
    INTARSIA_INLINE Choice(Group &group, const Weights &weights, uint32_t vocabulary)
        : group_(group), weights_(weights), keys_(vocabulary), vocabulary_(vocabulary) {}

    // Of all ids whose weight is above 0: it does not matter whether min_p has dropped some of the last.
    INTARSIA_INLINE void keep_top_k(uint32_t k) {
        group_.clear();
        group_.each([&](uint32_t, float logit) {
            const float quotient = weights_.quotient(logit);
            if (quotient >= -87) group_.add(Quotients::of(quotient), 1);
        });
        Cut end;
        const uint32_t bin = group_.reach(k, end.before, [](uint32_t) { return 1.0; });
        if (bin == kNone) return;
        last_ = cut([&](float logit) {
            const float quotient = weights_.quotient(logit);
            return quotient >= -87 && Quotients::of(quotient) == bin ? 1u : 0u;
        }, k, end.before, 1).key;
    }

    INTARSIA_INLINE void keep_top_p(float top_p) {
        bool sure = false;
        double total = 0;
        Cut end;
        for (bool summed = false; !sure; summed = true) {
            Sum sum;
            group_.clear();
            group_.each([&](uint32_t id, float logit) {
                const float weight = kept(id, logit);
                sum.add(weight);
                const uint32_t bin = Octaves::of(weight);
                if (bin < Octaves::kLast) group_.add(bin, Octaves::units(weight, bin));
            });
            const double slack = finish(sum);
            if (!summed) total = sum.total;
            else total = group_.in_order([&](uint32_t id, float logit) { return kept(id, logit); }, INFINITY).sum;
            const double wanted = double{top_p} * total;
            end = heaviest(wanted);
            sure = summed || slack == 0 || ((end.before == 0 || wanted - end.before >= slack) && end.reached - wanted >= slack);
        }
        if (end.key < last_) last_ = end.key;
    }

    // kNone if rounding leaves none, and the likeliest is the answer.
    INTARSIA_INLINE uint32_t draw(double u) {
        const auto weight = [&](uint32_t id, float logit) { return kept(id, logit); };
        Sum sum;
        const auto drawn = group_.draw(u, [&](uint32_t id, float logit) {
            const float kept_weight = kept(id, logit);
            sum.add(kept_weight);
            return kept_weight;
        }, weight);
        const double slack = finish(sum, drawn.total), goal = u * drawn.total;
        if (slack == 0) return drawn.id;
        if (drawn.id != kNone && (drawn.before == 0 || goal - drawn.before >= slack) && drawn.reached - goal >= slack) return drawn.id;
        return group_.in_order(weight, u * group_.in_order(weight, INFINITY).sum).id;
    }

private:
    // Of a thread's weights.
    struct Sum {
        double total = 0;
        float least = INFINITY; // of those above 0
        INTARSIA_INLINE void add(float weight) {
            total += weight;
            if (weight > 0) least = fminf(least, weight);
        }
    };

    // The weight of an id, 0 unless it is among those kept so far.
    INTARSIA_INLINE float kept(uint32_t id, float logit) const { return keys_.of(id, logit) <= last_ ? weights_.of(logit) : 0; }

    // Sums up over the group; answers how far apart any two orders of the sum can be, at most.
    INTARSIA_INLINE double finish(Sum &sum) { return finish(sum, sum.total = group_.sum(sum.total)); }
    INTARSIA_INLINE double finish(Sum &sum, double total) {
        sum.least = group_.least(sum.least);
        return sum.least > total * 0x1.001p-28 && !Group::kCautious ? 0 : vocabulary_ * total * 0x1p-51;
    }

    // Of what is kept, whose weights are in the bins.
    INTARSIA_INLINE Cut heaviest(double wanted) {
        Cut end;
        const uint32_t bin = group_.reach(wanted, end.before, [](uint32_t b) { return Octaves::unit(b); });
        if (bin == kNone) return {};
        const float from = Octaves::least_quotient(bin), to = Octaves::most_quotient(bin);
        return cut([&](float logit) {
            const float quotient = weights_.quotient(logit);
            if (!(quotient >= from && quotient <= to)) return 0u;
            const float weight = weights_.of_quotient(quotient);
            return weight > 0 && Octaves::of(weight) == bin ? Octaves::units(weight, bin) : 0;
        }, wanted, end.before, Octaves::unit(bin));
    }

    // Among the ids of a bin, which are those of a range of keys: `amount` of a logit is 0 for others.
    template <class Amount> INTARSIA_INLINE Cut cut(Amount amount, double wanted, double before, double unit) {
        uint64_t first = UINT64_MAX, last = 0;
        group_.forget();
        group_.each([&](uint32_t id, float logit) {
            const uint64_t key = keys_.of(id, logit);
            if (key > last_) return;
            const uint32_t own = amount(logit);
            if (own == 0) return;
            first = key < first ? key : first;
            last = key > last ? key : last;
            group_.keep(key, own);
        });
        uint32_t count = group_.kept();
        if (count > Group::kRoom) {
            first = group_.least(first);
            last = group_.most(last);
        }
        while (count > Group::kRoom) { // narrowed down
            uint32_t shift = 0;
            while ((last - first) >> shift >= kBins) shift++;
            group_.clear();
            group_.each([&](uint32_t id, float logit) {
                const uint64_t key = keys_.of(id, logit);
                if (key >= first && key <= last) group_.add(static_cast<uint32_t>((key - first) >> shift), amount(logit));
            });
            first += uint64_t{group_.reach(wanted, before, [&](uint32_t) { return unit; })} << shift;
            const uint64_t width = uint64_t{1} << shift;
            last = last - first < width ? last : first + width - 1;
            group_.forget();
            group_.each([&](uint32_t id, float logit) {
                const uint64_t key = keys_.of(id, logit);
                if (key >= first && key <= last) group_.keep(key, amount(logit));
            });
            count = group_.kept();
        }
        return group_.pick(wanted, before, unit);
    }

    Group &group_;
    const Weights &weights_;
    const Keys keys_;
    const uint32_t vocabulary_;
    uint64_t last_ = kAllKeys; // the last key that is kept
};

// best: the lowest id of the largest logit, which is max, as counted.
template <class Group> INTARSIA_INLINE uint32_t sample(Group &group, const intarsia_sampling &row, uint32_t vocabulary, uint32_t best, float max) {
    if (row.temperature < FLT_MIN || !(max > -INFINITY && max < INFINITY)) return best;
    const Weights weights(max, row);
    Choice<Group> choice(group, weights, vocabulary);
    if (row.top_k > 0 && static_cast<uint32_t>(row.top_k) < vocabulary) choice.keep_top_k(static_cast<uint32_t>(row.top_k));
    if (row.top_p < 1) choice.keep_top_p(row.top_p);
    const uint32_t id = choice.draw(uniform(row.seed, row.position));
    return id == kNone ? best : id;
}

// What a sampler state makes of a row's logits, as words of 32 bits: these, and behind them the ids.
struct Edits {
    uint32_t allowed; // ids, if not all are
    uint32_t banned;  // ids
    uint32_t biases;  // pairs of an id and an f32, equal ids one after the other
    uint32_t seen;    // pairs of an id and how often it is in the output, each id once
    uint32_t least_allowed;
    float repetition, frequency, presence;
};
constexpr uint32_t kEditWords = sizeof(Edits) / 4;

// Writes the logits after the edits to `edited`, to which the group turns. Answers the lowest id of the largest, or what there is to choose where none is
// above -infinity.
template <class Group>
INTARSIA_INLINE uint32_t edit(Group &group, uint32_t vocabulary, const uint32_t *words, const float *logits, float *edited) {
    const Edits edits = *reinterpret_cast<const Edits *>(words);
    const uint32_t *allowed = words + kEditWords, *banned = allowed + edits.allowed, *biases = banned + edits.banned, *seen = biases + 2 * edits.biases;
    group.share(vocabulary, [&](uint32_t id) { edited[id] = edits.allowed == 0 ? logits[id] : -INFINITY; });
    group.meet();
    group.share(edits.allowed, [&](uint32_t i) { edited[allowed[i]] = logits[allowed[i]]; });
    group.meet();
    group.share(edits.banned, [&](uint32_t i) { edited[banned[i]] = -INFINITY; });
    group.meet();
    group.share(edits.biases, [&](uint32_t i) {
        const uint32_t id = biases[2 * i];
        if (i > 0 && biases[2 * i - 2] == id) return;
        for (float logit = edited[id]; i < edits.biases && biases[2 * i] == id; i++)
            edited[id] = logit = difference(logit, -__builtin_bit_cast(float, biases[2 * i + 1]));
    });
    group.meet();
    group.share(edits.seen, [&](uint32_t i) {
        float logit = edited[seen[2 * i]];
        const uint32_t count = seen[2 * i + 1];
        if (edits.repetition != 1) logit = counted(logit) > 0 ? ratio(logit, edits.repetition) : product(logit, edits.repetition);
        if (count != 0) logit = difference(difference(logit, product(edits.frequency, static_cast<float>(count))), edits.presence);
        edited[seen[2 * i]] = logit;
    });
    group.meet();
    group.turn_to(edited);
    const Keys keys(vocabulary);
    uint64_t first = UINT64_MAX;
    group.each([&](uint32_t id, float logit) {
        const uint64_t key = keys.of(id, logit);
        first = key < first ? key : first;
    });
    const auto best = static_cast<uint32_t>(group.least(first) & ((uint64_t{1} << keys.id_bits) - 1));
    return counted(edited[best]) > -INFINITY ? best : edits.least_allowed;
}

} // namespace grouped

} // namespace intarsia

#if defined(__CUDACC__)
#pragma nv_diagnostic pop
#endif
