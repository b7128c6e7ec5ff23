// What the tier amx does by itself; all else is tier avx512's.
#pragma once

#include "cpu/args.h"

namespace intarsia::cpu {

extern const uint64_t kAmxScratch; // bytes of Share::scratch

void linear_amx(const LinearArgs &args, Share share);
void attention_amx(const AttentionArgs &args, Share share);

} // namespace intarsia::cpu
