// Chooses how values are stored.
#include "graph/passes.h"

namespace intarsia {

namespace {

// Ops whose kernels write bf16.
bool writes_bf16(OpKind kind) {
    return kind == OpKind::RMS_NORM || kind == OpKind::LINEAR || kind == OpKind::ROPE || kind == OpKind::ATTENTION ||
           kind == OpKind::SILU_MUL;
}

// Norms over whole rows, whose kernel can quantize them.
bool writes_int8(const Graph &graph, const Op &op) {
    return op.kind == OpKind::RMS_NORM && graph.weights()->at(op.weights[0]).n == graph.values()[op.output].width;
}

} // namespace

std::vector<cpu::Storage> choose_storage(const Graph &graph) {
    const cpu::Storage precision = graph.weights()->storage();
    const cpu::Storage matrices = graph.weights()->matrices();
    const size_t count = graph.values().size();
    std::vector<bool> by_linear(count), by_attention(count), exactly(count);
    for (const Op &op : graph.ops()) {
        for (uint32_t value : op.inputs) {
            if (op.kind == OpKind::LINEAR) {
                by_linear[value] = true;
            } else if (op.kind == OpKind::ATTENTION) {
                by_attention[value] = true;
            } else {
                exactly[value] = true;
            }
        }
    }
    std::vector<cpu::Storage> storage(count, cpu::Storage::F32);
    for (uint32_t value = 0; value < count; value++) {
        if (exactly[value] || value == graph.output() || (!by_linear[value] && !by_attention[value])) {
            continue;
        }
        const Op &producer = graph.ops()[graph.values()[value].producer];
        const bool rounded = !by_linear[value] || !cpu::quantized(matrices);
        if (rounded && precision == cpu::Storage::BF16 && writes_bf16(producer.kind)) {
            storage[value] = cpu::Storage::BF16;
        } else if (!rounded && !by_attention[value] && writes_int8(graph, producer)) {
            storage[value] = cpu::Storage::INT8;
        }
    }
    return storage;
}

const char *name(cpu::Storage storage) {
    constexpr const char *names[] = {"f32", "bf16", "int8", "int4"};
    return names[static_cast<uint32_t>(storage)];
}

} // namespace intarsia
