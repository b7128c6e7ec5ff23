// Which kernels are the fastest, as text that is kept: what was measured once needs no measuring when the same device is opened again.
#include <algorithm>

#include "cuda/kernels.h"
#include "cuda/opened.h"

namespace intarsia::cuda {

std::string measure(GpuContext &context, const KernelArgs *calls, uint32_t count) {
    if (context.blas == nullptr) return "";
    std::string lines = version_line(*context.blas);
    for (uint32_t i = 0; i < count; i++)
        if (const auto *linear = std::get_if<cpu::LinearArgs>(&calls[i])) {
            prepare(context, *linear);
            const std::string line = choice_line(*context.blas, *linear);
            if (lines.find("\n" + line) == std::string::npos) lines += line;
        }
    return lines;
}

void adopt(GpuContext &context, const char *choices) {
    if (context.blas != nullptr) adopt(*context.blas, choices);
}

} // namespace intarsia::cuda
