// A compiled class of pieces: a flat list of kernel calls for sizes lo..hi, whose addresses are filled in for one piece
// and one step.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "compile/kernel_args.h"
#include "graph/partition.h"

namespace intarsia {

// A field of the arguments that is known only for a piece and a step. `at` is its offset in the argument struct.
struct Patch {
    enum class Kind : uint8_t {
        SIZE,         // uint32_t n
        ARENA,        // pointer to arena + index
        EXTERNAL,     // pointer to external value `index` of the binding
        WEIGHT,       // pointer to the data of weight `index` of the binding
        KV_LAYER,     // KvLayer of layer `index` of the binding
        SEQUENCES,    // pointer to the uint32_t number of sequences
        QUERY_STARTS, // pointers to the step's attention metadata
        LENGTHS,
        BLOCK_TABLES,
        MAX_BLOCKS, // uint32_t
    };
    Kind kind;
    uint16_t at;
    uint64_t index;
};

struct Instruction {
    KernelArgs args;
    std::vector<Patch> patches;
    std::string text; // for people: "linear+add [T, 1024] x [3072, 1024]"
};

class Executable {
public:
    // Compiles partition->classes()[class_id] for lo <= n <= hi. A frozen class is compiled for exactly its size, which
    // lo..hi must contain (INTARSIA_INVALID_ARGUMENT otherwise).
    Executable(std::shared_ptr<Partition> partition, uint32_t class_id, uint32_t lo, uint32_t hi, bool fuse);

    // Chooses by timing how the loops of the linear kernels are cut, on a CUDA device which kernels they are: what is fastest for these weights there.
    void measure();
    // The choices as text, to be kept; and taken from such a text, INTARSIA_INVALID_ARGUMENT if it does not fit.
    std::string artifact() const;
    void adopt(const std::string &artifact);

    const std::shared_ptr<Partition> &partition() const { return partition_; }
    uint32_t class_id() const { return class_id_; }
    uint32_t lo() const { return lo_; }
    uint32_t hi() const { return hi_; }
    uint64_t arena_bytes() const { return arena_bytes_; } // for n = hi
    const std::vector<Instruction> &instructions() const { return instructions_; }
    std::string describe() const;

private:
    void measure_gpu(const Binding &binding);

    std::shared_ptr<Partition> partition_;
    uint32_t class_id_;
    uint32_t lo_, hi_;
    uint64_t arena_bytes_ = 0;
    std::vector<Instruction> instructions_;
    std::string gpu_choices_; // of a CUDA device, as lines
};

} // namespace intarsia
