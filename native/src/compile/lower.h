// Turns calls into instructions: arguments of kernels, and what is to be patched into them.
#pragma once

#include "compile/executable.h"
#include "compile/fuse.h"

namespace intarsia {

struct Lowered {
    std::vector<Instruction> instructions;
    uint64_t arena_bytes;
};

// precision, matrices: storage of the weight set; threads: that will run the calls. For lo == hi the size is part of the arguments and no patch.
// Where linears or attentions need bf16 or int8 of a value stored as f32, the value is rounded once, ahead of the first of them.
Lowered lower(const PieceClass &made, cpu::Storage precision, cpu::Storage matrices, const std::vector<Call> &calls,
              uint32_t lo, uint32_t hi, uint32_t threads);

} // namespace intarsia
