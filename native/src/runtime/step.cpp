#include "runtime/step.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cfloat>
#include <cstddef>
#include <cstring>
#include <optional>

#include "runtime/error.h"
#include "runtime/relax.h"
#include "runtime/sampler_row.h"

namespace intarsia {

namespace {

constexpr uint32_t kMost = 1u << 24; // of tokens, sequences, rows and blocks of a step

std::atomic<uint64_t> steps{0}; // made so far; their ids are never used again

constexpr uint64_t kTurn = 8, kSampling = 64; // bytes behind a device's number of sequences
constexpr size_t kMostEdits = 4u << 20; // words of a turn; what needs more is sampled on the host

// Of the cache, that so many positions take.
uint32_t blocks_of(int32_t positions) { return (static_cast<uint32_t>(positions) + cpu::kBlock - 1) / cpu::kBlock; }

uint64_t aligned(uint64_t bytes) { return (bytes + 63) / 64 * 64; }

void check_size(const char *field, uint32_t value) {
    if (value < 1 || value > kMost) fail(INTARSIA_INVALID_ARGUMENT, "step: %s is %u, not in 1..%u", field, value, kMost);
}

} // namespace

Step::Step(std::shared_ptr<Partition> partition, std::shared_ptr<KvCache> cache, Sizes sizes)
    : id_(++steps), partition_(std::move(partition)), cache_(std::move(cache)), device_(partition_->graph()->weights()->device()), sizes_(sizes),
      gpu_(device_->gpu()) {
    check_size("max_tokens", sizes.max_tokens);
    check_size("max_sequences", sizes.max_sequences);
    check_size("max_rows", sizes.max_rows);
    check_size("max_blocks", sizes.max_blocks);
    check_cache();
    const Graph &graph = *partition_->graph();
    for (const Op &op : graph.ops())
        if (op.kind == OpKind::EMBEDDING) {
            const uint32_t n = graph.weights()->at(op.weights[0]).n;
            vocabulary_ = vocabulary_ == 0 ? n : std::min(vocabulary_, n);
        }
    if (graph.output() != kNone) logits_width_ = graph.values()[graph.output()].width;

    const uint64_t bytes[] = {
        uint64_t{sizes.max_tokens} * 4, uint64_t{sizes.max_tokens} * 4, uint64_t{sizes.max_tokens} * 4, uint64_t{sizes.max_rows} * 4,
        (uint64_t{sizes.max_sequences} + 1) * 4, uint64_t{sizes.max_sequences} * 4, uint64_t{sizes.max_sequences} * sizes.max_blocks * 4,
        uint64_t{sizes.max_rows} * sizeof(intarsia_sampling), uint64_t{sizes.max_rows} * 4, uint64_t{sizes.max_rows} * logits_width_ * 4,
        uint64_t{sizes.max_rows} * kLogprobs * 4, uint64_t{sizes.max_rows} * kLogprobs * 4, uint64_t{sizes.max_rows} * 4,
    };
    static_assert(std::size(bytes) == std::extent_v<decltype(buffers_)>);
    uint64_t total = 0;
    for (uint64_t part : bytes) total += aligned(part);
    memory_ = Memory(total, "the step buffers");
    std::byte *at = memory_.data();
    for (size_t i = 0; i < std::size(bytes); i++) {
        buffers_[i] = {at, bytes[i]};
        at += aligned(bytes[i]);
    }
    for (const Slot &slot : partition_->slots())
        slots_.emplace_back(slot.row_bytes * (slot.dim == Dim::TOKENS ? sizes.max_tokens : sizes.max_rows), "values between pieces", gpu_);
    if (gpu_) {
        inputs_ = Memory(offset_of(INTARSIA_BUFFER_SAMPLING) + kSampling + buffers_[INTARSIA_BUFFER_SAMPLING].bytes, "the step buffers of the device", gpu_);
        logits_ = Memory(buffers_[INTARSIA_BUFFER_LOGITS].bytes, "the logits of a step", gpu_);
        chosen_ = Memory(uint64_t{sizes.max_rows} * 4, "the tokens of a step", gpu_);
        const uint64_t ring_bytes = uint64_t{kGpuTurns} * sizes.max_rows * 8;
        ring_ = {static_cast<uint64_t *>(gpu_->pin(ring_bytes)), [gpu = gpu_](uint64_t *ring) { gpu->unpin(ring); }};
        std::memset(ring_.get(), 0, ring_bytes);
        segments_.reserve(9 + sizes.max_sequences);
        sampling_.reserve(sizes.max_rows);
        if (cache_) writers_.resize(cache_->blocks());
    }
    const Weights &weights = *graph.weights();
    for (uint32_t id = 0, size = weights.size(); id < size; id++) weights_.push_back(weights.at(id).memory.data());
    // Sampling runs on the team, where nothing may throw: all it needs is allocated here.
    arena_ = std::make_shared<Memory>();
    scratch_.resize(device_->team().threads());
    for (SamplerScratch &scratch : scratch_) scratch.reserve(logits_width_);
    samplers_.resize(sizes.max_sequences);
    sampler_rows_.resize(sizes.max_sequences);
}

// What is enqueued writes to memory of this step.
Step::~Step() {
    if (flying_ == 0) return;
    try {
        gpu_->wait();
    } catch (const std::exception &) { // the device is broken, and does nothing more
    }
}

void Step::check_cache() const {
    const Graph &graph = *partition_->graph();
    for (const Op &op : graph.ops()) {
        if (op.kind != OpKind::CACHE_APPEND && op.kind != OpKind::ATTENTION) continue;
        if (!cache_) fail(INTARSIA_INVALID_ARGUMENT, "step: the graph has %s, so that a KV cache is needed", name(op.kind));
        if (op.layer >= cache_->layers() || op.kv_heads != cache_->kv_heads() || op.head_dim != cache_->head_dim() ||
            graph.weights()->storage() != cache_->storage())
            fail(INTARSIA_INVALID_ARGUMENT,
                 "step: %s of layer %u with %u heads of %u does not fit the KV cache of %u layers with %u heads of %u, or their precisions differ",
                 name(op.kind), op.layer, op.kv_heads, op.head_dim, cache_->layers(), cache_->kv_heads(), cache_->head_dim());
    }
    if (cache_ && graph.weights()->device() != cache_->device())
        fail(INTARSIA_INVALID_ARGUMENT, "step: the weights and the KV cache belong to different devices");
}

Step::Buffer Step::buffer(uint32_t kind) const {
    if (kind >= std::size(buffers_)) fail(INTARSIA_INVALID_ARGUMENT, "step: there is no buffer %u", kind);
    return buffers_[kind];
}

uint64_t Step::bytes() const {
    uint64_t total = memory_.bytes() + arena_->bytes() + inputs_.bytes() + logits_.bytes() + chosen_.bytes() + edits_.bytes();
    for (const Memory &slot : slots_) total += slot.bytes();
    for (const auto &sampler : samplers_)
        if (sampler) total += sampler->bytes();
    return total;
}

void Step::begin(uint32_t tokens, uint32_t sequences, uint32_t rows) {
    check_landed();
    fix(tokens, sequences, rows, 0, false);
}

// earlier: how many tokens of the step before this one may follow. samples: its sampling parameters are final, and go to the device with its inputs.
void Step::fix(uint32_t tokens, uint32_t sequences, uint32_t rows, uint32_t earlier, bool samples) {
    begun_ = false;
    const auto check = [](const char *what, uint32_t value, uint32_t least, uint32_t most) {
        if (value < least || value > most) fail(INTARSIA_INVALID_ARGUMENT, "step: %u %s, not in %u..%u", value, what, least, most);
    };
    check("tokens", tokens, 1, sizes_.max_tokens);
    check("sequences", sequences, 0, sizes_.max_sequences);
    check("rows", rows, 0, sizes_.max_rows);
    const Graph &graph = *partition_->graph();
    if (const uint32_t frozen = graph.frozen(Dim::TOKENS); frozen != 0 && tokens != frozen)
        fail(INTARSIA_INVALID_ARGUMENT, "step: %u tokens, but the graph is frozen to %u", tokens, frozen);
    if (const uint32_t frozen = graph.frozen(Dim::ROWS); frozen != 0 && rows != 0 && rows != frozen)
        fail(INTARSIA_INVALID_ARGUMENT, "step: %u rows, but the graph is frozen to %u", rows, frozen);
    check_tokens(tokens, earlier);
    check_sequences(tokens, sequences);
    const auto *row = view<int32_t>(INTARSIA_BUFFER_ROWS);
    for (uint32_t i = 0; i < rows; i++)
        if (row[i] < 0 || static_cast<uint32_t>(row[i]) >= tokens)
            fail(INTARSIA_INVALID_ARGUMENT, "step: row %u is token %d, not in 0..%u", i, row[i], tokens - 1);
    tokens_ = tokens;
    sequences_ = sequences;
    rows_ = rows;
    if (gpu_) stage(earlier != 0, samples);
    begun_ = true;
}

uint64_t Step::offset_of(uint32_t kind) const {
    return static_cast<uint64_t>(static_cast<std::byte *>(buffers_[kind].address) - memory_.data());
}

void *Step::kernel_address(uint32_t kind) const {
    if (!gpu_) return buffers_[kind].address;
    return kind == INTARSIA_BUFFER_LOGITS ? logits_.data() : inputs_.data() + offset_of(kind);
}

// What the kernels of this step will read of its buffers, to the device.
void Step::stage(bool follows, bool samples) {
    segments_.clear();
    const auto add = [&](uint32_t kind, uint64_t first, uint64_t count) {
        if (count != 0) segments_.push_back({static_cast<int32_t *>(kernel_address(kind)) + first, view<int32_t>(kind) + first, count * 4, nullptr});
    };
    for (uint32_t kind : {INTARSIA_BUFFER_TOKENS, INTARSIA_BUFFER_POSITIONS, INTARSIA_BUFFER_SLOTS}) add(kind, 0, tokens_);
    if (follows) segments_.front().earlier = chosen_.as<int32_t>();
    add(INTARSIA_BUFFER_ROWS, 0, rows_);
    add(INTARSIA_BUFFER_QUERY_STARTS, 0, uint64_t{sequences_} + 1);
    add(INTARSIA_BUFFER_LENGTHS, 0, sequences_);
    const auto *length = view<int32_t>(INTARSIA_BUFFER_LENGTHS);
    for (uint32_t s = 0; s < sequences_; s++)
        add(INTARSIA_BUFFER_BLOCK_TABLES, uint64_t{s} * sizes_.max_blocks, blocks_of(length[s]));
    samples_ = samples && add_sampling(rows_);
    const struct {
        uint32_t sequences, reads_of_others;
        GpuTurn turn;
    } counts = {sequences_, reads_of_others(), {++turn_, samples_, edits_.as<uint32_t>()}};
    static_assert(offsetof(decltype(counts), turn) == kTurn && sizeof counts <= kSampling);
    segments_.push_back({kernel_address(INTARSIA_BUFFER_SAMPLING), &counts, sizeof counts, nullptr});
    gpu_->stage(segments_);
    fresh_ = true;
    chosen_rows_ = 0;
}

// Whether a sequence has a block of the cache to which another writes in this step, as where a prompt begins with blocks that the other is about to fill.
bool Step::reads_of_others() {
    if (!cache_ || sequences_ < 2) return false;
    const auto *start = view<int32_t>(INTARSIA_BUFFER_QUERY_STARTS);
    const auto *length = view<int32_t>(INTARSIA_BUFFER_LENGTHS);
    const auto *table = view<int32_t>(INTARSIA_BUFFER_BLOCK_TABLES);
    const uint64_t now = uint64_t{turn_ + 1} << 32; // with the sequence: who writes to a block now
    for (uint32_t s = 0; s < sequences_; s++) {
        const int32_t *own = table + uint64_t{s} * sizes_.max_blocks;
        for (uint32_t b = static_cast<uint32_t>(length[s] - (start[s + 1] - start[s])) / cpu::kBlock; b < blocks_of(length[s]); b++)
            writers_[static_cast<uint32_t>(own[b])] = now | s;
    }
    for (uint32_t s = 0; s < sequences_; s++) {
        const int32_t *own = table + uint64_t{s} * sizes_.max_blocks;
        for (uint32_t b = 0; b < blocks_of(length[s]); b++)
            if (const uint64_t writer = writers_[static_cast<uint32_t>(own[b])]; writer >= now && writer != (now | s)) return true;
    }
    return false;
}

bool Step::edits_fit(uint32_t states) const {
    return edit_words_.size() <= kMostEdits && uint64_t{states} * logits_width_ * sizeof(float) <= kGpuEdited;
}

bool Step::add_sampling(uint32_t rows) {
    const auto *row = view<intarsia_sampling>(INTARSIA_BUFFER_SAMPLING);
    sampling_.assign(row, row + rows);
    edit_words_.clear();
    bool samples = false;
    uint32_t states = 0;
    for (intarsia_sampling &each : sampling_) {
        bool here = !group_samples(each, logits_width_);
        if (!here && each.state != 0) {
            const size_t at = edit_words_.size();
            samplers_[each.state - 1]->add_edits(edit_words_);
            here = !edits_fit(states + 1);
            if (here) edit_words_.resize(at);
            else each.state = ++states;
            each.target = static_cast<uint32_t>(at);
        }
        if (here) each = {.temperature = 0, .top_p = 1, .top_k = 0, .reserved = 1, .seed = 0, .position = 0, .min_p = 0, .logprobs = 0, .state = 0, .target = 0};
        samples |= each.temperature >= FLT_MIN || each.state != 0;
    }
    if (!samples) return false;
    const uint64_t bytes = edit_words_.size() * sizeof(uint32_t);
    if (bytes > edits_.bytes()) edits_ = Memory(std::bit_ceil(bytes), "what sampler states say of the logits", gpu_);
    if (bytes != 0) segments_.push_back({edits_.data(), edit_words_.data(), bytes, nullptr});
    segments_.push_back({inputs_.data() + offset_of(INTARSIA_BUFFER_SAMPLING) + kSampling, sampling_.data(), rows * sizeof sampling_[0], nullptr});
    return true;
}

void Step::stage_sampling() {
    segments_.clear();
    const bool samples = add_sampling(rows_);
    if (!samples && !samples_) return;
    samples_ = samples;
    const GpuTurn turn = {turn_, samples, edits_.as<uint32_t>()};
    segments_.push_back({static_cast<std::byte *>(kernel_address(INTARSIA_BUFFER_SAMPLING)) + kTurn, &turn, sizeof turn, nullptr});
    gpu_->stage(segments_);
}

void Step::check_tokens(uint32_t tokens, uint32_t earlier) const {
    const auto *token = view<int32_t>(INTARSIA_BUFFER_TOKENS);
    const auto *position = view<int32_t>(INTARSIA_BUFFER_POSITIONS);
    const auto *slot = view<int32_t>(INTARSIA_BUFFER_SLOTS);
    const int64_t slots = cache_ ? int64_t{cache_->blocks()} * cpu::kBlock : 0;
    for (uint32_t t = 0; t < tokens; t++) {
        if (token[t] < 0 && -1 - int64_t{token[t]} < earlier) continue;
        if (vocabulary_ != 0 && (token[t] < 0 || static_cast<uint32_t>(token[t]) >= vocabulary_))
            fail(INTARSIA_INVALID_ARGUMENT, "step: token %u has id %d, not in 0..%u", t, token[t], vocabulary_ - 1);
        if (position[t] < 0) fail(INTARSIA_INVALID_ARGUMENT, "step: token %u has position %d, below 0", t, position[t]);
        if (slot[t] < -1 || slot[t] >= slots)
            fail(INTARSIA_INVALID_ARGUMENT, "step: token %u has slot %d, not in -1..%lld", t, slot[t], static_cast<long long>(slots - 1));
    }
}

void Step::check_sequences(uint32_t tokens, uint32_t sequences) const {
    const auto *start = view<int32_t>(INTARSIA_BUFFER_QUERY_STARTS);
    const auto *length = view<int32_t>(INTARSIA_BUFFER_LENGTHS);
    const auto *table = view<int32_t>(INTARSIA_BUFFER_BLOCK_TABLES);
    const auto *position = view<int32_t>(INTARSIA_BUFFER_POSITIONS);
    const auto *slot = view<int32_t>(INTARSIA_BUFFER_SLOTS);
    if (start[0] != 0) fail(INTARSIA_INVALID_ARGUMENT, "step: query start 0 is %d, not 0", start[0]);
    for (uint32_t s = 0; s < sequences; s++) {
        const int64_t queries = int64_t{start[s + 1]} - start[s];
        if (queries < 0 || start[s + 1] > static_cast<int64_t>(tokens))
            fail(INTARSIA_INVALID_ARGUMENT, "step: query start %u is %d, not in %d..%u", s + 1, start[s + 1], start[s], tokens);
        if (length[s] < queries || length[s] > int64_t{sizes_.max_blocks} * cpu::kBlock)
            fail(INTARSIA_INVALID_ARGUMENT, "step: sequence %u has length %d, not in %lld..%lld", s, length[s],
                 static_cast<long long>(queries), static_cast<long long>(int64_t{sizes_.max_blocks} * cpu::kBlock));
        for (int32_t t = start[s]; t < start[s + 1]; t++)
            if (position[t] != length[s] - (start[s + 1] - t))
                fail(INTARSIA_INVALID_ARGUMENT, "step: token %d of sequence %u has position %d; positions rise by 1 to the length %d less 1", t,
                     s, position[t], length[s]);
        if (!cache_) continue;
        for (uint32_t b = 0, blocks = blocks_of(length[s]); b < blocks; b++)
            if (const int32_t block = table[uint64_t{s} * sizes_.max_blocks + b];
                block < 0 || static_cast<uint32_t>(block) >= cache_->blocks())
                fail(INTARSIA_INVALID_ARGUMENT, "step: block %u of sequence %u is %d, not in 0..%u", b, s, block, cache_->blocks() - 1);
    }
    for (uint32_t t = static_cast<uint32_t>(start[sequences]); t < tokens; t++)
        if (slot[t] != -1) fail(INTARSIA_INVALID_ARGUMENT, "step: token %u belongs to no sequence but has slot %d; padding has -1", t, slot[t]);
}

void *Step::external(uint32_t value) const {
    const Placement &placement = partition_->placement(value);
    switch (placement.where) {
    case Placement::Where::INPUT:
        switch (placement.index) {
        case INTARSIA_INPUT_TOKENS: return kernel_address(INTARSIA_BUFFER_TOKENS);
        case INTARSIA_INPUT_POSITIONS: return kernel_address(INTARSIA_BUFFER_POSITIONS);
        case INTARSIA_INPUT_SLOTS: return kernel_address(INTARSIA_BUFFER_SLOTS);
        default: return kernel_address(INTARSIA_BUFFER_ROWS);
        }
    case Placement::Where::SLOT: return slots_[placement.index].data();
    case Placement::Where::LOGITS: return kernel_address(INTARSIA_BUFFER_LOGITS);
    case Placement::Where::NOWHERE: break;
    }
    fail(INTARSIA_INTERNAL, "step: value %u crosses pieces but has no place", value);
}

void Step::resolve(const Instruction &instruction, const Binding &binding, uint32_t n, KernelArgs &out) const {
    out = instruction.args;
    std::byte *args = std::visit([](auto &a) { return reinterpret_cast<std::byte *>(&a); }, out);
    for (const Patch &patch : instruction.patches) {
        const auto put = [&](const auto &value) { std::memcpy(args + patch.at, &value, sizeof value); };
        switch (patch.kind) {
        case Patch::Kind::SIZE: put(n); break;
        case Patch::Kind::ARENA: put(arena_->data() + patch.index); break;
        case Patch::Kind::EXTERNAL: put(external(binding.values[patch.index])); break;
        case Patch::Kind::WEIGHT: put(weights_[binding.weights[patch.index]]); break;
        case Patch::Kind::KV_LAYER: put(cache_->layer(binding.layers[patch.index])); break;
        case Patch::Kind::SEQUENCES: put(gpu_ ? kernel_address(INTARSIA_BUFFER_SAMPLING) : &sequences_); break;
        case Patch::Kind::QUERY_STARTS: put(kernel_address(INTARSIA_BUFFER_QUERY_STARTS)); break;
        case Patch::Kind::LENGTHS: put(kernel_address(INTARSIA_BUFFER_LENGTHS)); break;
        case Patch::Kind::BLOCK_TABLES: put(kernel_address(INTARSIA_BUFFER_BLOCK_TABLES)); break;
        case Patch::Kind::MAX_BLOCKS: put(sizes_.max_blocks); break;
        }
    }
}

size_t Step::resolve(const Part &part, std::vector<KernelArgs> &calls, size_t at) {
    if (!begun_) fail(INTARSIA_INVALID_STATE, "no step was begun");
    const Executable &executable = *part.executable;
    const Piece &piece = partition_->piece(part.piece);
    if (executable.partition() != partition_)
        fail(INTARSIA_INVALID_ARGUMENT, "the executable was compiled from another partition than the step's");
    if (executable.class_id() != piece.class_id)
        fail(INTARSIA_INVALID_ARGUMENT, "piece %u is of class %u, but the executable is of class %u", part.piece, piece.class_id,
             executable.class_id());
    const uint32_t n = piece.dim == Dim::TOKENS ? tokens_ : rows_;
    if (n < executable.lo() || n > executable.hi())
        fail(INTARSIA_INVALID_ARGUMENT, "piece %u has %u %s, but the executable was compiled for (%u, %u)", part.piece, n,
             piece.dim == Dim::TOKENS ? "tokens" : "rows", executable.lo(), executable.hi());

    if (executable.arena_bytes() > arena_->bytes())
        arena_ = std::make_shared<Memory>(executable.arena_bytes(), "the arena of an executable", gpu_);
    const std::vector<Instruction> &instructions = executable.instructions();
    if (calls.size() < at + instructions.size()) calls.resize(at + instructions.size());
    for (const Instruction &instruction : instructions) resolve(instruction, piece.binding, n, calls[at++]);
    return at;
}

void Step::execute(const Executable &executable, uint32_t piece) {
    check_landed();
    const size_t count = resolve({&executable, piece}, calls_, 0);
    if (gpu_) return gpu_->run({calls_.data(), count});
    run_calls(*device_, {calls_.data(), count}, {}, nullptr, nullptr);
}

void Step::check_slot(uint32_t slot) const {
    if (slot >= sizes_.max_sequences)
        fail(INTARSIA_INVALID_ARGUMENT, "step: sampler slot %u, not in 0..%u", slot, sizes_.max_sequences - 1);
}

void Step::set_sampler(uint32_t slot, const intarsia_sampler_state &state) {
    check_slot(slot);
    if (logits_width_ == 0) fail(INTARSIA_INVALID_STATE, "the graph has no output to sample from");
    for (SamplerScratch &scratch : scratch_) scratch.processed.reserve(logits_width_);
    samplers_[slot] = std::make_unique<SamplerState>(state, logits_width_);
}

void Step::clear_sampler(uint32_t slot) {
    check_slot(slot);
    samplers_[slot].reset();
}

void Step::check_row(const intarsia_sampling &sampling, uint32_t row) {
    check_sampling(sampling, row);
    if (sampling.target > logits_width_)
        fail(INTARSIA_INVALID_ARGUMENT, "sampling of row %u: target is %u; it must be 1 + an id, at most %u", row, sampling.target,
             logits_width_);
    if (sampling.state == 0) return;
    const uint32_t slot = sampling.state - 1;
    if (slot >= sizes_.max_sequences || !samplers_[slot])
        fail(INTARSIA_INVALID_ARGUMENT, "sampling of row %u: state is %u, but sampler slot %u was not set", row, sampling.state, slot);
    // Of an earlier call's rows none is both below this one and of this slot, unless it is in this call too.
    if (const uint32_t other = sampler_rows_[slot] - 1; other < row && view<intarsia_sampling>(INTARSIA_BUFFER_SAMPLING)[other].state == sampling.state)
        fail(INTARSIA_INVALID_ARGUMENT, "sampling of row %u: row %u has the same sampler state %u", row, other, sampling.state);
    sampler_rows_[slot] = row + 1;
    samplers_[slot]->reserve();
}

SampleJob Step::sample_job() {
    if (!begun_) fail(INTARSIA_INVALID_STATE, "no step was begun");
    if (logits_width_ == 0) fail(INTARSIA_INVALID_STATE, "the graph has no output to sample from");
    const auto *sampling = view<intarsia_sampling>(INTARSIA_BUFFER_SAMPLING);
    for (uint32_t row = 0; row < rows_; row++) check_row(sampling[row], row);
    return {view<float>(INTARSIA_BUFFER_LOGITS), logits_width_, sampling, samplers_.data(), view<int32_t>(INTARSIA_BUFFER_SAMPLED),
            view<float>(INTARSIA_BUFFER_LOGPROBS), view<int32_t>(INTARSIA_BUFFER_LOGPROB_TOKENS), view<int32_t>(INTARSIA_BUFFER_RANKS),
            rows_, scratch_};
}

void Step::sample() {
    check_landed();
    SampleJob job = sample_job();
    if (rows_ == 0) return;
    if (gpu_) stage_sampling();
    run_sampler(job, false);
}

GpuArgmax Step::argmax() const {
    const auto *counts = static_cast<const std::byte *>(kernel_address(INTARSIA_BUFFER_SAMPLING));
    return {logits_.as<float>(), rows_, logits_width_, chosen_.as<int32_t>(), reinterpret_cast<const GpuTurn *>(counts + kTurn),
            reinterpret_cast<const intarsia_sampling *>(counts + kSampling), ring_.get(), sizes_.max_rows};
}

// On a CUDA device the rows that it can sample are sampled there, and have been if `chosen`; the rest is sampled here.
void Step::run_sampler(SampleJob &job, bool chosen) {
    if (!gpu_) return run_calls(*device_, {}, {}, &job, nullptr);
    const auto there = [&](uint32_t row) { return sampling_[row].reserved == 0; };
    uint32_t left = 0; // rows that are sampled here
    for (uint32_t row = 0; row < rows_; row++) left += !there(row);
    if (left < rows_) {
        if (!chosen) gpu_->argmax(argmax());
        if (!fresh_) gpu_->wait(); // the ring holds these tokens' turn already
        await(turn_, rows_, job.sampled);
        for (uint32_t row = 0; row < rows_; row++)
            if (sampling_[row].state != 0) samplers_[job.sampling[row].state - 1]->append(static_cast<uint32_t>(job.sampled[row]));
    }
    fresh_ = false;
    chosen_rows_ = left == 0 ? rows_ : 0;
    if (left == 0) return;
    for (uint32_t row = 0, end = 0; row < rows_; row = end + 1) {
        for (end = row; end < rows_ && !there(end);) end++;
        download_logits(row, end - row);
    }
    job.on_device = sampling_.data();
    run_calls(*device_, {}, {}, &job, nullptr);
}

void Step::await(uint32_t turn, uint32_t rows, int32_t *tokens) {
    constexpr uint32_t kLooks = 512; // some microseconds
    fresh_ = false;
    uint64_t *ring = ring_.get() + uint64_t{turn % kGpuTurns} * sizes_.max_rows;
    for (uint32_t row = 0; row < rows; row++) {
        uint64_t word = 0;
        for (uint32_t looks = 0; (word = std::atomic_ref(ring[row]).load(std::memory_order_acquire)) >> 32 != turn; looks++) {
            relax();
            if (looks % kLooks != kLooks - 1 || !gpu_->done()) continue;
            if (std::atomic_ref(ring[row]).load(std::memory_order_acquire) >> 32 != turn)
                fail(INTARSIA_DEVICE_FAULT, "the device has done a step without telling its tokens");
        }
        tokens[row] = static_cast<int32_t>(static_cast<uint32_t>(word));
    }
}

void Step::check_landed() const {
    if (flying_ != 0) fail(INTARSIA_INVALID_STATE, "step: %u enqueued steps are to be collected first", flying_);
}

void Step::check_replay(const Recording &recording) const {
    if (recording.step() != id_) fail(INTARSIA_INVALID_ARGUMENT, "the recording was made with another step");
}

void Step::enqueue(const Recording &recording, uint32_t sequences) {
    if (!gpu_) fail(INTARSIA_UNSUPPORTED, "steps are enqueued on CUDA devices; on the CPU a replay is done when it returns");
    if (flying_ == std::size(flights_)) fail(INTARSIA_INVALID_STATE, "step: %u steps are enqueued; collect the first of them", flying_);
    check_replay(recording);
    if (!recording.samples() || recording.rows() == 0) fail(INTARSIA_INVALID_ARGUMENT, "only a recording that samples rows is enqueued");
    const auto *sampling = view<intarsia_sampling>(INTARSIA_BUFFER_SAMPLING);
    for (uint32_t row = 0; row < recording.rows(); row++) {
        if (row >= sizes_.max_rows || sampling[row].state != 0 || !group_samples(sampling[row], logits_width_))
            fail(INTARSIA_INVALID_ARGUMENT, "sampling of row %u: the device does not choose its token; replay the step instead", row);
        check_sampling(sampling[row], row);
    }
    // A token that is the graph's may be none of the embedding's.
    fix(recording.tokens(), sequences, recording.rows(), logits_width_ <= vocabulary_ ? chosen_rows_ : 0, true);
    gpu_->replay(*recording.graph());
    flights_[flying_++] = {turn_, rows_};
    chosen_rows_ = rows_;
}

void Step::collect() {
    if (flying_ == 0) fail(INTARSIA_INVALID_STATE, "step: nothing is enqueued");
    const Flight flight = flights_[0];
    flights_[0] = flights_[1];
    flying_--;
    await(flight.turn, flight.rows, view<int32_t>(INTARSIA_BUFFER_SAMPLED));
}

void Step::read_logits(uint32_t rows) {
    check_landed();
    if (!begun_) fail(INTARSIA_INVALID_STATE, "no step was begun");
    if (rows > rows_) fail(INTARSIA_INVALID_ARGUMENT, "step: logits of %u rows, but the step has %u", rows, rows_);
    if (gpu_) download_logits(0, rows);
}

void Step::download_logits(uint32_t first, uint32_t count) {
    const uint64_t row_bytes = uint64_t{logits_width_} * 4;
    if (count != 0) gpu_->download(static_cast<std::byte *>(buffers_[INTARSIA_BUFFER_LOGITS].address) + first * row_bytes, logits_.data() + first * row_bytes, count * row_bytes);
}

std::shared_ptr<Recording> Step::record(const std::vector<Part> &parts, bool samples) {
    check_landed();
    if (parts.empty()) fail(INTARSIA_INVALID_ARGUMENT, "a recording needs at least one piece");
    if (samples && logits_width_ == 0) fail(INTARSIA_INVALID_STATE, "the graph has no output to sample from");
    // The arena first, at its final size: addresses into it are what a recording is made of.
    uint64_t arena_bytes = 0;
    std::vector<KernelArgs> calls;
    for (const Part &part : parts) {
        resolve(part, calls, 0);
        arena_bytes = std::max(arena_bytes, part.executable->arena_bytes());
    }
    size_t count = 0;
    bool over[2] = {false, samples}; // tokens, rows
    for (const Part &part : parts) {
        count = resolve(part, calls, count);
        over[static_cast<int>(partition_->piece(part.piece).dim)] = true;
    }
    calls.resize(count);
    if (gpu_) {
        const GpuArgmax choice = argmax();
        auto graph = Gpu::record(gpu_, calls, samples && rows_ != 0 ? &choice : nullptr);
        return std::make_shared<Recording>(id_, over[0] ? tokens_ : 0, over[1] ? rows_ : 0, samples, arena_, arena_bytes, std::move(calls),
                                           std::vector<CallPlan>(count), std::move(graph));
    }
    std::vector<CallPlan> plan = plan_calls(calls, tokens_, device_->team().threads());
    return std::make_shared<Recording>(id_, over[0] ? tokens_ : 0, over[1] ? rows_ : 0, samples, arena_, arena_bytes, std::move(calls),
                                       std::move(plan));
}

void Step::replay(const Recording &recording, uint64_t *nanoseconds) {
    check_landed();
    check_replay(recording);
    if (!begun_) fail(INTARSIA_INVALID_STATE, "no step was begun");
    if ((recording.tokens() != 0 && recording.tokens() != tokens_) || (recording.rows() != 0 && recording.rows() != rows_))
        fail(INTARSIA_INVALID_ARGUMENT, "the step has %u tokens and %u rows, but the recording is of %u and %u", tokens_, rows_,
             recording.tokens(), recording.rows());
    const bool samples = recording.samples() && rows_ != 0;
    if (gpu_) {
        std::optional<SampleJob> job;
        if (samples) {
            job.emplace(sample_job());
            stage_sampling();
        }
        if (nanoseconds != nullptr) {
            const GpuArgmax choice = argmax();
            gpu_->profile(recording.calls(), samples ? &choice : nullptr, nanoseconds);
        } else {
            gpu_->replay(*recording.graph());
        }
        if (samples) run_sampler(*job, true);
        return;
    }
    if (samples) {
        SampleJob job = sample_job();
        run_calls(*device_, recording.calls(), recording.plan(), &job, nanoseconds);
    } else {
        run_calls(*device_, recording.calls(), recording.plan(), nullptr, nanoseconds);
    }
}

} // namespace intarsia
