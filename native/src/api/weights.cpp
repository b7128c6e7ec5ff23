#include "runtime/weights.h"

#include "api/guard.h"

using namespace intarsia;
using namespace intarsia::api;

extern "C" {

intarsia_status intarsia_weights_create(intarsia_device *device, uint32_t precision, uint32_t format, intarsia_weights **out_weights) {
    return guarded(__func__, [&] {
        auto target = get(device);
        checked(out_weights, "out_weights");
        const cpu::Storage storage = storage_of(precision);
        *out_weights =
            make_handle<intarsia_weights>(std::make_shared<Weights>(std::move(target), storage, matrices_of(format, storage)));
    });
}

void intarsia_weights_destroy(intarsia_weights *weights) { destroy(weights); }

intarsia_status intarsia_weights_add(intarsia_weights *weights, const char *name, uint32_t dtype, const int64_t *dims, uint32_t rank,
                                     const void *data, uint64_t bytes, uint32_t *out_weight) {
    return guarded(__func__, [&] {
        const auto target = get(weights);
        checked(name, "name");
        checked(dims, "dims");
        checked(data, "data");
        checked(out_weight, "out_weight");
        *out_weight = target->add(name, dtype, dims, rank, data, bytes);
    });
}

intarsia_status intarsia_quantize(uint32_t format, uint32_t dtype, const int64_t *dims, const void *data, uint64_t bytes,
                                  void *out_values, uint64_t value_bytes, void *out_scales, uint64_t scale_bytes) {
    return guarded(__func__, [&] {
        checked(dims, "dims");
        checked(data, "data");
        checked(out_values, "out_values");
        checked(out_scales, "out_scales");
        quantize_matrix(matrices_of(format, cpu::Storage::F32), dtype, dims, data, bytes, out_values, value_bytes, out_scales,
                        scale_bytes);
    });
}

intarsia_status intarsia_weights_add_quantized(intarsia_weights *weights, const char *name, const int64_t *dims, const void *values,
                                               uint64_t value_bytes, const void *scales, uint64_t scale_bytes,
                                               uint32_t *out_weight) {
    return guarded(__func__, [&] {
        const auto target = get(weights);
        checked(name, "name");
        checked(dims, "dims");
        checked(values, "values");
        checked(scales, "scales");
        checked(out_weight, "out_weight");
        *out_weight = target->add_quantized(name, dims, values, value_bytes, scales, scale_bytes);
    });
}

intarsia_status intarsia_weights_bytes(intarsia_weights *weights, uint64_t *out_bytes) {
    return guarded(__func__, [&] {
        const auto target = get(weights);
        *checked(out_bytes, "out_bytes") = target->bytes();
    });
}

} // extern "C"
