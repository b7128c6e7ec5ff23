// Where the time of a step goes on a CUDA device: each kind of kernel of a layer, and layers whole, of a 0.6B shape (hidden 1024, 16 query and 8 KV heads of
// 128, intermediate 3072) in bf16 with random weights of 28 layers, so that none is in the cache.
//
//   cmake -S native -B build -G Ninja -DINTARSIA_BENCH=ON && ninja -C build intarsia_cuda_layer
//   build/intarsia_cuda_layer [--deterministic] [--shapes] [ROWS...]
//
// ROWS of 128 and more are the prompt of one sequence, fewer the decode of so many sequences of 512 tokens. Times are medians of replays of a graph, but for
// those of calls made one by one, as a step of many tokens makes them: from an idle device to the end, and what the host took of that. --shapes times the
// products of a layer in every shape of Hopper's kernels, and says which is chosen.
#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "cuda/kernels.h"
#include "cuda/linear.h"
#include "cuda/opened.h"
#include "cuda/rows.h"

namespace intarsia {
namespace {

using cpu::Epilogue;
using cpu::Storage;
using cuda::check;

constexpr uint32_t kLayers = 28, kHidden = 1024, kHeads = 16, kKvHeads = 8, kDim = 128, kWide = 3072, kContext = 512;

// Numbers in [-scale, scale), another for each place.
template <typename T> __global__ void fill(T *to, uint64_t count, float scale, uint32_t seed) {
    for (uint64_t i = blockIdx.x * uint64_t{blockDim.x} + threadIdx.x; i < count; i += uint64_t{gridDim.x} * blockDim.x) {
        uint32_t h = static_cast<uint32_t>(i) * 2654435761u + seed * 40503u;
        h = (h ^ h >> 15) * 2246822519u;
        h = (h ^ h >> 13) * 3266489917u;
        to[i] = static_cast<T>(static_cast<float>(static_cast<int32_t>(h ^ h >> 16)) * 0x1p-31f * scale);
    }
}

class Device {
public:
    explicit Device(bool deterministic) : context(0, deterministic, 0) {}

    template <typename T> T *allocate(uint64_t count, float scale, uint32_t seed = 1) {
        T *data = static_cast<T *>(context.allocate(count * sizeof(T), "the benchmark"));
        fill<<<1024, 256, 0, context.stream>>>(data, count, scale, seed);
        check(cudaGetLastError(), "filling memory");
        return data;
    }
    template <typename T> T *upload(const std::vector<T> &from) {
        T *data = static_cast<T *>(context.allocate(from.size() * sizeof(T), "the benchmark"));
        check(cudaMemcpyAsync(data, from.data(), from.size() * sizeof(T), cudaMemcpyHostToDevice, context.stream), "uploading");
        finish();
        return data;
    }
    void finish() { check(cudaStreamSynchronize(context.stream), "running"); }

    GpuContext context;
};

struct Layer {
    __nv_bfloat16 *qkv, *out, *gate, *up, *down;
    float *norm, *second_norm, *head_norm;
    void *keys, *values;
};

enum Kind { FIRST_NORM, QKV_PRODUCT, HEADS, ATTENTION, OUT, SECOND_NORM, GATE_UP, DOWN, KINDS };
constexpr const char *kNames[] = {"norm", "q, k, v product", "heads", "attention", "output + residual", "norm", "gate, up", "down + residual"};

class Step {
public:
    Step(Device &device, const std::vector<Layer> &layers, uint32_t rows) : device_(device), rows_(rows), prompt_(rows >= 128) {
        const uint32_t sequences = prompt_ ? 1 : rows, length = prompt_ ? rows : kContext, blocks = (length + 15) / 16;
        std::vector<int32_t> starts, lengths(sequences, static_cast<int32_t>(length)), tables, slots;
        for (uint32_t s = 0; s <= sequences; s++) starts.push_back(static_cast<int32_t>(prompt_ ? s * rows : s));
        for (uint32_t i = 0; i < sequences * blocks; i++) tables.push_back(static_cast<int32_t>((i * 7919) % (sequences * blocks)));
        for (uint32_t r = 0; r < rows; r++) {
            const uint32_t position = prompt_ ? r : kContext - 1, sequence = prompt_ ? 0 : r;
            slots.push_back(tables[sequence * blocks + position / 16] * 16 + static_cast<int32_t>(position % 16));
        }
        auto *x = device.allocate<float>(uint64_t{rows} * kHidden, 1);
        void *normed = device.allocate<__nv_bfloat16>(uint64_t{rows} * kHidden, 1);
        auto *q = device.allocate<float>(uint64_t{rows} * kHeads * kDim, 1);
        auto *k = device.allocate<float>(uint64_t{rows} * kKvHeads * kDim, 1), *v = device.allocate<float>(uint64_t{rows} * kKvHeads * kDim, 1);
        void *queries = device.allocate<__nv_bfloat16>(uint64_t{rows} * kHeads * kDim, 1);
        void *attended = device.allocate<__nv_bfloat16>(uint64_t{rows} * kHeads * kDim, 1);
        void *wide = device.allocate<__nv_bfloat16>(uint64_t{rows} * kWide, 1);
        auto *table = device.allocate<float>(uint64_t{rows} * kDim, 0.7f);
        const auto *count = device.upload(std::vector<uint32_t>{sequences, 0});
        const auto *query_starts = device.upload(starts), *all_lengths = device.upload(lengths), *all_tables = device.upload(tables), *all_slots = device.upload(slots);
        const float scale = 0.088388f;
        for (const Layer &layer : layers) {
            const cpu::KvLayer cache{layer.keys, layer.values, kKvHeads, kDim, Storage::BF16};
            calls_.push_back(cpu::NormArgs{x, layer.norm, normed, rows, kHidden, kHidden, 1e-6f, Storage::BF16, 0, false, true});
            cpu::LinearArgs qkv{};
            qkv.x = normed;
            qkv.n = rows;
            qkv.parts[0] = {{layer.qkv, kHeads * kDim, kHidden, Storage::BF16}, nullptr, q};
            qkv.parts[1] = {{layer.qkv + uint64_t{kHeads} * kDim * kHidden, kKvHeads * kDim, kHidden, Storage::BF16}, nullptr, k};
            qkv.parts[2] = {{layer.qkv + uint64_t{kHeads + kKvHeads} * kDim * kHidden, kKvHeads * kDim, kHidden, Storage::BF16}, nullptr, v};
            qkv.part_count = 3;
            qkv.out_storage = Storage::F32;
            calls_.push_back(qkv);
            cpu::QkvArgs heads{};
            heads.q = {q, layer.head_norm, table, queries, kHeads, kDim, 1e-6f, Storage::BF16};
            heads.k = {k, layer.head_norm, table, nullptr, kKvHeads, kDim, 1e-6f, Storage::BF16};
            heads.v = v;
            heads.slots = all_slots;
            heads.cache = cache;
            heads.n = rows;
            heads.passing = true;
            calls_.push_back(heads);
            calls_.push_back(cpu::AttentionArgs{queries, attended, Storage::BF16, Storage::BF16, cache, kHeads, 0, scale, count, query_starts, all_lengths, all_tables, blocks, rows});
            calls_.push_back(linear(attended, kHeads * kDim, layer.out, kHidden, x));
            calls_.push_back(cpu::NormArgs{x, layer.second_norm, normed, rows, kHidden, kHidden, 1e-6f, Storage::BF16, 0, false, true});
            cpu::LinearArgs gate{};
            gate.x = normed;
            gate.n = rows;
            gate.parts[0] = {{layer.gate, kWide, kHidden, Storage::BF16}, nullptr, wide};
            gate.parts[1] = {{layer.up, kWide, kHidden, Storage::BF16}, nullptr, nullptr};
            gate.part_count = 2;
            gate.epilogue = Epilogue::SILU_MUL;
            gate.out_storage = Storage::BF16;
            calls_.push_back(gate);
            calls_.push_back(linear(wide, kWide, layer.down, kHidden, x));
        }
    }

    void measure() {
        const double flops = 2.0 * rows_ * kHidden * (kHeads + 2 * kKvHeads) * kDim + 2.0 * rows_ * kHidden * kHeads * kDim + 6.0 * rows_ * kHidden * kWide;
        std::printf("%u %s\n", rows_, prompt_ ? "tokens of a prompt" : "sequences");
        double sum = 0;
        for (uint32_t kind = 0; kind < KINDS; kind++) {
            std::vector<KernelArgs> some;
            for (size_t i = kind; i < calls_.size(); i += KINDS) some.push_back(calls_[i]);
            const double us = replayed(some) / kLayers;
            sum += us;
            std::printf("  %-20s %8.2f us\n", kNames[kind], us);
        }
        const double layer = replayed(calls_) / kLayers;
        std::printf("  %-20s %8.2f us, %.2f us apart; linears alone at 800 TFLOP/s %.2f us\n", "a layer, one graph", layer, sum, flops / 800e6);
        for (const int idle : {0, 20, 200}) {
            double host = 0;
            const double all = called(idle, host);
            std::printf("  calls one by one, after %3d ms of rest: %8.2f us a layer, of which the host took %.2f\n", idle, all / kLayers, host / kLayers);
        }
        std::printf("%s", cuda::measure(device_.context, calls_.data(), KINDS).c_str()); // which kernels the products are
        std::fflush(stdout);
    }

    // The products with all that they do besides.
    void sweep() {
        GpuContext &context = device_.context;
        std::printf("%u rows, us of a product in shapes of outputs x rows / shares\n", rows_);
        auto *squares = reinterpret_cast<float *>(context.scratch);
        check(cudaMemsetAsync(squares, 0x3F, uint64_t{rows_} * cuda::kSquareParts * sizeof(float), context.stream), "filling memory");
        for (const uint32_t kind : {QKV_PRODUCT, OUT, GATE_UP, DOWN}) {
            const bool attends = kind == QKV_PRODUCT;
            const auto around_of = [&](uint32_t layer) {
                cuda::Around around;
                if (kind == QKV_PRODUCT || kind == GATE_UP) {
                    around.squares = squares;
                    around.square_parts = 8;
                    around.eps = 1e-6f;
                } else {
                    const auto &norm = std::get<cpu::NormArgs>(calls_[layer * KINDS + SECOND_NORM]);
                    around.normed = norm.out;
                    around.norm_weight = norm.weight;
                    around.next_squares = squares;
                }
                around.attends = attends;
                if (attends) around.heads = std::get<cpu::QkvArgs>(calls_[layer * KINDS + HEADS]);
                return around;
            };
            const auto args_of = [&](uint32_t layer) -> const cpu::LinearArgs & { return std::get<cpu::LinearArgs>(calls_[layer * KINDS + kind]); };
            std::vector<cuda::WgmmaShape> shapes = {{128, 128, 0}, {192, 128, 0}, {256, 128, 0}};
            for (const uint32_t outputs : {64u, 128u})
                for (const uint32_t rows : {16u, 32u, 64u, 128u})
                    for (const uint32_t shares : {1u, 2u, 4u, 8u})
                        if (rows_ <= 1024 && (rows >= 64 || rows_ <= rows)) shapes.push_back({outputs, rows, shares});
            const cuda::WgmmaShape chosen = cuda::wgmma_shape(context, args_of(0), around_of(0));
            std::vector<std::pair<double, cuda::WgmmaShape>> times;
            for (const cuda::WgmmaShape shape : shapes) {
                if (attends && shape.outputs != 128 && shape.outputs != 256) continue;
                const double us = replayed([&] {
                    for (uint32_t layer = 0; layer < kLayers; layer++) {
                        cuda::launch_wgmma(context, args_of(layer), shape, around_of(layer));
                    }
                });
                times.emplace_back(us / kLayers, shape);
            }
            std::sort(times.begin(), times.end(), [](const auto &a, const auto &b) { return a.first < b.first; });
            std::printf("  %-18s", kNames[kind]);
            const auto same = [](const cuda::WgmmaShape &a, const cuda::WgmmaShape &b) {
                return a.outputs == b.outputs && a.rows == b.rows && a.shares == b.shares;
            };
            const size_t most = 8;
            for (size_t i = 0; i < times.size(); i++) {
                const auto &[us, shape] = times[i];
                if (i < most || same(shape, chosen) || shape.shares == 0)
                    std::printf(" %s%ux%u/%u %.2f", same(shape, chosen) ? "*" : "", shape.outputs, shape.rows, shape.shares, us);
            }
            std::printf("\n");
        }
        std::fflush(stdout);
    }

private:
    cpu::LinearArgs linear(const void *from, uint32_t k, const void *weight, uint32_t n, float *x) const {
        cpu::LinearArgs args{};
        args.x = from;
        args.n = rows_;
        args.parts[0] = {{weight, n, k, Storage::BF16}, nullptr, x};
        args.part_count = 1;
        args.epilogue = Epilogue::ADD;
        args.residual = x;
        args.out_storage = Storage::F32;
        return args;
    }

    static double median(std::vector<double> times) {
        std::nth_element(times.begin(), times.begin() + static_cast<long>(times.size() / 2), times.end());
        return times[times.size() / 2];
    }

    double replayed(const std::vector<KernelArgs> &calls) {
        const std::unique_ptr<GpuRecording> recording(cuda::record(device_.context, calls.data(), static_cast<uint32_t>(calls.size()), nullptr));
        return replayed(recording->graph);
    }

    template <typename Body> double replayed(Body enqueue) requires std::invocable<Body> {
        cudaGraph_t graph = nullptr;
        cudaGraphExec_t exec = nullptr;
        check(cudaStreamBeginCapture(device_.context.stream, cudaStreamCaptureModeRelaxed), "beginning a recording");
        enqueue();
        check(cudaStreamEndCapture(device_.context.stream, &graph), "ending a recording");
        check(cudaGraphInstantiate(&exec, graph, 0), "making a recording ready");
        cudaGraphDestroy(graph);
        return replayed(exec);
    }

    double replayed(cudaGraphExec_t graph) {
        GpuContext &context = device_.context;
        cudaEvent_t from, to;
        check(cudaEventCreate(&from), "making an event");
        check(cudaEventCreate(&to), "making an event");
        std::vector<double> times;
        for (int i = 0; i < 12; i++) {
            check(cudaEventRecord(from, context.stream), "timing");
            check(cudaGraphLaunch(graph, context.stream), "replaying");
            check(cudaEventRecord(to, context.stream), "timing");
            check(cudaEventSynchronize(to), "timing");
            float ms = 0;
            check(cudaEventElapsedTime(&ms, from, to), "timing");
            if (i > 1) times.push_back(ms * 1e3);
        }
        check(cudaGraphExecDestroy(graph), "ending a recording");
        cudaEventDestroy(from);
        cudaEventDestroy(to);
        return median(times);
    }

    double called(int idle, double &host) {
        using Clock = std::chrono::steady_clock;
        const auto us = [](Clock::time_point a, Clock::time_point b) { return std::chrono::duration<double, std::micro>(b - a).count(); };
        std::vector<double> times, hosts;
        for (int i = 0; i < (idle > 50 ? 5 : 9); i++) {
            device_.finish();
            std::this_thread::sleep_for(std::chrono::milliseconds(idle));
            const auto begin = Clock::now();
            for (size_t at = 0; at < calls_.size();) { // as pieces do: attention, all up to the next, attention
                const size_t end = at % KINDS == ATTENTION ? at + 1 : std::min(calls_.size(), at == 0 ? size_t{ATTENTION} : at + KINDS - 1);
                run(device_.context, &calls_[at], static_cast<uint32_t>(end - at));
                at = end;
            }
            const auto enqueued = Clock::now();
            cuda::wait(device_.context);
            const auto end = Clock::now();
            if (i > 0) {
                hosts.push_back(us(begin, enqueued));
                times.push_back(us(begin, end));
            }
        }
        host = median(hosts);
        return median(times);
    }

    Device &device_;
    uint32_t rows_;
    bool prompt_;
    std::vector<KernelArgs> calls_;
};

int main_of(int count, char **arguments) {
    bool deterministic = false, shapes = false;
    std::vector<uint32_t> rows;
    for (int i = 1; i < count; i++) {
        if (std::strcmp(arguments[i], "--deterministic") == 0) deterministic = true;
        else if (std::strcmp(arguments[i], "--shapes") == 0) shapes = true;
        else rows.push_back(static_cast<uint32_t>(std::strtoul(arguments[i], nullptr, 10)));
    }
    if (rows.empty()) rows = {64, 512, 2048};
    Device device(deterministic);
    const uint64_t positions = std::max<uint64_t>(64 * kContext, *std::max_element(rows.begin(), rows.end()) * uint64_t{kContext});
    std::vector<Layer> layers(kLayers);
    const auto weights = [&](uint32_t n, uint32_t k, uint32_t seed) {
        return device.allocate<__nv_bfloat16>(uint64_t{n} * k, 1.7f / std::sqrt(static_cast<float>(k)), seed);
    };
    uint32_t seed = 1;
    for (Layer &layer : layers) {
        layer.qkv = weights((kHeads + 2 * kKvHeads) * kDim, kHidden, seed++);
        layer.out = weights(kHidden, kHeads * kDim, seed++);
        layer.gate = weights(kWide, kHidden, seed++);
        layer.up = weights(kWide, kHidden, seed++);
        layer.down = weights(kHidden, kWide, seed++);
        layer.norm = device.allocate<float>(kHidden, 1, seed++);
        layer.second_norm = device.allocate<float>(kHidden, 1, seed++);
        layer.head_norm = device.allocate<float>(kDim, 1, seed++);
        const uint64_t cached = std::min<uint64_t>(positions, 256 * kContext) * kKvHeads * kDim;
        layer.keys = device.allocate<__nv_bfloat16>(cached, 1, seed++);
        layer.values = device.allocate<__nv_bfloat16>(cached, 1, seed++);
    }
    device.finish();
    for (const uint32_t n : rows) {
        Step step(device, layers, n);
        shapes ? step.sweep() : step.measure();
    }
    return 0;
}

} // namespace
} // namespace intarsia

int main(int count, char **arguments) {
    try {
        return intarsia::main_of(count, arguments);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
