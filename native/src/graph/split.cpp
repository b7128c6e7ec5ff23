// Cuts the ops of a graph into pieces.
#include <algorithm>

#include "graph/passes.h"
#include "runtime/error.h"

namespace intarsia {

namespace {

// Ops over rows move behind those over tokens. Nothing over tokens reads rows, so that every op still follows its
// inputs.
std::vector<uint32_t> in_order(const Graph &graph) {
    std::vector<uint32_t> order[2];
    for (uint32_t i = 0; i < graph.ops().size(); i++) {
        const Op &op = graph.ops()[i];
        if (op.kind == OpKind::INPUT) {
            continue;
        }
        const Dim dim =
            op.output == kNone ? Dim::TOKENS : graph.values()[op.output].dim; // a cache append is over tokens
        order[static_cast<int>(dim)].push_back(i);
    }
    order[0].insert(order[0].end(), order[1].begin(), order[1].end());
    return std::move(order[0]);
}

bool only_empty(const Graph &graph, const Piece &piece) {
    return std::all_of(piece.ops.begin(), piece.ops.end(),
                       [&](uint32_t op) { return graph.ops()[op].kind == OpKind::EMPTY; });
}

// A piece of nothing but allocations merges into the nearest earlier plain piece of its dimension. Its neighbours stay
// apart.
std::vector<Piece> merge_empty(const Graph &graph, std::vector<Piece> cut) {
    constexpr size_t none = SIZE_MAX;
    std::vector<Piece> pieces;
    size_t last_plain = none;
    for (Piece &piece : cut) {
        if (!piece.splitting && last_plain != none && pieces[last_plain].dim == piece.dim && only_empty(graph, piece)) {
            std::vector<uint32_t> &into = pieces[last_plain].ops;
            into.insert(into.end(), piece.ops.begin(), piece.ops.end());
            continue;
        }
        if (!piece.splitting) {
            last_plain = pieces.size();
        }
        pieces.push_back(std::move(piece));
    }
    return pieces;
}

} // namespace

std::vector<Piece> split(const Graph &graph, const bool (&splits)[kOpKinds]) {
    for (OpKind kind : {OpKind::INPUT, OpKind::SELECT_ROWS, OpKind::EMPTY}) {
        if (splits[static_cast<int>(kind)]) {
            fail(INTARSIA_INVALID_ARGUMENT, "split: %s cannot be a splitting op", name(kind));
        }
    }
    std::vector<Piece> cut;
    for (uint32_t index : in_order(graph)) {
        const Op &op = graph.ops()[index];
        const bool splitting = splits[static_cast<int>(op.kind)];
        const Dim dim = op.output == kNone ? Dim::TOKENS : graph.values()[op.output].dim;
        if (cut.empty() || cut.back().splitting != splitting || cut.back().dim != dim) {
            cut.push_back({.splitting = splitting,
                           .dim = dim,
                           .ops = {},
                           .inputs = {},
                           .outputs = {},
                           .class_id = 0,
                           .binding = {}});
        }
        cut.back().ops.push_back(index);
    }
    if (cut.empty()) {
        fail(INTARSIA_INVALID_ARGUMENT, "split: the graph has no ops");
    }
    return merge_empty(graph, std::move(cut));
}

} // namespace intarsia
