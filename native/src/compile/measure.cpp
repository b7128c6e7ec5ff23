// Measured choices: how the loops of each linear kernel are cut, which changes how fast a product is, never its bits. On a CUDA device: which kernels
// they are, as the plug-in says it.
#include <chrono>
#include <cstring>
#include <limits>

#include "compile/executable.h"
#include "graph/text.h"
#include "runtime/error.h"
#include "runtime/run.h"

namespace intarsia {

namespace {

// More rows and outputs give the same order, and take longer.
constexpr uint32_t kMeasuredRows = 96;
constexpr uint32_t kMeasuredOutputs = 2048;
constexpr int kRuns = 3;
constexpr double kGain = 0.97; // another choice than the default must be faster by more than the noise

const char kPrefix[] = "linear blockings";
const char kGpuPrefix[] = "kernels of a CUDA device\n";

// Memory for the arguments of one linear: its values are zero, which takes as long as any other.
class Trial {
public:
    Trial(const Instruction &instruction, const Binding &binding, const Weights &weights, uint32_t n)
        : calls_{instruction.args} {
        auto &args = std::get<cpu::LinearArgs>(calls_[0]);
        auto *bytes = reinterpret_cast<std::byte *>(&args);
        uint64_t widest = args.parts[0].weight.k;
        for (uint32_t i = 0; i < args.part_count; i++) {
            args.parts[i].weight.n = std::min(args.parts[i].weight.n, kMeasuredOutputs);
            widest = std::max<uint64_t>(widest, args.parts[i].weight.n);
        }
        const uint64_t each = (widest + 64) * n * sizeof(float);
        memory_ = Memory(each * (2 + std::size(args.parts)), "measuring");
        std::byte *at = memory_.data();
        for (const Patch &patch : instruction.patches) {
            const auto put = [&](const void *pointer) { std::memcpy(bytes + patch.at, &pointer, sizeof pointer); };
            if (patch.kind == Patch::Kind::WEIGHT) {
                put(weights.at(binding.weights[patch.index]).memory.data());
            } else if (patch.kind != Patch::Kind::SIZE) {
                put(at);
                at += each;
            }
        }
        args.n = n;
    }

    // Seconds of the fastest of some runs.
    double time(Device &device, cpu::Blocking blocking) {
        std::get<cpu::LinearArgs>(calls_[0]).blocking = blocking;
        double fastest = std::numeric_limits<double>::infinity();
        for (int run = 0; run < kRuns; run++) {
            const auto start = std::chrono::steady_clock::now();
            run_calls(device, calls_, {}, nullptr, nullptr);
            fastest = std::min(fastest, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
        }
        return fastest;
    }

private:
    std::vector<KernelArgs> calls_;
    Memory memory_;
};

// The linear of an instruction, if its loops can be cut in several ways: those over quantized matrices cannot.
cpu::LinearArgs *blocked(Instruction &instruction) {
    auto *args = std::get_if<cpu::LinearArgs>(&instruction.args);
    return args != nullptr && !cpu::quantized(args->parts[0].weight.storage) ? args : nullptr;
}

} // namespace

void Executable::measure() {
    const Weights &weights = *partition_->graph()->weights();
    const Binding *binding = nullptr;
    for (const Piece &piece : partition_->pieces())
        if (piece.class_id == class_id_) binding = &piece.binding;
    if (binding == nullptr) return;
    if (weights.device()->gpu()) return measure_gpu(*binding);
    if (hi_ <= cpu::kStreamRows) return;
    for (Instruction &instruction : instructions_) {
        auto *args = blocked(instruction);
        if (args == nullptr) continue;
        Trial trial(instruction, *binding, weights, std::min(hi_, kMeasuredRows));
        double best = trial.time(*weights.device(), args->blocking) * kGain;
        for (const cpu::Blocking &blocking : cpu::kBlockings) {
            if (blocking == cpu::kBlockings[0]) continue;
            const double taken = trial.time(*weights.device(), blocking);
            if (taken < best) {
                best = taken;
                args->blocking = blocking;
            }
        }
    }
}

// The linear kernels with each power of two of rows, up to which the device has choices. Inputs and residuals are the same memory, whatever it holds;
// nothing is written.
void Executable::measure_gpu(const Binding &binding) {
    const Weights &weights = *partition_->graph()->weights();
    uint64_t widest = 0;
    for (const Instruction &instruction : instructions_)
        if (const auto *args = std::get_if<cpu::LinearArgs>(&instruction.args)) {
            widest = std::max<uint64_t>(widest, args->parts[0].weight.k);
            if (args->epilogue == cpu::Epilogue::ADD) widest = std::max<uint64_t>(widest, args->parts[0].weight.n);
        }
    if (widest == 0) return;
    const Memory memory(widest * hi_ * sizeof(float), "measuring", weights.device()->gpu());
    std::vector<KernelArgs> calls;
    for (uint64_t rows = 1; rows < uint64_t{hi_} * 2; rows *= 2) {
        const auto n = static_cast<uint32_t>(std::min<uint64_t>(rows, hi_));
        if (n < lo_) continue;
        for (const Instruction &instruction : instructions_) {
            if (!std::holds_alternative<cpu::LinearArgs>(instruction.args)) continue;
            auto &args = std::get<cpu::LinearArgs>(calls.emplace_back(instruction.args));
            auto *bytes = reinterpret_cast<std::byte *>(&args);
            for (const Patch &patch : instruction.patches) {
                const void *pointer = patch.kind == Patch::Kind::WEIGHT ? weights.at(binding.weights[patch.index]).memory.data() : memory.data();
                if (patch.kind != Patch::Kind::SIZE) std::memcpy(bytes + patch.at, &pointer, sizeof pointer);
            }
            args.n = n;
        }
    }
    gpu_choices_ = weights.device()->gpu()->measure(calls);
}

std::string Executable::artifact() const {
    if (partition_->graph()->weights()->device()->gpu()) return kGpuPrefix + gpu_choices_;
    std::string choices = kPrefix;
    for (Instruction instruction : instructions_)
        if (const auto *args = blocked(instruction))
            choices += text(" ", args->blocking.rows, "x", args->blocking.section);
    return choices;
}

void Executable::adopt(const std::string &artifact) {
    if (const auto &gpu = partition_->graph()->weights()->device()->gpu()) {
        if (!artifact.starts_with(kGpuPrefix)) fail(INTARSIA_INVALID_ARGUMENT, "the artifact is not one of an executable of a CUDA device");
        gpu_choices_ = artifact.substr(std::strlen(kGpuPrefix));
        if (!gpu_choices_.empty()) gpu->adopt(gpu_choices_);
        return;
    }
    // Each choice must be one of those that are known, and there must be as many as linear kernels: so nothing is taken on trust.
    std::vector<cpu::Blocking> choices;
    size_t at = std::strlen(kPrefix);
    if (artifact.compare(0, at, kPrefix) != 0) fail(INTARSIA_INVALID_ARGUMENT, "the artifact is not one of an executable");
    while (at < artifact.size()) {
        const size_t end = std::min(artifact.find(' ', at + 1), artifact.size());
        const std::string word = artifact.substr(at, end - at);
        bool known = false;
        for (const cpu::Blocking &blocking : cpu::kBlockings)
            if (word == text(" ", blocking.rows, "x", blocking.section)) {
                choices.push_back(blocking);
                known = true;
            }
        if (!known) fail(INTARSIA_INVALID_ARGUMENT, "the artifact has an unknown choice at byte %zu", at);
        at = end;
    }
    std::vector<cpu::LinearArgs *> linears;
    for (Instruction &instruction : instructions_)
        if (auto *args = blocked(instruction)) linears.push_back(args);
    if (linears.size() != choices.size())
        fail(INTARSIA_INVALID_ARGUMENT, "the artifact has choices for %zu linear kernels, but the executable has %zu", choices.size(),
             linears.size());
    for (size_t i = 0; i < linears.size(); i++) linears[i]->blocking = choices[i];
}

} // namespace intarsia
