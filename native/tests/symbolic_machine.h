// Runs the instructions of an executable on terms in place of numbers, with memory that knows what lies where.
//
// A term stands for a value computed in one way: same ops, same operands, same roundings. Two executables whose results
// are the same terms give the same bits, and the term of every op of a piece, evaluated one by one, says what the
// results must be.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "compile/executable.h"

namespace intarsia::testing {

// Equal texts are equal terms.
class Terms {
public:
    using Term = uint32_t;

    Term operator()(const std::string &what) {
        return ids_.emplace(what, static_cast<Term>(ids_.size())).first->second;
    }
    Term operator()(const std::string &what, const std::vector<Term> &of) {
        std::string text = what + "(";
        for (Term term : of) text += std::to_string(term) + ",";
        return (*this)(text + ")");
    }
    Term bf16(Term term) { return (*this)("bf16", {term}); }
    Term add(Term a, Term b) { return (*this)("add", {std::min(a, b), std::max(a, b)}); }
    Term linear(Term x, uint32_t weight, uint32_t bias) { return (*this)("linear " + text(weight) + text(bias), {x}); }
    Term norm(Term x, uint32_t weight, uint32_t group, float eps) {
        return (*this)("norm " + text(weight) + text(group) + text(eps), {x});
    }
    Term rope(Term x, Term table, uint32_t head_dim) { return (*this)("rope " + text(head_dim), {x, table}); }
    Term append(Term k, Term v, Term slots, uint32_t kv_heads, uint32_t head_dim) {
        return (*this)("append " + text(kv_heads) + text(head_dim), {k, v, slots});
    }
    Term attention(Term q, Term cache, uint32_t heads, uint32_t window, float scale) {
        return (*this)("attention " + text(heads) + text(window) + text(scale), {q, cache});
    }
    Term rope_table(Term positions, uint32_t weight, float scale) {
        return (*this)("table " + text(weight) + text(scale), {positions});
    }

private:
    template <typename T> static std::string text(T value) { return std::to_string(value) + " "; }

    std::map<std::string, Term> ids_;
};

// What a piece leaves behind: the content of the external values that it writes, and of the cache layers that it
// appends to.
struct Results {
    std::map<uint32_t, Terms::Term> externals, layers;
    bool operator==(const Results &) const = default;
};

// The ops one by one, as the header of the library defines them.
inline Results evaluate(const PieceClass &made, cpu::Storage storage, Terms &terms) {
    const auto rounded = [&](Terms::Term term) { return storage == cpu::Storage::BF16 ? terms.bf16(term) : term; };
    std::vector<Terms::Term> values(made.values.size());
    for (uint32_t i = 0; i < made.externals; i++) values[i] = terms("external " + std::to_string(i));
    Results results;
    const auto cache = [&](uint32_t layer) -> Terms::Term {
        const auto found = results.layers.find(layer);
        return found != results.layers.end() ? found->second : terms("cache " + std::to_string(layer));
    };
    for (const Op &op : made.ops) {
        std::vector<Terms::Term> in;
        for (uint32_t value : op.inputs) in.push_back(values[value]);
        Terms::Term out = 0;
        switch (op.kind) {
        case OpKind::EMBEDDING: out = terms("embedding " + std::to_string(op.weights[0]), in); break;
        case OpKind::RMS_NORM:
            out = terms.norm(in[0], op.weights[0], made.weights[op.weights[0]].first, op.scalar);
            break;
        case OpKind::LINEAR: out = terms.linear(rounded(in[0]), op.weights[0], op.weights[1]); break;
        case OpKind::ROPE_TABLE: out = terms.rope_table(in[0], op.weights[0], op.scalar); break;
        case OpKind::ROPE: out = terms.rope(in[0], in[1], made.values[op.inputs[1]].width); break;
        case OpKind::CACHE_APPEND:
            results.layers[op.layer] = terms.append(in[0], in[1], in[2], op.kv_heads, op.head_dim);
            break;
        case OpKind::ATTENTION:
            out = terms.attention(rounded(in[0]), cache(op.layer), op.heads, op.window, op.scalar);
            break;
        case OpKind::SILU_MUL: out = terms("silu_mul", in); break;
        case OpKind::ADD: out = terms.add(in[0], in[1]); break;
        case OpKind::SELECT_ROWS: out = terms("select_rows", in); break;
        case OpKind::EMPTY: out = terms("undefined"); break;
        case OpKind::INPUT: ADD_FAILURE() << "an input belongs to no piece"; break;
        }
        if (op.output == kNone) continue;
        values[op.output] = out;
        if (op.output < made.externals)
            results.externals[op.output] = made.storage[op.output] == cpu::Storage::BF16 ? terms.bf16(out) : out;
    }
    return results;
}

// Checks on the way: every pointer that a kernel needs is patched, once, and nothing else is; reads find what was
// written there last, as wide and stored as it was written; what an instruction writes overlaps nothing else that it
// touches.
class Machine {
public:
    Machine(const Executable &executable, Terms &terms)
        : executable_(executable), made_(executable.partition()->classes()[executable.class_id()]),
          storage_(executable.partition()->graph()->weights()->storage()), terms_(terms) {
        for (uint32_t i = 0; i < made_.externals; i++) {
            const Terms::Term term = terms("external " + std::to_string(i));
            externals_[i] = made_.storage[i] == cpu::Storage::BF16 ? terms.bf16(term) : term;
            if (made_.written[i]) externals_[i] = terms("undefined");
        }
    }

    Results run() {
        for (const Instruction &instruction : executable_.instructions()) step(instruction);
        Results results;
        for (uint32_t i = 0; i < made_.externals; i++)
            if (made_.written[i]) results.externals[i] = externals_[i];
        results.layers = layers_;
        EXPECT_EQ(end_, executable_.arena_bytes());
        return results;
    }

private:
    struct Range {
        uint64_t begin, end;
        bool meets(const Range &other) const { return begin < other.end && other.begin < end; }
    };
    struct Content {
        uint64_t end;
        uint32_t width;
        cpu::Storage storage;
        Terms::Term term;
    };

    void step(const Instruction &instruction) {
        SCOPED_TRACE(instruction.text);
        patches_.clear();
        reads_.clear();
        writes_.clear();
        for (const Patch &patch : instruction.patches)
            EXPECT_TRUE(patches_.emplace(patch.at, patch).second) << "patched twice: " << patch.at;
        std::visit([this](const auto &args) { call(args); }, instruction.args);
        for (const auto &[at, patch] : patches_)
            ADD_FAILURE() << "patch at " << at << " of kind " << int(patch.kind) << " is for nothing";
        for (size_t w = 0; w < writes_.size(); w++) {
            for (size_t other = 0; other < w; other++) EXPECT_FALSE(writes_[w].meets(writes_[other]));
            for (const Range &read : reads_) EXPECT_FALSE(writes_[w].meets(read)) << "writes what it reads";
        }
    }

    // Takes the patch at an offset out of the list.
    Patch take(size_t at, std::initializer_list<Patch::Kind> kinds) {
        const auto found = patches_.find(at);
        if (found == patches_.end()) {
            ADD_FAILURE() << "nothing is patched at " << at;
            return {Patch::Kind::SIZE, 0, 0};
        }
        const Patch patch = found->second;
        EXPECT_TRUE(std::find(kinds.begin(), kinds.end(), patch.kind) != kinds.end())
            << "patch at " << at << " is of kind " << int(patch.kind);
        patches_.erase(found);
        return patch;
    }

    template <typename Args> void size(const Args &args) {
        if (executable_.lo() == executable_.hi()) {
            EXPECT_EQ(executable_.hi(), args.n);
        } else {
            take(offsetof(Args, n), {Patch::Kind::SIZE});
        }
    }

    Range range(const Patch &patch, uint32_t width, cpu::Storage storage) {
        const Range range{patch.index, patch.index + row_bytes(width, storage) * executable_.hi()};
        EXPECT_EQ(0u, range.begin % 64);
        end_ = std::max(end_, (range.end + 63) / 64 * 64);
        return range;
    }

    // i32 vectors have width 1.
    Terms::Term read(size_t at, uint32_t width, cpu::Storage storage = cpu::Storage::F32) {
        const Patch patch = take(at, {Patch::Kind::ARENA, Patch::Kind::EXTERNAL});
        if (patch.kind == Patch::Kind::EXTERNAL) {
            EXPECT_EQ(width, made_.values[patch.index].width);
            EXPECT_EQ(storage, made_.storage[patch.index]);
            return externals_.at(static_cast<uint32_t>(patch.index));
        }
        reads_.push_back(range(patch, width, storage));
        const auto found = arena_.find(patch.index);
        if (found == arena_.end()) {
            ADD_FAILURE() << "nothing lies at " << patch.index;
            return terms_("undefined");
        }
        EXPECT_EQ(reads_.back().end, found->second.end);
        EXPECT_EQ(width, found->second.width);
        EXPECT_EQ(storage, found->second.storage);
        return found->second.term;
    }

    void write(size_t at, uint32_t width, cpu::Storage storage, Terms::Term term) {
        const Patch patch = take(at, {Patch::Kind::ARENA, Patch::Kind::EXTERNAL});
        if (storage == cpu::Storage::BF16) term = terms_.bf16(term);
        if (patch.kind == Patch::Kind::EXTERNAL) {
            EXPECT_TRUE(made_.written.at(patch.index));
            EXPECT_EQ(width, made_.values[patch.index].width);
            EXPECT_EQ(storage, made_.storage[patch.index]);
            externals_[static_cast<uint32_t>(patch.index)] = term;
            return;
        }
        const Range to = range(patch, width, storage);
        writes_.push_back(to);
        for (auto content = arena_.begin(); content != arena_.end();)
            content = to.meets({content->first, content->second.end}) ? arena_.erase(content) : std::next(content);
        arena_[to.begin] = {to.end, width, storage, term};
    }

    uint32_t weight(size_t at) { return static_cast<uint32_t>(take(at, {Patch::Kind::WEIGHT}).index); }
    uint32_t vector(size_t at, uint32_t n) {
        const uint32_t id = weight(at);
        EXPECT_EQ((std::pair{n, 0u}), made_.weights.at(id));
        return id;
    }
    uint32_t matrix(size_t at, const cpu::Matrix &matrix) {
        const uint32_t id = weight(at + offsetof(cpu::Matrix, data));
        EXPECT_EQ((std::pair{matrix.n, matrix.k}), made_.weights.at(id));
        EXPECT_EQ(storage_, matrix.storage);
        return id;
    }

    uint32_t layer(size_t at) { return static_cast<uint32_t>(take(at, {Patch::Kind::KV_LAYER}).index); }

    void call(const cpu::EmbeddingArgs &a) {
        using A = cpu::EmbeddingArgs;
        size(a);
        const Terms::Term tokens = read(offsetof(A, tokens), 1);
        const uint32_t table = matrix(offsetof(A, weight), a.weight);
        write(offsetof(A, out), a.weight.k, cpu::Storage::F32, terms_("embedding " + std::to_string(table), {tokens}));
    }

    void call(const cpu::NormArgs &a) {
        using A = cpu::NormArgs;
        size(a);
        const Terms::Term x = read(offsetof(A, x), a.width);
        write(offsetof(A, out), a.width, a.out_storage,
              terms_.norm(x, vector(offsetof(A, weight), a.group), a.group, a.eps));
    }

    void call(const cpu::LinearArgs &a) {
        using A = cpu::LinearArgs;
        size(a);
        const uint32_t least = a.epilogue == cpu::Epilogue::SILU_MUL ? 2 : 1,
                       most = a.epilogue == cpu::Epilogue::STORE ? 3 : least;
        ASSERT_TRUE(a.part_count >= least && a.part_count <= most);
        const Terms::Term x = read(offsetof(A, x), a.parts[0].weight.k, storage_);
        std::vector<Terms::Term> products;
        const auto at = [](uint32_t part, size_t field) {
            return offsetof(A, parts) + part * sizeof(cpu::LinearPart) + field;
        };
        for (uint32_t p = 0; p < a.part_count; p++) {
            const cpu::Matrix &part = a.parts[p].weight;
            EXPECT_EQ(a.parts[0].weight.k, part.k);
            const uint32_t weight = matrix(at(p, offsetof(cpu::LinearPart, weight)), part);
            const size_t bias = at(p, offsetof(cpu::LinearPart, bias));
            products.push_back(terms_.linear(x, weight, patches_.contains(bias) ? vector(bias, part.n) : kNone));
        }
        const size_t out = at(0, offsetof(cpu::LinearPart, out));
        const uint32_t width = a.parts[0].weight.n;
        switch (a.epilogue) {
        case cpu::Epilogue::STORE:
            for (uint32_t p = 0; p < a.part_count; p++)
                write(at(p, offsetof(cpu::LinearPart, out)), a.parts[p].weight.n, a.out_storage, products[p]);
            break;
        case cpu::Epilogue::ADD:
            EXPECT_EQ(cpu::Storage::F32, a.out_storage);
            write(out, width, a.out_storage, terms_.add(read(offsetof(A, residual), width), products[0]));
            break;
        case cpu::Epilogue::SILU_MUL:
            EXPECT_EQ(width, a.parts[1].weight.n);
            write(out, width, a.out_storage, terms_("silu_mul", products));
            break;
        }
    }

    void call(const cpu::RopeTableArgs &a) {
        using A = cpu::RopeTableArgs;
        size(a);
        const Terms::Term positions = read(offsetof(A, positions), 1);
        write(offsetof(A, out), 2 * a.half, cpu::Storage::F32,
              terms_.rope_table(positions, vector(offsetof(A, inverse_frequencies), a.half), a.scale));
    }

    Terms::Term heads(size_t at, const cpu::HeadsArgs &a) {
        using A = cpu::HeadsArgs;
        Terms::Term x = read(at + offsetof(A, x), a.heads * a.head_dim);
        if (const size_t norm = at + offsetof(A, norm_weight); patches_.contains(norm))
            x = terms_.norm(x, vector(norm, a.head_dim), a.head_dim, a.eps);
        if (const size_t table = at + offsetof(A, table); patches_.contains(table))
            x = terms_.rope(x, read(table, a.head_dim), a.head_dim);
        return x;
    }

    void call(const cpu::QkvArgs &a) {
        using A = cpu::QkvArgs;
        size(a);
        const bool q = patches_.contains(offsetof(A, q) + offsetof(cpu::HeadsArgs, x));
        const bool k = patches_.contains(offsetof(A, k) + offsetof(cpu::HeadsArgs, x));
        EXPECT_TRUE(q || k);
        if (q) {
            const Terms::Term rotated = heads(offsetof(A, q), a.q);
            write(offsetof(A, q) + offsetof(cpu::HeadsArgs, out), a.q.heads * a.q.head_dim, a.q.out_storage, rotated);
        }
        if (k) {
            EXPECT_EQ(a.cache.kv_heads, a.k.heads);
            EXPECT_EQ(a.cache.head_dim, a.k.head_dim);
            EXPECT_EQ(storage_, a.cache.storage);
            const Terms::Term keys = heads(offsetof(A, k), a.k),
                              values = read(offsetof(A, v), a.k.heads * a.k.head_dim);
            const Terms::Term slots = read(offsetof(A, slots), 1);
            layers_[layer(offsetof(A, cache))] = terms_.append(keys, values, slots, a.k.heads, a.k.head_dim);
        }
    }

    void call(const cpu::AttentionArgs &a) {
        using A = cpu::AttentionArgs;
        size(a);
        EXPECT_EQ(storage_, a.q_storage);
        EXPECT_EQ(storage_, a.cache.storage);
        const uint32_t width = a.heads * a.cache.head_dim, at = layer(offsetof(A, cache));
        take(offsetof(A, sequences), {Patch::Kind::SEQUENCES});
        take(offsetof(A, query_starts), {Patch::Kind::QUERY_STARTS});
        take(offsetof(A, lengths), {Patch::Kind::LENGTHS});
        take(offsetof(A, block_tables), {Patch::Kind::BLOCK_TABLES});
        take(offsetof(A, max_blocks), {Patch::Kind::MAX_BLOCKS});
        const Terms::Term cache = layers_.contains(at) ? layers_[at] : terms_("cache " + std::to_string(at));
        const Terms::Term q = read(offsetof(A, q), width, a.q_storage);
        write(offsetof(A, out), width, a.out_storage, terms_.attention(q, cache, a.heads, a.window, a.scale));
    }

    void call(const cpu::SiluMulArgs &a) {
        using A = cpu::SiluMulArgs;
        size(a);
        const Terms::Term gate = read(offsetof(A, gate), a.width), up = read(offsetof(A, up), a.width);
        write(offsetof(A, out), a.width, a.out_storage, terms_("silu_mul", {gate, up}));
    }

    void call(const cpu::AddArgs &a) {
        using A = cpu::AddArgs;
        size(a);
        const Terms::Term left = read(offsetof(A, a), a.width), right = read(offsetof(A, b), a.width);
        write(offsetof(A, out), a.width, cpu::Storage::F32, terms_.add(left, right));
    }

    void call(const cpu::SelectRowsArgs &a) {
        using A = cpu::SelectRowsArgs;
        size(a);
        const Terms::Term x = read(offsetof(A, x), a.width), rows = read(offsetof(A, rows), 1);
        write(offsetof(A, out), a.width, cpu::Storage::F32, terms_("select_rows", {x, rows}));
    }

    void call(const cpu::RoundArgs &a) {
        using A = cpu::RoundArgs;
        size(a);
        EXPECT_EQ(cpu::Storage::BF16, storage_);
        const Terms::Term x = read(offsetof(A, x), a.width);
        write(offsetof(A, out), a.width, cpu::Storage::BF16, x);
    }

    const Executable &executable_;
    const PieceClass &made_;
    const cpu::Storage storage_;
    Terms &terms_;
    std::map<uint64_t, Content> arena_; // by offset
    std::map<uint32_t, Terms::Term> externals_, layers_;
    std::map<size_t, Patch> patches_; // of the instruction, by offset, that no argument took yet
    std::vector<Range> reads_, writes_;
    uint64_t end_ = 0; // of what was used of the arena
};

} // namespace intarsia::testing
