// From the host to the device: weights through pinned memory, piece by piece, and the inputs of a step in one kernel.
#include <algorithm>
#include <cstring>

#include "cuda/opened.h"

namespace intarsia::cuda {

namespace {

constexpr uint64_t kPiece = uint64_t{8} << 20; // bytes of an upload that are in flight at once
constexpr uint32_t kThreads = 256;
constexpr uint32_t kChunk = 4096; // bytes that a block copies

struct Copy {
    uint32_t *to;
    const uint32_t *from; // pinned memory of the host, which the device reads over the bus
    const int32_t *earlier;
    uint64_t words;
};

// What is copied, with the launch: asking the host for it takes as long as asking for the bytes.
constexpr uint32_t kTogether = 100;
struct Copies {
    Copy copies[kTogether];
};

// Block (s, c) copies chunk c of segment s.
__global__ void scatter(const __grid_constant__ Copies all) {
    const Copy &copy = all.copies[blockIdx.x];
    const uint64_t end = min(copy.words, uint64_t{blockIdx.y + 1} * (kChunk / 4));
    for (uint64_t i = uint64_t{blockIdx.y} * (kChunk / 4) + threadIdx.x; i < end; i += kThreads) {
        const uint32_t word = copy.from[i];
        copy.to[i] = copy.earlier != nullptr && word >> 31 != 0 ? static_cast<uint32_t>(copy.earlier[~word]) : word;
    }
}

} // namespace

void upload(GpuContext &context, void *to, const void *from, uint64_t bytes) {
    for (uint64_t done = 0; done < bytes; done += kPiece) {
        const uint64_t now = std::min(kPiece, bytes - done);
        GpuContext::Slot &slot = context.next(context.uploads, context.upload_turn, std::min(kPiece, std::max<uint64_t>(now, 4096)));
        std::memcpy(slot.data, static_cast<const std::byte *>(from) + done, now);
        check(cudaMemcpyAsync(static_cast<std::byte *>(to) + done, slot.data, now, cudaMemcpyHostToDevice, context.stream), "uploading");
        check(cudaEventRecord(slot.done, context.stream), "uploading");
    }
}

void stage(GpuContext &context, const GpuSegment *segments, uint32_t count) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) bytes += segments[i].bytes;
    GpuContext::Slot &slot = context.next(context.stages, context.stage_turn, std::max<uint64_t>(bytes * 2, 1 << 16));
    std::byte *at = slot.data;
    for (uint32_t first = 0; first < count; first += kTogether) {
        const uint32_t now = std::min(kTogether, count - first);
        uint64_t most = 0;
        Copies all;
        for (uint32_t i = 0; i < now; i++) {
            const GpuSegment &segment = segments[first + i];
            all.copies[i] = {static_cast<uint32_t *>(segment.to), reinterpret_cast<const uint32_t *>(at), segment.earlier, segment.bytes / 4};
            std::memcpy(at, segment.from, segment.bytes);
            at += segment.bytes;
            most = std::max(most, segment.bytes);
        }
        scatter<<<dim3(now, static_cast<uint32_t>((most + kChunk - 1) / kChunk)), kThreads, 0, context.stream>>>(all);
        check(cudaGetLastError(), "copying a step's inputs");
    }
    check(cudaEventRecord(slot.done, context.stream), "copying a step's inputs");
}

} // namespace intarsia::cuda
