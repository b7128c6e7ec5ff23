#include "compile/fuse.h"

#include <algorithm>
#include <optional>

namespace intarsia {

namespace {

Call single(const PieceClass &made, uint32_t op) {
    switch (made.ops[op].kind) {
    case OpKind::LINEAR: return LinearCall{{op}};
    case OpKind::ROPE: return QkvCall{.q = {kNone, op}, .k = {}};
    case OpKind::CACHE_APPEND: return QkvCall{.q = {}, .k = {}, .append = op};
    default: return op;
    }
}

// Each pattern takes ops that no earlier one took, and runs them at the place of one of them:
//  - at the place of the last, if nothing before it reads a result of the pattern or the cache that it writes;
//  - linears over one x at the place of the first, as all that they need is there.
class Fusion {
public:
    explicit Fusion(const PieceClass &made)
        : made_(made), taken_(made.ops.size()), calls_(made.ops.size()), readers_(made.values.size()) {
        for (uint32_t i = 0; i < made.ops.size(); i++) {
            const Op &op = made.ops[i];
            for (uint32_t value : op.inputs) {
                readers_[value].push_back(i);
            }
            if (op.kind == OpKind::ATTENTION) {
                first_attention_.resize(std::max<size_t>(first_attention_.size(), op.layer + 1), kNone);
                first_attention_[op.layer] = std::min(first_attention_[op.layer], i);
            }
        }
    }

    std::vector<Call> run() {
        each(OpKind::SILU_MUL, [this](uint32_t op) { gate_and_up(op); });
        each(OpKind::ADD, [this](uint32_t op) { residual_add(op); });
        neighbouring_linears();
        each(OpKind::CACHE_APPEND, [this](uint32_t op) { keys_and_values(op); });
        each(OpKind::CACHE_APPEND, [this](uint32_t op) { queries(op); });
        each(OpKind::ROPE, [this](uint32_t op) { lone_rope(op); });

        std::vector<Call> calls;
        for (uint32_t i = 0; i < made_.ops.size(); i++) {
            if (!taken_[i] && made_.ops[i].kind != OpKind::EMPTY) {
                calls.push_back(single(made_, i));
            } else if (calls_[i]) {
                calls.push_back(std::move(*calls_[i]));
            }
        }
        return calls;
    }

private:
    template <typename Pattern> void each(OpKind kind, Pattern pattern) {
        for (uint32_t i = 0; i < made_.ops.size(); i++) {
            if (made_.ops[i].kind == kind) {
                pattern(i);
            }
        }
    }

    void take(std::initializer_list<uint32_t> ops) {
        for (uint32_t op : ops) {
            if (op != kNone) {
                taken_[op] = true;
            }
        }
    }

    // The op that makes a value for one reader alone, if it is of that kind, in this piece and not taken; else kNone.
    uint32_t sole_use(uint32_t value, OpKind kind) const {
        const uint32_t producer = made_.values[value].producer;
        const bool fits = value >= made_.externals && readers_[value].size() == 1 && producer != kNone &&
                          !taken_[producer] && made_.ops[producer].kind == kind;
        return fits ? producer : kNone;
    }

    void gate_and_up(uint32_t op) {
        const Op &silu_mul = made_.ops[op];
        const uint32_t gate = sole_use(silu_mul.inputs[0], OpKind::LINEAR);
        const uint32_t up = sole_use(silu_mul.inputs[1], OpKind::LINEAR);
        if (gate == kNone || up == kNone || made_.ops[gate].inputs[0] != made_.ops[up].inputs[0]) {
            return;
        }
        take({gate, up, op});
        calls_[op] = LinearCall{{gate, up}, op};
    }

    // The second operand first: a residual stream is usually the first one. Addition commutes.
    void residual_add(uint32_t op) {
        for (int operand : {1, 0}) {
            if (const uint32_t linear = sole_use(made_.ops[op].inputs[operand], OpKind::LINEAR); linear != kNone) {
                take({linear, op});
                calls_[op] = LinearCall{{linear}, op};
                return;
            }
        }
    }

    // Up to three linears over one x with no other linear between them, stored alike.
    void neighbouring_linears() {
        LinearCall *group = nullptr;
        each(OpKind::LINEAR, [&](uint32_t op) {
            if (taken_[op]) {
                group = nullptr;
                return;
            }
            const Op &linear = made_.ops[op];
            if (group != nullptr && group->linears.size() < 3) {
                const Op &first = made_.ops[group->linears[0]];
                if (first.inputs[0] == linear.inputs[0] &&
                    made_.storage[first.output] == made_.storage[linear.output]) {
                    group->linears.push_back(op);
                    take({op});
                    return;
                }
            }
            take({op});
            calls_[op] = LinearCall{{op}};
            group = &std::get<LinearCall>(*calls_[op]);
        });
    }

    // The norm over heads of this size that makes a value for one reader alone.
    uint32_t head_norm(uint32_t value, uint32_t head_dim) const {
        const uint32_t norm = sole_use(value, OpKind::RMS_NORM);
        return norm != kNone && made_.weights[made_.ops[norm].weights[0]].first == head_dim ? norm : kNone;
    }

    uint32_t rope_dim(uint32_t rope) const { return made_.values[made_.ops[rope].inputs[1]].width; }

    void keys_and_values(uint32_t op) {
        const Op &append = made_.ops[op];
        uint32_t value = append.inputs[0];
        HeadsCall k;
        k.rope = sole_use(value, OpKind::ROPE);
        if (k.rope != kNone && rope_dim(k.rope) != append.head_dim) {
            k.rope = kNone;
        }
        if (k.rope != kNone) {
            value = made_.ops[k.rope].inputs[0];
        }
        k.norm = head_norm(value, append.head_dim);
        take({k.norm, k.rope, op});
        calls_[op] = QkvCall{.q = {}, .k = k, .append = op};
    }

    // Lets the rope of q join the append of its layer. Where an attention reads both, it comes after both.
    void queries(uint32_t op) {
        const Op &append = made_.ops[op];
        const uint32_t attention = append.layer < first_attention_.size() ? first_attention_[append.layer] : kNone;
        const uint32_t rope = attention != kNone ? rope_of(made_.ops[attention].inputs[0]) : nearest_rope(op);
        if (rope == kNone || taken_[rope]) {
            return;
        }
        const uint32_t place = std::max(op, rope);
        const std::vector<uint32_t> &readers = readers_[made_.ops[rope].output];
        if (std::any_of(readers.begin(), readers.end(), [&](uint32_t reader) { return reader <= place; })) {
            return;
        }
        QkvCall call = std::get<QkvCall>(*calls_[op]);
        call.q = {head_norm(made_.ops[rope].inputs[0], rope_dim(rope)), rope};
        take({call.q.norm, rope});
        calls_[op].reset();
        calls_[place] = call;
    }

    uint32_t rope_of(uint32_t value) const {
        const uint32_t producer = made_.values[value].producer;
        return producer != kNone && made_.ops[producer].kind == OpKind::ROPE ? producer : kNone;
    }

    // The last rope before an op that no pattern took.
    uint32_t nearest_rope(uint32_t op) const {
        while (op-- > 0) {
            if (made_.ops[op].kind == OpKind::ROPE && !taken_[op]) {
                return op;
            }
        }
        return kNone;
    }

    void lone_rope(uint32_t op) {
        if (!taken_[op]) {
            const HeadsCall q{head_norm(made_.ops[op].inputs[0], rope_dim(op)), op};
            take({q.norm, op});
            calls_[op] = QkvCall{.q = q, .k = {}};
        }
    }

    const PieceClass &made_;
    std::vector<bool> taken_;                    // ops that a pattern has
    std::vector<std::optional<Call>> calls_;     // by the place at which they run
    std::vector<std::vector<uint32_t>> readers_; // of each value: ops in order, once for each time they read it
    std::vector<uint32_t> first_attention_;      // of each layer
};

} // namespace

std::vector<Call> one_call_each(const PieceClass &made) {
    std::vector<Call> calls;
    for (uint32_t i = 0; i < made.ops.size(); i++) {
        if (made.ops[i].kind != OpKind::EMPTY) {
            calls.push_back(single(made, i));
        }
    }
    return calls;
}

std::vector<Call> fuse(const PieceClass &made) { return Fusion(made).run(); }

} // namespace intarsia
