// The graph cut into pieces; equal pieces share a class.
//
// Pieces run in order: all over tokens, then all over rows.
#pragma once

#include "graph/graph.h"

namespace intarsia {

// Where a value that crosses pieces lives.
struct Placement {
    enum class Where : uint8_t {
        NOWHERE, // local to one piece: in the arena of the executable
        INPUT,   // a step buffer; index = enum intarsia_input
        SLOT,    // index into Partition::slots
        LOGITS,  // the result of the graph
    };
    Where where = Where::NOWHERE;
    uint32_t index = 0;
};

// A buffer of [max_tokens or max_rows] rows that values with disjoint lifetimes share.
struct Slot {
    Dim dim;
    uint64_t row_bytes; // the largest of its values, a multiple of 4
};

// What differs between the pieces of one class, in the order in which the class numbers them.
struct Binding {
    std::vector<uint32_t> values;  // external values: ids of the graph
    std::vector<uint32_t> weights; // ids of the weight set
    std::vector<uint32_t> layers;  // of the KV cache
};

struct Piece {
    bool splitting;
    Dim dim;
    std::vector<uint32_t> ops;     // indices into Graph::ops, in order; INPUT ops belong to no piece
    std::vector<uint32_t> inputs;  // external values that it reads only
    std::vector<uint32_t> outputs; // that it writes: those read by later pieces, and the result of the graph
    uint32_t class_id;
    Binding binding;
};

// Elements between rows times their size.
constexpr uint64_t row_bytes(uint32_t width, cpu::Storage storage) {
    return uint64_t{cpu::stride(width, storage)} * cpu::element_bytes(storage);
}

// The ops of a piece with values, weights and layers renumbered from 0, so that equal pieces are equal classes.
// Op::inputs/output: external values are 0 .. externals - 1, local ones follow. Op::weights and Op::layer: indices into
// the binding.
struct PieceClass {
    bool splitting;
    Dim dim;
    std::vector<Op> ops;
    std::vector<Value> values;         // of the local numbering; producer is the index into ops, kNone for an input
    std::vector<cpu::Storage> storage; // of each local value
    std::vector<bool> written;         // of each external value: true if the piece writes it
    std::vector<std::pair<uint32_t, uint32_t>> weights; // (n, k) of each local weight; k = 0 for a vector
    uint32_t externals;
    uint32_t frozen; // size of the dimension, 0 if symbolic
};

// "f32", "bf16", "int8", "int4"
const char *name(cpu::Storage storage);

// Everything that distinguishes a class, as a flat list; every part that varies in length is preceded by its length.
std::vector<uint32_t> key(const PieceClass &made);

class Partition {
public:
    // splitting[kind] says whether ops of a kind split. Seals the graph.
    Partition(std::shared_ptr<Graph> graph, const bool (&splitting)[kOpKinds]);

    const std::shared_ptr<Graph> &graph() const { return graph_; }
    const std::vector<Piece> &pieces() const { return pieces_; }
    const std::vector<PieceClass> &classes() const { return classes_; }
    const std::vector<Slot> &slots() const { return slots_; }
    const Placement &placement(uint32_t value) const { return placements_[value]; }
    // How each value of the graph is stored: BF16 in bf16 mode when every reader rounds it anyway (input of linear, q
    // of attention, ...), INT8 where quantized linears alone read it and its kernel has whole rows
    cpu::Storage storage(uint32_t value) const { return storage_[value]; }
    const Piece &piece(uint32_t index) const; // INTARSIA_INVALID_ARGUMENT if there is none
    // Packed bytes of the piece's weights, each once; of a matrix that is only an embedding, one row, as only rows
    // asked for are read.
    uint64_t weight_bytes(uint32_t piece) const;
    uint64_t flops_per_row(uint32_t piece) const; // 2 n k of each linear
    std::string canonical(uint32_t piece) const; // its class: equal texts, equal pieces
    std::string describe(uint32_t piece) const;   // an op a line with shapes and weight names

private:
    std::shared_ptr<Graph> graph_;
    std::vector<Piece> pieces_;
    std::vector<PieceClass> classes_;
    std::vector<Slot> slots_;
    std::vector<Placement> placements_;
    std::vector<cpu::Storage> storage_;
};

} // namespace intarsia
