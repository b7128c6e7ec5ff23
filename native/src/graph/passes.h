// The passes that make a partition of a graph, in the order in which they run.
#pragma once

#include "graph/partition.h"

namespace intarsia {

// A rule of splitting: splits[kind] is true for ops that open a piece of their own. Fails with
// INTARSIA_INVALID_ARGUMENT for a kind that cannot split, and for a graph without ops. Fills splitting, dim and ops of
// each piece.
std::vector<Piece> split(const Graph &graph, const bool (&splits)[kOpKinds]);

// How each value is stored. BF16 where that loses nothing: the kernel that makes it can round it, and every reader
// would. INT8 where only linears over quantized matrices read it, and the kernel that makes it has whole rows at hand.
std::vector<cpu::Storage> choose_storage(const Graph &graph);

// Where each value lives. Values of disjoint lifetimes share a slot; a value that a piece reads never shares with one
// that it writes.
struct Layout {
    std::vector<Placement> placements; // of each value
    std::vector<Slot> slots;
};
Layout place(const Graph &graph, const std::vector<Piece> &pieces, const std::vector<cpu::Storage> &storage);

// Finds equal pieces. Fills inputs, outputs, class_id and binding of each piece; answers the classes in order of first
// appearance.
std::vector<PieceClass> classify(const Graph &graph, const Layout &layout, const std::vector<cpu::Storage> &storage,
                                 std::vector<Piece> &pieces);

} // namespace intarsia
