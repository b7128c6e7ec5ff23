// A piece in words, an op a line:
//
//   piece 3 of 57: plain, class 2, over tokens, 13 ops
//   in  %12 [tokens, 1024] in slot 0
//   %14 = linear %13 'model.layers.0.self_attn.o_proj.weight' [1024, 2048] -> [tokens, 1024]
//   out %20 [tokens, 1024] bf16 in slot 1
#include <cstdio>

#include "graph/partition.h"
#include "graph/verify.h"

namespace intarsia {

namespace {

std::string number(float value) {
    char text[32];
    std::snprintf(text, sizeof text, "%g", static_cast<double>(value));
    return text;
}

// What an op has beside its inputs and weights.
std::string attributes(const Op &op) {
    switch (op.kind) {
    case OpKind::RMS_NORM: return " eps=" + number(op.scalar);
    case OpKind::ROPE_TABLE: return " scale=" + number(op.scalar);
    case OpKind::CACHE_APPEND:
        return " layer=" + std::to_string(op.layer) + " kv_heads=" + std::to_string(op.kv_heads) +
               " head_dim=" + std::to_string(op.head_dim);
    case OpKind::ATTENTION:
        return " layer=" + std::to_string(op.layer) + " heads=" + std::to_string(op.heads) +
               " kv_heads=" + std::to_string(op.kv_heads) + " head_dim=" + std::to_string(op.head_dim) +
               (op.window == 0 ? "" : " window=" + std::to_string(op.window)) + " scale=" + number(op.scalar);
    default: return "";
    }
}

std::string place(const Placement &placement) {
    static const char *const inputs[] = {"tokens", "positions", "slots", "rows"};
    switch (placement.where) {
    case Placement::Where::INPUT: return std::string(" from input '") + inputs[placement.index] + "'";
    case Placement::Where::SLOT: return " in slot " + std::to_string(placement.index);
    case Placement::Where::LOGITS: return " in the logits";
    case Placement::Where::NOWHERE: break;
    }
    return "";
}

std::string name_of(uint32_t value) { return "%" + std::to_string(value); }

} // namespace

std::string Partition::describe(uint32_t index) const {
    const Piece &piece = this->piece(index);
    auto typed = [&](uint32_t id) {
        const Value &value = graph_->values()[id];
        return shape(value, graph_->frozen(value.dim)) + (storage_[id] == cpu::Storage::BF16 ? " bf16" : "");
    };

    std::string text = "piece " + std::to_string(index) + " of " + std::to_string(pieces_.size()) + ": " +
                       (piece.splitting ? "splitting" : "plain") + ", class " + std::to_string(piece.class_id) +
                       ", over " + (piece.dim == Dim::TOKENS ? "tokens" : "rows") + ", " +
                       std::to_string(piece.ops.size()) + " ops\n";
    for (uint32_t value : piece.inputs) {
        text += "in  " + name_of(value) + " " + typed(value) + place(placements_[value]) + "\n";
    }
    for (uint32_t i : piece.ops) {
        const Op &op = graph_->ops()[i];
        text += op.output == kNone ? name(op.kind) : name_of(op.output) + " = " + name(op.kind);
        for (uint32_t value : op.inputs) {
            text += " " + name_of(value);
        }
        for (uint32_t id : op.weights) {
            if (id != kNone) {
                const Weight &weight = graph_->weights()->at(id);
                text += " '" + weight.name + "' " + shape(weight);
            }
        }
        text += attributes(op) + (op.output == kNone ? "" : " -> " + typed(op.output)) + "\n";
    }
    for (uint32_t value : piece.outputs) {
        text += "out " + name_of(value) + " " + typed(value) + place(placements_[value]) + "\n";
    }
    return text;
}

} // namespace intarsia
