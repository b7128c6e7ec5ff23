// Chooses how values are stored.
#include "graph/passes.h"

namespace intarsia {

namespace {

// Ops that round this input to bf16 themselves.
bool rounds(OpKind kind) { return kind == OpKind::LINEAR || kind == OpKind::ATTENTION; }

// Ops whose kernels write bf16.
bool writes_bf16(OpKind kind) {
    return kind == OpKind::RMS_NORM || kind == OpKind::LINEAR || kind == OpKind::ROPE || kind == OpKind::ATTENTION ||
           kind == OpKind::SILU_MUL;
}

} // namespace

std::vector<cpu::Storage> choose_storage(const Graph &graph) {
    std::vector<cpu::Storage> storage(graph.values().size(), cpu::Storage::F32);
    if (graph.weights()->storage() != cpu::Storage::BF16) {
        return storage;
    }
    std::vector<bool> read(storage.size()), read_exactly(storage.size());
    for (const Op &op : graph.ops()) {
        for (uint32_t value : op.inputs) {
            read[value] = true;
            read_exactly[value] = read_exactly[value] || !rounds(op.kind);
        }
    }
    for (uint32_t value = 0; value < storage.size(); value++) {
        const OpKind producer = graph.ops()[graph.values()[value].producer].kind;
        if (writes_bf16(producer) && read[value] && !read_exactly[value] && value != graph.output()) {
            storage[value] = cpu::Storage::BF16;
        }
    }
    return storage;
}

} // namespace intarsia
