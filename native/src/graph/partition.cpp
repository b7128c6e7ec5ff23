#include "graph/partition.h"

#include "graph/passes.h"
#include "runtime/error.h"

namespace intarsia {

Partition::Partition(std::shared_ptr<Graph> graph, const bool (&splitting)[kOpKinds]) : graph_(std::move(graph)) {
    pieces_ = split(*graph_, splitting);
    storage_ = choose_storage(*graph_);
    Layout layout = place(*graph_, pieces_, storage_);
    classes_ = classify(*graph_, layout, storage_, pieces_);
    placements_ = std::move(layout.placements);
    slots_ = std::move(layout.slots);
    graph_->seal();
}

const Piece &Partition::piece(uint32_t index) const {
    if (index >= pieces_.size()) {
        fail(INTARSIA_INVALID_ARGUMENT, "there is no piece %u: the partition has %zu", index, pieces_.size());
    }
    return pieces_[index];
}

uint64_t Partition::weight_bytes(uint32_t index) const {
    const PieceClass &made = classes_[piece(index).class_id];
    std::vector<bool> whole(made.weights.size());
    for (const Op &op : made.ops) {
        for (uint32_t weight : op.weights) {
            if (weight != kNone && op.kind != OpKind::EMBEDDING) {
                whole[weight] = true;
            }
        }
    }
    const cpu::Storage storage = graph_->weights()->matrices();
    uint64_t bytes = 0;
    for (size_t i = 0; i < whole.size(); i++) {
        const auto [n, k] = made.weights[i];
        if (k == 0) {
            bytes += uint64_t{n} * sizeof(float);
        } else {
            bytes += whole[i] ? cpu::matrix_bytes(n, k, storage) : cpu::tile_bytes(k, storage) / cpu::kTile;
        }
    }
    return bytes;
}

uint64_t Partition::flops_per_row(uint32_t index) const {
    const PieceClass &made = classes_[piece(index).class_id];
    uint64_t flops = 0;
    for (const Op &op : made.ops) {
        if (op.kind == OpKind::LINEAR) {
            const auto [n, k] = made.weights[op.weights[0]];
            flops += 2 * uint64_t{n} * k;
        }
    }
    return flops;
}

} // namespace intarsia
