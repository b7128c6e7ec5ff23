// The checks of one builder call. Every error begins with the index and the name of the op: "op 12 linear: ...".
#pragma once

#include "graph/graph.h"

namespace intarsia {

class Verify {
public:
    // Fails with INTARSIA_INVALID_STATE if the graph is sealed, with INTARSIA_INVALID_ARGUMENT if it is full.
    Verify(const Graph &graph, OpKind kind);

    const Value &matrix(const char *what, uint32_t id) const;        // an f32 value
    const Value &tokens_matrix(const char *what, uint32_t id) const; // an f32 value over tokens
    // The input of that kind and no other: the step checks each buffer for the one use it has.
    void input(const char *what, uint32_t id, intarsia_input input) const;
    void same_shape(const char *what_a, const Value &a, const char *what_b, const Value &b) const;
    const Weight &weight(const char *what, uint32_t id, uint32_t rank) const;
    void width(uint64_t width) const;       // of the new value: 1 .. kMaxWidth
    void layer(uint32_t layer) const;       // below kMaxLayers
    void head_dim(uint64_t head_dim) const; // even, 2 .. kMaxHeadDim

    std::string shape(const Value &value) const;
    [[noreturn]] __attribute__((format(printf, 2, 3))) void fail(const char *format, ...) const;

private:
    const Value &value(const char *what, uint32_t id) const;

    const Graph &graph_;
    OpKind kind_;
};

// "[2048, 1024]" or "[1024]"
std::string shape(const Weight &weight);

} // namespace intarsia
