#include "graph/verify.h"

#include <cstdarg>
#include <cstdio>

#include "graph/text.h"
#include "runtime/error.h"

namespace intarsia {

namespace {

const char *input_name(uint32_t input) {
    static const char *const names[] = {"tokens", "positions", "slots", "rows"};
    return names[input];
}

} // namespace

std::string shape(const Value &value, uint32_t frozen) {
    const char *const dim = value.dim == Dim::TOKENS ? "tokens" : "rows";
    const std::string size = frozen == 0 ? dim : text(dim, "=", frozen);
    return value.type == ElementType::I32 ? text("[", size, "] i32") : text("[", size, ", ", value.width, "]");
}

std::string shape(const Weight &weight) {
    return weight.rank == 2 ? text("[", weight.n, ", ", weight.k, "]") : text("[", weight.n, "]");
}

Verify::Verify(const Graph &graph, OpKind kind) : graph_(graph), kind_(kind) {
    if (graph.sealed()) {
        intarsia::fail(INTARSIA_INVALID_STATE,
                       "op %zu %s: the graph was sealed by its first split and takes no more ops", graph.ops().size(),
                       name(kind));
    }
    if (graph.ops().size() >= kMaxOps) {
        fail("a graph holds at most %u ops", kMaxOps);
    }
}

void Verify::fail(const char *format, ...) const {
    char message[900];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    intarsia::fail(INTARSIA_INVALID_ARGUMENT, "op %zu %s: %s", graph_.ops().size(), name(kind_), message);
}

std::string Verify::shape(const Value &value) const { return intarsia::shape(value, graph_.frozen(value.dim)); }

const Value &Verify::value(const char *what, uint32_t id) const {
    if (id >= graph_.values().size()) {
        fail("%s is value %u but the graph has %zu values", what, id, graph_.values().size());
    }
    return graph_.values()[id];
}

const Value &Verify::matrix(const char *what, uint32_t id) const {
    const Value &found = value(what, id);
    if (found.type != ElementType::F32) {
        fail("%s is %s but must be an f32 matrix", what, shape(found).c_str());
    }
    return found;
}

const Value &Verify::tokens_matrix(const char *what, uint32_t id) const {
    const Value &found = matrix(what, id);
    if (found.dim != Dim::TOKENS) {
        fail("%s is %s but must be over tokens", what, shape(found).c_str());
    }
    return found;
}

void Verify::input(const char *what, uint32_t id, intarsia_input input) const {
    const Value &found = value(what, id);
    const Op &producer = graph_.ops()[found.producer];
    if (producer.kind == OpKind::INPUT && producer.input == static_cast<uint32_t>(input)) {
        return;
    }
    if (producer.kind == OpKind::INPUT) {
        fail("%s must be the input '%s' but is the input '%s'", what, input_name(input), input_name(producer.input));
    }
    fail("%s must be the input '%s' but is %s of op %u %s", what, input_name(input), shape(found).c_str(),
         found.producer, name(producer.kind));
}

void Verify::same_shape(const char *what_a, const Value &a, const char *what_b, const Value &b) const {
    if (a.dim != b.dim) {
        fail("%s is %s but %s is %s: the dimensions differ", what_a, shape(a).c_str(), what_b, shape(b).c_str());
    }
    if (a.width != b.width) {
        fail("%s is %s but %s is %s: the widths %u and %u differ", what_a, shape(a).c_str(), what_b, shape(b).c_str(),
             a.width, b.width);
    }
}

const Weight &Verify::weight(const char *what, uint32_t id, uint32_t rank) const {
    const Weights &weights = *graph_.weights();
    if (id >= weights.size()) {
        fail("%s is weight %u but the set has %u weights", what, id, weights.size());
    }
    const Weight &found = weights.at(id);
    if (found.rank != rank) {
        fail("%s '%.200s' is %s but must be a %s", what, found.name.c_str(), intarsia::shape(found).c_str(),
             rank == 1 ? "vector" : "matrix");
    }
    return found;
}

void Verify::width(uint64_t width) const {
    if (width == 0 || width > kMaxWidth) {
        fail("the width of a value must be 1 .. %u, not %llu", kMaxWidth, static_cast<unsigned long long>(width));
    }
}

void Verify::layer(uint32_t layer) const {
    if (layer >= kMaxLayers) {
        fail("layer must be below %u, not %u", kMaxLayers, layer);
    }
}

void Verify::head_dim(uint64_t head_dim) const {
    if (head_dim < 2 || head_dim > kMaxHeadDim || head_dim % 2 != 0) {
        fail("head_dim must be even and 2 .. %u, not %llu", kMaxHeadDim, static_cast<unsigned long long>(head_dim));
    }
}

} // namespace intarsia
