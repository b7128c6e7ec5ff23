// The loops of the sampler over a whole vocabulary. No lanes of a tier's class here: they are plain loops of a step or
// two each, in which the compiler finds as wide vectors as the tier has. No multiply-add is fused, so the bits are the
// same in every tier. See runtime/sampler.h and intarsia_sampling for what they compute.
#pragma once

#include <cstdint>

#include "cpu/exponential.h"
#include "cpu/tier.h"

namespace intarsia::cpu {
namespace {

void softmax_weights(float *x, uint32_t count, float max, float temperature) {
    // In f32 the exponential of -128 is 0.
    for (uint32_t i = 0; i < count; ++i) {
        const float quotient = (x[i] - max) / temperature;
        x[i] = quotient >= -87.0f ? quotient : -128.0f; // NaN too
    }
    for (uint32_t i = 0; i < count; ++i) x[i] = static_cast<float>(exponential(x[i]));
}

double sum_of_exponentials(const float *x, uint32_t count, double max) {
    constexpr uint32_t kLanes = 16;
    double lanes[kLanes] = {};
    uint32_t i = 0;
    for (; i < count; i += kLanes) {
        double terms[kLanes] = {}; // those past the end stay 0, which changes no sum
        const uint32_t here = count - i < kLanes ? count - i : kLanes;
        for (uint32_t lane = 0; lane < here; ++lane) {
            const double difference = x[i + lane] - max;
            terms[lane] = exponential(difference >= -699 ? difference : -699); // NaN too; nothing beside the largest, 1
        }
        for (uint32_t lane = 0; lane < kLanes; ++lane) lanes[lane] += terms[lane];
    }
    for (uint32_t half = kLanes / 2; half > 0; half /= 2)
        for (uint32_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
    return lanes[0];
}

float largest(const float *x, uint32_t count) {
    // Vectors by name, as wide as the tier has them: the compiler does not see that a comparison which NaN fails is a
    // maximum of vectors.
#if defined(__AVX512F__)
    typedef float Wide __attribute__((vector_size(64)));
#elif defined(__AVX__)
    typedef float Wide __attribute__((vector_size(32)));
#else
    typedef float Wide __attribute__((vector_size(16)));
#endif
    constexpr uint32_t kLanes = sizeof(Wide) / sizeof(float), kWides = 4;
    Wide most[kWides];
    for (Wide &wide : most) wide = Wide{} - __builtin_inff();
    uint32_t i = 0;
    for (; count - i >= kWides * kLanes; i += kWides * kLanes)
        for (uint32_t w = 0; w < kWides; ++w) {
            Wide next;
            __builtin_memcpy(&next, x + i + w * kLanes, sizeof next);
            most[w] = next > most[w] ? next : most[w];
        }
    float result = -__builtin_inff();
    for (; i < count; ++i) result = x[i] > result ? x[i] : result;
    for (const Wide &wide : most)
        for (uint32_t lane = 0; lane < kLanes; ++lane) result = wide[lane] > result ? wide[lane] : result;
    return result;
}

uint32_t find_first(const float *x, uint32_t count, float value) {
    constexpr uint32_t kBlock = 256;
    uint32_t i = 0;
    for (; count - i >= kBlock; i += kBlock) {
        uint32_t found = 0;
        for (uint32_t j = 0; j < kBlock; ++j) found |= x[i + j] == value;
        if (found != 0) break;
    }
    while (i < count && !(x[i] == value)) ++i;
    return i;
}

} // namespace
} // namespace intarsia::cpu
