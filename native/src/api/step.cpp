#include "runtime/step.h"

#include "api/guard.h"

using namespace intarsia;
using namespace intarsia::api;

namespace {

// An array argument that is read: there, unless it has no elements.
template <typename T> void check_array(const T *array, uint32_t count, const char *name) {
    if (count != 0) checked(array, name);
}

} // namespace

extern "C" {

intarsia_status intarsia_kv_create(intarsia_device *device, const intarsia_kv_options *options, intarsia_kv_cache **out_cache) {
    return guarded(__func__, [&] {
        auto target = get(device);
        const auto &o = checked_struct(options, "options");
        checked(out_cache, "out_cache");
        *out_cache = make_handle<intarsia_kv_cache>(
            std::make_shared<KvCache>(std::move(target), storage_of(o.precision), o.layers, o.kv_heads, o.head_dim, o.blocks));
    });
}

void intarsia_kv_destroy(intarsia_kv_cache *cache) { destroy(cache); }

intarsia_status intarsia_kv_bytes(intarsia_kv_cache *cache, uint64_t *out_bytes) {
    return guarded(__func__, [&] {
        const auto target = get(cache);
        *checked(out_bytes, "out_bytes") = target->bytes();
    });
}

intarsia_status intarsia_step_create(intarsia_partition *partition, intarsia_kv_cache *cache, const intarsia_step_options *options,
                                     intarsia_step **out_step) {
    return guarded(__func__, [&] {
        auto target = get(partition);
        auto kv = cache == nullptr ? nullptr : get(cache);
        const auto &o = checked_struct(options, "options");
        check_reserved(o.reserved, "options");
        checked(out_step, "out_step");
        *out_step = make_handle<intarsia_step>(std::make_shared<Locked<Step>>(
            std::move(target), std::move(kv), Step::Sizes{o.max_tokens, o.max_sequences, o.max_rows, o.max_blocks}));
    });
}

void intarsia_step_destroy(intarsia_step *step) { destroy(step); }

intarsia_status intarsia_step_bytes(intarsia_step *step, uint64_t *out_bytes) {
    return guarded(__func__, [&] {
        const auto target = get(step);
        checked(out_bytes, "out_bytes");
        const std::lock_guard lock(target->mutex);
        *out_bytes = target->value.bytes();
    });
}

intarsia_status intarsia_step_buffer(intarsia_step *step, uint32_t buffer, void **out_address, uint64_t *out_bytes) {
    return guarded(__func__, [&] {
        const auto target = get(step);
        checked(out_address, "out_address");
        checked(out_bytes, "out_bytes");
        const Step::Buffer b = target->value.buffer(buffer); // fixed at creation
        *out_address = b.address;
        *out_bytes = b.bytes;
    });
}

intarsia_status intarsia_step_begin(intarsia_step *step, uint32_t tokens, uint32_t sequences, uint32_t rows) {
    return guarded(__func__, [&] {
        const auto target = get(step);
        const std::lock_guard lock(target->mutex);
        target->value.begin(tokens, sequences, rows);
    });
}

intarsia_status intarsia_execute(intarsia_step *step, intarsia_executable *executable, uint32_t piece) {
    return guarded(__func__, [&] {
        const auto target = get(step);
        const auto compiled = get(executable);
        const std::lock_guard lock(target->mutex);
        target->value.execute(*compiled, piece);
    });
}

intarsia_status intarsia_sample(intarsia_step *step) {
    return guarded(__func__, [&] {
        const auto target = get(step);
        const std::lock_guard lock(target->mutex);
        target->value.sample();
    });
}

intarsia_status intarsia_step_logits(intarsia_step *step, uint32_t rows) {
    return guarded(__func__, [&] {
        const auto target = get(step);
        const std::lock_guard lock(target->mutex);
        target->value.read_logits(rows);
    });
}

intarsia_status intarsia_step_sampler_set(intarsia_step *step, uint32_t slot, const intarsia_sampler_state *state) {
    return guarded(__func__, [&] {
        const auto target = get(step);
        const auto &s = checked_struct(state, "state");
        check_reserved(s.reserved, "state");
        check_array(s.prompt, s.prompt_count, "state.prompt");
        check_array(s.output, s.output_count, "state.output");
        check_array(s.allowed, s.allowed_count, "state.allowed");
        check_array(s.stops, s.stop_count, "state.stops");
        check_array(s.bias_ids, s.bias_count, "state.bias_ids");
        check_array(s.biases, s.bias_count, "state.biases");
        check_array(s.bad_lengths, s.bad_count, "state.bad_lengths");
        check_array(s.bad_words, s.bad_count, "state.bad_words");
        const std::lock_guard lock(target->mutex);
        target->value.set_sampler(slot, s);
    });
}

intarsia_status intarsia_step_sampler_clear(intarsia_step *step, uint32_t slot) {
    return guarded(__func__, [&] {
        const auto target = get(step);
        const std::lock_guard lock(target->mutex);
        target->value.clear_sampler(slot);
    });
}

} // extern "C"
