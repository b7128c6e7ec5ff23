// Random weights, and graphs of random ops that mostly fit.
#pragma once

#include <cmath>
#include <limits>

#include "abi_fuzz_objects.h"

namespace intarsia::fuzz {

class Graphs {
public:
    explicit Graphs(Objects &objects) : o(objects), s(objects.session), r(objects.random) {}

    void open_device() {
        intarsia_device_options options{};
        options.kind = o.number(0u, {2u, 3u, 0xFFFFFFFFu});
        options.ordinal = o.number(0u, {1u, 0xFFFFFFFFu});
        options.threads = o.number(r.of({1u, 1u, 2u, 3u}), {257u, 0x80000000u, 0xFFFFFFFFu});
        options.flags = o.number(r.below(2), {2u, 3u, 0x80000000u, 0xFFFFFFFFu});
        options.reserved = o.number(0u, {1u, 0xFFFFFFFFu});
        options.memory = o.number(uint64_t{0}, {uint64_t{1}, UINT64_MAX});
        if (r.once_in(2)) std::strcpy(options.tier, "scalar");
        if (s.spoils_argument()) std::memset(options.tier, r.of({'s', '\xFF'}), r.of({31, 32}));
        const In in(s, options);
        Out<intarsia_device *> out(s);
        if (FUZZ_CALL(s, intarsia_device_open, in, out)) o.remember(o.devices, Device{out.value()});
    }

    // Once it has been looked for, only the path that it had is right.
    void name_plugin() {
        uint32_t count = 0;
        intarsia_device_count(&count);
        const bool wrong = s.spoils_argument();
        const std::string path = wrong ? r.of({std::string("x"), std::string("/"), std::string(5000, 'y'), std::string("\xFF\xFE")}) : "";
        const std::vector<char> text(path.c_str(), path.c_str() + path.size() + 1);
        const Array in(s, text);
        FUZZ_CALL(s, intarsia_device_plugin, in);
    }

    void measure_read() {
        if (o.devices.empty()) return open_device();
        const Ref<Device> device = r.of(o.devices);
        const uint64_t bytes = o.number(uint64_t{1} << 20, {uint64_t{0}, (uint64_t{1} << 20) - 1, uint64_t{1} << 40, UINT64_MAX});
        Out<double> out(s);
        if (FUZZ_CALL(s, intarsia_device_measure_read, o.given(device->handle), bytes, out)) {
            EXPECT_GT(out.value(), 0);
            EXPECT_TRUE(std::isfinite(out.value()));
        }
    }

    void make_weights() {
        if (o.devices.empty()) return open_device();
        const Ref<Device> device = r.of(o.devices);
        const uint32_t precision = o.number(r.below(2), {2u, 3u, 0xFFFFFFFFu});
        Out<intarsia_weights *> out(s);
        const uint32_t format = o.number(r.below(3), {3u, 0x80000000u, 0xFFFFFFFFu});
        if (FUZZ_CALL(s, intarsia_weights_create, o.given(device->handle), precision, format, out))
            o.remember(o.weights, WeightSet{.handle = out.value(),
                                            .device = device,
                                            .precision = precision,
                                            .format = format,
                                            .entries = {}});
    }

    // A tensor [n, k], or [n] for k = 0; INTARSIA_NONE if it was not added.
    uint32_t add_weight(WeightSet &set, uint32_t n, uint32_t k) {
        const uint32_t dtype = o.number(r.below(3), {3u, 0x7FFFFFFFu, 0xFFFFFFFFu});
        const uint64_t element = dtype == INTARSIA_DTYPE_F32 ? 4 : 2;
        const Block data(static_cast<size_t>(n) * std::max(k, 1u) * element, r.once_in(3) ? 1 : 0);
        fill(data, dtype);

        std::vector<int64_t> dims = {n};
        if (k != 0) dims.push_back(k);
        const uint32_t rank = o.number(static_cast<uint32_t>(dims.size()), {0u, 3u, 4u, 0xFFFFFFFFu});
        const int64_t huge = int64_t{1} << 30;
        if (s.spoils_argument())
            r.of({&dims.front(), &dims.back()})[0] =
                r.of({int64_t{0}, int64_t{-1}, int64_t{n} + 7919, huge, huge + 1, huge << 10, INT64_MAX, INT64_MIN});
        const uint64_t bytes = o.number(uint64_t{data.bytes()}, {0, data.bytes() - 1, data.bytes() + 1, UINT64_MAX});

        std::string text = "w" + std::to_string(set.entries.size());
        if (s.spoils_argument())
            text = set.entries.empty() || r.once_in(2) ? "" : "w0"; // no name, or one that is taken
        else if (!set.entries.empty() && r.once_in(30))
            text += std::string(r.of({40, 300, 5000}), r.of({'x', '\xC3', '\n', '%'}));
        std::vector<char> name(text.begin(), text.end());
        name.push_back(0);

        const Array name_in(s, name);
        const Array dims_in(s, dims);
        if (k != 0 && (r.once_in(4) || (set.format != INTARSIA_WEIGHTS_NATIVE && r.once_in(2))))
            return add_quantized(set, n, k, name_in, dims_in, dtype, data, bytes);
        const bool null = s.spoils_argument();
        Out<uint32_t> out(s);
        if (!FUZZ_CALL(s, intarsia_weights_add, o.given(set.handle), name_in, dtype, dims_in, rank,
                       null ? nullptr : static_cast<const void *>(data.data()), bytes, out))
            return INTARSIA_NONE;
        for (const WeightSet::Entry &entry : set.entries) EXPECT_NE(entry.id, out.value());
        set.entries.push_back({out.value(), n, k});
        return out.value();
    }

    // The same by way of intarsia_quantize. Either all is as it should be, or sizes, formats and contents are anything.
    template <typename Name, typename Dims>
    uint32_t add_quantized(WeightSet &set, uint32_t n, uint32_t k, const Name &name, const Dims &dims, uint32_t dtype,
                           const Block &data, uint64_t bytes) {
        const bool spoilt = s.next.wrong || set.format == INTARSIA_WEIGHTS_NATIVE || (s.chaos != 0 && r.once_in(3));
        const uint32_t format = spoilt ? r.of({0u, 1u, 1u, 2u, 2u, 3u, 0xFFFFFFFFu}) : set.format;
        const bool four = format == INTARSIA_WEIGHTS_INT4;
        const Block values(size_t{n} * (four ? (k + 1) / 2 : k), r.below(2));
        const Block scales(size_t{n} * (four ? (k + 31) / 32 * 2 : 4), r.below(2));
        const auto size = [&](uint64_t right) {
            return spoilt && r.once_in(4) ? r.of({uint64_t{0}, right - 1, right + 1, UINT64_MAX}) : right;
        };
        const auto pointer = [&](const Block &block) { return spoilt && r.once_in(9) ? nullptr : block.data(); };
        s.next = {.unsure = spoilt};
        FUZZ_CALL(s, intarsia_quantize, format, dtype, dims, pointer(data), bytes, pointer(values), size(values.bytes()),
                  pointer(scales), size(scales.bytes()));
        if (spoilt && r.once_in(2)) {
            for (const Block *block : {&values, &scales})
                for (size_t at = 0; at < block->bytes(); at++) block->data()[at] = static_cast<unsigned char>(r.bits());
        }
        s.next = {.unsure = spoilt};
        Out<uint32_t> out(s);
        if (!FUZZ_CALL(s, intarsia_weights_add_quantized, spoilt ? o.given(set.handle) : set.handle, name, dims,
                       pointer(values), size(values.bytes()), pointer(scales), size(scales.bytes()), out))
            return INTARSIA_NONE;
        for (const WeightSet::Entry &entry : set.entries) EXPECT_NE(entry.id, out.value());
        set.entries.push_back({out.value(), n, k});
        return out.value();
    }

    void ask_weights() {
        if (o.weights.empty()) return make_weights();
        const WeightSet &set = *r.of(o.weights);
        uint64_t least = 0;
        for (const WeightSet::Entry &entry : set.entries) least += uint64_t{entry.n} * std::max(entry.k, 1u) / 2;
        Out<uint64_t> out(s);
        if (FUZZ_CALL(s, intarsia_weights_bytes, o.given(set.handle), out)) {
            EXPECT_GE(out.value(), least);
        }
    }

    void make_graph() {
        if (o.weights.empty()) return make_weights();
        const Ref<WeightSet> set = r.of(o.weights);
        intarsia_graph_options options{};
        options.tokens = o.number(r.once_in(6) ? r.from(1, 6) : 0, {(1u << 24) + 1, 0xFFFFFFFFu});
        options.rows = o.number(r.once_in(6) ? r.from(1, 3) : 0, {(1u << 24) + 1, 0xFFFFFFFFu});
        options.reserved = o.number(0u, {1u, 0xFFFFFFFFu});
        const In in(s, options);
        Out<intarsia_graph *> out(s);
        if (!FUZZ_CALL(s, intarsia_graph_create, o.given(set->handle), in, out)) return;
        const uint32_t kv_heads = r.from(1, 3);
        o.remember(o.graphs, Graph{.handle = out.value(),
                                   .weights = set,
                                   .frozen = {options.tokens, options.rows},
                                   .hidden = r.of({1u, 5u, 16u, 24u, 33u}),
                                   .heads = kv_heads * r.from(1, 3),
                                   .kv_heads = kv_heads,
                                   .head_dim = r.of({2u, 4u, 6u, 16u, 18u, 32u}),
                                   .values = {},
                                   .appends = {}});
    }

    // Adds an op, or what it needs first.
    void grow(Graph &g) {
        switch (r.below(14)) {
        case 0: input(g, static_cast<Value::Kind>(r.below(4))); break;
        case 1: return embedding(g);
        case 2: return rms_norm(g);
        case 3:
        case 4: return linear(g, 0);
        case 5: return linear(g, g.heads * g.head_dim);
        case 6: return linear(g, g.kv_heads * g.head_dim);
        case 7: return rope(g);
        case 8: return append(g);
        case 9: return attention(g);
        case 10: return binary(g);
        case 11: return select_rows(g);
        case 12: return r.once_in(3) ? empty(g) : binary(g);
        default: return r.once_in(4) ? output(g) : attention(g);
        }
    }

    // The usual order of ops: through attention, to logits.
    void grow_decoder(Graph &g) {
        embedding(g);
        for (uint32_t layer = 0, layers = r.from(1, 2); layer < layers; layer++) {
            if (r.once_in(2)) rms_norm(g);
            linear(g, g.kv_heads * g.head_dim);
            if (r.once_in(2)) rope(g);
            append(g);
            linear(g, g.heads * g.head_dim);
            if (r.once_in(2)) rope(g);
            attention(g);
            linear(g, g.hidden);
            binary(g);
        }
        select_rows(g);
        linear(g, r.from(1, 40));
        output(g);
    }

private:
    using Out32 = Out<uint32_t>;

    // Numbers as a checkpoint has them; now and then any bits.
    void fill(const Block &data, uint32_t dtype) {
        const bool wild = r.once_in(12);
        for (size_t at = 0; at < data.bytes(); at += dtype == INTARSIA_DTYPE_F32 ? 4 : 2) {
            const float value = r.uniform(-1, 1);
            uint32_t bits;
            std::memcpy(&bits, &value, 4);
            if (dtype == INTARSIA_DTYPE_F16) bits = (bits >> 16 & 0x8000u) | (0x3400u + (bits & 0x3FFu)); // 1/4 .. 1/2
            else if (dtype != INTARSIA_DTYPE_F32) bits >>= 16;
            if (wild) bits = static_cast<uint32_t>(r.bits());
            std::memcpy(data.data() + at, &bits, dtype == INTARSIA_DTYPE_F32 ? 4 : 2);
        }
    }

    // A weight of that shape, if there is one or one can be added. k = 0: a vector.
    uint32_t weight(Graph &g, uint32_t n, uint32_t k) {
        WeightSet &set = *g.weights;
        std::vector<uint32_t> fitting;
        for (const WeightSet::Entry &entry : set.entries)
            if (entry.n == n && entry.k == k) fitting.push_back(entry.id);
        if (!fitting.empty() && (!set.alive || !r.once_in(4))) return r.of(fitting);
        return set.alive ? add_weight(set, n, k) : INTARSIA_NONE;
    }
    const WeightSet::Entry &entry(const Graph &g, uint32_t id) const {
        for (const WeightSet::Entry &entry : g.weights->entries)
            if (entry.id == id) return entry;
        static const WeightSet::Entry none{INTARSIA_NONE, 1, 1};
        ADD_FAILURE() << "an op took weight " << id << ", which was never added";
        return none;
    }
    const Value &value(const Graph &g, uint32_t id) const {
        for (const Value &value : g.values)
            if (value.id == id) return value;
        static const Value none{INTARSIA_NONE, Value::MATRIX, 0, 1};
        ADD_FAILURE() << "an op took value " << id << ", which was never made";
        return none;
    }

    // The id, or one that is wrong, or another that may fit.
    template <class T> uint32_t id(uint32_t right, const std::vector<T> &others) {
        if (!s.spoils()) return right;
        if (others.empty() || r.once_in(2)) {
            s.next.wrong = true;
            return r.of({INTARSIA_NONE, 0x7FFFFFFFu, 0x80000000u, 1u << 20, r.from(1u << 20, INTARSIA_NONE)});
        }
        s.next.unsure = true;
        return r.of(others).id;
    }
    uint32_t value_id(const Graph &g, const Value &v) { return id(v.id, g.values); }
    uint32_t weight_id(const Graph &g, uint32_t w) { return id(w, g.weights->entries); }
    void sealed(const Graph &g) { s.next.wrong |= g.sealed; }

    // A matrix over that dimension (2: any) of that width (0: any) for which fits(width) holds; recent ones more often.
    template <class Fits> const Value *matrix(const Graph &g, uint32_t dim, Fits fits) {
        std::vector<const Value *> found;
        for (const Value &value : g.values)
            if (value.kind >= Value::MATRIX && (dim == 2 || value.dim == dim) && fits(value.width))
                found.push_back(&value);
        if (found.empty()) return nullptr;
        const auto size = static_cast<uint32_t>(found.size());
        return found[size - 1 - r.below(r.once_in(4) ? size : std::min(size, 3u))];
    }
    const Value *any_matrix(const Graph &g, uint32_t dim) {
        return matrix(g, dim, [](uint32_t) { return true; });
    }
    const Value *of_width(const Graph &g, uint32_t dim, uint32_t width) {
        return matrix(g, dim, [&](uint32_t w) { return w == width; });
    }
    const Value *table(Graph &g) {
        for (const Value &value : g.values)
            if (value.kind == Value::TABLE && value.width == g.head_dim) return &value;
        rope_table(g);
        return nullptr;
    }

    void made(Graph &g, uint32_t id, Value::Kind kind, uint32_t dim, uint32_t width) {
        for (const Value &value : g.values) EXPECT_NE(value.id, id);
        g.values.push_back({id, kind, dim, width});
        g.ops += kind >= Value::MATRIX;
    }

    const Value *input(Graph &g, Value::Kind kind) {
        for (const Value &value : g.values)
            if (value.kind == kind) {
                if (r.once_in(8)) { // asked again, the same
                    const Calm calm(s);
                    Out32 out(s);
                    if (FUZZ_CALL(s, intarsia_graph_input, g.handle, uint32_t{kind}, out)) {
                        EXPECT_EQ(out.value(), value.id);
                    }
                }
                return &value;
            }
        sealed(g);
        Out32 out(s);
        const uint32_t asked = o.number(uint32_t{kind}, {4u, 5u, 0xFFFFFFFFu});
        if (!FUZZ_CALL(s, intarsia_graph_input, handle(g), asked, out)) return nullptr;
        made(g, out.value(), kind, kind == Value::ROWS ? 1 : 0, 1);
        return &g.values.back();
    }
    intarsia_graph *handle(const Graph &g) { return o.given(g.handle); }

    void embedding(Graph &g) {
        const uint32_t w = weight(g, r.of({1u, 7u, 16u, 40u}), g.hidden);
        const Value *tokens = input(g, Value::TOKENS);
        if (w == INTARSIA_NONE || !tokens) return;
        sealed(g);
        const uint32_t x = value_id(g, *tokens), table = weight_id(g, w);
        Out32 out(s);
        if (!FUZZ_CALL(s, intarsia_graph_embedding, handle(g), x, table, out)) return;
        const auto [weight, n, k] = entry(g, table);
        made(g, out.value(), Value::MATRIX, 0, k);
        g.vocabulary = g.vocabulary == 0 ? n : std::min(g.vocabulary, n);
    }

    void rms_norm(Graph &g) {
        const Value *found = any_matrix(g, 2);
        if (!found) return embedding(g);
        const Value x = *found;
        const uint32_t group = x.width % g.head_dim == 0 && r.once_in(2) ? g.head_dim : r.once_in(8) ? 1 : x.width;
        const uint32_t w = weight(g, group, 0);
        if (w == INTARSIA_NONE) return;
        sealed(g);
        const uint32_t a = value_id(g, x), scale = weight_id(g, w);
        const float eps = o.number(r.of({1e-6f, 1e-5f, 1.0f}), {0.0f, -1.0f, NAN, INFINITY, -INFINITY});
        Out32 out(s);
        if (FUZZ_CALL(s, intarsia_graph_rms_norm, handle(g), a, scale, eps, out))
            made(g, out.value(), Value::MATRIX, value(g, a).dim, value(g, a).width);
    }

    void linear(Graph &g, uint32_t outputs) {
        const Value *found = any_matrix(g, 2);
        if (!found) return embedding(g);
        const Value x = *found;
        if (outputs == 0) outputs = r.once_in(2) ? g.hidden : r.from(1, 50);
        const uint32_t w = weight(g, outputs, x.width);
        const uint32_t b = r.once_in(3) ? weight(g, outputs, 0) : INTARSIA_NONE;
        if (w == INTARSIA_NONE) return;
        sealed(g);
        const uint32_t a = value_id(g, x), matrix = weight_id(g, w), bias = b == INTARSIA_NONE ? b : weight_id(g, b);
        Out32 out(s);
        if (bias == INTARSIA_NONE && b != INTARSIA_NONE) s.next = {.unsure = true}; // spoilt to "none"
        if (FUZZ_CALL(s, intarsia_graph_linear, handle(g), a, matrix, bias, out))
            made(g, out.value(), Value::MATRIX, value(g, a).dim, entry(g, matrix).n);
    }

    void rope_table(Graph &g) {
        const uint32_t w = weight(g, g.head_dim / 2, 0);
        const Value *positions = input(g, Value::POSITIONS);
        if (w == INTARSIA_NONE || !positions) return;
        sealed(g);
        const uint32_t p = value_id(g, *positions), frequencies = weight_id(g, w);
        const float scale = o.number(r.of({1.0f, 0.5f}), {NAN, INFINITY, -INFINITY});
        Out32 out(s);
        if (FUZZ_CALL(s, intarsia_graph_rope_table, handle(g), p, frequencies, scale, out))
            made(g, out.value(), Value::TABLE, 0, entry(g, frequencies).n * 2);
    }

    void rope(Graph &g) {
        const Value *found = matrix(g, 0, [&](uint32_t width) { return width % g.head_dim == 0; });
        if (!found) return linear(g, g.head_dim);
        const Value x = *found, *angles = table(g);
        if (!angles) return;
        sealed(g);
        const uint32_t a = value_id(g, x), t = value_id(g, *angles);
        Out32 out(s);
        if (FUZZ_CALL(s, intarsia_graph_rope, handle(g), a, t, out))
            made(g, out.value(), Value::MATRIX, 0, value(g, a).width);
    }

    void append(Graph &g) {
        const uint32_t width = g.kv_heads * g.head_dim;
        const Value *k = of_width(g, 0, width), *v = of_width(g, 0, width);
        if (!k || !v) return linear(g, width);
        const Value key = *k, data = *v, *slots = input(g, Value::SLOTS);
        if (!slots) return;
        uint32_t layer = 0;
        while (g.appends.contains(layer)) layer++;
        sealed(g);
        if (!g.appends.empty() && r.once_in(20)) {
            layer = g.appends.begin()->first; // a second time
            s.next.wrong = true;
        }
        layer = o.number(layer, {65536u, 0xFFFFFFFFu});
        const uint32_t a = value_id(g, key), b = value_id(g, data), c = value_id(g, *slots);
        const uint32_t kv_heads = o.number(g.kv_heads, {0u, 0xFFFFFFFFu});
        if (!FUZZ_CALL(s, intarsia_graph_cache_append, handle(g), a, b, c, layer, kv_heads)) return;
        g.appends[layer] = {kv_heads, value(g, a).width / kv_heads};
        g.ops++;
    }

    void attention(Graph &g) {
        const Value *found = of_width(g, 0, g.heads * g.head_dim);
        if (!found) return linear(g, g.heads * g.head_dim);
        if (g.appends.empty()) return append(g);
        const Value q = *found;
        std::vector<uint32_t> layers;
        for (const auto &[layer, append] : g.appends) layers.push_back(layer);
        sealed(g);
        intarsia_attention_options options{};
        options.layer = r.of(layers);
        const Graph::Append &append = g.appends[options.layer];
        s.next.wrong |= append.kv_heads != g.kv_heads || append.head_dim != g.head_dim; // one that came out odd
        options.layer = o.number(options.layer, {65535u, 65536u, 0xFFFFFFFFu});
        options.heads = o.number(g.heads, {0u, 0x80000000u, 0xFFFFFFFFu});
        options.kv_heads = o.number(g.kv_heads, {0u, g.heads + 1, 0xFFFFFFFFu});
        options.head_dim = o.number(g.head_dim, {0u, 1u, 3u, 1026u, 0x80000000u, 0xFFFFFFFEu});
        options.window = r.once_in(3) ? r.of({1u, 2u, 17u, 64u, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFFu}) : 0;
        options.scale = o.number(r.of({0.25f, 1.0f, 0.0f, -1.0f}), {NAN, INFINITY, -INFINITY});
        options.reserved = o.number(0u, {1u, 0xFFFFFFFFu});
        const In in(s, options);
        const uint32_t a = value_id(g, q);
        Out32 out(s);
        if (FUZZ_CALL(s, intarsia_graph_attention, handle(g), a, in, out))
            made(g, out.value(), Value::MATRIX, 0, value(g, a).width);
    }

    void binary(Graph &g) {
        const Value *found = any_matrix(g, 2);
        if (!found) return embedding(g);
        const uint32_t a = value_id(g, *found), b = value_id(g, *of_width(g, found->dim, found->width));
        sealed(g);
        Out32 out(s);
        if (r.once_in(2) ? FUZZ_CALL(s, intarsia_graph_add, handle(g), a, b, out)
                         : FUZZ_CALL(s, intarsia_graph_silu_mul, handle(g), a, b, out))
            made(g, out.value(), Value::MATRIX, value(g, a).dim, value(g, a).width);
    }

    void select_rows(Graph &g) {
        const Value *found = any_matrix(g, 0);
        if (!found) return embedding(g);
        const Value x = *found, *rows = input(g, Value::ROWS);
        if (!rows) return;
        const uint32_t a = value_id(g, x), b = value_id(g, *rows);
        sealed(g);
        Out32 out(s);
        if (FUZZ_CALL(s, intarsia_graph_select_rows, handle(g), a, b, out))
            made(g, out.value(), Value::MATRIX, 1, value(g, a).width);
    }

    void empty(Graph &g) {
        const uint32_t dim = o.number(r.below(2), {2u, 0xFFFFFFFFu});
        const uint32_t width = o.number(r.of({g.hidden, r.from(1, 50)}), {0u, (1u << 24) + 1, 0xFFFFFFFFu});
        sealed(g);
        Out32 out(s);
        if (!FUZZ_CALL(s, intarsia_graph_empty, handle(g), dim, width, out)) return;
        made(g, out.value(), Value::MATRIX, dim, width);
        g.undefined = true;
    }

    void output(Graph &g) {
        const Value *found = any_matrix(g, 1);
        if (!found) return select_rows(g);
        sealed(g);
        s.next.wrong |= g.logits != 0;
        const uint32_t a = value_id(g, *found);
        if (FUZZ_CALL(s, intarsia_graph_output, handle(g), a)) g.logits = value(g, a).width;
    }

    Objects &o;
    Session &s;
    Random &r;
};

} // namespace intarsia::fuzz
