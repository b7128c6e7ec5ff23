// Places the values that cross pieces.
#include <algorithm>

#include "graph/passes.h"

namespace intarsia {

namespace {

// The pieces in which a value is alive, both ends included.
struct Lifetime {
    uint32_t value;
    uint32_t first;
    uint32_t last;
};

// Of the values that a piece writes and a later one reads, without the result of the graph; in order of their first
// piece.
std::vector<Lifetime> crossing(const Graph &graph, const std::vector<Piece> &pieces) {
    std::vector<Lifetime> all(graph.values().size(), {kNone, 0, 0});
    std::vector<uint32_t> order;
    for (uint32_t p = 0; p < pieces.size(); p++) {
        for (uint32_t index : pieces[p].ops) {
            const Op &op = graph.ops()[index];
            for (uint32_t value : op.inputs) {
                all[value].last = p;
            }
            if (op.output != kNone) {
                all[op.output] = {op.output, p, p};
                order.push_back(op.output);
            }
        }
    }
    std::vector<Lifetime> crossing;
    for (uint32_t value : order) {
        if (all[value].last > all[value].first && value != graph.output()) {
            crossing.push_back(all[value]);
        }
    }
    return crossing;
}

// The free slot of that dimension that wastes the fewest bytes, else the largest, which grows; kNone if none is free.
uint32_t best_slot(const std::vector<Slot> &slots, const std::vector<uint32_t> &busy_until, const Lifetime &lifetime,
                   Dim dim, uint64_t bytes) {
    uint32_t best = kNone;
    for (uint32_t s = 0; s < slots.size(); s++) {
        if (slots[s].dim != dim || busy_until[s] >= lifetime.first) {
            continue;
        }
        const bool fits = slots[s].row_bytes >= bytes;
        if (best == kNone) {
            best = s;
        } else if (slots[best].row_bytes >= bytes ? fits && slots[s].row_bytes < slots[best].row_bytes
                                                  : slots[s].row_bytes > slots[best].row_bytes) {
            best = s;
        }
    }
    return best;
}

} // namespace

Layout place(const Graph &graph, const std::vector<Piece> &pieces, const std::vector<cpu::Storage> &storage) {
    Layout layout{std::vector<Placement>(graph.values().size()), {}};
    for (const Op &op : graph.ops()) {
        if (op.kind == OpKind::INPUT) {
            layout.placements[op.output] = {Placement::Where::INPUT, op.input};
        }
    }
    if (graph.output() != kNone) {
        layout.placements[graph.output()] = {Placement::Where::LOGITS, 0};
    }
    std::vector<uint32_t> busy_until; // of each slot: the last piece of its present value
    for (const Lifetime &lifetime : crossing(graph, pieces)) {
        const Value &value = graph.values()[lifetime.value];
        const uint64_t bytes = row_bytes(value.width, storage[lifetime.value]);
        uint32_t slot = best_slot(layout.slots, busy_until, lifetime, value.dim, bytes);
        if (slot == kNone) {
            slot = static_cast<uint32_t>(layout.slots.size());
            layout.slots.push_back({value.dim, bytes});
            busy_until.push_back(0);
        }
        layout.slots[slot].row_bytes = std::max(layout.slots[slot].row_bytes, bytes);
        busy_until[slot] = lifetime.last;
        layout.placements[lifetime.value] = {Placement::Where::SLOT, slot};
    }
    return layout;
}

} // namespace intarsia
