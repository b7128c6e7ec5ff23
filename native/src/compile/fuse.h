// Which ops of a class one kernel call does.
//
// Fusion never changes a bit: a fused kernel rounds at the same points and adds in the same order as the kernels that
// it stands for.
#pragma once

#include <variant>
#include <vector>

#include "graph/partition.h"

namespace intarsia {

// Linear ops over one x. With an epilogue: one linear and the add, or gate, up and the silu_mul, that alone reads them.
struct LinearCall {
    std::vector<uint32_t> linears; // indices into PieceClass::ops, as all below
    uint32_t epilogue = kNone;     // ADD or SILU_MUL
};

// What happens to the heads of q or k on their way: norm, then rope; each may be missing.
struct HeadsCall {
    uint32_t norm = kNone;
    uint32_t rope = kNone;
};

// q made ready for attention, k and v appended to the cache; q, or k and v, may be missing.
struct QkvCall {
    HeadsCall q;
    HeadsCall k;
    uint32_t append = kNone;
};

using Call = std::variant<uint32_t, LinearCall, QkvCall>; // uint32_t: one op of any other kind

// One call for each op but the allocations.
std::vector<Call> one_call_each(const PieceClass &made);

// As few calls as the kernels allow. Values that are read outside of the piece are made all the same.
std::vector<Call> fuse(const PieceClass &made);

} // namespace intarsia
