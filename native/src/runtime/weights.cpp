#include "runtime/weights.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "cpu/bf16.h"
#include "cpu/pack.h"
#include "cpu/quantize.h"
#include "runtime/error.h"
#include "runtime/team.h"

namespace intarsia {

namespace {

constexpr int64_t kLargestSide = int64_t{1} << 30;

cpu::Source source_of(uint32_t dtype, const char *name) {
    switch (dtype) {
    case INTARSIA_DTYPE_F32: return cpu::Source::F32;
    case INTARSIA_DTYPE_F16: return cpu::Source::F16;
    case INTARSIA_DTYPE_BF16: return cpu::Source::BF16;
    default: fail(INTARSIA_INVALID_ARGUMENT, "weight '%s': dtype %u is unknown", name, dtype);
    }
}

uint64_t bytes_of(cpu::Source source) { return source == cpu::Source::F32 ? 4 : 2; }

uint64_t count_of(const char *name, const int64_t *dims, uint32_t rank) {
    uint64_t count = 1;
    for (uint32_t i = 0; i < rank; i++) {
        if (dims[i] < 1 || dims[i] > kLargestSide)
            fail(INTARSIA_INVALID_ARGUMENT, "weight '%s': dimension %u is %lld, not in 1..%lld", name, i, static_cast<long long>(dims[i]),
                 static_cast<long long>(kLargestSide));
        count *= static_cast<uint64_t>(dims[i]);
    }
    return count;
}

void check_bytes(const char *name, const char *what, uint64_t bytes, uint64_t expected) {
    if (bytes != expected)
        fail(INTARSIA_INVALID_ARGUMENT, "weight '%s' has %llu bytes of %s, but its shape needs %llu", name,
             static_cast<unsigned long long>(bytes), what, static_cast<unsigned long long>(expected));
}

void check_inputs(const char *name, cpu::Storage matrices, uint64_t k) {
    if (cpu::quantized(matrices) && k > cpu::kMostInputs)
        fail(INTARSIA_INVALID_ARGUMENT, "weight '%s' has %llu inputs; a quantized matrix has at most %u", name,
             static_cast<unsigned long long>(k), cpu::kMostInputs);
}

// Calls body(first tile, last tile, member) on the team. Nothing in it may throw.
template <typename Body> void share_tiles(Device &device, uint32_t n, Body body) {
    struct Job {
        Body body;
        uint64_t tiles;
        uint32_t members;
    } job{std::move(body), cpu::tiles(n), device.team().threads()};
    device.team().run(
        [](void *context, uint32_t member) {
            const auto &job = *static_cast<Job *>(context);
            job.body(static_cast<uint32_t>(job.tiles * member / job.members), static_cast<uint32_t>(job.tiles * (member + 1) / job.members),
                     member);
        },
        &job);
}

uint32_t rows_of_tile(uint32_t n, uint32_t tile) { return std::min(cpu::kTile, n - tile * cpu::kTile); }

// Quantizes tile by tile, each as if the whole matrix had been quantized and then laid out.
void quantize_tiles(Device &device, const Weight &weight, cpu::Storage storage, const void *data, cpu::Source source) {
    const uint64_t values = cpu::quantized_bytes(weight.k, storage) * cpu::kTile, scales = cpu::scale_bytes(weight.k, storage) * cpu::kTile;
    const uint64_t row = uint64_t{weight.k} * sizeof(float);
    const uint64_t each = (row + values + scales + 63) / 64 * 64;
    const Memory scratch(each * device.team().threads(), "quantizing");
    share_tiles(device, weight.n, [&](uint32_t first, uint32_t last, uint32_t member) {
        auto *floats = reinterpret_cast<uint8_t *>(scratch.data() + each * member);
        for (uint32_t tile = first; tile < last; tile++) {
            const uint32_t rows = rows_of_tile(weight.n, tile);
            const auto *from = static_cast<const uint8_t *>(data) + uint64_t{tile} * cpu::kTile * weight.k * bytes_of(source);
            cpu::quantize(from, source, rows, weight.k, storage, reinterpret_cast<float *>(floats), floats + row, floats + row + values);
            cpu::pack_quantized(floats + row, floats + row + values, rows, weight.k, storage,
                                weight.memory.as<uint8_t>() + tile * cpu::tile_bytes(weight.k, storage));
        }
    });
}

// Row-major to a device, in pieces that are converted here.
void upload(Gpu &gpu, const void *data, cpu::Source source, uint64_t count, cpu::Storage storage, std::byte *to) {
    if ((source == cpu::Source::F32 && storage == cpu::Storage::F32) || (source == cpu::Source::BF16 && storage == cpu::Storage::BF16))
        return gpu.upload(to, data, count * bytes_of(source));
    constexpr uint64_t kPiece = 1 << 20;
    std::vector<float> wide(std::min(count, kPiece));
    std::vector<uint16_t> rounded(storage == cpu::Storage::BF16 ? wide.size() : 0);
    const FloatMode mode;
    for (uint64_t done = 0; done < count; done += kPiece) {
        const uint64_t now = std::min(kPiece, count - done);
        cpu::widen(static_cast<const std::byte *>(data) + done * bytes_of(source), source, now, wide.data());
        std::transform(wide.begin(), wide.begin() + static_cast<ptrdiff_t>(rounded.empty() ? 0 : now), rounded.begin(), cpu::round_bf16);
        const void *from = rounded.empty() ? static_cast<const void *>(wide.data()) : rounded.data();
        gpu.upload(to + done * cpu::element_bytes(storage), from, now * cpu::element_bytes(storage));
    }
}

} // namespace

Weights::Weights(std::shared_ptr<Device> device, cpu::Storage storage, cpu::Storage matrices)
    : device_(std::move(device)), storage_(storage), matrices_(matrices) {
    if (device_->gpu() && cpu::quantized(matrices_))
        fail(INTARSIA_UNSUPPORTED, "a CUDA device has no kernels for INT8 and INT4 weights; use the native format");
}

void quantize_matrix(cpu::Storage format, uint32_t dtype, const int64_t *dims, const void *data, uint64_t bytes, void *out_values,
                     uint64_t value_bytes, void *out_scales, uint64_t scale_bytes) {
    constexpr const char *name = "to be quantized";
    if (!cpu::quantized(format)) fail(INTARSIA_INVALID_ARGUMENT, "a matrix is quantized to INT8 or INT4, not to the native format");
    const cpu::Source source = source_of(dtype, name);
    const uint64_t count = count_of(name, dims, 2);
    const auto rows = static_cast<uint64_t>(dims[0]);
    check_inputs(name, format, static_cast<uint64_t>(dims[1]));
    const auto k = static_cast<uint32_t>(dims[1]);
    check_bytes(name, "data", bytes, count * bytes_of(source));
    check_bytes(name, "values", value_bytes, rows * cpu::quantized_bytes(k, format));
    check_bytes(name, "scales", scale_bytes, rows * cpu::scale_bytes(k, format));
    std::vector<float> row(k);
    const FloatMode mode;
    cpu::quantize(data, source, rows, k, format, row.data(), static_cast<uint8_t *>(out_values), static_cast<uint8_t *>(out_scales));
}

void Weights::check_new(const char *name) const {
    if (name[0] == 0) fail(INTARSIA_INVALID_ARGUMENT, "a weight needs a name");
    if (ids_.contains(name)) fail(INTARSIA_INVALID_ARGUMENT, "weight '%s' was added before", name);
}

// The name first, then the weight: where memory for either is refused, nothing has changed.
uint32_t Weights::keep(Weight weight) {
    const auto id = static_cast<uint32_t>(weights_.size());
    const uint64_t held = weight.memory.bytes();
    const auto entry = ids_.emplace(weight.name, id).first;
    try {
        weights_.push_back(std::move(weight));
    } catch (...) {
        ids_.erase(entry);
        throw;
    }
    bytes_ += held;
    return id;
}

uint32_t Weights::add(const char *name, uint32_t dtype, const int64_t *dims, uint32_t rank, const void *data, uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    check_new(name);
    const cpu::Source source = source_of(dtype, name);
    if (rank != 1 && rank != 2) fail(INTARSIA_INVALID_ARGUMENT, "weight '%s' has rank %u; 1 and 2 are known", name, rank);
    const uint64_t count = count_of(name, dims, rank);
    check_bytes(name, "data", bytes, count * bytes_of(source));

    Weight weight{.name = name, .rank = rank, .n = static_cast<uint32_t>(dims[0]), .k = 1, .memory = {}};
    if (const auto &gpu = device_->gpu()) {
        const cpu::Storage held = rank == 1 ? cpu::Storage::F32 : storage_;
        if (rank == 2) weight.k = static_cast<uint32_t>(dims[1]);
        weight.memory = Memory(count * cpu::element_bytes(held), name, gpu);
        upload(*gpu, data, source, count, held, weight.memory.data());
        return keep(std::move(weight));
    }
    if (rank == 1) {
        weight.memory = Memory(count * sizeof(float), name);
        cpu::widen(data, source, count, weight.memory.as<float>());
        return keep(std::move(weight));
    }
    weight.k = static_cast<uint32_t>(dims[1]);
    check_inputs(name, matrices_, weight.k);
    weight.memory = Memory(cpu::matrix_bytes(weight.n, weight.k, matrices_), name);
    if (cpu::quantized(matrices_)) {
        quantize_tiles(*device_, weight, matrices_, data, source);
    } else {
        share_tiles(*device_, weight.n, [&](uint32_t first, uint32_t last, uint32_t) {
            cpu::pack(data, source, weight.n, weight.k, matrices_, weight.memory.data(), first, last);
        });
    }
    return keep(std::move(weight));
}

uint32_t Weights::add_quantized(const char *name, const int64_t *dims, const void *values, uint64_t value_bytes, const void *scales,
                                uint64_t scale_bytes) {
    const std::lock_guard lock(mutex_);
    check_new(name);
    if (!cpu::quantized(matrices_))
        fail(INTARSIA_INVALID_ARGUMENT, "weight '%s' is quantized, but the set holds matrices in its precision", name);
    count_of(name, dims, 2);
    Weight weight{.name = name, .rank = 2, .n = static_cast<uint32_t>(dims[0]), .k = static_cast<uint32_t>(dims[1]), .memory = {}};
    check_inputs(name, matrices_, weight.k);
    const uint64_t value_row = cpu::quantized_bytes(weight.k, matrices_), scale_row = cpu::scale_bytes(weight.k, matrices_);
    check_bytes(name, "values", value_bytes, weight.n * value_row);
    check_bytes(name, "scales", scale_bytes, weight.n * scale_row);
    const auto *from = static_cast<const uint8_t *>(values), *scale = static_cast<const uint8_t *>(scales);
    if (matrices_ == cpu::Storage::INT8) {
        // Not one of the 255 that are known, and the tiers would not agree about it.
        const auto *wrong = static_cast<const uint8_t *>(std::memchr(from, 0x80, value_bytes));
        if (wrong != nullptr)
            fail(INTARSIA_INVALID_ARGUMENT, "weight '%s': value %llu is -128, not in -127..127", name,
                 static_cast<unsigned long long>(wrong - from));
    }
    weight.memory = Memory(cpu::matrix_bytes(weight.n, weight.k, matrices_), name);
    share_tiles(*device_, weight.n, [&](uint32_t first, uint32_t last, uint32_t) {
        for (uint32_t tile = first; tile < last; tile++) {
            const uint64_t row = uint64_t{tile} * cpu::kTile;
            cpu::pack_quantized(from + row * value_row, scale + row * scale_row, rows_of_tile(weight.n, tile), weight.k, matrices_,
                                weight.memory.as<uint8_t>() + tile * cpu::tile_bytes(weight.k, matrices_));
        }
    });
    return keep(std::move(weight));
}

const Weight &Weights::at(uint32_t id) const {
    const std::lock_guard lock(mutex_);
    if (id >= weights_.size()) fail(INTARSIA_INVALID_ARGUMENT, "there is no weight %u: the set has %zu", id, weights_.size());
    return weights_[id];
}

uint32_t Weights::size() const {
    const std::lock_guard lock(mutex_);
    return static_cast<uint32_t>(weights_.size());
}

uint64_t Weights::bytes() const {
    const std::lock_guard lock(mutex_);
    return bytes_;
}

} // namespace intarsia
