#include "compile/lower.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <map>

#include "compile/arena.h"
#include "graph/text.h"
#include "runtime/error.h"

namespace intarsia {

namespace {

using Kind = Patch::Kind;
using cpu::Storage;

constexpr size_t kQkvInputs[] = {offsetof(cpu::QkvArgs, q) + offsetof(cpu::HeadsArgs, x),
                                 offsetof(cpu::QkvArgs, k) + offsetof(cpu::HeadsArgs, x), offsetof(cpu::QkvArgs, v)};

class Lowering {
public:
    Lowering(const PieceClass &made, Storage precision, Storage matrices, uint32_t lo, uint32_t hi, uint32_t threads)
        : made_(made), precision_(precision), matrices_(matrices), baked_(lo == hi ? hi : 0), hi_(hi),
          copies_(lo == 1 ? threads : 1), buffers_of_(made.values.size(), kNone) {}

    void operator()(uint32_t index) {
        const Op &op = made_.ops[index];
        switch (op.kind) {
        case OpKind::EMBEDDING: return embedding(op);
        case OpKind::RMS_NORM: return rms_norm(op);
        case OpKind::ROPE_TABLE: return rope_table(op);
        case OpKind::ATTENTION: return attention(op);
        case OpKind::SILU_MUL: return silu_mul(op);
        case OpKind::ADD: return add(op);
        case OpKind::SELECT_ROWS: return select_rows(op);
        default: fail(INTARSIA_INTERNAL, "compile: op %u %s has no kernel of its own", index, name(op.kind));
        }
    }

    void operator()(const LinearCall &call) {
        const Op &first = made_.ops[call.linears[0]];
        const uint32_t x = first.inputs[0];
        const Place place = rounded(x, cpu::input_storage(matrices_));

        cpu::LinearArgs args{};
        patch(place, offsetof(cpu::LinearArgs, x));
        std::string matrices;
        for (uint32_t index : call.linears) {
            const Op &linear = made_.ops[index];
            const size_t at = offsetof(cpu::LinearArgs, parts) + args.part_count * sizeof(cpu::LinearPart);
            cpu::LinearPart &part = args.parts[args.part_count++];
            part.weight = matrix(linear.weights[0], at + offsetof(cpu::LinearPart, weight));
            if (linear.weights[1] != kNone) {
                weight(linear.weights[1], at + offsetof(cpu::LinearPart, bias));
            }
            if (call.epilogue == kNone) {
                value(linear.output, at + offsetof(cpu::LinearPart, out));
            }
            matrices += text(args.part_count == 1 ? " x [" : " [", part.weight.n, ", ", part.weight.k, "]",
                             cpu::quantized(matrices_) ? text(" ", name(matrices_)) : "",
                             linear.weights[1] == kNone ? "" : "+bias");
        }

        const uint32_t out = call.epilogue == kNone ? first.output : made_.ops[call.epilogue].output;
        std::string what = "linear";
        args.epilogue = cpu::Epilogue::STORE;
        if (call.epilogue != kNone) {
            const Op &epilogue = made_.ops[call.epilogue];
            value(out, offsetof(cpu::LinearArgs, parts) + offsetof(cpu::LinearPart, out));
            args.epilogue = epilogue.kind == OpKind::ADD ? cpu::Epilogue::ADD : cpu::Epilogue::SILU_MUL;
            what += text("+", name(epilogue.kind));
            if (epilogue.kind == OpKind::ADD) {
                value(epilogue.inputs[epilogue.inputs[0] == first.output ? 1 : 0], offsetof(cpu::LinearArgs, residual));
            }
        }
        args.out_storage = made_.storage[out];
        emit(args, text(what, " ", shape(x), matrices, to(out)));
    }

    void operator()(const QkvCall &call) {
        cpu::QkvArgs args{};
        std::string parts;
        if (call.q.rope != kNone) {
            const Op &rope = made_.ops[call.q.rope];
            const uint32_t head_dim = made_.values[rope.inputs[1]].width;
            args.q = heads(call.q, rope.inputs[0], made_.values[rope.output].width / head_dim, head_dim,
                           offsetof(cpu::QkvArgs, q), parts);
            value(rope.output, offsetof(cpu::QkvArgs, q) + offsetof(cpu::HeadsArgs, out));
            args.q.out_storage = made_.storage[rope.output];
            parts = text(" q", parts, to(rope.output));
        }
        if (call.append != kNone) {
            const Op &append = made_.ops[call.append];
            const uint32_t k = call.k.rope != kNone ? made_.ops[call.k.rope].inputs[0] : append.inputs[0];
            std::string keys;
            args.k = heads(call.k, k, append.kv_heads, append.head_dim, offsetof(cpu::QkvArgs, k), keys);
            args.k.out_storage = precision_;
            value(append.inputs[1], offsetof(cpu::QkvArgs, v));
            value(append.inputs[2], offsetof(cpu::QkvArgs, slots));
            args.cache = cache(append, offsetof(cpu::QkvArgs, cache));
            parts += text(parts.empty() ? " k" : ", k", keys, " append, v append");
        }
        emit(args, text("qkv [", n(), "]", parts));
    }

    Lowered finish() {
        std::vector<Buffer> places = kept_for_one_more();
        const uint64_t bytes = plan_arena(places);
        if (bytes == UINT64_MAX) {
            fail(INTARSIA_INVALID_ARGUMENT, "compile: the arena for %u %s would be over %llu bytes", hi_,
                 made_.dim == Dim::TOKENS ? "tokens" : "rows", static_cast<unsigned long long>(kMaxArena));
        }
        for (uint32_t i = 0; i < instructions_.size(); i++) {
            Instruction &instruction = instructions_[i];
            auto *norm = std::get_if<cpu::NormArgs>(&instruction.args);
            auto *qkv = std::get_if<cpu::QkvArgs>(&instruction.args);
            uint32_t passing = 0; // of q, k and v
            for (Patch &patch : instruction.patches) {
                if (patch.kind == Kind::ARENA) {
                    if (norm != nullptr && patch.at == offsetof(cpu::NormArgs, out)) {
                        norm->passing = buffers_[patch.index].last == i + 1;
                    }
                    const bool input = patch.at == kQkvInputs[0] || patch.at == kQkvInputs[1] || patch.at == kQkvInputs[2];
                    if (qkv != nullptr && input && buffers_[patch.index].first + 1 == i && buffers_[patch.index].last == i) {
                        qkv->passing = ++passing == std::size(kQkvInputs);
                    }
                    patch.index = places[patch.index].offset;
                }
            }
        }
        return {std::move(instructions_), bytes};
    }

private:
    // Where a value is: EXTERNAL and its number, or ARENA and its buffer.
    struct Place {
        Kind kind;
        uint32_t index;
    };

    // The buffers, of which those that a linear reads stay until the next call is done: a device may do the two as one.
    std::vector<Buffer> kept_for_one_more() const {
        std::vector<Buffer> kept = buffers_;
        for (uint32_t i = 0; i + 1 < instructions_.size(); i++) {
            if (!std::holds_alternative<cpu::LinearArgs>(instructions_[i].args)) {
                continue;
            }
            for (const Patch &patch : instructions_[i].patches) {
                const bool input = patch.at == offsetof(cpu::LinearArgs, x) || patch.at == offsetof(cpu::LinearArgs, residual);
                if (patch.kind == Kind::ARENA && input) {
                    kept[patch.index].last = std::max(kept[patch.index].last, i + 1);
                }
            }
        }
        return kept;
    }

    uint32_t new_buffer(uint32_t width, Storage storage, uint32_t copies = 1) {
        const auto now = static_cast<uint32_t>(instructions_.size());
        buffers_.push_back({row_bytes(width, storage) * std::max(hi_, copies), now, now});
        return static_cast<uint32_t>(buffers_.size() - 1);
    }

    Place place_of(uint32_t value) {
        if (value < made_.externals) {
            return {Kind::EXTERNAL, value};
        }
        if (buffers_of_[value] == kNone) {
            const uint32_t producer = made_.values[value].producer;
            const bool norm = producer != kNone && made_.ops[producer].kind == OpKind::RMS_NORM;
            buffers_of_[value] = new_buffer(made_.values[value].width, made_.storage[value], norm ? copies_ : 1);
        }
        return {Kind::ARENA, buffers_of_[value]};
    }

    // The value as linears or attention want it; may emit an instruction of its own.
    Place rounded(uint32_t id, Storage storage) {
        if (made_.storage[id] == storage) {
            return place_of(id);
        }
        const auto known = rounded_.find({id, storage});
        if (known != rounded_.end()) {
            return {Kind::ARENA, known->second};
        }
        cpu::RoundArgs args{};
        args.width = made_.values[id].width;
        args.out_storage = storage;
        value(id, offsetof(cpu::RoundArgs, x));
        const uint32_t buffer = new_buffer(args.width, storage);
        rounded_.emplace(std::pair(id, storage), buffer);
        patch({Kind::ARENA, buffer}, offsetof(cpu::RoundArgs, out));
        emit(args, text("round ", shape(id), " -> ", name(storage)));
        return {Kind::ARENA, buffer};
    }

    void patch(Place place, size_t at) {
        patches_.push_back({place.kind, static_cast<uint16_t>(at), place.index});
        if (place.kind == Kind::ARENA) {
            buffers_[place.index].last = static_cast<uint32_t>(instructions_.size());
        }
    }

    void value(uint32_t id, size_t at) { patch(place_of(id), at); }
    void weight(uint32_t id, size_t at) { patch({Kind::WEIGHT, id}, at); }

    cpu::Matrix matrix(uint32_t id, size_t at) {
        weight(id, at + offsetof(cpu::Matrix, data));
        return {nullptr, made_.weights[id].first, made_.weights[id].second, matrices_};
    }

    cpu::KvLayer cache(const Op &op, size_t at) {
        patch({Kind::KV_LAYER, op.layer}, at);
        return {nullptr, nullptr, op.kv_heads, op.head_dim, precision_};
    }

    // One part of a QkvArgs. `x` is what comes into the rope, or into the norm where there is one.
    cpu::HeadsArgs heads(const HeadsCall &call, uint32_t x, uint32_t count, uint32_t head_dim, size_t at,
                         std::string &words) {
        cpu::HeadsArgs args{};
        args.heads = count;
        args.head_dim = head_dim;
        if (call.norm != kNone) {
            const Op &norm = made_.ops[call.norm];
            x = norm.inputs[0];
            weight(norm.weights[0], at + offsetof(cpu::HeadsArgs, norm_weight));
            args.eps = norm.scalar;
            words += " norm";
        }
        if (call.rope != kNone) {
            value(made_.ops[call.rope].inputs[1], at + offsetof(cpu::HeadsArgs, table));
            words += " rope";
        }
        value(x, at + offsetof(cpu::HeadsArgs, x));
        words = text(" ", count, " x ", head_dim, words);
        return args;
    }

    void embedding(const Op &op) {
        cpu::EmbeddingArgs args{};
        value(op.inputs[0], offsetof(cpu::EmbeddingArgs, tokens));
        args.weight = matrix(op.weights[0], offsetof(cpu::EmbeddingArgs, weight));
        value(op.output, offsetof(cpu::EmbeddingArgs, out));
        emit(args, text("embedding [", args.weight.n, ", ", args.weight.k, "]", to(op.output)));
    }

    void rms_norm(const Op &op) {
        cpu::NormArgs args{};
        value(op.inputs[0], offsetof(cpu::NormArgs, x));
        weight(op.weights[0], offsetof(cpu::NormArgs, weight));
        value(op.output, offsetof(cpu::NormArgs, out));
        args.width = made_.values[op.output].width;
        args.group = made_.weights[op.weights[0]].first;
        args.eps = op.scalar;
        args.out_storage = made_.storage[op.output];
        args.room = op.output < made_.externals ? 0 : copies_;
        const std::string groups = args.group == args.width ? "" : text(" in groups of ", args.group);
        emit(args, text("rms_norm ", shape(op.inputs[0]), groups, to(op.output)));
    }

    void rope_table(const Op &op) {
        cpu::RopeTableArgs args{};
        value(op.inputs[0], offsetof(cpu::RopeTableArgs, positions));
        weight(op.weights[0], offsetof(cpu::RopeTableArgs, inverse_frequencies));
        value(op.output, offsetof(cpu::RopeTableArgs, out));
        args.half = made_.weights[op.weights[0]].first;
        args.scale = op.scalar;
        emit(args, text("rope_table", to(op.output)));
    }

    void attention(const Op &op) {
        const Place q = rounded(op.inputs[0], precision_);
        cpu::AttentionArgs args{};
        patch(q, offsetof(cpu::AttentionArgs, q));
        value(op.output, offsetof(cpu::AttentionArgs, out));
        args.q_storage = precision_;
        args.out_storage = made_.storage[op.output];
        args.cache = cache(op, offsetof(cpu::AttentionArgs, cache));
        args.heads = op.heads;
        args.window = op.window;
        args.scale = op.scalar;
        patch({Kind::SEQUENCES, 0}, offsetof(cpu::AttentionArgs, sequences));
        patch({Kind::QUERY_STARTS, 0}, offsetof(cpu::AttentionArgs, query_starts));
        patch({Kind::LENGTHS, 0}, offsetof(cpu::AttentionArgs, lengths));
        patch({Kind::BLOCK_TABLES, 0}, offsetof(cpu::AttentionArgs, block_tables));
        patch({Kind::MAX_BLOCKS, 0}, offsetof(cpu::AttentionArgs, max_blocks));
        const std::string window = op.window == 0 ? "" : text(" window ", op.window);
        emit(args, text("attention [", n(), "] ", op.heads, "/", op.kv_heads, " heads x ", op.head_dim, window,
                        to(op.output)));
    }

    void silu_mul(const Op &op) {
        cpu::SiluMulArgs args{};
        value(op.inputs[0], offsetof(cpu::SiluMulArgs, gate));
        value(op.inputs[1], offsetof(cpu::SiluMulArgs, up));
        value(op.output, offsetof(cpu::SiluMulArgs, out));
        args.width = made_.values[op.output].width;
        args.out_storage = made_.storage[op.output];
        emit(args, text("silu_mul", to(op.output)));
    }

    void add(const Op &op) {
        cpu::AddArgs args{};
        value(op.inputs[0], offsetof(cpu::AddArgs, a));
        value(op.inputs[1], offsetof(cpu::AddArgs, b));
        value(op.output, offsetof(cpu::AddArgs, out));
        args.width = made_.values[op.output].width;
        emit(args, text("add", to(op.output)));
    }

    void select_rows(const Op &op) {
        cpu::SelectRowsArgs args{};
        value(op.inputs[0], offsetof(cpu::SelectRowsArgs, x));
        value(op.inputs[1], offsetof(cpu::SelectRowsArgs, rows));
        value(op.output, offsetof(cpu::SelectRowsArgs, out));
        args.width = made_.values[op.output].width;
        emit(args, text("select_rows", to(op.output)));
    }

    // The arguments are complete but for the patches so far and the size.
    template <typename Args> void emit(Args args, std::string words) {
        args.n = baked_;
        if (baked_ == 0) {
            patches_.push_back({Kind::SIZE, offsetof(Args, n), 0});
        }
        instructions_.push_back({args, std::move(patches_), std::move(words)});
        patches_.clear();
    }

    std::string n() const { return baked_ != 0 ? std::to_string(baked_) : made_.dim == Dim::TOKENS ? "T" : "R"; }
    std::string shape(uint32_t value) const { return text("[", n(), ", ", made_.values[value].width, "]"); }
    std::string to(uint32_t value) const {
        const bool plain = made_.storage[value] == Storage::F32;
        return text(" -> ", shape(value), plain ? "" : " ", plain ? "" : name(made_.storage[value]));
    }

    const PieceClass &made_;
    const Storage precision_; // of q, keys and values
    const Storage matrices_;
    const uint32_t baked_; // the size, 0 if it is known only to the step
    const uint32_t hi_;
    const uint32_t copies_; // rows that the buffer of a norm has at least: for a single row each thread may want its own
    std::vector<Instruction> instructions_;
    std::vector<Patch> patches_; // of the next instruction; ARENA: index of the buffer until finish()
    std::vector<Buffer> buffers_;
    std::vector<uint32_t> buffers_of_; // of each local value
    std::map<std::pair<uint32_t, Storage>, uint32_t> rounded_; // buffers of values as bf16 or int8
};

} // namespace

Lowered lower(const PieceClass &made, Storage precision, Storage matrices, const std::vector<Call> &calls, uint32_t lo,
              uint32_t hi, uint32_t threads) {
    Lowering lowering(made, precision, matrices, lo, hi, threads);
    for (const Call &call : calls) {
        std::visit(lowering, call);
    }
    return lowering.finish();
}

} // namespace intarsia
