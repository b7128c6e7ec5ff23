// How long a decode step takes on a CUDA device, of the shape of Qwen3-0.6B in bf16 with random weights: the whole step, replayed as one graph, and what it
// takes without each kind of its kernels, which says what they cost where they are. Beside it the floor: bytes read over what a plain read reaches.
//
//   intarsia_cuda_step [--whole] [ROWS:CONTEXT...]      default 1:128 1:4096 8:512; --whole: only whole steps
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "cuda/kernels.h"
#include "cuda/opened.h"
#include "runtime/error.h"

namespace intarsia {
namespace {

using cpu::Storage;
using cuda::check;

constexpr uint32_t kHidden = 1024, kHeads = 16, kKvHeads = 8, kDim = 128, kInner = 3072, kVocabulary = 151936, kLayers = 28;

__global__ void fill(uint32_t *words, uint64_t count, uint32_t seed) { // pairs of bf16 between -1/32 and 1/32
    for (uint64_t i = blockIdx.x * uint64_t{blockDim.x} + threadIdx.x; i < count; i += uint64_t{gridDim.x} * blockDim.x) {
        uint64_t z = (i + seed) * 0x9E3779B97F4A7C15u;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        const auto half = [](uint32_t bits) { return (bits & 0x8000u) | 0x3C00u | (bits & 0x7Fu); };
        words[i] = half(static_cast<uint32_t>(z >> 20)) | half(static_cast<uint32_t>(z >> 40)) << 16;
    }
}

__global__ void fill_floats(float *x, uint64_t count, float value) {
    for (uint64_t i = blockIdx.x * uint64_t{blockDim.x} + threadIdx.x; i < count; i += uint64_t{gridDim.x} * blockDim.x) x[i] = value;
}

class Model {
public:
    explicit Model(GpuContext &context) : context_(context) {
        for (uint32_t i = 0; i < kLayers; i++) {
            layers_.push_back({matrix(kHeads * kDim, kHidden), matrix(kKvHeads * kDim, kHidden), matrix(kKvHeads * kDim, kHidden),
                               matrix(kHidden, kHeads * kDim), matrix(kInner, kHidden), matrix(kInner, kHidden), matrix(kHidden, kInner),
                               floats(kHidden, 1), floats(kHidden, 1), floats(kDim, 1), floats(kDim, 1)});
        }
        embedding_ = matrix(kVocabulary, kHidden);
        norm_ = floats(kHidden, 1);
        frequencies_ = floats(kDim / 2, 0.01f);
    }

    uint64_t weight_bytes() const { return bytes_; }

    // The kernel calls of one step of `rows` sequences, each with `context` tokens in the cache, one of them new.
    std::vector<KernelArgs> step(uint32_t rows, uint32_t context) {
        const uint32_t blocks = (context + 15) / 16;
        std::vector<int32_t> starts, lengths, tables, slots, positions, tokens, outs;
        for (uint32_t s = 0; s < rows; s++) {
            starts.push_back(static_cast<int32_t>(s));
            lengths.push_back(static_cast<int32_t>(context));
            for (uint32_t b = 0; b < blocks; b++) tables.push_back(static_cast<int32_t>(b * rows + s)); // scattered
            slots.push_back(tables.back() * 16 + static_cast<int32_t>((context - 1) % 16));
            positions.push_back(static_cast<int32_t>(context - 1));
            tokens.push_back(static_cast<int32_t>(s * 1000 + 1));
            outs.push_back(static_cast<int32_t>(s));
        }
        starts.push_back(static_cast<int32_t>(rows));
        const std::vector<int32_t> count = {static_cast<int32_t>(rows), 0};
        inputs.clear();
        const auto put = [&](const std::vector<int32_t> &x) {
            auto *to = static_cast<int32_t *>(allocate(x.size() * 4));
            check(cudaMemcpy(to, x.data(), x.size() * 4, cudaMemcpyHostToDevice), "inputs");
            inputs.push_back({to, x});
            return to;
        };
        const int32_t *d_starts = put(starts), *d_lengths = put(lengths), *d_tables = put(tables), *d_slots = put(slots), *d_positions = put(positions),
                      *d_tokens = put(tokens), *d_outs = put(outs), *d_count = put(count);
        float *x = floats(rows * kHidden, 0), *table = floats(rows * kDim, 0), *q = floats(rows * kHeads * kDim, 0),
              *k = floats(rows * kKvHeads * kDim, 0), *v = floats(rows * kKvHeads * kDim, 0), *selected = floats(rows * kHidden, 0);
        float *logits = floats(uint64_t{rows} * kVocabulary, 0);
        void *normed = allocate(rows * kHidden * 2), *heads = allocate(rows * kHeads * kDim * 2), *mixed = allocate(rows * kHeads * kDim * 2),
             *inner = allocate(rows * kInner * 2);
        std::vector<KernelArgs> calls;
        calls.push_back(cpu::EmbeddingArgs{d_tokens, embedding_, x, rows});
        calls.push_back(cpu::RopeTableArgs{d_positions, frequencies_, table, rows, kDim / 2, 1.0f});
        const auto norm = [&](const float *from, const float *weight, void *to) {
            cpu::NormArgs args{};
            args.x = from, args.weight = weight, args.out = to, args.n = rows, args.width = args.group = kHidden, args.eps = 1e-6f;
            args.out_storage = Storage::BF16, args.passing = true;
            calls.push_back(args);
        };
        const auto linear = [&](const void *from, std::vector<cpu::LinearPart> parts, cpu::Epilogue epilogue, const float *residual, Storage out) {
            cpu::LinearArgs args{};
            args.x = from, args.n = rows, args.part_count = static_cast<uint32_t>(parts.size()), args.epilogue = epilogue, args.residual = residual;
            args.out_storage = out;
            std::copy(parts.begin(), parts.end(), args.parts);
            calls.push_back(args);
        };
        for (const Layer &layer : layers_) {
            const uint64_t cache_bytes = uint64_t{rows} * blocks * kKvHeads * 16 * kDim * 2;
            const cpu::KvLayer cache{random(cache_bytes), random(cache_bytes), kKvHeads, kDim, Storage::BF16};
            norm(x, layer.input_norm, normed);
            linear(normed, {{layer.q, nullptr, q}, {layer.k, nullptr, k}, {layer.v, nullptr, v}}, cpu::Epilogue::STORE, nullptr, Storage::F32);
            cpu::QkvArgs qkv{};
            qkv.q = {q, layer.q_norm, table, heads, kHeads, kDim, 1e-6f, Storage::BF16};
            qkv.k = {k, layer.k_norm, table, nullptr, kKvHeads, kDim, 1e-6f, Storage::BF16};
            qkv.v = v, qkv.slots = d_slots, qkv.cache = cache, qkv.n = rows, qkv.passing = true;
            calls.push_back(qkv);
            cpu::AttentionArgs attention{};
            attention.q = heads, attention.out = mixed, attention.q_storage = attention.out_storage = Storage::BF16, attention.cache = cache;
            attention.heads = kHeads, attention.scale = 0.088388f, attention.sequences = reinterpret_cast<const uint32_t *>(d_count);
            attention.query_starts = d_starts, attention.lengths = d_lengths, attention.block_tables = d_tables, attention.max_blocks = blocks;
            attention.n = rows;
            calls.push_back(attention);
            linear(mixed, {{layer.o, nullptr, x}}, cpu::Epilogue::ADD, x, Storage::F32);
            norm(x, layer.inner_norm, normed);
            linear(normed, {{layer.gate, nullptr, inner}, {layer.up, nullptr, nullptr}}, cpu::Epilogue::SILU_MUL, nullptr, Storage::BF16);
            linear(inner, {{layer.down, nullptr, x}}, cpu::Epilogue::ADD, x, Storage::F32);
        }
        calls.push_back(cpu::SelectRowsArgs{x, d_outs, selected, rows, kHidden});
        norm(selected, norm_, normed);
        linear(normed, {{embedding_, nullptr, logits}}, cpu::Epilogue::STORE, nullptr, Storage::F32);
        auto *chosen = static_cast<int32_t *>(allocate(rows * 4));
        auto *turn = static_cast<GpuTurn *>(allocate(sizeof(GpuTurn)));
        const GpuTurn first{1, 0, nullptr};
        check(cudaMemcpy(turn, &first, sizeof first, cudaMemcpyHostToDevice), "inputs");
        uint64_t *ring = nullptr;
        check(cudaHostAlloc(&ring, kGpuTurns * rows * 8, cudaHostAllocPortable), "ring");
        choice = {logits, rows, kVocabulary, chosen, turn, nullptr, ring, rows};
        return calls;
    }

    struct Input {
        int32_t *to;
        std::vector<int32_t> values;
    };
    std::vector<Input> inputs; // of the last step
    GpuArgmax choice{};

private:
    struct Layer {
        cpu::Matrix q, k, v, o, gate, up, down;
        const float *input_norm, *inner_norm, *q_norm, *k_norm;
    };

    void *allocate(uint64_t bytes) { return context_.allocate(bytes, "the benchmark"); }
    void *random(uint64_t bytes) {
        void *to = allocate(bytes);
        fill<<<1024, 256, 0, context_.stream>>>(static_cast<uint32_t *>(to), bytes / 4, static_cast<uint32_t>(++seed_ * 7919));
        return to;
    }
    float *floats(uint64_t count, float value) {
        auto *to = static_cast<float *>(allocate(count * 4));
        fill_floats<<<256, 256, 0, context_.stream>>>(to, count, value);
        return to;
    }
    cpu::Matrix matrix(uint32_t n, uint32_t k) {
        bytes_ += uint64_t{n} * k * 2;
        return {random(uint64_t{n} * k * 2), n, k, Storage::BF16};
    }

    GpuContext &context_;
    std::vector<Layer> layers_;
    cpu::Matrix embedding_{};
    float *norm_ = nullptr, *frequencies_ = nullptr;
    uint64_t bytes_ = 0;
    uint32_t seed_ = 0;
};

// Microseconds of a step, the median of five turns of replays one behind the other, each after what `before` enqueues.
double measure(GpuContext &context, const std::function<void()> &enqueue, const std::function<void()> &before) {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t ready = nullptr;
    check(cudaStreamBeginCapture(context.stream, cudaStreamCaptureModeRelaxed), "beginning a recording");
    enqueue();
    check(cudaStreamEndCapture(context.stream, &graph), "ending a recording");
    check(cudaGraphInstantiate(&ready, graph, 0), "making a recording ready");
    cudaEvent_t from = nullptr, to = nullptr;
    check(cudaEventCreate(&from), "event");
    check(cudaEventCreate(&to), "event");
    constexpr int kReplays = 60;
    std::vector<double> times;
    for (int turn = 0; turn < 6; turn++) {
        check(cudaEventRecord(from, context.stream), "event");
        for (int i = 0; i < kReplays; i++) {
            before();
            check(cudaGraphLaunch(ready, context.stream), "replay");
        }
        check(cudaEventRecord(to, context.stream), "event");
        check(cudaEventSynchronize(to), "replays");
        float milliseconds = 0;
        check(cudaEventElapsedTime(&milliseconds, from, to), "event");
        if (turn != 0) times.push_back(milliseconds * 1e3 / kReplays);
    }
    cudaEventDestroy(from);
    cudaEventDestroy(to);
    cudaGraphExecDestroy(ready);
    cudaGraphDestroy(graph);
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
}

// Which kind a call is of, in the order of kKinds.
constexpr const char *kKinds[] = {"others", "norm + q, k, v", "heads", "attention", "output", "norm + gate, up", "down", "norm + logits"};
uint32_t kind(const std::vector<KernelArgs> &calls, size_t i) {
    const auto of_linear = [](const cpu::LinearArgs &linear) -> uint32_t {
        if (linear.part_count == 3) return 1;
        if (linear.part_count == 2) return 5;
        if (linear.epilogue == cpu::Epilogue::STORE) return 7;
        return linear.parts[0].weight.k == kInner ? 6 : 4;
    };
    if (std::holds_alternative<cpu::NormArgs>(calls[i])) return kind(calls, i + 1);
    if (const auto *linear = std::get_if<cpu::LinearArgs>(&calls[i])) return of_linear(*linear);
    if (std::holds_alternative<cpu::QkvArgs>(calls[i])) return 2;
    return std::holds_alternative<cpu::AttentionArgs>(calls[i]) ? 3 : 0;
}

void report(GpuContext &context, Model &model, uint32_t rows, uint32_t length, double read, bool parts) {
    const std::vector<KernelArgs> calls = model.step(rows, length);
    enum class Choice { NONE, MADE, TOLD };
    const auto run = [&](uint32_t without, Choice choice, const std::function<void()> &before = [] {}) {
        std::vector<KernelArgs> some;
        for (size_t i = 0; i < calls.size(); i++)
            if (kind(calls, i) != without) some.push_back(calls[i]);
        return measure(
            context,
            [&] {
                cuda::run(context, some.data(), static_cast<uint32_t>(some.size()));
                if (choice == Choice::MADE) cuda::launch_argmax(context, model.choice.logits, rows, kVocabulary, model.choice.tokens);
                if (choice == Choice::TOLD) cuda::argmax(context, model.choice);
            },
            before);
    };
    constexpr uint32_t kNone = 99;
    const double whole = run(kNone, Choice::MADE);
    const double bytes = static_cast<double>(model.weight_bytes()) + 2.0 * kLayers * rows * length * kKvHeads * kDim * 2;
    std::printf("%u sequence%s of %u tokens: a step takes %.1f us, %.0f tok/s; its bytes %.1f us at %.2f TB/s\n", rows, rows == 1 ? "" : "s", length, whole,
                rows * 1e6 / whole, bytes / read * 1e6, read / 1e12);
    if (parts) {
        for (uint32_t k = 0; k < std::size(kKinds); k++) std::printf("    %-16s %7.1f us\n", kKinds[k], whole - run(k, Choice::MADE));
        std::printf("    %-16s %7.1f us\n", "argmax", whole - run(kNone, Choice::NONE));
    }
    // As an engine has it: the inputs of each step come from the host, the tokens from the step before, and the host is told what was chosen.
    const double told = run(kNone, Choice::TOLD);
    std::vector<GpuSegment> segments;
    for (const Model::Input &input : model.inputs) segments.push_back({input.to, input.values.data(), input.values.size() * 4, nullptr});
    const double staged = run(kNone, Choice::TOLD, [&] { cuda::stage(context, segments.data(), static_cast<uint32_t>(segments.size())); });
    std::printf("    %-16s %7.1f us\n    %-16s %7.1f us\n", "telling", told - whole, "inputs", staged - told);
}

} // namespace
} // namespace intarsia

int main(int count, char **arguments) {
    using namespace intarsia;
    try {
        std::vector<std::string> sizes(arguments + 1, arguments + count);
        const bool parts = sizes.empty() || sizes[0] != "--whole";
        if (!parts) sizes.erase(sizes.begin());
        if (sizes.empty()) sizes = {"1:128", "1:4096", "8:512"};
        GpuContext context(0, false, 0);
        Model model(context);
        const double read = cuda::measure_read(context, uint64_t{1200} << 20);
        for (const std::string &size : sizes) {
            unsigned rows = 0, length = 0;
            if (std::sscanf(size.c_str(), "%u:%u", &rows, &length) != 2 || rows == 0 || length == 0) {
                std::fprintf(stderr, "not ROWS:CONTEXT: %s\n", size.c_str());
                return 2;
            }
            report(context, model, rows, length, read, parts);
        }
    } catch (const Error &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
