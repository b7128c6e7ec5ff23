// Kernels other than linear and attention, each against its reference, bit for bit.
#include <algorithm>
#include <numeric>

#include <gtest/gtest.h>

#include "guarded.h"
#include "reference.h"
#include "tiers.h"

namespace intarsia {
namespace {

using cpu::Storage;
using test::Guarded;
using test::run;
using Floats = reference::Floats;

constexpr Storage kStorages[] = {Storage::F32, Storage::BF16};
constexpr uint32_t kWidths[] = {1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 257};
constexpr uint32_t kRows[] = {1, 2, 3, 8, 33};

// Runs `call(out, shares)` for both storages and some numbers of shares and compares with f32 rows [n, width].
template <class Call> void check_rows(const Floats &want, uint32_t n, uint32_t width, Storage storage, Call call) {
    for (const uint32_t shares : test::kShares) {
        if (storage == Storage::F32) {
            Guarded<float> out(size_t{n} * width);
            call(static_cast<void *>(out.data()), shares);
            ASSERT_TRUE(test::same_bits(out, want)) << n << " x " << width << " f32, shares " << shares;
        } else {
            Guarded<uint16_t> out(size_t{n} * cpu::stride(width, storage));
            call(static_cast<void *>(out.data()), shares);
            ASSERT_TRUE(test::same_bits(out, reference::rows_bf16(want, n, width)))
                << n << " x " << width << " bf16, shares " << shares;
        }
    }
}

class Kernels : public test::TierTest {};
INTARSIA_EVERY_TIER(Kernels);

TEST_P(Kernels, Norm) {
    test::Random random(11);
    for (const uint32_t n : kRows) {
        for (const uint32_t group : kWidths) {
            for (const uint32_t groups : {1u, 3u}) {
                const uint32_t width = group * groups;
                const Guarded<float> x(random.values(n * width));
                const Guarded<float> weight(random.values(group));
                const float eps = 1e-5f;
                Floats want = x.vector();
                {
                    const test::Flushed flushed;
                    for (uint32_t i = 0; i < n * groups; ++i) {
                        reference::norm(&want[i * group], weight.data(), group, eps);
                    }
                }
                for (const Storage storage : kStorages) {
                    check_rows(want, n, width, storage, [&](void *out, uint32_t shares) {
                        run(kernels().norm, cpu::NormArgs{x.data(), weight.data(), out, n, width, group, eps, storage},
                            shares);
                    });
                }
                double squares = 0; // and the meaning, for the first group
                for (uint32_t i = 0; i < group; ++i) {
                    squares += static_cast<double>(x[i]) * x[i];
                }
                for (uint32_t i = 0; i < group; ++i) {
                    const double exact = x[i] / std::sqrt(squares / group + eps) * weight[i];
                    ASSERT_NEAR(want[i], exact, std::fabs(exact) * 1e-6);
                }
            }
        }
    }
}

TEST_P(Kernels, SiluMul) {
    test::Random random(12);
    for (const uint32_t n : kRows) {
        for (const uint32_t width : kWidths) {
            const Guarded<float> gate(random.values(n * width, 4));
            const Guarded<float> up(random.values(n * width));
            Floats want(n * width);
            for (size_t i = 0; i < want.size(); ++i) {
                const test::Flushed flushed;
                want[i] = test::kernel_silu(gate[i]) * up[i];
            }
            for (const Storage storage : kStorages) {
                check_rows(want, n, width, storage, [&](void *out, uint32_t shares) {
                    run(kernels().silu_mul, cpu::SiluMulArgs{gate.data(), up.data(), out, n, width, storage}, shares);
                });
            }
        }
    }
}

TEST_P(Kernels, Add) {
    test::Random random(13);
    for (const uint32_t n : kRows) {
        for (const uint32_t width : kWidths) {
            const Guarded<float> a(random.values(n * width));
            const Guarded<float> b(random.values(n * width));
            Floats want(n * width);
            for (size_t i = 0; i < want.size(); ++i) {
                want[i] = a[i] + b[i];
            }
            check_rows(want, n, width, Storage::F32, [&](void *out, uint32_t shares) {
                run(kernels().add, cpu::AddArgs{a.data(), b.data(), static_cast<float *>(out), n, width}, shares);
            });
        }
    }
}

TEST_P(Kernels, AddInPlace) {
    test::Random random(14);
    Guarded<float> a(random.values(5 * 33));
    const Guarded<float> b(random.values(5 * 33));
    Floats want = a.vector();
    for (size_t i = 0; i < want.size(); ++i) {
        want[i] += b[i];
    }
    run(kernels().add, cpu::AddArgs{a.data(), b.data(), a.data(), 5, 33}, 2);
    EXPECT_TRUE(test::same_bits(a, want));
}

TEST_P(Kernels, Round) {
    test::Random random(15);
    for (const uint32_t n : kRows) {
        for (const uint32_t width : kWidths) {
            Guarded<float> x(n * width);
            for (float &v : x) {
                do {
                    v = test::from_bits(random.next() & random.next() << random.below(20)); // many ties
                } while (std::isnan(v));
            }
            check_rows(x.vector(), n, width, Storage::BF16, [&](void *out, uint32_t shares) {
                run(kernels().round, cpu::RoundArgs{x.data(), out, n, width}, shares);
            });
        }
    }
}

TEST_P(Kernels, RoundKeepsNanAndInfinity) {
    const std::vector<uint32_t> bits = {0x7F800001, 0xFF800001, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FC00000, 0x7F800000,
                                        0xFF800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F7F8000, 0x7F7F7FFF, 1,
                                        0x80000001, 0x8000,     0x3F808000, 0x3F818000};
    Guarded<float> x(bits.size());
    Guarded<uint16_t> out(bits.size());
    std::memcpy(x.data(), bits.data(), x.bytes());
    run(kernels().round, cpu::RoundArgs{x.data(), out.data(), 1, 16});
    EXPECT_EQ(out.vector(), (std::vector<uint16_t>{0x7FC0, 0xFFC0, 0x7FFF, 0xFFFF, 0x7FC0, 0x7F80, 0xFF80, 0x7F80,
                                                   0xFF80, 0x7F80, 0x7F7F, 0, 0x8000, 0, 0x3F80, 0x3F82}));
}

TEST_P(Kernels, SelectRows) {
    test::Random random(16);
    for (const uint32_t n : kRows) {
        for (const uint32_t width : kWidths) {
            const Guarded<float> x(random.values(9 * width));
            Guarded<int32_t> rows(n);
            Floats want;
            for (int32_t &row : rows) {
                row = static_cast<int32_t>(random.below(9));
                want.insert(want.end(), x.begin() + row * width, x.begin() + (row + 1) * width);
            }
            check_rows(want, n, width, Storage::F32, [&](void *out, uint32_t shares) {
                run(kernels().select_rows,
                    cpu::SelectRowsArgs{x.data(), rows.data(), static_cast<float *>(out), n, width}, shares);
            });
        }
    }
}

TEST_P(Kernels, Embedding) {
    test::Random random(17);
    for (const Storage storage : kStorages) {
        for (const uint32_t width : kWidths) {
            const uint32_t vocabulary = 37;
            const uint32_t n = 20;
            Floats table = random.values(vocabulary * width);
            const Guarded<unsigned char> packed(reference::packed(table, vocabulary, width, storage == Storage::BF16));
            Guarded<int32_t> tokens(n);
            Floats want;
            for (uint32_t i = 0; i < n; ++i) {
                tokens[i] = static_cast<int32_t>(i == 0 ? vocabulary - 1 : random.below(vocabulary));
                for (uint32_t j = 0; j < width; ++j) {
                    const float v = table[tokens[i] * width + j];
                    want.push_back(storage == Storage::BF16 ? reference::as_bf16(v) : v);
                }
            }
            check_rows(want, n, width, Storage::F32, [&](void *out, uint32_t shares) {
                run(kernels().embedding,
                    cpu::EmbeddingArgs{
                        tokens.data(), {packed.data(), vocabulary, width, storage}, static_cast<float *>(out), n},
                    shares);
            });
        }
    }
}

TEST_P(Kernels, RopeTable) {
    for (const uint32_t half : {1u, 8u, 17u, 64u}) {
        for (const float scale : {1.0f, 1.25f}) {
            const Guarded<int32_t> positions = {0, 1, 2, 77, 4095, 131071, 1000003, 16777216};
            const uint32_t n = static_cast<uint32_t>(positions.size());
            Guarded<float> frequencies(half);
            for (uint32_t j = 0; j < half; ++j) {
                frequencies[j] = static_cast<float>(std::pow(10000.0, -static_cast<double>(j) / half));
            }
            Floats want;
            for (const int32_t position : positions) {
                for (uint32_t j = 0; j < 2 * half; ++j) {
                    const float angle = static_cast<float>(position) * frequencies[j % half];
                    const long double f = j < half ? std::cos(static_cast<long double>(angle))
                                                   : std::sin(static_cast<long double>(angle));
                    want.push_back(static_cast<float>(f * scale));
                }
            }
            check_rows(want, n, 2 * half, Storage::F32, [&](void *out, uint32_t shares) {
                run(kernels().rope_table,
                    cpu::RopeTableArgs{positions.data(), frequencies.data(), static_cast<float *>(out), n, half, scale},
                    shares);
            });
        }
    }
}

// One layer of a paged cache as plain rows [slot, kv_heads * head_dim], and its bytes as the kernels must leave them.
struct Cache {
    uint32_t blocks, kv_heads, dim;
    Storage storage;

    size_t bytes(bool keys) const {
        const size_t padded = keys ? dim : (dim + 15) / 16 * 16;
        return size_t{blocks} * kv_heads * padded * 16 * (storage == Storage::BF16 ? 2 : 4);
    }
    // Puts one element, at the index that the layout of KvLayer gives it.
    void put(std::vector<unsigned char> &out, bool keys, uint32_t slot, uint32_t head, uint32_t d, float value) const {
        const bool bf16 = storage == Storage::BF16;
        const size_t block = (slot / 16 * kv_heads + head) * (keys ? dim : (dim + 15) / 16 * 16) * 16;
        const uint32_t position = slot % 16;
        size_t at;
        if (keys) { // [dim, 16 positions]
            at = bf16 ? d / 2 * 32 + position * 2 + d % 2 : d * 16 + position;
        } else { // [tile of 16 elements][16 positions, 16 elements]
            at = d / 16 * 256 + (bf16 ? position / 2 * 32 + d % 16 * 2 + position % 2 : position * 16 + d % 16);
        }
        const uint16_t half = reference::to_bf16(value);
        if (bf16) {
            std::memcpy(&out[(block + at) * 2], &half, 2);
        } else {
            std::memcpy(&out[(block + at) * 4], &value, 4);
        }
    }
};

struct QkvCase {
    uint32_t n, heads, kv_heads, dim;
    bool norm, rope, key_out;
    bool in_turn = false; // the rows follow each other in the cache, and fill blocks
};

void check_qkv(const cpu::Kernels &kernels, const QkvCase &c, Storage storage, uint32_t seed) {
    test::Random random(seed);
    const uint32_t q_width = c.heads * c.dim;
    const uint32_t kv_width = c.kv_heads * c.dim;
    const Guarded<float> q(random.values(c.n * q_width));
    const Guarded<float> k(random.values(c.n * kv_width));
    const Guarded<float> v(random.values(c.n * kv_width));
    const Guarded<float> q_norm(random.values(c.dim));
    const Guarded<float> k_norm(random.values(c.dim));
    const Guarded<float> table(random.values(c.n * c.dim));
    const Cache layout = {c.n / 8 + 2, c.kv_heads, c.dim, storage};
    std::vector<int32_t> slots(layout.blocks * 16);
    std::iota(slots.begin(), slots.end(), 0);
    for (size_t i = slots.size() - 1; i > 0; --i) {
        std::swap(slots[i], slots[random.below(static_cast<uint32_t>(i + 1))]);
    }
    slots.resize(c.n);
    if (c.in_turn) {
        std::iota(slots.begin(), slots.end(), 13);
    } else {
        for (uint32_t i = 2; i < c.n; i += 5) {
            slots[i] = -1;
        }
    }
    const Guarded<int32_t> guarded_slots(slots);

    Floats want_q = q.vector();
    Floats want_k = k.vector();
    std::vector<unsigned char> want_keys(layout.bytes(true), 0xFF);
    std::vector<unsigned char> want_values(layout.bytes(false), 0xFF);
    {
        const test::Flushed flushed;
        for (uint32_t row = 0; row < c.n; ++row) {
            for (uint32_t h = 0; h < c.heads + c.kv_heads; ++h) {
                float *x =
                    h < c.heads ? &want_q[row * q_width + h * c.dim] : &want_k[row * kv_width + (h - c.heads) * c.dim];
                if (c.norm) {
                    reference::norm(x, h < c.heads ? q_norm.data() : k_norm.data(), c.dim, 1e-6f);
                }
                if (c.rope) {
                    reference::rotate(x, &table[row * c.dim], c.dim);
                }
            }
            for (uint32_t i = 0; i < kv_width && slots[row] >= 0; ++i) {
                const uint32_t slot = static_cast<uint32_t>(slots[row]);
                if (!c.key_out) {
                    layout.put(want_keys, true, slot, i / c.dim, i % c.dim, want_k[row * kv_width + i]);
                }
                layout.put(want_values, false, slot, i / c.dim, i % c.dim, v[row * kv_width + i]);
            }
        }
    }
    const std::string text = std::to_string(c.n) + " rows, " + std::to_string(c.heads) + "/" +
                             std::to_string(c.kv_heads) + " heads of " + std::to_string(c.dim) +
                             (storage == Storage::BF16 ? ", bf16" : ", f32");
    for (const uint32_t shares : test::kShares) {
        Guarded<unsigned char> keys(layout.bytes(true));
        Guarded<unsigned char> values(layout.bytes(false));
        Guarded<float> k_out(c.key_out ? k.size() : 0);
        const auto with = [&](void *q_out) {
            const float *t = c.rope ? table.data() : nullptr;
            const cpu::QkvArgs args = {{c.heads ? q.data() : nullptr, c.norm ? q_norm.data() : nullptr, t, q_out,
                                        c.heads, c.dim, 1e-6f, storage},
                                       {k.data(), c.norm ? k_norm.data() : nullptr, t,
                                        c.key_out ? k_out.data() : nullptr, c.kv_heads, c.dim, 1e-6f, Storage::F32},
                                       v.data(),
                                       guarded_slots.data(),
                                       {keys.data(), values.data(), c.kv_heads, c.dim, storage},
                                       c.n};
            run(kernels.qkv, args, shares);
        };
        if (storage == Storage::F32) {
            Guarded<float> out(q.size());
            with(out.data());
            ASSERT_TRUE(test::same_bits(out, want_q)) << text;
        } else {
            Guarded<uint16_t> out(size_t{c.n} * cpu::stride(q_width, storage));
            with(out.data());
            ASSERT_TRUE(test::same_bits(out, reference::rows_bf16(want_q, c.n, q_width))) << text;
        }
        ASSERT_EQ(keys.vector(), want_keys) << text << ", shares " << shares;
        ASSERT_EQ(values.vector(), want_values) << text << ", shares " << shares;
        if (c.key_out) {
            ASSERT_TRUE(test::same_bits(k_out, want_k)) << text;
        }
    }
}

TEST_P(Kernels, Qkv) {
    uint32_t seed = 20;
    for (const Storage storage : kStorages) {
        for (const uint32_t dim : {2u, 16u, 32u, 48u, 64u, 80u, 128u}) {
            for (const uint32_t n : {1u, 2u, 3u, 17u}) {
                for (const uint32_t group : {1u, 2u, 4u, 7u}) {
                    const uint32_t kv_heads = 1 + seed % 3;
                    check_qkv(kernels(), {n, kv_heads * group, kv_heads, dim, true, true, false}, storage, ++seed);
                }
            }
            check_qkv(kernels(), {5, 4, 2, dim, false, true, false}, storage, ++seed);
            check_qkv(kernels(), {5, 4, 2, dim, true, false, false}, storage, ++seed);
            check_qkv(kernels(), {5, 4, 2, dim, false, false, false}, storage, ++seed);
            check_qkv(kernels(), {5, 4, 2, dim, true, true, true}, storage, ++seed);
        }
    }
}

// Rows 3 .. 19 and 19 .. 35 are blocks of the cache.
TEST_P(Kernels, QkvOfWholeBlocks) {
    uint32_t seed = 500;
    for (const Storage storage : kStorages) {
        for (const uint32_t dim : {16u, 32u, 48u, 64u, 96u, 128u, 256u, 288u}) {
            check_qkv(kernels(), {40, 4, 2, dim, true, true, false, true}, storage, ++seed);
            check_qkv(kernels(), {35, 2, 2, dim, false, false, false, true}, storage, ++seed);
            check_qkv(kernels(), {40, 2, 1, dim, true, true, true, true}, storage, ++seed);
        }
    }
}

// Rotation alone, as one op: no keys, no values, no cache.
TEST_P(Kernels, QueriesOnly) {
    test::Random random(30);
    const uint32_t n = 4;
    const uint32_t heads = 3;
    const uint32_t dim = 34;
    const Guarded<float> x(random.values(n * heads * dim));
    const Guarded<float> table(random.values(n * dim));
    Floats want = x.vector();
    for (uint32_t i = 0; i < n * heads; ++i) {
        reference::rotate(&want[i * dim], &table[i / heads * dim], dim);
    }
    check_rows(want, n, heads * dim, Storage::F32, [&](void *out, uint32_t shares) {
        cpu::QkvArgs args = {};
        args.q = {x.data(), nullptr, table.data(), out, heads, dim, 0, Storage::F32};
        args.n = n;
        run(kernels().qkv, args, shares);
    });
}

// Keys and values alone, as cache_append: no queries, no norm, no rotation.
TEST_P(Kernels, KeysAndValuesOnly) {
    for (const Storage storage : kStorages) {
        check_qkv(kernels(), {21, 0, 3, 48, false, false, false}, storage, 40);
    }
}

} // namespace
} // namespace intarsia
