// Finds equal pieces by renumbering what differs between them.
#include <bit>
#include <map>

#include "graph/passes.h"

namespace intarsia {

namespace {

// Numbers ids from 0 in order of first use.
class Numbering {
public:
    uint32_t operator()(uint32_t id) {
        const auto [entry, added] = numbers_.emplace(id, static_cast<uint32_t>(ids_.size()));
        if (added) {
            ids_.push_back(id);
        }
        return entry->second;
    }
    uint32_t at(uint32_t id) const { return numbers_.at(id); }
    const std::vector<uint32_t> &ids() const { return ids_; }

private:
    std::unordered_map<uint32_t, uint32_t> numbers_;
    std::vector<uint32_t> ids_;
};

bool external(const Layout &layout, uint32_t value) {
    return layout.placements[value].where != Placement::Where::NOWHERE;
}

// The piece as a class of its own. Fills inputs, outputs and binding of the piece.
PieceClass renumber(const Graph &graph, const Layout &layout, const std::vector<cpu::Storage> &storage, Piece &piece) {
    Numbering externals, locals, weights, layers;
    for (uint32_t index : piece.ops) {
        const Op &op = graph.ops()[index];
        for (uint32_t value : op.inputs) {
            (external(layout, value) ? externals : locals)(value);
        }
        if (op.output != kNone) {
            (external(layout, op.output) ? externals : locals)(op.output);
        }
    }

    PieceClass made{.splitting = piece.splitting,
                    .dim = piece.dim,
                    .ops = {},
                    .values = {},
                    .storage = {},
                    .written = {},
                    .weights = {},
                    .externals = static_cast<uint32_t>(externals.ids().size()),
                    .frozen = graph.frozen(piece.dim)};
    for (const Numbering *numbering : {&externals, &locals}) {
        for (uint32_t value : numbering->ids()) {
            made.values.push_back(graph.values()[value]);
            made.values.back().producer = kNone;
            made.storage.push_back(storage[value]);
        }
    }
    made.written.resize(made.externals);

    auto number = [&](uint32_t value) {
        return external(layout, value) ? externals.at(value) : made.externals + locals.at(value);
    };
    for (uint32_t index : piece.ops) {
        Op op = graph.ops()[index];
        for (uint32_t &value : op.inputs) {
            value = number(value);
        }
        for (uint32_t &weight : op.weights) {
            if (weight != kNone) {
                weight = weights(weight);
            }
        }
        if (op.kind == OpKind::CACHE_APPEND || op.kind == OpKind::ATTENTION) {
            op.layer = layers(op.layer);
        }
        if (op.output != kNone) {
            op.output = number(op.output);
            made.values[op.output].producer = static_cast<uint32_t>(made.ops.size());
            if (op.output < made.externals) {
                made.written[op.output] = true;
            }
        }
        made.ops.push_back(std::move(op));
    }
    for (uint32_t weight : weights.ids()) {
        const Weight &found = graph.weights()->at(weight);
        made.weights.emplace_back(found.n, found.rank == 2 ? found.k : 0);
    }

    for (uint32_t i = 0; i < made.externals; i++) {
        (made.written[i] ? piece.outputs : piece.inputs).push_back(externals.ids()[i]);
    }
    piece.binding = {externals.ids(), weights.ids(), layers.ids()};
    return made;
}

} // namespace

std::vector<uint32_t> key(const PieceClass &made) {
    std::vector<uint32_t> key{made.splitting, static_cast<uint32_t>(made.dim), made.frozen, made.externals};
    auto list = [&](const std::vector<uint32_t> &ids) {
        key.push_back(static_cast<uint32_t>(ids.size()));
        key.insert(key.end(), ids.begin(), ids.end());
    };
    key.push_back(static_cast<uint32_t>(made.ops.size()));
    for (const Op &op : made.ops) {
        key.insert(key.end(), {static_cast<uint32_t>(op.kind), op.output, std::bit_cast<uint32_t>(op.scalar), op.layer,
                               op.heads, op.kv_heads, op.head_dim, op.window});
        list(op.inputs);
        list(op.weights);
    }
    for (size_t i = 0; i < made.values.size(); i++) {
        const Value &value = made.values[i];
        key.insert(key.end(), {static_cast<uint32_t>(value.dim), static_cast<uint32_t>(value.type), value.width,
                               value.producer, static_cast<uint32_t>(made.storage[i])});
    }
    for (const auto &[n, k] : made.weights) {
        key.insert(key.end(), {n, k});
    }
    return key; // `written` follows from the producers
}

std::vector<PieceClass> classify(const Graph &graph, const Layout &layout, const std::vector<cpu::Storage> &storage,
                                 std::vector<Piece> &pieces) {
    std::vector<PieceClass> classes;
    std::map<std::vector<uint32_t>, uint32_t> ids;
    for (Piece &piece : pieces) {
        PieceClass made = renumber(graph, layout, storage, piece);
        const auto [entry, added] = ids.emplace(key(made), static_cast<uint32_t>(classes.size()));
        if (added) {
            classes.push_back(std::move(made));
        }
        piece.class_id = entry->second;
    }
    return classes;
}

} // namespace intarsia
