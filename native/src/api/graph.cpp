#include "graph/graph.h"

#include "api/guard.h"

using namespace intarsia;
using namespace intarsia::api;

namespace {

// A builder call: the graph locked, the new value answered.
template <typename Build>
intarsia_status build(const char *entry, const intarsia_graph *graph, uint32_t *out_value, Build &&body) {
    return guarded(entry, [&] {
        const auto target = get(graph);
        checked(out_value, "out_value");
        const std::lock_guard lock(target->mutex);
        *out_value = body(*target->value);
    });
}

template <typename Change> intarsia_status change(const char *entry, const intarsia_graph *graph, Change &&body) {
    return guarded(entry, [&] {
        const auto target = get(graph);
        const std::lock_guard lock(target->mutex);
        body(*target->value);
    });
}

} // namespace

extern "C" {

intarsia_status intarsia_graph_create(intarsia_weights *weights, const intarsia_graph_options *options, intarsia_graph **out_graph) {
    return guarded(__func__, [&] {
        auto target = get(weights);
        const auto &o = checked_struct(options, "options");
        check_reserved(o.reserved, "options");
        checked(out_graph, "out_graph");
        auto graph = std::make_shared<Graph>(std::move(target), o.tokens, o.rows);
        *out_graph = make_handle<intarsia_graph>(std::make_shared<Locked<std::shared_ptr<Graph>>>(std::move(graph)));
    });
}

void intarsia_graph_destroy(intarsia_graph *graph) { destroy(graph); }

intarsia_status intarsia_graph_input(intarsia_graph *graph, uint32_t input, uint32_t *out_value) {
    return build(__func__, graph, out_value, [&](Graph &g) { return g.input(input); });
}

intarsia_status intarsia_graph_embedding(intarsia_graph *graph, uint32_t tokens, uint32_t weight, uint32_t *out_value) {
    return build(__func__, graph, out_value, [&](Graph &g) { return g.embedding(tokens, weight); });
}

intarsia_status intarsia_graph_rms_norm(intarsia_graph *graph, uint32_t x, uint32_t weight, float eps, uint32_t *out_value) {
    return build(__func__, graph, out_value, [&](Graph &g) { return g.rms_norm(x, weight, eps); });
}

intarsia_status intarsia_graph_linear(intarsia_graph *graph, uint32_t x, uint32_t weight, uint32_t bias, uint32_t *out_value) {
    return build(__func__, graph, out_value, [&](Graph &g) { return g.linear(x, weight, bias); });
}

intarsia_status intarsia_graph_rope_table(intarsia_graph *graph, uint32_t positions, uint32_t inverse_frequencies, float scale,
                                          uint32_t *out_value) {
    return build(__func__, graph, out_value, [&](Graph &g) { return g.rope_table(positions, inverse_frequencies, scale); });
}

intarsia_status intarsia_graph_rope(intarsia_graph *graph, uint32_t x, uint32_t table, uint32_t *out_value) {
    return build(__func__, graph, out_value, [&](Graph &g) { return g.rope(x, table); });
}

intarsia_status intarsia_graph_cache_append(intarsia_graph *graph, uint32_t k, uint32_t v, uint32_t slots, uint32_t layer,
                                            uint32_t kv_heads) {
    return change(__func__, graph, [&](Graph &g) { g.cache_append(k, v, slots, layer, kv_heads); });
}

intarsia_status intarsia_graph_attention(intarsia_graph *graph, uint32_t q, const intarsia_attention_options *options,
                                         uint32_t *out_value) {
    return build(__func__, graph, out_value, [&](Graph &g) {
        const auto &o = checked_struct(options, "options");
        check_reserved(o.reserved, "options");
        return g.attention(q, o);
    });
}

intarsia_status intarsia_graph_silu_mul(intarsia_graph *graph, uint32_t gate, uint32_t up, uint32_t *out_value) {
    return build(__func__, graph, out_value, [&](Graph &g) { return g.silu_mul(gate, up); });
}

intarsia_status intarsia_graph_add(intarsia_graph *graph, uint32_t a, uint32_t b, uint32_t *out_value) {
    return build(__func__, graph, out_value, [&](Graph &g) { return g.add(a, b); });
}

intarsia_status intarsia_graph_select_rows(intarsia_graph *graph, uint32_t x, uint32_t rows, uint32_t *out_value) {
    return build(__func__, graph, out_value, [&](Graph &g) { return g.select_rows(x, rows); });
}

intarsia_status intarsia_graph_empty(intarsia_graph *graph, uint32_t dimension, uint32_t width, uint32_t *out_value) {
    return build(__func__, graph, out_value, [&](Graph &g) { return g.empty(dimension, width); });
}

intarsia_status intarsia_graph_output(intarsia_graph *graph, uint32_t value) {
    return change(__func__, graph, [&](Graph &g) { g.output(value); });
}

intarsia_status intarsia_graph_split(intarsia_graph *graph, const uint32_t *splitting_ops, uint32_t count,
                                     intarsia_partition **out_partition) {
    return guarded(__func__, [&] {
        const auto target = get(graph);
        checked(out_partition, "out_partition");
        bool splitting[kOpKinds] = {};
        if (count > kOpKinds) fail(INTARSIA_INVALID_ARGUMENT, "%u splitting ops were given, but there are %u ops", count, kOpKinds);
        if (count != 0) checked(splitting_ops, "splitting_ops");
        for (uint32_t i = 0; i < count; i++) {
            if (splitting_ops[i] >= kOpKinds) fail(INTARSIA_INVALID_ARGUMENT, "splitting op %u is unknown: %u", i, splitting_ops[i]);
            splitting[splitting_ops[i]] = true;
        }
        const std::lock_guard lock(target->mutex);
        *out_partition = make_handle<intarsia_partition>(std::make_shared<Partition>(target->value, splitting));
    });
}

} // extern "C"
