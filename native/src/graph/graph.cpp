#include "graph/graph.h"

#include <cmath>

#include "graph/verify.h"
#include "runtime/error.h"

namespace intarsia {

const char *name(OpKind kind) {
    static const char *const names[kOpKinds] = {"input",      "embedding", "rms_norm",     "linear",
                                                "rope_table", "rope",      "cache_append", "attention",
                                                "silu_mul",   "add",       "select_rows",  "empty"};
    return names[static_cast<int>(kind)];
}

Graph::Graph(std::shared_ptr<Weights> weights, uint32_t tokens, uint32_t rows)
    : weights_(std::move(weights)), frozen_{tokens, rows} {
    if (tokens > kMaxSize || rows > kMaxSize) {
        fail(INTARSIA_INVALID_ARGUMENT, "graph: %s is frozen to %u, but a dimension holds at most %u",
             tokens > kMaxSize ? "tokens" : "rows", tokens > kMaxSize ? tokens : rows, kMaxSize);
    }
}

uint32_t Graph::add_op(Op op, Dim dim, uint32_t width) {
    const auto id = static_cast<uint32_t>(values_.size());
    op.output = id;
    const ElementType type = op.kind == OpKind::INPUT ? ElementType::I32 : ElementType::F32;
    values_.push_back({dim, type, width, static_cast<uint32_t>(ops_.size())});
    try {
        ops_.push_back(std::move(op));
    } catch (...) {
        values_.pop_back();
        throw;
    }
    return id;
}

uint32_t Graph::input(uint32_t input) {
    if (input <= INTARSIA_INPUT_ROWS && inputs_[input] != kNone) {
        return inputs_[input];
    }
    Verify verify(*this, OpKind::INPUT);
    if (input > INTARSIA_INPUT_ROWS) {
        verify.fail("%u is no input; inputs are 0 .. %d", input, INTARSIA_INPUT_ROWS);
    }
    Op op{OpKind::INPUT, {}, {}};
    op.input = input;
    return inputs_[input] = add_op(std::move(op), input == INTARSIA_INPUT_ROWS ? Dim::ROWS : Dim::TOKENS, 1);
}

uint32_t Graph::embedding(uint32_t tokens, uint32_t weight) {
    Verify verify(*this, OpKind::EMBEDDING);
    verify.input("tokens", tokens, INTARSIA_INPUT_TOKENS);
    const Weight &table = verify.weight("weight", weight, 2);
    verify.width(table.k);
    return add_op({OpKind::EMBEDDING, {tokens}, {weight}}, Dim::TOKENS, table.k);
}

uint32_t Graph::rms_norm(uint32_t x, uint32_t weight, float eps) {
    Verify verify(*this, OpKind::RMS_NORM);
    const Value in = verify.matrix("x", x);
    const Weight &scale = verify.weight("weight", weight, 1);
    if (in.width % scale.n != 0) {
        verify.fail("x is %s but weight '%.200s' is %s: the width %u is no multiple of %u", verify.shape(in).c_str(),
                    scale.name.c_str(), shape(scale).c_str(), in.width, scale.n);
    }
    if (!(eps > 0) || !std::isfinite(eps)) {
        verify.fail("eps must be finite and above 0, not %g", static_cast<double>(eps));
    }
    Op op{OpKind::RMS_NORM, {x}, {weight}};
    op.scalar = eps;
    return add_op(std::move(op), in.dim, in.width);
}

uint32_t Graph::linear(uint32_t x, uint32_t weight, uint32_t bias) {
    Verify verify(*this, OpKind::LINEAR);
    const Value in = verify.matrix("x", x);
    const Weight &matrix = verify.weight("weight", weight, 2);
    if (in.width != matrix.k) {
        verify.fail("x is %s but weight '%.200s' is %s: the inner sizes %u and %u differ", verify.shape(in).c_str(),
                    matrix.name.c_str(), shape(matrix).c_str(), in.width, matrix.k);
    }
    verify.width(matrix.n);
    if (bias != kNone) {
        const Weight &vector = verify.weight("bias", bias, 1);
        if (vector.n != matrix.n) {
            verify.fail("weight '%.200s' is %s but bias '%.200s' is %s: the outputs %u and %u differ",
                        matrix.name.c_str(), shape(matrix).c_str(), vector.name.c_str(), shape(vector).c_str(),
                        matrix.n, vector.n);
        }
    }
    return add_op({OpKind::LINEAR, {x}, {weight, bias}}, in.dim, matrix.n);
}

uint32_t Graph::rope_table(uint32_t positions, uint32_t inverse_frequencies, float scale) {
    Verify verify(*this, OpKind::ROPE_TABLE);
    verify.input("positions", positions, INTARSIA_INPUT_POSITIONS);
    const Weight &frequencies = verify.weight("inverse_frequencies", inverse_frequencies, 1);
    verify.head_dim(uint64_t{frequencies.n} * 2);
    if (!std::isfinite(scale)) {
        verify.fail("scale must be finite, not %g", static_cast<double>(scale));
    }
    Op op{OpKind::ROPE_TABLE, {positions}, {inverse_frequencies}};
    op.scalar = scale;
    return add_op(std::move(op), Dim::TOKENS, frequencies.n * 2);
}

uint32_t Graph::rope(uint32_t x, uint32_t table) {
    Verify verify(*this, OpKind::ROPE);
    const Value in = verify.tokens_matrix("x", x);
    const Value angles = verify.tokens_matrix("table", table);
    if (ops_[angles.producer].kind != OpKind::ROPE_TABLE) {
        verify.fail("table must come from rope_table but is %s of op %u %s", verify.shape(angles).c_str(),
                    angles.producer, name(ops_[angles.producer].kind));
    }
    if (in.width % angles.width != 0) {
        verify.fail("x is %s but table is %s: the width %u is no multiple of %u", verify.shape(in).c_str(),
                    verify.shape(angles).c_str(), in.width, angles.width);
    }
    return add_op({OpKind::ROPE, {x, table}, {}}, Dim::TOKENS, in.width);
}

void Graph::cache_append(uint32_t k, uint32_t v, uint32_t slots, uint32_t layer, uint32_t kv_heads) {
    Verify verify(*this, OpKind::CACHE_APPEND);
    const Value keys = verify.tokens_matrix("k", k);
    verify.same_shape("k", keys, "v", verify.tokens_matrix("v", v));
    verify.input("slots", slots, INTARSIA_INPUT_SLOTS);
    verify.layer(layer);
    if (auto earlier = appends_.find(layer); earlier != appends_.end()) {
        verify.fail("layer %u is already appended to by op %u", layer, earlier->second);
    }
    if (kv_heads == 0 || keys.width % kv_heads != 0) {
        verify.fail("k is %s: the width %u is no multiple of %u kv_heads", verify.shape(keys).c_str(), keys.width,
                    kv_heads);
    }
    verify.head_dim(keys.width / kv_heads);
    Op op{OpKind::CACHE_APPEND, {k, v, slots}, {}};
    op.layer = layer;
    op.kv_heads = kv_heads;
    op.head_dim = keys.width / kv_heads;
    const auto appended = appends_.emplace(layer, static_cast<uint32_t>(ops_.size())).first;
    try {
        ops_.push_back(std::move(op));
    } catch (...) {
        appends_.erase(appended);
        throw;
    }
}

uint32_t Graph::attention(uint32_t q, const intarsia_attention_options &options) {
    Verify verify(*this, OpKind::ATTENTION);
    const Value queries = verify.tokens_matrix("q", q);
    verify.layer(options.layer);
    verify.head_dim(options.head_dim);
    if (options.kv_heads == 0 || options.heads == 0 || options.heads % options.kv_heads != 0) {
        verify.fail("heads must be a multiple of kv_heads, but they are %u and %u", options.heads, options.kv_heads);
    }
    if (queries.width != uint64_t{options.heads} * options.head_dim) {
        verify.fail("q is %s but %u heads of %u need a width of %llu", verify.shape(queries).c_str(), options.heads,
                    options.head_dim, static_cast<unsigned long long>(uint64_t{options.heads} * options.head_dim));
    }
    if (!std::isfinite(options.scale)) {
        verify.fail("scale must be finite, not %g", static_cast<double>(options.scale));
    }
    auto appended = appends_.find(options.layer);
    if (appended == appends_.end()) {
        verify.fail("no cache_append of layer %u comes before it", options.layer);
    }
    const Op &append = ops_[appended->second];
    if (append.kv_heads != options.kv_heads || append.head_dim != options.head_dim) {
        verify.fail("reads layer %u as %u kv_heads of %u, but op %u cache_append writes %u of %u", options.layer,
                    options.kv_heads, options.head_dim, appended->second, append.kv_heads, append.head_dim);
    }
    Op op{OpKind::ATTENTION, {q}, {}};
    op.scalar = options.scale;
    op.layer = options.layer;
    op.heads = options.heads;
    op.kv_heads = options.kv_heads;
    op.head_dim = options.head_dim;
    op.window = options.window;
    return add_op(std::move(op), Dim::TOKENS, queries.width);
}

uint32_t Graph::silu_mul(uint32_t gate, uint32_t up) {
    Verify verify(*this, OpKind::SILU_MUL);
    const Value in = verify.matrix("gate", gate);
    verify.same_shape("gate", in, "up", verify.matrix("up", up));
    return add_op({OpKind::SILU_MUL, {gate, up}, {}}, in.dim, in.width);
}

uint32_t Graph::add(uint32_t a, uint32_t b) {
    Verify verify(*this, OpKind::ADD);
    const Value in = verify.matrix("a", a);
    verify.same_shape("a", in, "b", verify.matrix("b", b));
    return add_op({OpKind::ADD, {a, b}, {}}, in.dim, in.width);
}

uint32_t Graph::select_rows(uint32_t x, uint32_t rows) {
    Verify verify(*this, OpKind::SELECT_ROWS);
    const Value in = verify.tokens_matrix("x", x);
    verify.input("rows", rows, INTARSIA_INPUT_ROWS);
    return add_op({OpKind::SELECT_ROWS, {x, rows}, {}}, Dim::ROWS, in.width);
}

uint32_t Graph::empty(uint32_t dimension, uint32_t width) {
    Verify verify(*this, OpKind::EMPTY);
    if (dimension > INTARSIA_DIM_ROWS) {
        verify.fail("%u is no dimension; they are 0 (tokens) and 1 (rows)", dimension);
    }
    verify.width(width);
    return add_op({OpKind::EMPTY, {}, {}}, static_cast<Dim>(dimension), width);
}

void Graph::output(uint32_t value) {
    if (sealed_) {
        fail(INTARSIA_INVALID_STATE, "output: the graph was sealed by its first split");
    }
    if (output_ != kNone) {
        fail(INTARSIA_INVALID_ARGUMENT, "output: the graph already has value %u as its result", output_);
    }
    if (value >= values_.size()) {
        fail(INTARSIA_INVALID_ARGUMENT, "output: value %u, but the graph has %zu values", value, values_.size());
    }
    const Value &result = values_[value];
    if (result.type != ElementType::F32 || result.dim != Dim::ROWS) {
        fail(INTARSIA_INVALID_ARGUMENT, "output: value %u is %s but must be an f32 matrix over rows", value,
             shape(result, frozen(result.dim)).c_str());
    }
    output_ = value;
}

} // namespace intarsia
