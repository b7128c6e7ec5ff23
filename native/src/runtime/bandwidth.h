// How fast a device reads its memory: the floor that a step which reads every weight once is compared with.
#pragma once

#include <cstdint>

#include "runtime/device.h"

namespace intarsia {

// Bytes a second at which the team reads `bytes` bytes of memory on huge pages, each member a part of its own: the median of
// five passes. Fails with INTARSIA_OUT_OF_MEMORY where that would take more than half of the free memory.
double measure_read(Device &device, uint64_t bytes);

} // namespace intarsia
