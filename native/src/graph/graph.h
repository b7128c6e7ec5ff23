// The graph: ops over two symbolic dimensions, checked as they are added, in order of execution.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "intarsia.h"
#include "runtime/weights.h"

namespace intarsia {

constexpr uint32_t kNone = INTARSIA_NONE;
constexpr uint32_t kMaxOps = 100000;     // of a graph, inputs too
constexpr uint32_t kMaxWidth = 1u << 24; // of a value
constexpr uint32_t kMaxSize = 1u << 24;  // of a dimension
constexpr uint32_t kMaxLayers = 65536;   // of a KV cache
constexpr uint32_t kMaxHeadDim = 1024;

enum class Dim : uint8_t { TOKENS = INTARSIA_DIM_TOKENS, ROWS = INTARSIA_DIM_ROWS };

enum class OpKind : uint8_t {
    INPUT = INTARSIA_OP_INPUT,
    EMBEDDING = INTARSIA_OP_EMBEDDING,
    RMS_NORM = INTARSIA_OP_RMS_NORM,
    LINEAR = INTARSIA_OP_LINEAR,
    ROPE_TABLE = INTARSIA_OP_ROPE_TABLE,
    ROPE = INTARSIA_OP_ROPE,
    CACHE_APPEND = INTARSIA_OP_CACHE_APPEND,
    ATTENTION = INTARSIA_OP_ATTENTION,
    SILU_MUL = INTARSIA_OP_SILU_MUL,
    ADD = INTARSIA_OP_ADD,
    SELECT_ROWS = INTARSIA_OP_SELECT_ROWS,
    EMPTY = INTARSIA_OP_EMPTY,
};
constexpr uint32_t kOpKinds = 12;
const char *name(OpKind kind); // "rms_norm"

enum class ElementType : uint8_t { I32, F32 };

struct Value {
    Dim dim;
    ElementType type;
    uint32_t width;    // 1 for i32 vectors
    uint32_t producer; // index of its op
};

// For people: "[tokens, 64]", "[rows=4, 64]" where the dimension is frozen, "[tokens] i32".
std::string shape(const Value &value, uint32_t frozen);

struct Op {
    OpKind kind;
    std::vector<uint32_t> inputs;  // values
    std::vector<uint32_t> weights; // of the set; LINEAR: weight, bias or kNone
    uint32_t output = kNone;       // value
    uint32_t input = 0;            // INPUT: enum intarsia_input
    float scalar = 0;              // RMS_NORM: eps; ROPE_TABLE, ATTENTION: scale
    uint32_t layer = 0;            // CACHE_APPEND, ATTENTION
    uint32_t heads = 0;            // ATTENTION
    uint32_t kv_heads = 0;         // CACHE_APPEND, ATTENTION
    uint32_t head_dim = 0;         // CACHE_APPEND, ATTENTION
    uint32_t window = 0;           // ATTENTION
};

class Graph {
public:
    // tokens, rows: 0 = symbolic, else the size the dimension is frozen to.
    Graph(std::shared_ptr<Weights> weights, uint32_t tokens, uint32_t rows);

    // Builders, one per function of intarsia.h; each checks (errors name the op, its index and the shapes) and answers
    // the new value.
    uint32_t input(uint32_t input);
    uint32_t embedding(uint32_t tokens, uint32_t weight);
    uint32_t rms_norm(uint32_t x, uint32_t weight, float eps);
    uint32_t linear(uint32_t x, uint32_t weight, uint32_t bias);
    uint32_t rope_table(uint32_t positions, uint32_t inverse_frequencies, float scale);
    uint32_t rope(uint32_t x, uint32_t table);
    void cache_append(uint32_t k, uint32_t v, uint32_t slots, uint32_t layer, uint32_t kv_heads);
    uint32_t attention(uint32_t q, const intarsia_attention_options &options);
    uint32_t silu_mul(uint32_t gate, uint32_t up);
    uint32_t add(uint32_t a, uint32_t b);
    uint32_t select_rows(uint32_t x, uint32_t rows);
    uint32_t empty(uint32_t dimension, uint32_t width);
    void output(uint32_t value);

    void seal() { sealed_ = true; } // no op is added any more: INTARSIA_INVALID_STATE
    bool sealed() const { return sealed_; }
    const std::vector<Op> &ops() const { return ops_; }
    const std::vector<Value> &values() const { return values_; }
    uint32_t output() const { return output_; }                               // kNone if there is none
    uint32_t frozen(Dim dim) const { return frozen_[static_cast<int>(dim)]; } // 0 = symbolic
    const std::shared_ptr<Weights> &weights() const { return weights_; }

private:
    uint32_t add_op(Op op, Dim dim, uint32_t width); // with its value, whose id it answers

    std::shared_ptr<Weights> weights_;
    uint32_t frozen_[2];
    bool sealed_ = false;
    uint32_t output_ = kNone;
    std::vector<Op> ops_;
    std::vector<Value> values_;
    uint32_t inputs_[4] = {kNone, kNone, kNone, kNone}; // value of each enum intarsia_input
    std::unordered_map<uint32_t, uint32_t> appends_;    // layer -> index of the op that appends to it
};

} // namespace intarsia
