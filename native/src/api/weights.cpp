#include "runtime/weights.h"

#include "api/guard.h"

using namespace intarsia;
using namespace intarsia::api;

extern "C" {

intarsia_status intarsia_weights_create(intarsia_device *device, uint32_t precision, intarsia_weights **out_weights) {
    return guarded(__func__, [&] {
        auto target = get(device);
        checked(out_weights, "out_weights");
        *out_weights = make_handle<intarsia_weights>(std::make_shared<Weights>(std::move(target), storage_of(precision)));
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

intarsia_status intarsia_weights_bytes(intarsia_weights *weights, uint64_t *out_bytes) {
    return guarded(__func__, [&] {
        const auto target = get(weights);
        *checked(out_bytes, "out_bytes") = target->bytes();
    });
}

} // extern "C"
