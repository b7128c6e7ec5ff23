// A piece in words, an op a line:
//
//   piece 3 of 57: plain, class 2, over tokens, 13 ops
//   in  %12 [tokens, 1024] in slot 0
//   %14 = linear %13 'model.layers.0.self_attn.o_proj.weight' [1024, 2048] -> [tokens, 1024]
//   out %20 [tokens, 1024] bf16 in slot 1
#include <cstdio>

#include "graph/partition.h"
#include "graph/text.h"
#include "graph/verify.h"

namespace intarsia {

namespace {

std::string number(float value) {
    char digits[32];
    std::snprintf(digits, sizeof digits, "%g", static_cast<double>(value));
    return digits;
}

// What an op has beside its inputs and weights.
std::string attributes(const Op &op) {
    switch (op.kind) {
    case OpKind::RMS_NORM: return text(" eps=", number(op.scalar));
    case OpKind::ROPE_TABLE: return text(" scale=", number(op.scalar));
    case OpKind::CACHE_APPEND: return text(" layer=", op.layer, " kv_heads=", op.kv_heads, " head_dim=", op.head_dim);
    case OpKind::ATTENTION:
        return text(" layer=", op.layer, " heads=", op.heads, " kv_heads=", op.kv_heads, " head_dim=", op.head_dim,
                    op.window == 0 ? "" : text(" window=", op.window), " scale=", number(op.scalar));
    default: return "";
    }
}

std::string place(const Placement &placement) {
    static const char *const inputs[] = {"tokens", "positions", "slots", "rows"};
    switch (placement.where) {
    case Placement::Where::INPUT: return text(" from input '", inputs[placement.index], "'");
    case Placement::Where::SLOT: return text(" in slot ", placement.index);
    case Placement::Where::LOGITS: return " in the logits";
    case Placement::Where::NOWHERE: break;
    }
    return "";
}

} // namespace

std::string Partition::canonical(uint32_t index) const {
    const Weights &weights = *graph_->weights();
    std::string words = name(weights.storage());
    if (weights.matrices() != weights.storage()) {
        words += text(" ", name(weights.matrices()));
    }
    for (uint32_t part : key(classes_[piece(index).class_id])) {
        words += text(" ", part);
    }
    return words;
}

std::string Partition::describe(uint32_t index) const {
    const Piece &piece = this->piece(index);
    const auto typed = [&](uint32_t id) {
        const Value &value = graph_->values()[id];
        const bool plain = storage_[id] == cpu::Storage::F32;
        return text(shape(value, graph_->frozen(value.dim)), plain ? "" : " ", plain ? "" : name(storage_[id]));
    };
    const auto external = [&](const char *way, uint32_t id) {
        return text(way, " %", id, " ", typed(id), place(placements_[id]), "\n");
    };

    std::string lines =
        text("piece ", index, " of ", pieces_.size(), ": ", piece.splitting ? "splitting" : "plain", ", class ",
             piece.class_id, ", over ", piece.dim == Dim::TOKENS ? "tokens" : "rows", ", ", piece.ops.size(), " ops\n");
    for (uint32_t value : piece.inputs) {
        lines += external("in ", value);
    }
    for (uint32_t i : piece.ops) {
        const Op &op = graph_->ops()[i];
        lines += op.output == kNone ? name(op.kind) : text("%", op.output, " = ", name(op.kind));
        for (uint32_t value : op.inputs) {
            lines += text(" %", value);
        }
        for (uint32_t id : op.weights) {
            if (id != kNone) {
                const Weight &weight = graph_->weights()->at(id);
                lines += text(" '", weight.name, "' ", shape(weight));
            }
        }
        lines += text(attributes(op), op.output == kNone ? "" : text(" -> ", typed(op.output)), "\n");
    }
    for (uint32_t value : piece.outputs) {
        lines += external("out", value);
    }
    return lines;
}

} // namespace intarsia
