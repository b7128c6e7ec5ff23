// Kernels over INT8 and INT4 matrices and INT8 rows against plain integer loops: the same bits in every tier, whatever the shares.
#include <sstream>
#include <utility>

#include <gtest/gtest.h>

#include "guarded.h"
#include "quantized_reference.h"
#include "tiers.h"
#include "tiles_emulated.h"

namespace intarsia {
namespace {

using cpu::Epilogue;
using cpu::Storage;
using reference::Quantized;
using test::Guarded;
using test::run;
using Floats = reference::Floats;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

Quantized random_matrix(test::Random &random, uint32_t n, uint32_t k, bool four, bool extreme = false) {
    Quantized out{n, k, four, std::vector<int>(size_t{n} * k), {}, {}};
    for (int &q : out.q) {
        const int most = four ? 8 : 127;
        q = extreme ? (random.below(2) ? most : -most) : static_cast<int>(random.below(2 * most + 1)) - most;
        q = four && q == 8 ? 7 : q;
    }
    for (uint32_t i = 0; i < n; ++i) {
        out.scales.push_back(random.uniform(-0.01f, 0.01f));
    }
    for (uint32_t i = 0; i < n * out.groups(); ++i) { // subnormal ones too
        out.halves.push_back(static_cast<uint16_t>(random.below(16) == 0 ? random.below(1024) : 0x1000 + random.below(0x1800)));
        out.halves.back() |= static_cast<uint16_t>(random.below(2) << 15);
    }
    return out;
}

struct Case {
    uint32_t n, k;
    std::vector<uint32_t> outputs; // of each part
    Epilogue epilogue;
    bool bias, four, extreme = false;
    Storage out_storage = Storage::F32;
};

class Problem {
public:
    Problem(const Case &c, uint32_t seed) : case_(c), random_(seed) {
        Floats x = random_.values(size_t{c.n} * c.k);
        for (float &v : x) {
            v = c.extreme ? (v < 0 ? -1.0f : 1.0f) : v;
        }
        x_.emplace_back(reference::rows_int8(x, c.n, c.k));
        args_.x = x_[0].data();
        args_.n = c.n;
        args_.part_count = static_cast<uint32_t>(c.outputs.size());
        args_.epilogue = c.epilogue;
        args_.out_storage = c.out_storage;
        const test::Flushed flushed;
        for (uint32_t p = 0; p < args_.part_count; ++p) {
            const uint32_t n = c.outputs[p];
            const Quantized w = random_matrix(random_, n, c.k, c.four, c.extreme);
            weights_.emplace_back(w.tiles());
            biases_.emplace_back(random_.values(n));
            args_.parts[p] = {{weights_[p].data(), n, c.k, c.four ? Storage::INT4 : Storage::INT8},
                              c.bias ? biases_[p].data() : nullptr,
                              nullptr};
            Floats &want = want_.emplace_back(size_t{c.n} * n);
            for (size_t r = 0; r < c.n; ++r) {
                const reference::QuantizedInputs row = reference::quantized_row(&x[r * c.k], c.k);
                for (uint32_t o = 0; o < n; ++o) {
                    want[r * n + o] = reference::dot_quantized(row, w, o);
                    if (c.bias) {
                        want[r * n + o] += biases_[p][o];
                    }
                }
            }
        }
        residual_.emplace_back(random_.values(size_t{c.n} * c.outputs[0]));
        args_.residual = residual_[0].data();
        for (size_t i = 0; i < want_[0].size(); ++i) {
            if (c.epilogue == Epilogue::ADD) {
                want_[0][i] = residual_[0][i] + want_[0][i];
            } else if (c.epilogue == Epilogue::SILU_MUL) {
                want_[0][i] = test::kernel_silu(want_[0][i]) * want_[1][i];
            }
        }
    }

    void check(const cpu::Kernels &kernels, uint32_t shares) {
        std::ostringstream what;
        what << "n " << case_.n << ", k " << case_.k << ", outputs " << case_.outputs[0] << (case_.four ? ", int4" : ", int8")
             << ", epilogue " << static_cast<int>(case_.epilogue) << ", shares " << shares;
        const bool narrow = case_.out_storage == Storage::BF16;
        std::vector<Guarded<unsigned char>> outs;
        for (uint32_t p = 0; p < parts(); ++p) {
            const uint32_t n = case_.outputs[p];
            outs.emplace_back(size_t{case_.n} * cpu::stride(n, case_.out_storage) * (narrow ? 2 : 4));
            args_.parts[p].out = outs[p].data();
        }
        run(kernels.linear, args_, shares);
        for (uint32_t p = 0; p < parts(); ++p) {
            if (narrow) {
                std::vector<uint16_t> got(outs[p].bytes() / 2);
                std::memcpy(got.data(), outs[p].data(), outs[p].bytes());
                EXPECT_TRUE(test::same_bits(got, reference::rows_bf16(want_[p], case_.n, case_.outputs[p]))) << what.str();
            } else {
                Floats got(outs[p].bytes() / 4);
                std::memcpy(got.data(), outs[p].data(), outs[p].bytes());
                EXPECT_TRUE(test::same_bits(got, want_[p])) << what.str() << ", part " << p;
            }
        }
    }

private:
    uint32_t parts() const { return case_.epilogue == Epilogue::STORE ? args_.part_count : 1; }

    Case case_;
    test::Random random_;
    cpu::LinearArgs args_ = {};
    std::vector<Guarded<unsigned char>> x_, weights_;
    std::vector<Guarded<float>> biases_, residual_;
    std::vector<Floats> want_;
};

class QuantizedKernels : public test::TierTest {};
INTARSIA_EVERY_TIER(QuantizedKernels);

constexpr uint32_t kWidths[] = {1, 3, 4, 5, 16, 31, 32, 33, 63, 64, 65, 100, 257};

TEST_P(QuantizedKernels, EveryNumberOfRows) {
    uint32_t seed = 0;
    for (const bool four : {false, true}) {
        for (const uint32_t n : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 9u, 11u, 12u, 13u, 16u, 17u, 31u, 32u, 95u, 96u, 97u, 131u}) {
            Problem problem({n, 67, {100}, Epilogue::STORE, false, four}, ++seed);
            for (const uint32_t shares : test::kShares) {
                problem.check(kernels(), shares);
            }
        }
    }
}

TEST_P(QuantizedKernels, EveryWidth) {
    uint32_t seed = 100;
    for (const bool four : {false, true}) {
        for (const uint32_t k : kWidths) {
            for (const uint32_t outputs : kWidths) {
                ++seed;
                for (const uint32_t n : {1 + seed % 7, 9 + seed % 25}) {
                    Problem problem({n, k, {outputs}, Epilogue::STORE, seed % 2 == 0, four}, seed);
                    problem.check(kernels(), 1);
                    problem.check(kernels(), 3);
                }
            }
        }
    }
}

TEST_P(QuantizedKernels, PartsAndEpilogues) {
    uint32_t seed = 500;
    for (const bool four : {false, true}) {
        for (const bool bias : {false, true}) {
            for (const uint32_t n : {1u, 2u, 5u, 33u}) {
                const Case cases[] = {
                    {n, 65, {48, 17, 33}, Epilogue::STORE, bias, four},
                    {n, 64, {16, 16, 1}, Epilogue::STORE, bias, four, false, Storage::BF16},
                    {n, 47, {65}, Epilogue::ADD, bias, four},
                    {n, 34, {33, 33}, Epilogue::SILU_MUL, bias, four},
                    {n, 96, {112, 112}, Epilogue::SILU_MUL, bias, four, false, Storage::BF16},
                    {n, 31, {1, 1}, Epilogue::SILU_MUL, bias, four},
                };
                for (const Case &c : cases) {
                    Problem problem(c, ++seed);
                    for (const uint32_t shares : test::kShares) {
                        problem.check(kernels(), shares);
                    }
                }
            }
        }
    }
}

// The largest sums that can be: 127 * 127 * 131072 fits an i32, and what unsigned bytes make of it on the way does not.
TEST_P(QuantizedKernels, LargestSums) {
    for (const bool four : {false, true}) {
        Problem({2, cpu::kMostInputs, {3}, Epilogue::STORE, false, four, true}, 900).check(kernels(), 1);
        Problem({1, cpu::kMostInputs, {17}, Epilogue::STORE, false, four, true}, 901).check(kernels(), 2);
        Problem({17, cpu::kMostInputs, {3}, Epilogue::STORE, false, four, true}, 902).check(kernels(), 1);
    }
    // All of one sign, by vectors and where there are any by tile registers.
    const uint32_t k = cpu::kMostInputs;
    for (const auto &[n, sign] : {std::pair{1u, 1}, {1u, -1}, {9u, 1}, {9u, -1}}) {
        const Quantized w{1, k, false, std::vector<int>(k, 127 * sign), {1.0f}, {}};
        const Guarded<unsigned char> tiles(w.tiles());
        const Guarded<unsigned char> x(reference::rows_int8(Floats(size_t{n} * k, 127.0f), n, k));
        Guarded<float> out(n);
        cpu::LinearArgs args = {};
        args.x = x.data();
        args.n = n;
        args.parts[0] = {{tiles.data(), 1, k, Storage::INT8}, nullptr, out.data()};
        args.part_count = 1;
        run(kernels().linear, args);
        for (const float sum : out.vector()) {
            EXPECT_EQ(sum, static_cast<float>(127.0 * 127 * k * sign)) << n << " rows";
        }
    }
}

// Tile registers are used from seven rows on, for int4 from seventeen; there is a product for each register of rows, outputs and inputs.
TEST(QuantizedKernelsByTiles, FromSomeRowsOn) {
    const auto products = [](uint32_t n, uint32_t k, bool four) {
        Problem problem({n, k, {48}, Epilogue::STORE, false, four}, 950);
        const uint64_t before = test::EmulatedTiles::products_of_ints;
        problem.check(test::amx_emulated(), 1);
        return test::EmulatedTiles::products_of_ints - before;
    };
    EXPECT_EQ(products(6, 128, false), 0u);
    EXPECT_EQ(products(16, 128, true), 0u);
    EXPECT_EQ(products(7, 128, false), 3u * 2);     // 48 / 16 tiles, 128 / 64 inputs
    EXPECT_EQ(products(7, 129, false), 3u * 3);
    EXPECT_EQ(products(33, 128, false), 3u * 3 * 2); // and rows in three registers
    EXPECT_EQ(products(17, 128, true), 3u * 2 * 4);  // groups of 32 inputs
    EXPECT_EQ(products(33, 128, true), 3u * 3 * 4);
}

TEST_P(QuantizedKernels, Rows) {
    test::Random random(7);
    for (const uint32_t width : {1u, 2u, 15u, 16u, 17u, 31u, 32u, 33u, 63u, 64u, 65u, 1000u}) {
        const uint32_t n = 12;
        Floats x = random.values(n * width);
        const auto row = [&](uint32_t r) { return &x[r * width]; };
        std::fill_n(row(1), width, 0.0f);
        row(2)[width / 2] = kNan;
        row(3)[width - 1] = -kInfinity;
        for (uint32_t i = 0; i < width; ++i) {
            row(4)[i] *= 0x1p-125f; // denormals among them
            row(5)[i] *= 0x1p125f;
            row(6)[i] = static_cast<float>(i % 255) - 127; // exact halves come out of 127 / 254
            row(7)[i] = static_cast<float>(2 * (i % 128)) - 127;
        }
        row(7)[0] = 254;
        std::fill_n(row(8), width, -0.0f);
        std::fill_n(row(9), width, 0x1p-100f);
        std::fill_n(row(10), width, std::numeric_limits<float>::max());
        const Guarded<float> in(x);
        for (const uint32_t shares : {1u, 5u}) {
            Guarded<unsigned char> out(n * cpu::stride(width, Storage::INT8));
            std::fill(out.begin(), out.end(), static_cast<unsigned char>(0));
            run(kernels().round, cpu::RoundArgs{in.data(), out.data(), n, width, Storage::INT8}, shares);
            const test::Flushed flushed;
            const std::vector<unsigned char> want = reference::rows_int8(x, n, width);
            for (uint32_t r = 0; r < n; ++r) {
                const size_t stride = cpu::stride(width, Storage::INT8), scale = cpu::padded(width) / 8 * 9 + 4;
                float got, wanted;
                std::memcpy(&got, &out[r * stride + scale], 4);
                std::memcpy(&wanted, &want[r * stride + scale], 4);
                EXPECT_TRUE(test::same(got, wanted)) << "width " << width << ", row " << r << ": " << got << ", not " << wanted;
                EXPECT_EQ(std::memcmp(&out[r * stride], &want[r * stride], scale), 0) << "width " << width << ", row " << r;
            }
        }
    }
}

TEST_P(QuantizedKernels, NormQuantizes) {
    test::Random random(8);
    for (const uint32_t width : {1u, 16u, 33u, 64u, 257u}) {
        const uint32_t n = 5;
        Floats x = random.values(n * width);
        const Guarded<float> in(x), weight(random.values(width));
        Guarded<unsigned char> out(n * cpu::stride(width, Storage::INT8));
        std::fill(out.begin(), out.end(), static_cast<unsigned char>(0));
        run(kernels().norm, cpu::NormArgs{in.data(), weight.data(), out.data(), n, width, width, 1e-6f, Storage::INT8}, 2);
        const test::Flushed flushed;
        for (uint32_t r = 0; r < n; ++r) {
            reference::norm(&x[r * width], weight.data(), width, 1e-6f);
        }
        EXPECT_EQ(out.vector(), reference::rows_int8(x, n, width)) << "width " << width;
    }
}

TEST_P(QuantizedKernels, EmbeddingGathers) {
    test::Random random(9);
    for (const bool four : {false, true}) {
        for (const uint32_t width : kWidths) {
            const uint32_t vocabulary = 37;
            const Quantized w = random_matrix(random, vocabulary, width, four);
            const Guarded<unsigned char> tiles(w.tiles());
            const Guarded<int32_t> tokens{0, 36, 15, 16, 17, 31, 32, 5};
            Guarded<float> out(tokens.size() * width);
            run(kernels().embedding,
                cpu::EmbeddingArgs{tokens.data(),
                                   {tiles.data(), vocabulary, width, four ? Storage::INT4 : Storage::INT8},
                                   out.data(),
                                   static_cast<uint32_t>(tokens.size())},
                3);
            for (size_t t = 0; t < tokens.size(); ++t) {
                for (uint32_t i = 0; i < width; ++i) {
                    const uint32_t row = static_cast<uint32_t>(tokens[t]);
                    const float want = static_cast<float>(w.q[row * width + i]) * w.scale(row, i);
                    ASSERT_EQ(out[t * width + i], want) << "width " << width << ", token " << row << ", element " << i;
                }
            }
        }
    }
}

} // namespace
} // namespace intarsia
