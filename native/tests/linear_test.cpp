#include <sstream>

#include <gtest/gtest.h>

#include "guarded.h"
#include "reference.h"
#include "tiers.h"

namespace intarsia {
namespace {

using cpu::Epilogue;
using cpu::LinearArgs;
using cpu::Matrix;
using cpu::Storage;
using test::Guarded;
using test::run;
using Floats = reference::Floats;

struct Case {
    uint32_t n;
    uint32_t k;
    std::vector<uint32_t> outputs; // of each part
    Epilogue epilogue;
    bool bias;
    Storage storage;
    Storage out_storage;
    float magnitude = 1; // of inputs and weights

    std::string text() const {
        std::ostringstream out;
        out << "n " << n << ", k " << k << ", outputs";
        for (const uint32_t o : outputs) {
            out << ' ' << o;
        }
        const char *const names[] = {"store", "add", "silu_mul"};
        out << ", " << names[static_cast<int>(epilogue)] << (bias ? ", bias" : "")
            << (storage == Storage::BF16 ? ", bf16" : ", f32")
            << (out_storage == Storage::BF16 ? " to bf16" : " to f32");
        return out.str();
    }
};

// The operands of a case in guarded memory, and what the definition makes of them.
class Problem {
public:
    Problem(const Case &c, uint32_t seed) : case_(c), random_(seed) {
        const bool bf16 = c.storage == Storage::BF16;
        x_ = operand(c.n * c.k);
        if (bf16) {
            x_bf16_.emplace_back(reference::rows_bf16(x_, c.n, c.k));
        } else {
            x_f32_.emplace_back(x_);
        }
        args_.x = bf16 ? static_cast<const void *>(x_bf16_[0].data()) : x_f32_[0].data();
        args_.n = c.n;
        args_.part_count = static_cast<uint32_t>(c.outputs.size());
        args_.epilogue = c.epilogue;
        args_.out_storage = c.out_storage;
        for (uint32_t p = 0; p < args_.part_count; ++p) {
            const uint32_t n = c.outputs[p];
            const Floats w = operand(n * c.k);
            weights_.emplace_back(reference::packed(w, n, c.k, bf16));
            biases_.emplace_back(random_.values(n));
            args_.parts[p] = {Matrix{weights_[p].data(), n, c.k, c.storage}, c.bias ? biases_[p].data() : nullptr,
                              nullptr};
            dots_.push_back(dots(w, biases_[p]));
        }
        if (c.epilogue == Epilogue::ADD) {
            residual_.emplace_back(random_.values(c.n * c.outputs[0]));
            args_.residual = residual_[0].data();
        }
    }

    void check(const cpu::Kernels &kernels, uint32_t shares, cpu::Blocking blocking = {}) {
        LinearArgs args = args_;
        args.blocking = blocking;
        const uint32_t outs = case_.epilogue == Epilogue::STORE ? args.part_count : 1;
        std::vector<Guarded<float>> f32;
        std::vector<Guarded<uint16_t>> bf16;
        const bool narrow = case_.epilogue != Epilogue::ADD && case_.out_storage == Storage::BF16;
        for (uint32_t p = 0; p < outs; ++p) {
            const size_t size = size_t{case_.n} * cpu::stride(case_.outputs[p], narrow ? Storage::BF16 : Storage::F32);
            if (narrow) {
                args.parts[p].out = bf16.emplace_back(size).data();
            } else {
                args.parts[p].out = f32.emplace_back(size).data();
            }
        }
        run(kernels.linear, args, shares);
        for (uint32_t p = 0; p < outs; ++p) {
            if (narrow) {
                EXPECT_TRUE(test::same_bits(bf16[p], reference::rows_bf16(result(p), case_.n, case_.outputs[p])))
                    << case_.text() << ", part " << p << ", shares " << shares;
            } else {
                EXPECT_TRUE(test::same_bits(f32[p], result(p)))
                    << case_.text() << ", part " << p << ", shares " << shares;
            }
        }
    }

private:
    Floats operand(size_t count) {
        Floats out = random_.values(count, case_.magnitude);
        if (case_.storage == Storage::BF16) {
            for (float &v : out) {
                v = reference::as_bf16(v);
            }
        }
        return out;
    }

    Floats dots(const Floats &w, const Guarded<float> &bias) const {
        const test::Flushed flushed;
        const uint32_t k = case_.k;
        const uint32_t outputs = static_cast<uint32_t>(bias.size());
        const auto dot = case_.storage == Storage::BF16 ? reference::dot_bf16 : reference::dot_f32;
        Floats out(size_t{case_.n} * outputs);
        for (size_t r = 0; r < case_.n; ++r) {
            for (size_t o = 0; o < outputs; ++o) {
                out[r * outputs + o] = dot(&x_[r * k], &w[o * k], k);
                if (case_.bias) {
                    out[r * outputs + o] += bias[o];
                }
            }
        }
        return out;
    }

    Floats result(uint32_t part) const {
        const test::Flushed flushed;
        Floats out = dots_[part];
        for (size_t i = 0; i < out.size(); ++i) {
            if (case_.epilogue == Epilogue::ADD) {
                out[i] = residual_[0][i] + out[i];
            } else if (case_.epilogue == Epilogue::SILU_MUL) {
                out[i] = test::kernel_silu(out[i]) * dots_[1][i];
            }
        }
        return out;
    }

    Case case_;
    test::Random random_;
    LinearArgs args_ = {};
    Floats x_;
    std::vector<Guarded<float>> x_f32_;
    std::vector<Guarded<uint16_t>> x_bf16_;
    std::vector<Guarded<unsigned char>> weights_;
    std::vector<Guarded<float>> biases_;
    std::vector<Guarded<float>> residual_;
    std::vector<Floats> dots_;
};

class Linear : public test::TierTest {};
INTARSIA_EVERY_TIER(Linear);

constexpr Storage kStorages[] = {Storage::F32, Storage::BF16};
constexpr uint32_t kWidths[] = {1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 257};

TEST_P(Linear, EveryNumberOfRows) {
    uint32_t seed = 0;
    for (const Storage storage : kStorages) {
        for (const uint32_t n : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 9u, 31u, 32u, 33u, 47u, 48u, 49u, 97u}) {
            Problem problem({n, 67, {100}, Epilogue::STORE, false, storage, Storage::F32}, ++seed);
            for (const uint32_t shares : test::kShares) {
                problem.check(kernels(), shares);
            }
        }
    }
}

TEST_P(Linear, EveryWidth) {
    uint32_t seed = 100;
    for (const Storage storage : kStorages) {
        for (const uint32_t k : kWidths) {
            for (const uint32_t outputs : kWidths) {
                ++seed;
                const uint32_t n = 1 + seed % 5;
                Problem problem({n, k, {outputs}, Epilogue::STORE, seed % 2 == 0, storage, kStorages[seed % 3 == 0]},
                                seed);
                problem.check(kernels(), 1);
                problem.check(kernels(), 3);
            }
        }
    }
}

TEST_P(Linear, PartsAndEpilogues) {
    uint32_t seed = 500;
    for (const Storage storage : kStorages) {
        for (const Storage out_storage : kStorages) {
            for (const bool bias : {false, true}) {
                for (const uint32_t n : {1u, 2u, 5u, 33u}) {
                    const Case cases[] = {
                        {n, 65, {48, 17, 33}, Epilogue::STORE, bias, storage, out_storage},
                        {n, 64, {16, 16, 1}, Epilogue::STORE, bias, storage, out_storage},
                        {n, 33, {31, 100}, Epilogue::STORE, bias, storage, out_storage},
                        {n, 47, {65}, Epilogue::ADD, bias, storage, out_storage},
                        {n, 34, {33, 33}, Epilogue::SILU_MUL, bias, storage, out_storage},
                        {n, 96, {112, 112}, Epilogue::SILU_MUL, bias, storage, out_storage},
                        {n, 31, {1, 1}, Epilogue::SILU_MUL, bias, storage, out_storage},
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
}

// Inputs that span several sections of the loops, and rows that several threads divide.
TEST_P(Linear, LongInputsAndManyRows) {
    uint32_t seed = 900;
    for (const Storage storage : kStorages) {
        Problem({1, 12345, {33}, Epilogue::STORE, true, storage, Storage::F32}, ++seed).check(kernels(), 1);
        Problem({2, 6201, {17}, Epilogue::STORE, true, storage, Storage::F32}, ++seed).check(kernels(), 1);
        Problem({3, 4099, {40}, Epilogue::STORE, true, storage, Storage::F32}, ++seed).check(kernels(), 2);
        Problem({8, 1025, {65}, Epilogue::ADD, true, storage, Storage::F32}, ++seed).check(kernels(), 1);
        Problem many({131, 300, {20}, Epilogue::STORE, true, storage, Storage::BF16}, ++seed);
        for (const uint32_t shares : {1u, 2u, 3u, 4u, 7u, 8u, 16u}) {
            many.check(kernels(), shares);
        }
    }
}

// However the loops are cut.
TEST_P(Linear, EveryBlocking) {
    uint32_t seed = 1100;
    for (const Storage storage : kStorages) {
        for (const uint32_t n : {5u, 24u, 100u, 197u}) {
            Problem store({n, 601, {70}, Epilogue::STORE, true, storage, Storage::BF16}, ++seed);
            Problem gated({n, 512, {33, 33}, Epilogue::SILU_MUL, false, storage, Storage::F32}, ++seed);
            for (const cpu::Blocking &blocking : cpu::kBlockings) {
                ASSERT_EQ(blocking.section % 32, 0);
                ASSERT_LE(blocking.rows, cpu::kBlockingRows);
                ASSERT_LE(blocking.rows * blocking.section, static_cast<int>(cpu::kBlockingScratch));
                store.check(kernels(), 1, blocking);
                store.check(kernels(), 3, blocking);
                gated.check(kernels(), 2, blocking);
            }
        }
    }
}

// Products that underflow: flushed to zero, with the sign that the order of operations gives.
TEST_P(Linear, FlushesDenormals) {
    uint32_t seed = 1200;
    for (const Storage storage : kStorages) {
        for (const float magnitude : {0x1p-63f, 0x1p-65f, 0x1p-127f}) {
            for (const uint32_t n : {1u, 4u}) {
                Problem({n, 77, {33}, Epilogue::STORE, false, storage, Storage::F32, magnitude}, ++seed)
                    .check(kernels(), 1);
            }
        }
    }
}

// A row gives the same bits alone and among others.
TEST_P(Linear, RowsDoNotDependOnEachOther) {
    const uint32_t k = 130;
    const uint32_t outputs = 50;
    for (const Storage storage : kStorages) {
        const bool bf16 = storage == Storage::BF16;
        test::Random random(7);
        const Floats x = random.values(64 * k);
        const std::vector<uint16_t> narrow = reference::rows_bf16(x, 64, k);
        const Guarded<unsigned char> weight(reference::packed(random.values(outputs * k), outputs, k, bf16));
        const auto rows = [&](uint32_t first, uint32_t n) {
            Guarded<float> out(n * outputs);
            LinearArgs args = {};
            args.x = bf16 ? static_cast<const void *>(&narrow[first * k]) : &x[first * k];
            args.n = n;
            args.parts[0] = {Matrix{weight.data(), outputs, k, storage}, nullptr, out.data()};
            args.part_count = 1;
            run(kernels().linear, args);
            return out.vector();
        };
        const Floats all = rows(0, 64);
        for (uint32_t r = 0; r < 64; ++r) {
            EXPECT_TRUE(test::same_bits(rows(r, 1), Floats(all.begin() + r * outputs, all.begin() + (r + 1) * outputs)))
                << "row " << r;
        }
    }
}

} // namespace
} // namespace intarsia
