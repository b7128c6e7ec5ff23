// Products on Hopper that do besides what comes before and after them, against the same calls one by one. Skipped, with a reason, where there is no device.
#if defined(__CUDACC__)
#pragma nv_diag_suppress 177 // of what TEST_F declares
#endif

#include <cmath>
#include <cstdio>

#include "cuda/kernels.h"
#include "cuda/linear.h"
#include "cuda_device.h"
#include "reference.h"

namespace intarsia {
namespace {

using cpu::Epilogue;
using cpu::Storage;
using cuda::Around;
using cuda::WgmmaShape;
using test::Numbers;
using test::OnDevice;
using Floats = std::vector<float>;

constexpr uint32_t kDim = 128;

struct Model {
    uint32_t hidden, heads, kv_heads, wide;
    bool norms, rope;
};
constexpr Model kModels[] = {{1024, 16, 8, 3072, true, true}, {256, 2, 1, 328, false, true}, {328, 3, 3, 96, true, false}, {2048, 4, 2, 512, true, true}};

std::vector<uint16_t> narrow(const Floats &x) {
    std::vector<uint16_t> out;
    for (const float v : x) out.push_back(reference::to_bf16(v));
    return out;
}

// What a layer does from attention's output on, and to the next attention: calls over buffers that are NaN until they are written.
class Layer {
public:
    Layer(const Model &model, uint32_t n, uint32_t seed) : model_(model), n_(n), numbers_(seed) {
        attended_ = half(n, q_width(), 1);
        out_ = half(model.hidden, q_width(), 1 / std::sqrt(static_cast<float>(q_width())));
        gate_ = half(model.wide, model.hidden, 2 / std::sqrt(static_cast<float>(model.hidden)));
        up_ = half(model.wide, model.hidden, 2 / std::sqrt(static_cast<float>(model.hidden)));
        q_ = half(q_width(), model.hidden, 1 / std::sqrt(static_cast<float>(model.hidden)));
        k_ = half(k_width(), model.hidden, 1 / std::sqrt(static_cast<float>(model.hidden)));
        v_ = half(k_width(), model.hidden, 1 / std::sqrt(static_cast<float>(model.hidden)));
        residual_ = whole(n, model.hidden, 3);
        norm_weight_ = whole(1, model.hidden, 1);
        head_weights_ = whole(2, kDim, 1);
        table_ = whole(n, kDim, 1);
        std::vector<int32_t> slots;
        for (uint32_t i = 0; i < n; ++i) {
            slots.push_back(i % 7 == 5 ? -1 : static_cast<int32_t>((i * 13 + 3) % (blocks() * 16)));
        }
        slots_ = std::make_unique<OnDevice<int32_t>>(slots);
        sum_ = std::make_unique<OnDevice<float>>(size_t{n} * model.hidden);
        normed_ = std::make_unique<OnDevice<uint16_t>>(size_t{n} * model.hidden);
        product_ = std::make_unique<OnDevice<uint16_t>>(size_t{n} * model.wide);
        raw_ = std::make_unique<OnDevice<float>>(size_t{n} * (q_width() + 2 * k_width()));
        queries_ = std::make_unique<OnDevice<uint16_t>>(size_t{n} * q_width());
        keys_ = std::make_unique<OnDevice<uint16_t>>(size_t{blocks()} * 16 * k_width());
        values_ = std::make_unique<OnDevice<uint16_t>>(size_t{blocks()} * 16 * k_width());
    }

    // All that calls write is NaN again.
    void wipe() {
        const auto blank = [](auto &memory) { test::expect_ok(cudaMemset(memory->data(), 0xFF, memory->bytes())); };
        blank(sum_), blank(normed_), blank(product_), blank(raw_), blank(queries_), blank(keys_), blank(values_);
        test::expect_ok(cudaDeviceSynchronize());
    }

    cpu::LinearArgs add() const {
        cpu::LinearArgs args{};
        args.x = attended_->data();
        args.n = n_;
        args.parts[0] = {{out_->data(), model_.hidden, q_width(), Storage::BF16}, nullptr, sum_->data()};
        args.part_count = 1;
        args.epilogue = Epilogue::ADD;
        args.residual = residual_->data();
        return args;
    }
    cpu::NormArgs norm() const {
        return {sum_->data(), norm_weight_->data(), normed_->data(), n_, model_.hidden, model_.hidden, 1e-5f, Storage::BF16, 0, false, true};
    }
    cpu::LinearArgs gate_and_up() const {
        cpu::LinearArgs args{};
        args.x = normed_->data();
        args.n = n_;
        args.parts[0] = {{gate_->data(), model_.wide, model_.hidden, Storage::BF16}, nullptr, product_->data()};
        args.parts[1] = {{up_->data(), model_.wide, model_.hidden, Storage::BF16}, nullptr, nullptr};
        args.part_count = 2;
        args.epilogue = Epilogue::SILU_MUL;
        args.out_storage = Storage::BF16;
        return args;
    }
    cpu::LinearArgs qkv() const {
        cpu::LinearArgs args{};
        args.x = normed_->data();
        args.n = n_;
        args.parts[0] = {{q_->data(), q_width(), model_.hidden, Storage::BF16}, nullptr, raw_->data()};
        args.parts[1] = {{k_->data(), k_width(), model_.hidden, Storage::BF16}, nullptr, raw_->data() + size_t{n_} * q_width()};
        args.parts[2] = {{v_->data(), k_width(), model_.hidden, Storage::BF16}, nullptr, raw_->data() + size_t{n_} * (q_width() + k_width())};
        args.part_count = 3;
        args.out_storage = Storage::F32;
        return args;
    }
    cpu::QkvArgs heads() const {
        const cpu::LinearArgs from = qkv();
        const float *table = model_.rope ? table_->data() : nullptr, *weights = model_.norms ? head_weights_->data() : nullptr;
        cpu::QkvArgs args{};
        args.q = {static_cast<float *>(from.parts[0].out), weights, table, queries_->data(), model_.heads, kDim, 1e-5f, Storage::BF16};
        args.k = {static_cast<float *>(from.parts[1].out), weights ? weights + kDim : nullptr, table, nullptr, model_.kv_heads, kDim, 1e-5f, Storage::BF16};
        args.v = static_cast<float *>(from.parts[2].out);
        args.slots = slots_->data();
        args.cache = {keys_->data(), values_->data(), model_.kv_heads, kDim, Storage::BF16};
        args.n = n_;
        args.passing = true;
        return args;
    }

    struct Result {
        Floats sum, product, queries, keys, values;
    };
    Result read() const {
        EXPECT_TRUE(sum_->intact() && normed_->intact() && product_->intact() && queries_->intact() && keys_->intact() && values_->intact());
        return {sum_->get(), wide(*product_), wide(*queries_), wide(*keys_), wide(*values_)};
    }

    const Model &model() const { return model_; }
    uint32_t q_width() const { return model_.heads * kDim; }
    uint32_t k_width() const { return model_.kv_heads * kDim; }
    uint32_t blocks() const { return n_ / 16 + 2; }

private:
    std::unique_ptr<OnDevice<uint16_t>> half(uint32_t rows, uint32_t width, float scale) { return std::make_unique<OnDevice<uint16_t>>(narrow(drawn(rows, width, scale))); }
    std::unique_ptr<OnDevice<float>> whole(uint32_t rows, uint32_t width, float scale) { return std::make_unique<OnDevice<float>>(drawn(rows, width, scale)); }
    Floats drawn(uint32_t rows, uint32_t width, float scale) {
        Floats x = numbers_.values(size_t{rows} * width);
        for (float &v : x) v *= scale;
        return x;
    }
    static Floats wide(const OnDevice<uint16_t> &from) {
        Floats out;
        for (const uint16_t v : from.get()) out.push_back(reference::from_bf16(v));
        return out;
    }

    Model model_;
    uint32_t n_;
    Numbers numbers_;
    std::unique_ptr<OnDevice<uint16_t>> attended_, out_, gate_, up_, q_, k_, v_, normed_, product_, queries_, keys_, values_;
    std::unique_ptr<OnDevice<float>> residual_, norm_weight_, head_weights_, table_, sum_, raw_;
    std::unique_ptr<OnDevice<int32_t>> slots_;
};

// The largest relative L2 error of a group of elements; infinite where one has numbers and the other has none.
double worst(const Floats &got, const Floats &want, uint32_t group) {
    double largest = 0;
    for (size_t i = 0; i < want.size(); i += group) {
        double off = 0, norm = 1e-30;
        for (size_t j = i; j < i + group; ++j) {
            if (std::isnan(got[j]) != std::isnan(want[j])) return INFINITY;
            if (std::isnan(want[j])) continue;
            off += (double{got[j]} - want[j]) * (double{got[j]} - want[j]);
            norm += double{want[j]} * want[j];
        }
        largest = std::max(largest, std::sqrt(off / norm));
    }
    return largest;
}

class CudaTogether : public test::CudaTest {
protected:
    void SetUp() override {
        test::CudaTest::SetUp();
        if (IsSkipped()) return;
        int major = 0;
        test::expect_ok(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0));
        if (major != 9) GTEST_SKIP() << "no Hopper";
    }

    // One by one, where every call has kernels that are tested by themselves.
    Layer::Result alone(Layer &layer, const std::vector<KernelArgs> &calls) {
        layer.wipe();
        return run(layer, [&] {
            context.deterministic = true;
            for (const KernelArgs &call : calls) std::visit([&](const auto &args) { cuda::launch(context, args); }, call);
            context.deterministic = false;
        });
    }
    template <class Body> Layer::Result run(Layer &layer, Body body) {
        test::expect_ok(cudaDeviceSynchronize());
        body();
        finish();
        return layer.read();
    }

    // bf16 rounds before a row is scaled and not after.
    void expect_close(const Layer::Result &got, const Layer::Result &want, const Layer &layer, const std::string &what) {
        EXPECT_LT(worst(got.sum, want.sum, layer.model().hidden), 1e-5) << what;
        EXPECT_LT(worst(got.product, want.product, layer.model().wide), 8e-3) << what;
        EXPECT_LT(worst(got.queries, want.queries, kDim), 1.2e-2) << what;
        EXPECT_LT(worst(got.keys, want.keys, kDim), 1.2e-2) << what;
        EXPECT_LT(worst(got.values, want.values, kDim), 1.2e-2) << what;
    }

    // With so few multiprocessors that blocks have many tiles each.
    cuda::Context with(int processors) const {
        cuda::Context some = context;
        some.multiprocessors = processors;
        return some;
    }
    std::vector<std::pair<WgmmaShape, int>> on_all_and_few(const std::vector<WgmmaShape> &shapes) const {
        std::vector<std::pair<WgmmaShape, int>> all;
        for (const WgmmaShape &shape : shapes) {
            all.emplace_back(shape, context.multiprocessors);
            if (shape.shares == 0) all.emplace_back(shape, 4);
        }
        return all;
    }

    std::vector<WgmmaShape> shapes(uint32_t k, uint32_t n) const {
        std::vector<WgmmaShape> all = {{128, 128, 0}, {192, 128, 0}, {256, 128, 0}};
        for (const uint32_t outputs : {64u, 128u})
            for (const uint32_t rows : {16u, 32u, 64u, 128u})
                for (const uint32_t shares : {1u, 2u, 4u, 8u})
                    if (shares <= (k + 63) / 64 && n <= 4 * rows) all.push_back({outputs, rows, shares});
        return all;
    }
};

std::string text(const WgmmaShape &s) { return std::to_string(s.outputs) + " x " + std::to_string(s.rows) + " / " + std::to_string(s.shares); }

TEST_F(CudaTogether, CallsThatAreDoneAsOne) {
    for (const Model &model : kModels) {
        for (const uint32_t n : {9u, 16u, 32u, 33u, 64u, 65u, 128u, 200u, 513u, 1100u}) {
            Layer layer(model, n, n + model.hidden);
            const bool apart = n > 32 && n <= 64; // then the heads are made ready by themselves
            const std::string what = std::to_string(model.hidden) + ", " + std::to_string(n) + " rows";
            const auto check = [&](const auto &calls_of, uint32_t count) {
                const auto want = alone(layer, calls_of());
                layer.wipe();
                const std::vector<KernelArgs> calls = calls_of();
                const auto got = run(layer, [&] {
                    EXPECT_EQ(cuda::launch_together(context, calls.data(), static_cast<uint32_t>(calls.size()), true), count) << what;
                    EXPECT_EQ(cuda::launch_together(context, calls.data(), static_cast<uint32_t>(calls.size())), count) << what;
                    if (count < calls.size()) cuda::launch(context, std::get<cpu::QkvArgs>(calls[count]));
                });
                expect_close(got, want, layer, what + ", " + std::to_string(count) + " calls");
            };
            check([&] { return std::vector<KernelArgs>{layer.add(), layer.norm(), layer.gate_and_up()}; }, 3);
            check([&] { return std::vector<KernelArgs>{layer.add(), layer.norm(), layer.qkv(), layer.heads()}; }, apart ? 3 : 4);
        }
    }
}

// The product of heads by itself: over what a norm has written.
TEST_F(CudaTogether, HeadsInEveryShape) {
    for (const Model &model : kModels) {
        for (const uint32_t n : {1u, 33u, 300u, 590u}) {
            Layer layer(model, n, 7 * n + model.hidden);
            const auto norm_of = [&] { cuda::launch(context, layer.norm()); };
            const auto want = alone(layer, {layer.add(), layer.norm(), layer.qkv(), layer.heads()});
            for (const auto &[shape, processors] : on_all_and_few(shapes(model.hidden, n))) {
                if (shape.outputs != 128 && shape.outputs != 256) continue;
                layer.wipe();
                ASSERT_TRUE(cuda::can_attend(layer.qkv(), layer.heads()));
                const auto got = run(layer, [&] {
                    context.deterministic = true;
                    cuda::launch(context, layer.add());
                    norm_of();
                    context.deterministic = false;
                    Around around;
                    around.attends = true;
                    around.heads = layer.heads();
                    cuda::launch_wgmma(with(processors), layer.qkv(), shape, around);
                });
                EXPECT_LT(worst(got.queries, want.queries, kDim), 6e-3) << text(shape) << ", " << n << " rows";
                EXPECT_LT(worst(got.keys, want.keys, kDim), 6e-3) << text(shape) << ", " << n << " rows";
                EXPECT_LT(worst(got.values, want.values, kDim), 6e-3) << text(shape) << ", " << n << " rows";
            }
        }
    }
}

// Every shape of the first product with one of the second, and one of the first with every shape of the second.
TEST_F(CudaTogether, NormsInEveryShape) {
    OnDevice<float> squares(size_t{2048} * cuda::kSquareParts);
    for (const Model &model : kModels) {
        for (const uint32_t n : {1u, 40u, 600u}) {
            Layer layer(model, n, 11 * n + model.hidden);
            const auto want = alone(layer, {layer.add(), layer.norm(), layer.gate_and_up()});
            const auto check = [&](WgmmaShape first, WgmmaShape second, int processors) {
                layer.wipe();
                const auto got = run(layer, [&] {
                    Around before, after;
                    before.normed = const_cast<void *>(layer.gate_and_up().x);
                    before.norm_weight = layer.norm().weight;
                    before.next_squares = squares.data();
                    cuda::launch_wgmma(with(processors), layer.add(), first, before);
                    after.squares = squares.data();
                    after.square_parts = (model.hidden + first.outputs - 1) / first.outputs;
                    after.eps = 1e-5f;
                    cuda::launch_wgmma(with(processors), layer.gate_and_up(), second, after);
                });
                EXPECT_LT(worst(got.sum, want.sum, model.hidden), 1e-5) << text(first) << ", " << n << " rows";
                EXPECT_LT(worst(got.product, want.product, model.wide), 8e-3) << text(first) << " and " << text(second) << ", " << n << " rows";
            };
            for (const auto &[first, processors] : on_all_and_few(shapes(model.heads * kDim, n)))
                if ((model.hidden + first.outputs - 1) / first.outputs <= cuda::kSquareParts) check(first, {128, 128, 0}, processors);
            for (const auto &[second, processors] : on_all_and_few(shapes(model.hidden, n))) check({256, 128, 0}, second, processors);
        }
    }
}

TEST_F(CudaTogether, NotWhereItMustNotBe) {
    Layer layer(kModels[0], 65, 5), smaller(kModels[0], 64, 5);
    const auto done = [&](std::vector<KernelArgs> calls) { return cuda::launch_together(context, calls.data(), static_cast<uint32_t>(calls.size()), true); };
    context.deterministic = false;
    EXPECT_EQ(done({layer.add(), layer.norm(), layer.gate_and_up()}), 3u);
    EXPECT_EQ(done({layer.qkv(), layer.heads()}), 2u);
    EXPECT_EQ(done({smaller.qkv(), smaller.heads()}), 0u);
    EXPECT_EQ(done({layer.add(), layer.norm()}), 0u);
    EXPECT_EQ(done({layer.gate_and_up()}), 0u);
    EXPECT_EQ(done({layer.norm(), layer.gate_and_up()}), 0u);

    cpu::NormArgs norm = layer.norm();
    norm.passing = false; // somebody else reads it
    EXPECT_EQ(done({layer.add(), norm, layer.gate_and_up()}), 0u);
    norm = layer.norm();
    norm.out = const_cast<void *>(layer.add().x); // the same place at another time
    cpu::LinearArgs over = layer.gate_and_up();
    over.x = norm.out;
    EXPECT_EQ(done({layer.add(), norm, over}), 0u);
    cpu::QkvArgs heads = layer.heads();
    heads.passing = false;
    EXPECT_EQ(done({layer.qkv(), heads}), 0u);
    EXPECT_EQ(done({layer.add(), layer.norm(), layer.qkv(), heads}), 3u);
    heads = layer.heads();
    heads.q.out = const_cast<void *>(layer.qkv().x);
    EXPECT_EQ(done({layer.qkv(), heads}), 0u);

    context.deterministic = true; // bits would depend on the number of rows
    EXPECT_EQ(done({layer.add(), layer.norm(), layer.gate_and_up()}), 0u);
    EXPECT_EQ(done({layer.qkv(), layer.heads()}), 0u);
    Layer small(kModels[0], 8, 5);
    context.deterministic = false;
    EXPECT_EQ(done({small.add(), small.norm(), small.gate_and_up()}), 0u);
}

} // namespace
} // namespace intarsia
