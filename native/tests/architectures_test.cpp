// Every architecture gives the same bits: over inputs made of integers alone, what each kernel writes has the hash that
// stands here, whatever processor, compiler or tier.
#include <gtest/gtest.h>

#include "reference.h"
#include "runtime/sampler.h"
#include "tiers.h"

namespace intarsia {
namespace {

using cpu::Storage;
using Bytes = std::vector<unsigned char>;
using Floats = std::vector<float>;

constexpr Storage kStorages[] = {Storage::F32, Storage::BF16};

// Values of 24 bits and 5 magnitudes from a linear congruential generator (constants of Knuth's MMIX).
class Inputs {
public:
    explicit Inputs(uint64_t seed) : state_(seed) {}
    Floats operator()(size_t count) {
        Floats out(count);
        for (float &value : out) {
            state_ = state_ * 6364136223846793005u + 1442695040888963407u;
            const float fraction = static_cast<float>(static_cast<int64_t>(state_) >> 40) * 0x1p-23f;
            value = fraction / static_cast<float>(1u << (state_ >> 36) % 5);
        }
        return out;
    }

private:
    uint64_t state_;
};

// FNV-1a over 64 bits.
class Hash {
public:
    void add(const Bytes &bytes) {
        for (const unsigned char byte : bytes) {
            value_ = (value_ ^ byte) * 0x100000001B3u;
        }
    }
    uint64_t value() const { return value_; }

private:
    uint64_t value_ = 0xCBF29CE484222325u;
};

size_t size_of(Storage storage) { return storage == Storage::BF16 ? 2 : 4; }

// Rows of `width` as a kernel of this storage reads them.
Bytes rows(const Floats &x, uint32_t n, uint32_t width, Storage storage) {
    Bytes out(size_t{n} * cpu::stride(width, storage) * size_of(storage));
    if (storage == Storage::F32) {
        std::memcpy(out.data(), x.data(), out.size());
    } else {
        std::memcpy(out.data(), reference::rows_bf16(x, n, width).data(), out.size());
    }
    return out;
}

Bytes matrix(const Floats &w, uint32_t n, uint32_t k, Storage storage) {
    return reference::packed(w, n, k, storage == Storage::BF16);
}

// Runs a kernel that writes `out` and adds what it wrote.
template <class Args> void hash(Hash &hash, void (*kernel)(const Args &, cpu::Share), const Args &args, Bytes &out) {
    test::run(kernel, args, 2);
    hash.add(out);
}

float *floats(Bytes &bytes) { return reinterpret_cast<float *>(bytes.data()); }

class Architectures : public test::TierTest {};
INTARSIA_EVERY_TIER(Architectures);

TEST_P(Architectures, Linear) {
    Hash digest;
    Inputs inputs(1);
    for (const Storage storage : kStorages) {
        for (const uint32_t n : {1u, 37u}) {
            const uint32_t k = 301;
            const uint32_t outputs = 51;
            const Bytes x = rows(inputs(n * k), n, k, storage);
            const Bytes gate = matrix(inputs(outputs * k), outputs, k, storage);
            const Bytes up = matrix(inputs(outputs * k), outputs, k, storage);
            const Floats bias = inputs(outputs);
            const Floats residual = inputs(n * outputs);
            Bytes out(size_t{n} * outputs * 4);
            cpu::LinearArgs args = {};
            args.x = x.data();
            args.n = n;
            args.parts[0] = {{gate.data(), outputs, k, storage}, bias.data(), out.data()};
            args.parts[1] = {{up.data(), outputs, k, storage}, nullptr, out.data()};
            args.residual = residual.data();
            args.out_storage = Storage::F32;
            for (const auto epilogue : {cpu::Epilogue::STORE, cpu::Epilogue::ADD, cpu::Epilogue::SILU_MUL}) {
                args.epilogue = epilogue;
                args.part_count = epilogue == cpu::Epilogue::SILU_MUL ? 2 : 1;
                hash(digest, kernels().linear, args, out);
            }
        }
    }
    EXPECT_EQ(digest.value(), 0xCE7F2C6F6A9CE0E2u);
}

TEST_P(Architectures, Attention) {
    Hash digest;
    Inputs inputs(2);
    for (const Storage storage : kStorages) {
        const uint32_t heads = 6, kv_heads = 3, dim = 24, blocks = 9, n = 22;
        const Bytes q = rows(inputs(n * heads * dim), n, heads * dim, storage);
        Bytes keys = matrix(inputs(blocks * kv_heads * 16 * dim), blocks * kv_heads * 16, dim, storage);
        Bytes values = matrix(inputs(blocks * kv_heads * 32 * 16), blocks * kv_heads * 32, 16, storage);
        const uint32_t sequences = 2;
        const int32_t starts[] = {0, 21, 22};
        const int32_t lengths[] = {100, 17};
        const int32_t tables[] = {3, 0, 8, 1, 5, 2, 4, 7, 6, -1, -1, -1, -1, -1};
        Bytes out(size_t{n} * heads * dim * size_of(storage));
        for (const uint32_t window : {0u, 30u}) {
            const cpu::AttentionArgs args = {q.data(),
                                             out.data(),
                                             storage,
                                             storage,
                                             {keys.data(), values.data(), kv_heads, dim, storage},
                                             heads,
                                             window,
                                             0.25f,
                                             &sequences,
                                             starts,
                                             lengths,
                                             tables,
                                             7,
                                             n};
            hash(digest, kernels().attention, args, out);
        }
    }
    EXPECT_EQ(digest.value(), 0x33DB6858A7C00472u);
}

TEST_P(Architectures, Qkv) {
    Hash digest;
    Inputs inputs(3);
    for (const Storage storage : kStorages) {
        const uint32_t heads = 4, kv_heads = 2, dim = 24, n = 5;
        const Floats q = inputs(n * heads * dim), k = inputs(n * kv_heads * dim), v = inputs(n * kv_heads * dim);
        const Floats weight = inputs(dim), table = inputs(n * dim);
        const int32_t slots[] = {0, 17, -1, 5, 31};
        const size_t q_bytes = n * heads * dim * size_of(storage);
        const size_t key_bytes = size_t{2} * kv_heads * dim * 16 * size_of(storage);
        const size_t value_bytes = size_t{2} * kv_heads * 32 * 16 * size_of(storage);
        Bytes out(q_bytes + key_bytes + value_bytes);
        const cpu::HeadsArgs q_args = {q.data(), weight.data(), table.data(), out.data(), heads, dim, 1e-6f, storage};
        const cpu::HeadsArgs k_args = {k.data(), weight.data(), table.data(), nullptr, kv_heads, dim, 1e-6f, storage};
        const cpu::KvLayer cache = {out.data() + q_bytes, out.data() + q_bytes + key_bytes, kv_heads, dim, storage};
        hash(digest, kernels().qkv, cpu::QkvArgs{q_args, k_args, v.data(), slots, cache, n}, out);
    }
    EXPECT_EQ(digest.value(), 0x6654D4968800C45Fu);
}

TEST_P(Architectures, RowByRow) {
    Hash digest;
    Inputs inputs(4);
    const uint32_t n = 7, width = 93;
    const Floats a = inputs(n * width), b = inputs(n * width), weight = inputs(width);
    for (const Storage storage : kStorages) {
        Bytes out(size_t{n} * cpu::stride(width, storage) * size_of(storage));
        for (const uint32_t group : {width, width / 3}) {
            hash(digest, kernels().norm,
                 cpu::NormArgs{a.data(), weight.data(), out.data(), n, width, group, 1e-6f, storage}, out);
        }
        hash(digest, kernels().silu_mul, cpu::SiluMulArgs{a.data(), b.data(), out.data(), n, width, storage}, out);
    }
    Bytes f32(size_t{n} * width * 4);
    Bytes bf16(size_t{n} * cpu::stride(width, Storage::BF16) * 2);
    hash(digest, kernels().add, cpu::AddArgs{a.data(), b.data(), floats(f32), n, width}, f32);
    hash(digest, kernels().round, cpu::RoundArgs{a.data(), bf16.data(), n, width}, bf16);
    const int32_t indices[] = {3, 0, 6, 6, 1, 5, 2};
    hash(digest, kernels().select_rows, cpu::SelectRowsArgs{a.data(), indices, floats(f32), n, width}, f32);
    for (const Storage storage : kStorages) {
        const Bytes packed = matrix(a, n, width, storage);
        const cpu::Matrix table = {packed.data(), n, width, storage};
        hash(digest, kernels().embedding, cpu::EmbeddingArgs{indices, table, floats(f32), n}, f32);
    }
    EXPECT_EQ(digest.value(), 0x57A4F3AB47762ECCu);
}

TEST_P(Architectures, RopeTable) {
    Hash digest;
    const int32_t positions[] = {0, 1, 2, 77, 4095, 1000003};
    Floats frequencies(40);
    for (size_t i = 0; i < frequencies.size(); ++i) {
        frequencies[i] = 1.0f / static_cast<float>(1 + i * i * 7);
    }
    Bytes out(6 * 2 * frequencies.size() * 4);
    hash(digest, kernels().rope_table,
         cpu::RopeTableArgs{positions, frequencies.data(), floats(out), 6, static_cast<uint32_t>(frequencies.size()),
                            1.25f},
         out);
    EXPECT_EQ(digest.value(), 0x21A3977A6639E2ACu);
}

TEST(ArchitecturesSampler, Weights) {
    Floats logits = Inputs(6)(5000);
    for (float &logit : logits) {
        logit *= 30;
    }
    const test::Flushed flushed;
    softmax_weights(logits.data(), static_cast<uint32_t>(logits.size()), 30.0f, 0.7f);
    Bytes out(logits.size() * 4);
    std::memcpy(out.data(), logits.data(), out.size());
    Hash digest;
    digest.add(out);
    EXPECT_EQ(digest.value(), 0x63715C964797E4E7u);
}

} // namespace
} // namespace intarsia
