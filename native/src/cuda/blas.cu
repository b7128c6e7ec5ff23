#include "cuda/blas.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <sstream>
#include <tuple>
#include <vector>

#include "cuda/kernels.h"
#include "cuda/rows.h"
#include "cuda/silu.h"
#include "runtime/error.h"

namespace intarsia::cuda {

namespace {

using cpu::Epilogue;
using cpu::LinearArgs;
using cpu::Storage;

// The few names of the library that are used here, as its documentation gives them.
using Handle = void *;
using Object = void *; // a description of a product or a matrix, or a preference
struct Algorithm {
    uint64_t data[8];
};
struct Candidate {
    Algorithm algorithm;
    size_t workspace;
    int status;
    float waves;
    int reserved[4];
};
constexpr int kCompute32F = 68, kReal32F = 0, kRealBF16 = 14;
constexpr int kTransposeA = 3, kTranspose = 1;
constexpr int kMostWorkspace = 1, kAlignmentA = 5; // of A, then B, C and D
constexpr size_t kWorkspace = size_t{32} << 20;
constexpr uint32_t kAlignment = 16;
constexpr int kCandidates = 4;
constexpr size_t kMostPlans = 4096;

struct Functions {
    size_t (*version)();
    int (*create)(Handle *);
    int (*destroy)(Handle);
    int (*product_create)(Object *, int compute, int scale);
    int (*product_set)(Object, int attribute, const void *, size_t);
    int (*matrix_create)(Object *, int type, uint64_t rows, uint64_t columns, int64_t stride);
    int (*matrix_destroy)(Object);
    int (*product_destroy)(Object);
    int (*preference_create)(Object *);
    int (*preference_set)(Object, int attribute, const void *, size_t);
    int (*preference_destroy)(Object);
    int (*candidates)(Handle, Object product, Object a, Object b, Object c, Object d, Object preference, int wanted, Candidate *, int *found);
    int (*check)(Handle, Object product, Object a, Object b, Object c, Object d, const Algorithm *, Candidate *);
    int (*multiply)(Handle, Object product, const void *alpha, const void *a, Object, const void *b, Object, const void *beta, const void *c, Object,
                    void *d, Object, const Algorithm *, void *workspace, size_t, cudaStream_t);
};

// A product [n, k] x [outputs, k]': how the library is told of it.
struct Plan {
    const Functions &functions;
    Object product = nullptr, a = nullptr, b = nullptr, c = nullptr;

    explicit Plan(const Functions &of) : functions(of) {}
    Plan(const Plan &) = delete;
    Plan &operator=(const Plan &) = delete;
    ~Plan() {
        if (product != nullptr) functions.product_destroy(product);
        for (Object matrix : {a, b, c})
            if (matrix != nullptr) functions.matrix_destroy(matrix);
    }
};

using PlanKey = std::tuple<uint32_t, uint32_t, uint32_t, Storage, Storage>; // n, outputs, k, weights, out

// A kind of linear op: rows up to a power of two, the outputs of each part, k, weights, epilogue, out.
using Kind = std::array<uint32_t, 8>;

using Algorithms = std::array<Algorithm, 3>; // of each part

struct Choice {
    bool ours = true;
    Algorithms algorithms = {};             // as they were found, with some number of rows
    std::map<uint32_t, Algorithms> checked; // for each number of rows that has come: the library was asked whether they can do it
};

} // namespace

struct Blas {
    Functions functions;
    Handle handle = nullptr;
    void *workspace = nullptr;
    std::map<PlanKey, std::unique_ptr<Plan>> plans;
    std::map<Kind, Choice> choices;
};

namespace {

bool find_all(void *library, Functions &f) {
    const auto find = [&](auto &function, const char *name) {
        function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
        return function != nullptr;
    };
    return find(f.version, "cublasLtGetVersion") && find(f.create, "cublasLtCreate") && find(f.destroy, "cublasLtDestroy") &&
           find(f.product_create, "cublasLtMatmulDescCreate") && find(f.product_set, "cublasLtMatmulDescSetAttribute") &&
           find(f.product_destroy, "cublasLtMatmulDescDestroy") && find(f.matrix_create, "cublasLtMatrixLayoutCreate") &&
           find(f.matrix_destroy, "cublasLtMatrixLayoutDestroy") && find(f.preference_create, "cublasLtMatmulPreferenceCreate") &&
           find(f.preference_set, "cublasLtMatmulPreferenceSetAttribute") && find(f.preference_destroy, "cublasLtMatmulPreferenceDestroy") &&
           find(f.candidates, "cublasLtMatmulAlgoGetHeuristic") && find(f.check, "cublasLtMatmulAlgoCheck") && find(f.multiply, "cublasLtMatmul");
}

int type_of(Storage storage) { return storage == Storage::F32 ? kReal32F : kRealBF16; }

void done(int status, const char *what) {
    if (status != 0) fail(INTARSIA_DEVICE_FAULT, "cuBLASLt, %s: status %d", what, status);
}

bool aligned(const void *address) { return reinterpret_cast<uintptr_t>(address) % kAlignment == 0; }

// What the library can do: no biases, even widths, aligned addresses.
bool can_multiply(const LinearArgs &args) {
    for (uint32_t p = 0; p < args.part_count; p++) {
        const cpu::LinearPart &part = args.parts[p];
        if (part.bias != nullptr || part.weight.n % 8 != 0 || part.weight.k % 8 != 0 || !aligned(part.weight.data) || !aligned(part.out)) return false;
    }
    return aligned(args.x) && (args.epilogue != Epilogue::ADD || aligned(args.residual));
}

Kind kind_of(const LinearArgs &args) {
    uint32_t rows = 16;
    while (rows < args.n && rows < (1u << 30)) rows *= 2;
    const auto outputs = [&](uint32_t p) { return p < args.part_count ? args.parts[p].weight.n : 0; };
    return {rows, outputs(0), outputs(1), outputs(2), args.parts[0].weight.k, static_cast<uint32_t>(args.parts[0].weight.storage),
            static_cast<uint32_t>(args.epilogue), static_cast<uint32_t>(args.out_storage)};
}

// Of the products of a linear op: those of SILU_MUL go to scratch memory first, as wide as what comes of them.
Storage product_storage(const LinearArgs &args) { return args.epilogue == Epilogue::ADD ? Storage::F32 : args.out_storage; }

// The library counts by columns: out' [outputs, n] = weight [outputs, k] x' [k, n].
const Plan &plan_of(Blas &blas, const LinearArgs &args, uint32_t p) {
    const cpu::Matrix &w = args.parts[p].weight;
    const Storage out = product_storage(args);
    const PlanKey key{args.n, w.n, w.k, w.storage, out};
    if (const auto known = blas.plans.find(key); known != blas.plans.end()) return *known->second;
    if (blas.plans.size() >= kMostPlans) blas.plans.clear();
    const Functions &f = blas.functions;
    auto plan = std::make_unique<Plan>(f);
    done(f.product_create(&plan->product, kCompute32F, kReal32F), "describing a product");
    done(f.product_set(plan->product, kTransposeA, &kTranspose, sizeof kTranspose), "describing a product");
    done(f.matrix_create(&plan->a, type_of(w.storage), w.k, w.n, w.k), "describing weights");
    done(f.matrix_create(&plan->b, type_of(w.storage), w.k, args.n, w.k), "describing inputs");
    done(f.matrix_create(&plan->c, type_of(out), w.n, args.n, w.n), "describing outputs");
    return *blas.plans.emplace(key, std::move(plan)).first->second;
}

// The likeliest algorithms for a product, best first.
std::vector<Algorithm> candidates_of(Blas &blas, const Plan &plan) {
    const Functions &f = blas.functions;
    Object preference = nullptr;
    done(f.preference_create(&preference), "asking for an algorithm");
    Candidate found[kCandidates] = {};
    int count = 0;
    f.preference_set(preference, kMostWorkspace, &kWorkspace, sizeof kWorkspace);
    for (int i = 0; i < 4; i++) f.preference_set(preference, kAlignmentA + i, &kAlignment, sizeof kAlignment);
    const int status = f.candidates(blas.handle, plan.product, plan.a, plan.b, plan.c, plan.c, preference, kCandidates, found, &count);
    f.preference_destroy(preference);
    std::vector<Algorithm> algorithms;
    if (status != 0) return algorithms;
    for (int i = 0; i < count; i++)
        if (found[i].status == 0) algorithms.push_back(found[i].algorithm);
    return algorithms;
}

constexpr uint32_t kSiluThreads = 256;

// silu(gate) up of bf16, eight at a time; the three lie at multiples of 16 bytes. out may be gate.
__global__ void __launch_bounds__(kSiluThreads) silu_mul_narrow(const uint4 *gate, const uint4 *up, uint4 *out, uint32_t eights) {
    const uint32_t at = blockIdx.x * kSiluThreads + threadIdx.x;
    let_next_start();
    wait_for_earlier();
    if (at >= eights) return;
    uint4 g = gate[at];
    const uint4 u = up[at];
    const auto one = [](uint32_t a, uint32_t b) {
        return pack_bf16(silu(lower_bf16(a)) * lower_bf16(b), silu(upper_bf16(a)) * upper_bf16(b));
    };
    out[at] = make_uint4(one(g.x, u.x), one(g.y, u.y), one(g.z, u.z), one(g.w, u.w));
}

void launch_silu(const Context &context, const LinearArgs &args, void *gate, void *up, void *out) {
    const uint32_t width = args.parts[0].weight.n;
    const uint64_t eights = uint64_t{args.n} * width / 8;
    if (args.out_storage == Storage::BF16 && eights < (uint64_t{1} << 31)) {
        launch(context, "silu_mul", silu_mul_narrow, dim3(ceil_div(eights, kSiluThreads)), dim3(kSiluThreads), 0, static_cast<const uint4 *>(gate),
               static_cast<const uint4 *>(up), static_cast<uint4 *>(out), static_cast<uint32_t>(eights));
    } else {
        launch(context, cpu::SiluMulArgs{static_cast<float *>(gate), static_cast<float *>(up), out, args.n, width, args.out_storage});
    }
}

bool multiply(const Context &context, const Plan &plan, const LinearArgs &args, uint32_t p, void *out, const Algorithm &algorithm) {
    Blas &blas = *context.blas;
    const bool add = args.epilogue == Epilogue::ADD;
    const float one = 1, beta = add ? 1 : 0;
    return blas.functions.multiply(blas.handle, plan.product, &one, args.parts[p].weight.data, plan.a, args.x, plan.b, &beta, add ? args.residual : out,
                                   plan.c, out, plan.c, &algorithm, blas.workspace, kWorkspace, context.stream) == 0;
}

// Bytes of scratch memory for a part's products, at a multiple of 256.
uint64_t side_bytes(const LinearArgs &args, uint32_t p = 0) {
    return (uint64_t{args.n} * args.parts[p].weight.n * cpu::element_bytes(product_storage(args)) + 255) / 256 * 256;
}

// All products of an op, part p to `out(p)`; those of SILU_MUL to scratch memory and from there to out(0).
template <typename Out> bool multiply_all(const Context &context, const LinearArgs &args, const Algorithms &algorithms, Out out) {
    if (args.epilogue != Epilogue::SILU_MUL) {
        for (uint32_t p = 0; p < args.part_count; p++)
            if (!multiply(context, plan_of(*context.blas, args, p), args, p, out(p), algorithms[p])) return false;
        return true;
    }
    std::byte *sides[2] = {context.scratch, context.scratch + side_bytes(args)};
    for (uint32_t p = 0; p < 2; p++)
        if (!multiply(context, plan_of(*context.blas, args, p), args, p, sides[p], algorithms[p])) return false;
    launch_silu(context, args, sides[0], sides[1], out(0));
    return true;
}

class Timer {
public:
    explicit Timer(cudaStream_t stream) : stream_(stream) {
        check(cudaEventCreate(&from_), "making an event");
        if (const cudaError_t error = cudaEventCreate(&to_); error != cudaSuccess) {
            cudaEventDestroy(from_);
            check(error, "making an event");
        }
    }
    ~Timer() {
        cudaEventDestroy(from_);
        cudaEventDestroy(to_);
    }
    Timer(const Timer &) = delete;
    Timer &operator=(const Timer &) = delete;

    // The least of three, of a graph of eight times the body each, in milliseconds, after one that does not count: one by one they would take what the host
    // needs to launch them. Very long if the body cannot be captured.
    template <typename Body> float time(Body body) {
        cudaGraph_t graph = nullptr;
        check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed), "timing");
        try {
            for (int times = 0; times < 8; times++) body();
        } catch (...) {
            cudaStreamEndCapture(stream_, &graph);
            if (graph != nullptr) cudaGraphDestroy(graph);
            cudaGetLastError();
            throw;
        }
        cudaGraphExec_t ready = nullptr;
        const bool captured = cudaStreamEndCapture(stream_, &graph) == cudaSuccess && cudaGraphInstantiate(&ready, graph, 0) == cudaSuccess;
        if (graph != nullptr) cudaGraphDestroy(graph);
        if (!captured) {
            cudaGetLastError();
            return 1e30f;
        }
        const std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, cudaError_t (*)(cudaGraphExec_t)> closing(ready, cudaGraphExecDestroy);
        float least = 1e30f;
        for (int i = 0; i < 4; i++) {
            check(cudaEventRecord(from_, stream_), "timing");
            check(cudaGraphLaunch(ready, stream_), "timing");
            check(cudaEventRecord(to_, stream_), "timing");
            check(cudaEventSynchronize(to_), "timing a linear op");
            float taken = 0;
            check(cudaEventElapsedTime(&taken, from_, to_), "timing");
            if (i > 0) least = std::min(least, taken);
        }
        return least;
    }

private:
    cudaStream_t stream_;
    cudaEvent_t from_ = nullptr, to_ = nullptr;
};

// The op into scratch memory: by our own kernel and by the library's candidates for each part.
Choice find_choice(const Context &context, const LinearArgs &args, void (*ours)(const Context &, const LinearArgs &)) {
    Choice choice;
    const bool pair = args.epilogue == Epilogue::SILU_MUL;
    uint64_t offsets[3] = {pair ? 2 * side_bytes(args) : 0, 0, 0}, end = offsets[0];
    for (uint32_t p = 0; p < (pair ? 1 : args.part_count); p++) {
        offsets[p] = end;
        end += side_bytes(args, p);
    }
    if (end > context.scratch_bytes) return choice;
    const auto out = [&](uint32_t p) { return static_cast<void *>(context.scratch + offsets[p]); };
    Timer timer(context.stream);
    for (uint32_t p = 0; p < args.part_count; p++) {
        const Plan &plan = plan_of(*context.blas, args, p);
        float least = 1e30f;
        for (const Algorithm &algorithm : candidates_of(*context.blas, plan)) {
            bool ran = true;
            void *to = pair ? static_cast<void *>(context.scratch + p * side_bytes(args)) : out(p);
            const float taken = timer.time([&] { ran = ran && multiply(context, plan, args, p, to, algorithm); });
            if (!ran || taken >= least) continue;
            least = taken;
            choice.algorithms[p] = algorithm;
        }
        if (least == 1e30f) return choice;
    }
    bool ran = true;
    const float theirs = timer.time([&] { ran = ran && multiply_all(context, args, choice.algorithms, out); });
    LinearArgs elsewhere = args;
    for (uint32_t p = 0; p < (pair ? 1 : args.part_count); p++) elsewhere.parts[p].out = out(p);
    const float own = timer.time([&] { ours(context, elsewhere); });
    choice.ours = !ran || own <= theirs;
    return choice;
}

// The choice's algorithms as they can do this number of rows; null where the library has none.
const Algorithms *checked_for(Blas &blas, Choice &choice, const LinearArgs &args) {
    if (const auto known = choice.checked.find(args.n); known != choice.checked.end()) return &known->second;
    if (choice.checked.size() >= kMostPlans) choice.checked.clear();
    Algorithms algorithms = choice.algorithms;
    for (uint32_t p = 0; p < args.part_count; p++) {
        const Plan &plan = plan_of(blas, args, p);
        Candidate result{};
        if (blas.functions.check(blas.handle, plan.product, plan.a, plan.b, plan.c, plan.c, &algorithms[p], &result) == 0 && result.workspace <= kWorkspace)
            continue;
        const std::vector<Algorithm> others = candidates_of(blas, plan);
        if (others.empty()) return nullptr;
        algorithms[p] = others[0];
    }
    return &choice.checked.emplace(args.n, algorithms).first->second;
}

// What is known of an op's kind, finding it out where that can be done; null where not.
Choice *choice_of(const Context &context, const LinearArgs &args, void (*ours)(const Context &, const LinearArgs &)) {
    if (context.blas == nullptr || !can_multiply(args)) return nullptr;
    Blas &blas = *context.blas;
    if (args.epilogue == Epilogue::SILU_MUL && 2 * side_bytes(args) > context.scratch_bytes) return nullptr;
    const Kind kind = kind_of(args);
    if (const auto known = blas.choices.find(kind); known != blas.choices.end()) return &known->second;
    cudaStreamCaptureStatus capturing = cudaStreamCaptureStatusNone;
    check(cudaStreamIsCapturing(context.stream, &capturing), "asking whether a recording is made");
    if (capturing != cudaStreamCaptureStatusNone) return nullptr;
    return &blas.choices.emplace(kind, find_choice(context, args, ours)).first->second;
}

} // namespace

Blas *load_blas(std::string &why_not) {
    void *library = nullptr;
    for (const char *name : {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"})
        if ((library = dlopen(name, RTLD_NOW | RTLD_LOCAL)) != nullptr) break;
    if (library == nullptr) {
        why_not = "there is no libcublasLt";
        return nullptr;
    }
    auto blas = std::make_unique<Blas>();
    if (!find_all(library, blas->functions)) {
        why_not = "libcublasLt lacks a function";
        return nullptr;
    }
    if (cudaMalloc(&blas->workspace, kWorkspace) != cudaSuccess || blas->functions.create(&blas->handle) != 0) {
        cudaGetLastError();
        cudaFree(blas->workspace);
        why_not = "libcublasLt cannot be started";
        return nullptr;
    }
    return blas.release();
}

void unload_blas(Blas *blas) {
    blas->plans.clear();
    blas->functions.destroy(blas->handle);
    cudaFree(blas->workspace);
    delete blas;
}

void prepare_blas(const Context &context, const LinearArgs &args, void (*ours)(const Context &, const LinearArgs &)) { choice_of(context, args, ours); }

bool launch_blas(const Context &context, const LinearArgs &args, void (*ours)(const Context &, const LinearArgs &)) {
    Choice *choice = choice_of(context, args, ours);
    if (choice == nullptr || choice->ours) return false;
    const Algorithms *algorithms = checked_for(*context.blas, *choice, args);
    if (algorithms == nullptr) return false;
    if (!multiply_all(context, args, *algorithms, [&](uint32_t p) { return args.parts[p].out; }))
        fail(INTARSIA_DEVICE_FAULT, "cuBLASLt refused a product of %u rows", args.n);
    return true;
}

std::string version_line(const Blas &blas) { return "cublasLt " + std::to_string(blas.functions.version()) + "\n"; }

std::string choice_line(const Blas &blas, const LinearArgs &args) {
    const auto known = blas.choices.find(kind_of(args));
    if (known == blas.choices.end()) return "";
    std::ostringstream text;
    for (const uint32_t number : known->first) text << number << ' ';
    text << known->second.ours;
    for (uint32_t p = 0; !known->second.ours && p < 3; p++)
        for (const uint64_t word : known->second.algorithms[p].data) text << ' ' << word;
    text << '\n';
    return text.str();
}

void adopt(Blas &blas, const std::string &choices) {
    std::istringstream text(choices);
    std::string line, name;
    size_t version = 0;
    if (!std::getline(text, line) || !(std::istringstream(line) >> name >> version) || name != "cublasLt" || version != blas.functions.version()) return;
    while (std::getline(text, line)) {
        std::istringstream numbers(line);
        Kind kind{};
        Choice choice;
        for (uint32_t &number : kind) numbers >> number;
        numbers >> choice.ours;
        for (uint32_t p = 0; !choice.ours && p < 3; p++)
            for (uint64_t &word : choice.algorithms[p].data) numbers >> word;
        if (!numbers) return;
        blas.choices.emplace(kind, choice);
    }
}

} // namespace intarsia::cuda
