// The kernels that AMX has of its own, over tiles in plain C++ and the vectors of the scalar tier.
#include "cpu/ints_scalar.h"

#include "cpu/attention.h"
#include "cpu/linear.h"
#include "tiers.h"
#include "tiles_emulated.h"

namespace intarsia::test {
namespace {

void linear(const cpu::LinearArgs &args, cpu::Share share) {
    using cpu::Storage;
    switch (args.parts[0].weight.storage) {
    case Storage::F32: return cpu::kScalarKernels.linear(args, share);
    case Storage::BF16: return cpu::Linear<cpu::ScalarVec, Storage::BF16, EmulatedTiles>::run(args, share);
    case Storage::INT8: return cpu::QuantizedLinear<cpu::ScalarVec, Storage::INT8, EmulatedTiles>::run(args, share);
    case Storage::INT4: return cpu::QuantizedLinear<cpu::ScalarVec, Storage::INT4, EmulatedTiles>::run(args, share);
    }
}

void attention(const cpu::AttentionArgs &args, cpu::Share share) {
    if (args.cache.storage == cpu::Storage::BF16) {
        cpu::Attention<cpu::ScalarVec, cpu::Storage::BF16, EmulatedTiles>::run(args, share);
    } else {
        cpu::kScalarKernels.attention(args, share);
    }
}

} // namespace

const cpu::Kernels &amx_emulated() {
    static const cpu::Kernels kernels = [] {
        cpu::Kernels made = cpu::kScalarKernels;
        made.tier = "amx_emulated";
        made.linear = linear;
        made.attention = attention;
        return made;
    }();
    return kernels;
}

} // namespace intarsia::test
