#include "runtime/recording.h"

#include "api/guard.h"

using namespace intarsia;
using namespace intarsia::api;

namespace {

constexpr uint32_t kMostPieces = 1u << 20;

} // namespace

extern "C" {

intarsia_status intarsia_record(intarsia_step *step, const uint32_t *pieces, intarsia_executable *const *executables, uint32_t count,
                                uint32_t flags, intarsia_recording **out_recording) {
    return guarded(__func__, [&] {
        const auto target = get(step);
        checked(out_recording, "out_recording");
        if ((flags & ~uint32_t{INTARSIA_RECORD_SAMPLE}) != 0) fail(INTARSIA_INVALID_ARGUMENT, "flags has unknown bits: 0x%x", flags);
        if (count > kMostPieces) fail(INTARSIA_INVALID_ARGUMENT, "count is %u, not in 0..%u", count, kMostPieces);
        if (count != 0) {
            checked(pieces, "pieces");
            checked(executables, "executables");
        }
        std::vector<std::shared_ptr<Executable>> compiled;
        std::vector<Step::Part> parts;
        for (uint32_t i = 0; i < count; i++) {
            compiled.push_back(get(executables[i]));
            parts.push_back({compiled.back().get(), pieces[i]});
        }
        const std::lock_guard lock(target->mutex);
        *out_recording = make_handle<intarsia_recording>(target->value.record(parts, (flags & INTARSIA_RECORD_SAMPLE) != 0));
    });
}

void intarsia_recording_destroy(intarsia_recording *recording) { destroy(recording); }

intarsia_status intarsia_recording_query(intarsia_recording *recording, intarsia_recording_info *out_info) {
    return guarded(__func__, [&] {
        const auto target = get(recording);
        checked_struct(out_info, "out_info");
        *out_info = {
            .struct_size = sizeof(intarsia_recording_info),
            .tokens = target->tokens(),
            .rows = target->rows(),
            .samples = target->samples(),
            .kernels = static_cast<uint32_t>(target->calls().size()),
            .reserved = 0,
            .bytes = target->bytes(),
            .arena_bytes = target->arena_bytes(),
        };
    });
}

intarsia_status intarsia_replay(intarsia_step *step, intarsia_recording *recording) {
    return guarded(__func__, [&] {
        const auto target = get(step);
        const auto recorded = get(recording);
        const std::lock_guard lock(target->mutex);
        target->value.replay(*recorded);
    });
}

intarsia_status intarsia_replay_step(intarsia_step *step, intarsia_recording *recording, uint32_t sequences) {
    return guarded(__func__, [&] {
        const auto target = get(step);
        const auto recorded = get(recording);
        const std::lock_guard lock(target->mutex);
        target->value.begin(recorded->tokens(), sequences, recorded->rows());
        target->value.replay(*recorded);
    });
}

intarsia_status intarsia_step_enqueue(intarsia_step *step, intarsia_recording *recording, uint32_t sequences) {
    return guarded(__func__, [&] {
        const auto target = get(step);
        const auto recorded = get(recording);
        const std::lock_guard lock(target->mutex);
        target->value.enqueue(*recorded, sequences);
    });
}

intarsia_status intarsia_step_collect(intarsia_step *step) {
    return guarded(__func__, [&] {
        const auto target = get(step);
        const std::lock_guard lock(target->mutex);
        target->value.collect();
    });
}

intarsia_status intarsia_replay_profile(intarsia_step *step, intarsia_recording *recording, uint64_t *out_nanoseconds, uint32_t count) {
    return guarded(__func__, [&] {
        const auto target = get(step);
        const auto recorded = get(recording);
        checked(out_nanoseconds, "out_nanoseconds");
        const size_t calls = recorded->calls().size() + recorded->samples();
        if (count != calls) fail(INTARSIA_INVALID_ARGUMENT, "count is %u, but the recording has %zu calls", count, calls);
        std::vector<uint64_t> nanoseconds(calls);
        const std::lock_guard lock(target->mutex);
        target->value.replay(*recorded, nanoseconds.data());
        std::copy(nanoseconds.begin(), nanoseconds.end(), out_nanoseconds);
    });
}

} // extern "C"
