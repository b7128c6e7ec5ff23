#include "compile/executable.h"

#include "compile/fuse.h"
#include "compile/lower.h"
#include "graph/text.h"
#include "runtime/error.h"

namespace intarsia {

Executable::Executable(std::shared_ptr<Partition> partition, uint32_t class_id, uint32_t lo, uint32_t hi, bool fused)
    : partition_(std::move(partition)), class_id_(class_id), lo_(lo), hi_(hi) {
    if (class_id >= partition_->classes().size()) {
        fail(INTARSIA_INVALID_ARGUMENT, "compile: there is no class %u: the partition has %zu", class_id,
             partition_->classes().size());
    }
    if (lo == 0 || lo > hi || hi > kMaxSize) {
        fail(INTARSIA_INVALID_ARGUMENT, "compile: the range (%u, %u) must hold 1 <= lo <= hi <= %u", lo, hi, kMaxSize);
    }
    const PieceClass &made = partition_->classes()[class_id];
    if (made.frozen != 0) {
        if (made.frozen < lo || made.frozen > hi) {
            fail(INTARSIA_INVALID_ARGUMENT,
                 "compile: the range (%u, %u) does not contain %u, the size that the class %u is frozen to", lo, hi,
                 made.frozen, class_id);
        }
        lo_ = hi_ = made.frozen;
    }
    const Weights &weights = *partition_->graph()->weights();
    Lowered lowered = lower(made, weights.storage(), weights.matrices(), fused ? fuse(made) : one_call_each(made), lo_,
                            hi_, weights.device()->members());
    instructions_ = std::move(lowered.instructions);
    arena_bytes_ = lowered.arena_bytes;
}

std::string Executable::describe() const {
    const PieceClass &made = partition_->classes()[class_id_];
    std::string lines = text("class ", class_id_, ", ", lo_, lo_ == hi_ ? "" : text("..", hi_),
                             made.dim == Dim::TOKENS ? " tokens: " : " rows: ", instructions_.size(),
                             " kernels, arena ", arena_bytes_, " bytes\n");
    for (const Instruction &instruction : instructions_) {
        lines += text(instruction.text, "\n");
    }
    return lines;
}

} // namespace intarsia
