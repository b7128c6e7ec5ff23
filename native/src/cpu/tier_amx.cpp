// What processors with AMX do by tiles; all else they do as tier_avx512.cpp has it.
#include "cpu/tier_amx.h"

#include "cpu/ints_avx512.h"

#include "cpu/amx.h"
#include "cpu/linear.h"

namespace intarsia::cpu {

void linear_amx(const LinearArgs &args, Share share) {
    if (args.parts[0].weight.storage == Storage::BF16) {
        Linear<Avx512Vec, Storage::BF16, AmxTiles>::run(args, share);
    } else {
        kAvx512Kernels.linear(args, share);
    }
}

} // namespace intarsia::cpu
