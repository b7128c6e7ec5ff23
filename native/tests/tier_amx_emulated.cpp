// The kernels that AMX has of its own, over tiles in plain C++ and the vectors of the scalar tier.
#include "cpu/ints_scalar.h"

#include "cpu/linear.h"
#include "tiers.h"
#include "tiles_emulated.h"

namespace intarsia::test {
namespace {

void linear(const cpu::LinearArgs &args, cpu::Share share) {
    if (args.parts[0].weight.storage == cpu::Storage::BF16) {
        cpu::Linear<cpu::ScalarVec, cpu::Storage::BF16, EmulatedTiles>::run(args, share);
    } else {
        cpu::kScalarKernels.linear(args, share);
    }
}

} // namespace

const cpu::Kernels &amx_emulated() {
    static const cpu::Kernels kernels = [] {
        cpu::Kernels made = cpu::kScalarKernels;
        made.tier = "amx_emulated";
        made.linear = linear;
        return made;
    }();
    return kernels;
}

} // namespace intarsia::test
