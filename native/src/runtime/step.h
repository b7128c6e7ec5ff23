// One step's buffers, and the execution of compiled pieces over them: at once, or recorded and replayed.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "compile/executable.h"
#include "runtime/kv_cache.h"
#include "runtime/recording.h"
#include "runtime/run.h"

namespace intarsia {

class Step {
public:
    struct Sizes {
        uint32_t max_tokens;
        uint32_t max_sequences;
        uint32_t max_rows;
        uint32_t max_blocks;
    };

    // cache may be null if no op of the graph needs one.
    Step(std::shared_ptr<Partition> partition, std::shared_ptr<KvCache> cache, Sizes sizes);
    ~Step();
    Step(const Step &) = delete;
    Step &operator=(const Step &) = delete;

    struct Buffer {
        void *address;
        uint64_t bytes;
    };
    Buffer buffer(uint32_t kind) const; // enum intarsia_buffer
    uint64_t bytes() const;

    void begin(uint32_t tokens, uint32_t sequences, uint32_t rows);
    void execute(const Executable &executable, uint32_t piece);
    void sample();
    void read_logits(uint32_t rows);
    void set_sampler(uint32_t slot, const intarsia_sampler_state &state);
    void clear_sampler(uint32_t slot);

    struct Part {
        const Executable *executable;
        uint32_t piece;
    };
    std::shared_ptr<Recording> record(const std::vector<Part> &parts, bool samples);
    // nanoseconds: see run_calls; null, or as many as the recording has calls, and one more if it samples.
    void replay(const Recording &recording, uint64_t *nanoseconds = nullptr);
    // begin and replay of a recording that samples, on a CUDA device, without waiting for the tokens; token -1 - i is that which row i of the step
    // enqueued last has. collect waits for the earliest of those that were enqueued; until all are collected nothing else can be done.
    void enqueue(const Recording &recording, uint32_t sequences);
    void collect();

private:
    template <typename T> T *view(uint32_t kind) const { return reinterpret_cast<T *>(static_cast<std::byte *>(buffer(kind).address)); }
    void check_cache() const;
    void fix(uint32_t tokens, uint32_t sequences, uint32_t rows, uint32_t earlier, bool samples);
    void check_tokens(uint32_t tokens, uint32_t earlier) const;
    void check_sequences(uint32_t tokens, uint32_t sequences) const;
    void *external(uint32_t value) const;
    // Checks that a piece can be run now, makes the arena large enough and puts the resolved calls at calls[at] and following.
    size_t resolve(const Part &part, std::vector<KernelArgs> &calls, size_t at);
    void resolve(const Instruction &instruction, const Binding &binding, uint32_t n, KernelArgs &out) const;
    void check_slot(uint32_t slot) const;
    void check_row(const intarsia_sampling &sampling, uint32_t row);
    SampleJob sample_job();
    // Where kernels find a step buffer.
    uint64_t offset_of(uint32_t kind) const;
    void *kernel_address(uint32_t kind) const;
    void stage(bool follows, bool samples);
    bool reads_of_others();
    // To the device: how its rows are sampled. Answers whether there are any but plain ones of temperature 0; the host's are taken for such.
    bool add_sampling(uint32_t rows);
    bool edits_fit(uint32_t states) const;
    void stage_sampling();
    void check_landed() const;
    void check_replay(const Recording &recording) const;
    void run_sampler(SampleJob &job, bool chosen);
    void download_logits(uint32_t first, uint32_t count);
    GpuArgmax argmax() const;
    // Waits for the tokens of a turn that was never asked for before, and copies them.
    void await(uint32_t turn, uint32_t rows, int32_t *tokens);

    const uint64_t id_; // of this step alone, among all of the process
    std::shared_ptr<Partition> partition_;
    std::shared_ptr<KvCache> cache_;
    std::shared_ptr<Device> device_;
    Sizes sizes_;
    uint32_t vocabulary_ = 0; // smallest of the graph's embeddings; 0 if there are none
    uint32_t logits_width_ = 0;
    Buffer buffers_[INTARSIA_BUFFER_RANKS + 1] = {};
    Memory memory_;                // the step buffers
    // On a CUDA device: its copy of the buffers that kernels read, then the number of sequences and whether one reads what another writes in the step, a GpuTurn at
    // kTurn and how rows are sampled from kSampling on; the logits; the tokens of argmax, and the ring through which they come back; what sampler states make of the logits.
    std::shared_ptr<Gpu> gpu_;
    Memory inputs_, logits_, chosen_, edits_;
    std::unique_ptr<uint64_t, std::function<void(uint64_t *)>> ring_;
    std::vector<GpuSegment> segments_;
    std::vector<intarsia_sampling> sampling_; // as the device gets it; reserved is 1 for rows that the host samples
    std::vector<uint32_t> edit_words_;
    std::vector<uint64_t> writers_; // of each block of the cache the last turn and sequence that wrote to it
    bool samples_ = false;      // the device was told to sample
    uint32_t turn_ = 0;         // counts the steps that were begun
    bool fresh_ = false;        // this turn's tokens were not asked for
    uint32_t chosen_rows_ = 0;  // tokens that the device chose for the step before, and that the next may follow
    struct Flight {
        uint32_t turn, rows;
    };
    Flight flights_[2] = {};    // what is enqueued, the earliest first
    uint32_t flying_ = 0;
    std::vector<Memory> slots_;    // values that cross pieces
    std::vector<const void *> weights_; // data of each weight of the set, by id
    std::shared_ptr<Memory> arena_; // scratch of what runs, as large as the largest executable seen; recordings keep the one they were made with
    std::vector<KernelArgs> calls_; // of the last execute; kept so that a step allocates nothing
    std::vector<SamplerScratch> scratch_; // of each member of the team
    std::vector<std::unique_ptr<SamplerState>> samplers_; // by slot; null if it has none
    std::vector<uint32_t> sampler_rows_; // by slot: 1 + the row that uses it, while rows are checked
    bool begun_ = false;
    uint32_t tokens_ = 0, sequences_ = 0, rows_ = 0;
};

} // namespace intarsia
