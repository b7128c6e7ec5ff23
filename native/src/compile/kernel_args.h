// The arguments of one kernel call, of whichever kernel.
#pragma once

#include <variant>

#include "cpu/args.h"

namespace intarsia {

using KernelArgs =
    std::variant<cpu::EmbeddingArgs, cpu::NormArgs, cpu::LinearArgs, cpu::RopeTableArgs, cpu::QkvArgs,
                 cpu::AttentionArgs, cpu::SiluMulArgs, cpu::AddArgs, cpu::SelectRowsArgs, cpu::RoundArgs>;

} // namespace intarsia
