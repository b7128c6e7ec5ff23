// What processors with AMX do by tiles; all else they do as tier_avx512.cpp has it.
#include "cpu/tier_amx.h"

#include "cpu/ints_avx512.h"

#include "cpu/amx.h"
#include "cpu/attention.h"
#include "cpu/linear.h"

namespace intarsia::cpu {

const uint64_t kAmxScratch = kTiledScratch;

void linear_amx(const LinearArgs &args, Share share) {
    switch (args.parts[0].weight.storage) {
    case Storage::F32: return kAvx512Kernels.linear(args, share);
    case Storage::BF16: return Linear<Avx512Vec, Storage::BF16, AmxTiles>::run(args, share);
    case Storage::INT8: return QuantizedLinear<Avx512Vec, Storage::INT8, AmxTiles>::run(args, share);
    case Storage::INT4: return QuantizedLinear<Avx512Vec, Storage::INT4, AmxTiles>::run(args, share);
    }
}

void attention_amx(const AttentionArgs &args, Share share) {
    if (args.cache.storage == Storage::BF16) {
        Attention<Avx512Vec, Storage::BF16, AmxTiles>::run(args, share);
    } else {
        kAvx512Kernels.attention(args, share);
    }
}

} // namespace intarsia::cpu
