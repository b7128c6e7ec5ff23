// Linear ops on a CUDA device against sums in f64, and row by row against the same op with one row: the bits may not depend on how many rows there are, on
// how the work is cut or on whether a norm is part of it. Skipped, with a reason, where there is no device.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "cuda/blas.h"
#include "cuda/kernels.h"
#include "cuda/linear.h"
#include "cuda/opened.h"

namespace intarsia::cuda {
namespace {

using cpu::Epilogue;
using cpu::LinearArgs;
using cpu::NormArgs;
using cpu::Storage;

#define NEEDS_CUDA()                                                                                                                           \
    int devices = 0;                                                                                                                           \
    if (const cudaError_t error = cudaGetDeviceCount(&devices); error != cudaSuccess || devices == 0) {                                        \
        GTEST_SKIP() << "no CUDA device: " << cudaGetErrorString(error);                                                                       \
    }

constexpr uint32_t kMostRows = 513;
constexpr uint32_t kRows[] = {1, 2, 3, 5, 8, 9, 16, 17, 31, 64, 65, 128, 200, 513};

class Memory {
public:
    explicit Memory(uint64_t bytes) : bytes_(bytes) {
        if (cudaMalloc(&data_, bytes + 256) != cudaSuccess) throw std::runtime_error("no device memory");
        poison();
    }
    template <typename T> explicit Memory(const std::vector<T> &from) : Memory(from.size() * sizeof(T)) {
        cudaMemcpy(data_, from.data(), bytes_, cudaMemcpyHostToDevice);
    }
    ~Memory() { cudaFree(data_); }
    Memory(const Memory &) = delete;
    Memory &operator=(const Memory &) = delete;

    void poison() {
        cudaMemset(data_, 0xFF, bytes_ + 256);
        cudaDeviceSynchronize();
    }
    std::vector<std::byte> read() const {
        std::vector<std::byte> to(bytes_);
        EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
        EXPECT_EQ(cudaMemcpy(to.data(), data_, bytes_, cudaMemcpyDeviceToHost), cudaSuccess);
        return to;
    }
    void copy(const Memory &from) { cudaMemcpy(data_, from.data_, bytes_, cudaMemcpyDeviceToDevice); }
    void *data() const { return data_; }
    float *floats() const { return static_cast<float *>(data_); }

private:
    void *data_ = nullptr;
    uint64_t bytes_;
};

uint16_t bf16(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}
float from_bf16(uint16_t value) {
    const uint32_t bits = uint32_t{value} << 16;
    float to;
    std::memcpy(&to, &bits, 4);
    return to;
}

std::mt19937 &random_bits() {
    static std::mt19937 bits(std::random_device{}());
    return bits;
}
std::vector<float> random_floats(uint64_t count, float scale) {
    std::normal_distribution<float> normal(0, scale);
    std::vector<float> values(count);
    for (float &value : values) value = normal(random_bits());
    return values;
}

// A matrix of random values on the device, and what it holds.
struct Random {
    std::vector<float> values; // [rows, width]
    std::unique_ptr<Memory> memory;

    Random(uint32_t rows, uint32_t width, Storage storage, float scale) : values(random_floats(uint64_t{rows} * width, scale)) {
        if (storage == Storage::F32) {
            memory = std::make_unique<Memory>(values);
            return;
        }
        const uint32_t stride = cpu::stride(width, storage);
        std::vector<uint16_t> narrow(uint64_t{rows} * stride);
        for (uint32_t r = 0; r < rows; r++)
            for (uint32_t i = 0; i < width; i++) {
                narrow[uint64_t{r} * stride + i] = bf16(values[uint64_t{r} * width + i]);
                values[uint64_t{r} * width + i] = from_bf16(narrow[uint64_t{r} * stride + i]);
            }
        memory = std::make_unique<Memory>(narrow);
    }
};

// Weights are row-major without padding, as the kernels have them.
struct Weights {
    std::vector<float> values;
    std::unique_ptr<Memory> memory;

    Weights(uint32_t n, uint32_t k, Storage storage) : values(random_floats(uint64_t{n} * k, 1 / std::sqrt(static_cast<float>(k)))) {
        if (storage == Storage::F32) {
            memory = std::make_unique<Memory>(values);
            return;
        }
        std::vector<uint16_t> narrow(values.size());
        for (size_t i = 0; i < values.size(); i++) values[i] = from_bf16(narrow[i] = bf16(values[i]));
        memory = std::make_unique<Memory>(narrow);
    }
};

struct Case {
    const char *name;
    Storage storage;
    uint32_t k;
    std::vector<uint32_t> outputs;
    Epilogue epilogue;
    Storage out;
    bool bias;
    uint32_t most_rows = kMostRows;
};

const Case kCases[] = {
    {"q, k and v", Storage::BF16, 1024, {2048, 1024, 1024}, Epilogue::STORE, Storage::F32, false},
    {"attention's output", Storage::BF16, 2048, {1024}, Epilogue::ADD, Storage::F32, false},
    {"gate and up", Storage::BF16, 1024, {3072, 3072}, Epilogue::SILU_MUL, Storage::BF16, false},
    {"down", Storage::BF16, 3072, {1024}, Epilogue::ADD, Storage::F32, false},
    {"small parts", Storage::BF16, 64, {100, 33, 7}, Epilogue::STORE, Storage::BF16, true},
    {"no step", Storage::BF16, 48, {96}, Epilogue::STORE, Storage::F32, true},
    {"odd", Storage::BF16, 11, {11, 5}, Epilogue::STORE, Storage::BF16, false},
    {"odd gate and up", Storage::BF16, 96, {37, 37}, Epilogue::SILU_MUL, Storage::BF16, true},
    {"odd gate and up, f32", Storage::BF16, 33, {37, 37}, Epilogue::SILU_MUL, Storage::F32, true},
    {"one slice", Storage::BF16, 128, {333}, Epilogue::STORE, Storage::F32, false},
    {"a short slice", Storage::BF16, 1056, {200}, Epilogue::ADD, Storage::F32, true},
    {"long slices", Storage::BF16, 4096, {520}, Epilogue::STORE, Storage::F32, false},
    {"longer than the ring", Storage::BF16, 9728, {264}, Epilogue::STORE, Storage::BF16, false, 65},
    {"many tiles", Storage::BF16, 256, {20001}, Epilogue::STORE, Storage::F32, false, 65},
    {"many gates", Storage::BF16, 64, {9001, 9001}, Epilogue::SILU_MUL, Storage::BF16, false, 65},
    {"inputs past the last box", Storage::BF16, 1096, {200, 72}, Epilogue::STORE, Storage::BF16, false},
    {"a box of inputs and a half", Storage::BF16, 96, {328}, Epilogue::ADD, Storage::F32, false},
    {"gates past the last tile", Storage::BF16, 160, {72, 72}, Epilogue::SILU_MUL, Storage::BF16, false},
    {"f32", Storage::F32, 1024, {256, 128}, Epilogue::STORE, Storage::F32, false},
    {"f32, gate and up", Storage::F32, 33, {37, 37}, Epilogue::SILU_MUL, Storage::F32, true},
    {"f32, add", Storage::F32, 100, {77}, Epilogue::ADD, Storage::F32, true},
};

// An op with its inputs, and room for its outputs.
class Op {
public:
    explicit Op(const Case &what, uint32_t rows) : case_(what), rows_(rows), x_(rows, what.k, what.storage, 1) {
        for (const uint32_t n : what.outputs) {
            weights_.emplace_back(n, what.k, what.storage);
            biases_.emplace_back(1, n, Storage::F32, 0.5f);
        }
        if (what.epilogue == Epilogue::ADD) residual_ = std::make_unique<Random>(rows, what.outputs[0], Storage::F32, 1);
        for (size_t p = 0; p < outs(); p++) out_.push_back(std::make_unique<Memory>(uint64_t{rows} * row_bytes(p)));
    }

    size_t outs() const { return case_.epilogue == Epilogue::SILU_MUL ? 1 : case_.outputs.size(); }
    uint32_t stride(size_t p) const { return cpu::stride(case_.outputs[p], case_.out); }
    uint32_t row_bytes(size_t p) const { return stride(p) * cpu::element_bytes(case_.out); }

    // Rows first .. first + n - 1, each to its place.
    LinearArgs args(uint32_t first, uint32_t n) const {
        LinearArgs args{};
        args.x = static_cast<std::byte *>(x_.memory->data()) + uint64_t{first} * cpu::stride(case_.k, case_.storage) * cpu::element_bytes(case_.storage);
        args.n = n;
        args.part_count = static_cast<uint32_t>(case_.outputs.size());
        for (uint32_t p = 0; p < args.part_count; p++)
            args.parts[p] = {{weights_[p].memory->data(), case_.outputs[p], case_.k, case_.storage}, case_.bias ? biases_[p].memory->floats() : nullptr,
                             p < outs() ? static_cast<std::byte *>(out_[p]->data()) + uint64_t{first} * row_bytes(p) : nullptr};
        args.epilogue = case_.epilogue;
        if (residual_ != nullptr) args.residual = residual_->memory->floats() + uint64_t{first} * case_.outputs[0];
        args.out_storage = case_.out;
        return args;
    }

    void poison() {
        for (auto &out : out_) out->poison();
    }
    // The rows of all outputs, one after the other.
    std::vector<std::vector<std::byte>> read() const {
        std::vector<std::vector<std::byte>> all;
        for (const auto &out : out_) all.push_back(out->read());
        return all;
    }

    // In f64, exact inputs.
    std::vector<double> row(uint32_t r, size_t p) const {
        const auto dot = [&](size_t part, uint32_t o) {
            double sum = case_.bias ? double{biases_[part].values[o]} : 0;
            for (uint32_t i = 0; i < case_.k; i++) sum += double{x_.values[uint64_t{r} * case_.k + i]} * weights_[part].values[uint64_t{o} * case_.k + i];
            return sum;
        };
        std::vector<double> out(case_.outputs[p]);
        for (uint32_t o = 0; o < out.size(); o++) {
            out[o] = dot(p, o);
            if (case_.epilogue == Epilogue::ADD) out[o] += residual_->values[uint64_t{r} * out.size() + o];
            if (case_.epilogue == Epilogue::SILU_MUL) out[o] = out[o] / (1 + std::exp(-out[o])) * dot(1, o);
        }
        return out;
    }

    // Of a row, the relative L2 error; infinite for NaN.
    double error(const std::vector<std::byte> &bytes, uint32_t r, size_t p) const {
        const std::vector<double> want = row(r, p);
        double off = 0, norm = 0;
        for (uint32_t o = 0; o < want.size(); o++) {
            const double difference = element(bytes, r, p, o) - want[o];
            off += difference * difference;
            norm += want[o] * want[o];
        }
        const double error = std::sqrt(off / norm);
        return std::isnan(error) ? INFINITY : error;
    }
    float element(const std::vector<std::byte> &bytes, uint32_t r, size_t p, uint32_t o) const {
        const uint64_t at = uint64_t{r} * stride(p) + o;
        if (case_.out == Storage::F32) return reinterpret_cast<const float *>(bytes.data())[at];
        return from_bf16(reinterpret_cast<const uint16_t *>(bytes.data())[at]);
    }
    double bound() const { return case_.out == Storage::BF16 ? 4e-3 : case_.storage == Storage::F32 ? 2e-6 : 1e-5; }
    Random *residual() { return residual_.get(); }
    Memory &out(size_t p) { return *out_[p]; }

private:
    const Case &case_;
    uint32_t rows_;
    Random x_;
    std::vector<Weights> weights_;
    std::vector<Random> biases_;
    std::unique_ptr<Random> residual_;
    std::vector<std::unique_ptr<Memory>> out_;
};

// The first row and element of it that differ, or "".
std::string difference(const Op &op, const std::vector<std::vector<std::byte>> &got, const std::vector<std::vector<std::byte>> &want, uint32_t n) {
    for (size_t p = 0; p < want.size(); p++)
        for (uint32_t r = 0; r < n; r++) {
            const uint64_t at = uint64_t{r} * op.row_bytes(p);
            if (std::memcmp(got[p].data() + at, want[p].data() + at, op.row_bytes(p)) == 0) continue;
            for (uint32_t o = 0; o < op.stride(p); o++)
                if (const float a = op.element(got[p], r, p, o), b = op.element(want[p], r, p, o); std::memcmp(&a, &b, 4) != 0)
                    return "part " + std::to_string(p) + " row " + std::to_string(r) + " output " + std::to_string(o) + ": " + std::to_string(a) +
                           ", not " + std::to_string(b);
        }
    return "";
}

// Past row n everything is as it was.
bool untouched(const Op &op, const std::vector<std::vector<std::byte>> &got, uint32_t n) {
    for (size_t p = 0; p < got.size(); p++)
        for (size_t i = uint64_t{n} * op.row_bytes(p); i < got[p].size(); i++)
            if (got[p][i] != std::byte{0xFF}) return false;
    return true;
}

std::vector<std::vector<std::byte>> alone(const Context &context, Op &op, uint32_t rows) {
    op.poison();
    for (uint32_t r = 0; r < rows; r++) launch(context, op.args(r, 1));
    return op.read();
}

TEST(CudaLinear, EachRowIsThatOfTheRowAlone) {
    NEEDS_CUDA();
    GpuContext context(0, true, uint64_t{2} << 30);
    for (const Case &what : kCases) {
        SCOPED_TRACE(what.name);
        Op op(what, what.most_rows);
        const auto want = alone(context, op, what.most_rows);
        double worst = 0;
        for (size_t p = 0; p < op.outs(); p++) {
            for (const uint32_t r : {0u, 1u, 7u, 8u, 64u, 512u})
                if (r < what.most_rows) worst = std::max(worst, op.error(want[p], r, p));
            if (what.out == Storage::BF16 && what.outputs[p] % 2 != 0)
                for (uint32_t r = 0; r < what.most_rows; r++) EXPECT_EQ(op.element(want[p], r, p, what.outputs[p]), 0) << "padding of row " << r;
        }
        EXPECT_LT(worst, op.bound());
        std::printf("  %-24s error %.2e\n", what.name, worst);
        for (const uint32_t n : kRows) {
            if (n > what.most_rows) continue;
            op.poison();
            launch(context, op.args(0, n));
            const auto got = op.read();
            EXPECT_EQ(difference(op, got, want, n), "") << "of " << n << " rows";
            EXPECT_TRUE(untouched(op, got, n)) << n << " rows";
        }
    }
}

TEST(CudaLinear, HowTheWorkIsCutChangesNoBit) {
    NEEDS_CUDA();
    GpuContext context(0, true, uint64_t{2} << 30);
    for (const Case &what : kCases) {
        SCOPED_TRACE(what.name);
        Op op(what, std::min(what.most_rows, 130u));
        const uint32_t most = std::min(what.most_rows, 130u);
        if (!can_slice(op.args(0, 1))) continue;
        const auto want = alone(context, op, most);
        for (const uint32_t n : {1u, 13u, most}) {
            for (const uint32_t tiles : {1u, 2u, 4u, 6u})
                for (const uint32_t blocks : {3u, 132u, 400u}) {
                    if (what.epilogue == Epilogue::SILU_MUL && tiles == 1) continue;
                    op.poison();
                    launch_stream(context, op.args(0, n), nullptr, {tiles, blocks});
                    EXPECT_EQ(difference(op, op.read(), want, n), "") << tiles << " tiles, " << blocks << " blocks, " << n << " rows";
                }
            for (const TileShape shape : {TileShape::LARGE, TileShape::WIDE, TileShape::SMALL}) {
                op.poison();
                launch_tiles(context, op.args(0, n), shape);
                EXPECT_EQ(difference(op, op.read(), want, n), "") << "shape " << static_cast<int>(shape) << ", " << n << " rows";
            }
        }
    }
}

// The norm as args.h defines it, on the host; then the op over what it gives, against both in one.
TEST(CudaLinear, ANormInFrontChangesNoBit) {
    NEEDS_CUDA();
    GpuContext context(0, true, uint64_t{2} << 30);
    for (const Case &what : kCases) {
        if (what.k > 2048) continue;
        SCOPED_TRACE(what.name);
        Op op(what, 8);
        const Random x(8, what.k, Storage::F32, 2), weight(1, what.k, Storage::F32, 1);
        constexpr float kEps = 1e-6f;
        std::vector<uint16_t> normed(8 * uint64_t{what.k});
        for (uint32_t r = 0; r < 8; r++) {
            const float *row = x.values.data() + uint64_t{r} * what.k;
            float lanes[16] = {};
            for (uint32_t i = 0; i < what.k; i++) lanes[i % 16] = std::fmaf(row[i], row[i], lanes[i % 16]);
            for (uint32_t step = 8; step > 0; step /= 2)
                for (uint32_t l = 0; l < step; l++) lanes[l] = lanes[l] + lanes[l + step];
            const volatile float mean = lanes[0] / static_cast<float>(what.k), shifted = mean + kEps, root = std::sqrt(shifted);
            const float inverse = 1.0f / root;
            for (uint32_t i = 0; i < what.k; i++) {
                const volatile float scaled = row[i] * inverse;
                normed[uint64_t{r} * what.k + i] = bf16(scaled * weight.values[i]);
            }
        }
        const Memory rounded(normed);
        for (uint32_t n = 1; n <= 8; n++) {
            LinearArgs plain = op.args(0, n);
            plain.x = rounded.data();
            const NormArgs norm{x.memory->floats(), weight.memory->floats(), nullptr, n, what.k, what.k, kEps, Storage::BF16};
            if (!can_launch(context, norm, plain)) {
                EXPECT_TRUE(what.storage == Storage::F32 || what.k % 32 != 0);
                break;
            }
            op.poison();
            launch(context, plain);
            const auto want = op.read();
            op.poison();
            LinearArgs fused = plain;
            fused.x = nullptr;
            launch(context, norm, fused);
            EXPECT_EQ(difference(op, op.read(), want, n), "") << n << " rows";
        }
    }
}

TEST(CudaLinear, TheLibraryComputesTheSame) {
    NEEDS_CUDA();
    GpuContext context(0, false, uint64_t{2} << 30);
    if (context.blas == nullptr) GTEST_SKIP() << context.no_blas;
    std::string why_not, lines = version_line(*context.blas);
    Blas *other = load_blas(why_not); // takes over what was found out
    ASSERT_NE(other, nullptr) << why_not;
    for (const Case &what : kCases) {
        SCOPED_TRACE(what.name);
        Op op(what, what.most_rows);
        for (const uint32_t n : {9u, 20u, 40u, 64u, 65u, 200u, 513u}) {
            if (n > what.most_rows) continue;
            op.poison();
            launch(context, op.args(0, n));
            const auto got = op.read();
            for (size_t p = 0; p < op.outs(); p++)
                for (const uint32_t r : {0u, n / 2, n - 1}) EXPECT_LT(op.error(got[p], r, p), op.bound()) << n << " rows, row " << r;
            EXPECT_TRUE(untouched(op, got, n)) << n << " rows";
            const std::string line = choice_line(*context.blas, op.args(0, n));
            adopt(*other, version_line(*context.blas) + line);
            EXPECT_EQ(choice_line(*other, op.args(0, n)), line) << n << " rows";
            lines += line;
        }
    }
    adopt(*other, "cublasLt 1\n1 2 3");
    adopt(*other, lines.substr(0, lines.size() / 2) + "garbage\n\n");
    unload_blas(other);
}

// Every shape of Hopper's kernels against the row alone, and some rows against f64.
TEST(CudaLinear, GroupsOfWarpsComputeTheSame) {
    NEEDS_CUDA();
    GpuContext context(0, true, uint64_t{2} << 30);
    for (const Case &what : kCases) {
        SCOPED_TRACE(what.name);
        Op op(what, what.most_rows);
        if (!can_wgmma(context, op.args(0, 1))) {
            EXPECT_TRUE(what.bias || what.storage == Storage::F32 || what.k % 8 != 0 || what.outputs[0] % 8 != 0 || context.multiprocessors < 100);
            continue;
        }
        const auto want = alone(context, op, what.most_rows);
        std::vector<WgmmaShape> shapes = {{128, 128, 0}, {192, 128, 0}, {256, 128, 0}};
        for (const uint32_t outputs : {64u, 128u})
            for (const uint32_t rows : {16u, 32u, 64u, 128u})
                for (const uint32_t shares : {1u, 2u, 4u, 8u})
                    if (shares <= (what.k + 63) / 64) shapes.push_back({outputs, rows, shares});
        double worst = 0;
        for (const WgmmaShape shape : shapes)
            for (const uint32_t n : {1u, 16u, 65u, 200u, 513u}) {
                if (n > what.most_rows || (shape.shares != 0 && n > 4 * shape.rows)) continue;
                op.poison();
                launch_wgmma(context, op.args(0, n), shape);
                const auto got = op.read();
                SCOPED_TRACE("shape " + std::to_string(shape.outputs) + " x " + std::to_string(shape.rows) + "/" + std::to_string(shape.shares) + ", " + std::to_string(n) + " rows");
                EXPECT_TRUE(untouched(op, got, n));
                for (size_t p = 0; p < op.outs(); p++) {
                    EXPECT_LT(op.error(got[p], n - 1, p), op.bound());
                    for (uint32_t r = 0; r < n; r++) {
                        double off = 0, norm = 0;
                        for (uint32_t o = 0; o < what.outputs[p]; o++) {
                            const double a = op.element(got[p], r, p, o), b = op.element(want[p], r, p, o);
                            off += (a - b) * (a - b);
                            norm += b * b;
                        }
                        const double error = std::sqrt(off / norm);
                        worst = std::max(worst, std::isnan(error) ? INFINITY : error);
                        if (!(error < op.bound())) {
                            ADD_FAILURE() << "part " << p << " row " << r << " is off by " << error;
                            break;
                        }
                    }
                }
            }
        std::printf("  %-26s off by %.2e\n", what.name, worst);
    }
}

// In place, one after the other, captured and replayed with other inputs: each replay adds once more.
TEST(CudaLinear, RecordedAndReplayed) {
    NEEDS_CUDA();
    for (const bool deterministic : {true, false})
        for (const uint32_t n : {1u, 8u, 20u, 100u}) {
            GpuContext context(0, deterministic, uint64_t{2} << 30);
            Op op(kCases[1], n);
            LinearArgs args = op.args(0, n);
            op.out(0).copy(*op.residual()->memory);
            args.residual = op.out(0).floats();
            for (int i = 0; i < 6; i++) {
                launch(context, args);
                cudaStreamSynchronize(context.stream);
            }
            const auto want = op.read();
            op.out(0).copy(*op.residual()->memory);
            cudaGraph_t graph = nullptr;
            cudaGraphExec_t exec = nullptr;
            ASSERT_EQ(cudaStreamBeginCapture(context.stream, cudaStreamCaptureModeRelaxed), cudaSuccess);
            for (int i = 0; i < 3; i++) launch(context, args);
            ASSERT_EQ(cudaStreamEndCapture(context.stream, &graph), cudaSuccess);
            ASSERT_EQ(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
            for (int i = 0; i < 2; i++) ASSERT_EQ(cudaGraphLaunch(exec, context.stream), cudaSuccess);
            EXPECT_EQ(difference(op, op.read(), want, n), "") << n << " rows";
            cudaGraphExecDestroy(exec);
            cudaGraphDestroy(graph);
        }
}

} // namespace
} // namespace intarsia::cuda
