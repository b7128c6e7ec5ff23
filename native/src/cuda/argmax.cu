// The largest of each row of logits, in two kernels: parts of rows, then rows.
#include <algorithm>

#include "cuda/device_math.h"
#include "cuda/kernels.h"

namespace intarsia::cuda {

namespace {

constexpr uint32_t kThreads = 256;
constexpr uint32_t kPart = 4096; // logits of a block

// Larger logits are larger keys, and of equal ones the lower index is. NaN is -infinity.
__device__ uint64_t key_of(float logit, uint32_t index) {
    const uint32_t bits = __float_as_uint(logit != logit ? -INFINITY : logit == 0 ? 0.0f : logit);
    const uint32_t ordered = (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
    return uint64_t{ordered} << 32 | (0xFFFFFFFFu - index);
}

__device__ uint64_t block_max(uint64_t key) {
    __shared__ uint64_t keys[kThreads / kWarp];
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) key = max(key, __shfl_xor_sync(0xFFFFFFFFu, key, offset));
    if (threadIdx.x % kWarp == 0) keys[threadIdx.x / kWarp] = key;
    __syncthreads();
    key = keys[0];
    for (uint32_t i = 1; i < kThreads / kWarp; i++) key = max(key, keys[i]);
    return key;
}

__global__ void __launch_bounds__(kThreads) parts(const float *logits, uint32_t vocabulary, uint64_t *found) {
    let_next_start();
    wait_for_earlier();
    const float *row = logits + uint64_t{blockIdx.y} * vocabulary;
    uint64_t key = 0;
#pragma unroll
    for (uint32_t i = 0; i < kPart / kThreads; i++) {
        const uint32_t index = blockIdx.x * kPart + i * kThreads + threadIdx.x;
        if (index < vocabulary) key = max(key, key_of(row[index], index));
    }
    key = block_max(key);
    if (threadIdx.x == 0) found[uint64_t{blockIdx.y} * gridDim.x + blockIdx.x] = key;
}

__global__ void __launch_bounds__(kThreads) whole(const uint64_t *found, uint32_t count, int32_t *tokens) {
    let_next_start();
    wait_for_earlier();
    uint64_t key = 0;
    for (uint32_t i = threadIdx.x; i < count; i += kThreads) key = max(key, found[uint64_t{blockIdx.x} * count + i]);
    key = block_max(key);
    if (threadIdx.x != 0) return;
    const uint32_t ordered_infinity = ~0xFF800000u; // where nothing is above -infinity, the answer is 0
    tokens[blockIdx.x] = (key >> 32) <= ordered_infinity ? 0 : static_cast<int32_t>(0xFFFFFFFFu - static_cast<uint32_t>(key));
}

} // namespace

void launch_argmax(const Context &context, const float *logits, uint32_t rows, uint32_t vocabulary, int32_t *tokens) {
    const uint32_t count = (vocabulary + kPart - 1) / kPart;
    const auto most = static_cast<uint32_t>(std::min<uint64_t>(65535, kScratch / (uint64_t{count} * sizeof(uint64_t))));
    auto *found = reinterpret_cast<uint64_t *>(context.scratch);
    for (uint32_t done = 0; done < rows; done += most) {
        const uint32_t now = std::min(most, rows - done);
        launch(context, "argmax of parts", parts, dim3(count, now), kThreads, 0, logits + uint64_t{done} * vocabulary, vocabulary, found);
        launch(context, "argmax", whole, now, kThreads, 0, static_cast<const uint64_t *>(found), count, tokens + done);
    }
}

} // namespace intarsia::cuda
