// What the library and its plug-in for CUDA devices, libintarsia_cuda.so, agree on: a table of functions that the plug-in exports as
// intarsia_cuda_plugin. Both are of one build, which the table says, so that what is pointed to means the same to both. No exception crosses.
#pragma once

#include <cstdint>

#include "compile/kernel_args.h"
#include "intarsia.h"

namespace intarsia {

constexpr uint32_t kGpuPluginVersion = 3;
constexpr uint32_t kGpuMessage = 512; // bytes of a message, with its final zero

struct GpuContext;   // an opened device
struct GpuRecording; // a captured graph

struct GpuInfo {
    char name[96];
    uint32_t major, minor; // compute capability
    uint32_t multiprocessors;
    uint64_t memory_total, memory_free; // bytes
};

// Bytes that are copied from the host to the device, each a multiple of 4.
struct GpuSegment {
    void *to;
    const void *from;
    uint64_t bytes;
    const int32_t *earlier; // device memory, or null: a word -1 - i of the segment stands for earlier[i], as it is when the copy is done
};

// What a turn of a step asks of the choice of its tokens.
struct GpuTurn {
    uint32_t turn;
    uint32_t samples;      // 1, or 0 where all rows are plain choices of the largest logit
    const uint32_t *edits; // of the device: grouped::Edits, and what follows each
};

// The token of each row, to the device and, as soon as it is known, to the host: word `row` of turn t of the ring is t << 32 | token. It is the first
// largest logit or, in a turn that samples, what grouped::sample of runtime/sampler_row.h gives. There `state` of a row is 1 + its number among those
// that have one, and `target` the word at which its edits begin.
struct GpuArgmax {
    const float *logits; // [rows, vocabulary]
    uint32_t rows;
    uint32_t vocabulary;
    int32_t *tokens;                   // [rows], of the device
    const GpuTurn *turn;               // of the device
    const intarsia_sampling *sampling; // [rows], of the device
    uint64_t *ring;                    // [kGpuTurns, ring_rows], pinned memory of the host
    uint32_t ring_rows;
};
constexpr uint64_t kGpuEdited = uint64_t{256} << 20; // bytes of logits that can be edited in a turn
constexpr uint32_t kGpuTurns = 4; // turn t lies at t % kGpuTurns

// Every function answers 0 or an intarsia_status, with the reason in `message`. Calls on one context take turns; the caller sees to it. All work
// of a context is done in the order of the calls.
struct GpuPlugin {
    uint32_t version;
    uint32_t call_bytes; // sizeof(KernelArgs)
    const char *build_id;
    int32_t (*count)(uint32_t *out, char *message);
    int32_t (*query)(uint32_t ordinal, GpuInfo *out, char *message);
    int32_t (*open)(uint32_t ordinal, uint32_t deterministic, uint64_t memory, GpuContext **out, char *message);
    void (*close)(GpuContext *context);
    // Memory of the pool; `what` is named if there is none.
    int32_t (*allocate)(GpuContext *context, uint64_t bytes, const char *what, void **out, char *message);
    void (*release)(GpuContext *context, void *memory);
    // Host memory that the device can write.
    int32_t (*pin)(GpuContext *context, uint64_t bytes, void **out, char *message);
    void (*unpin)(GpuContext *context, void *memory);
    // The source may be used again as soon as the call returns.
    int32_t (*upload)(GpuContext *context, void *to, const void *from, uint64_t bytes, char *message);
    int32_t (*stage)(GpuContext *context, const GpuSegment *segments, uint32_t count, char *message);
    // Waits for all that was asked for, then copies.
    int32_t (*download)(GpuContext *context, void *to, const void *from, uint64_t bytes, char *message);
    int32_t (*run)(GpuContext *context, const KernelArgs *calls, uint32_t count, char *message);
    int32_t (*argmax)(GpuContext *context, const GpuArgmax *argmax, char *message);
    int32_t (*wait)(GpuContext *context, char *message);
    // Whether all that was asked for is done; does not wait.
    int32_t (*ask)(GpuContext *context, uint32_t *done, char *message);
    // argmax may be null.
    int32_t (*record)(GpuContext *context, const KernelArgs *calls, uint32_t count, const GpuArgmax *argmax, GpuRecording **out, char *message);
    void (*discard)(GpuContext *context, GpuRecording *recording);
    int32_t (*replay)(GpuContext *context, GpuRecording *recording, char *message);
    // Runs call by call, and says how long each took; one more for an argmax. A norm that is done within the next call took 0.
    int32_t (*profile)(GpuContext *context, const KernelArgs *calls, uint32_t count, const GpuArgmax *argmax, uint64_t *nanoseconds, char *message);
    int32_t (*measure_read)(GpuContext *context, uint64_t bytes, double *bytes_per_second, char *message);
    // Finds out which kernels do the calls fastest, with whatever their inputs hold and writing to nothing of theirs, and says so in lines that another
    // context of such a device takes over. At most `capacity` bytes are written, with the final zero; `needed` is what they all need.
    int32_t (*measure)(GpuContext *context, const KernelArgs *calls, uint32_t count, char *choices, uint64_t capacity, uint64_t *needed, char *message);
    int32_t (*adopt)(GpuContext *context, const char *choices, char *message);
};

using GpuPluginEntry = const GpuPlugin *(*)();
constexpr const char *kGpuPluginEntry = "intarsia_cuda_plugin";

} // namespace intarsia
