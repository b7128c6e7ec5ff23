// The shares of a kernel call divide its output: every byte is written by exactly one of them, so that threads never
// meet.
#include <gtest/gtest.h>

#include <numeric>

#include "guarded.h"
#include "reference.h"
#include "tiers.h"

namespace intarsia {
namespace {

using cpu::Storage;
using test::Guarded;
using Bytes = Guarded<unsigned char>;

constexpr Storage kStorages[] = {Storage::F32, Storage::BF16};

class Shares : public test::TierTest {
protected:
    // args write `out`, all of it but `untouched` bytes.
    template <class Args>
    void check(void (*kernel)(const Args &, cpu::Share), const Args &args, Bytes &out, size_t untouched = 0) {
        for (const uint32_t count : {1u, 2u, 3u, 4u, 5u, 7u, 8u, 16u, 64u}) {
            std::vector<uint32_t> writers(out.size(), 0);
            for (uint32_t index = 0; index < count; ++index) {
                std::vector<bool> written(out.size(), false);
                for (const int fill : {0x00, 0xFF}) { // what differs from either was written
                    std::memset(out.data(), fill, out.size());
                    const test::Flushed flushed;
                    kernel(args, {index, count, test::scratch()});
                    for (size_t i = 0; i < out.size(); ++i) {
                        written[i] = written[i] || out[i] != fill;
                    }
                }
                for (size_t i = 0; i < out.size(); ++i) {
                    writers[i] += written[i];
                }
            }
            size_t none = 0;
            size_t several = 0;
            for (const uint32_t n : writers) {
                none += n == 0;
                several += n > 1;
            }
            EXPECT_EQ(none, untouched) << "bytes that no share of " << count << " wrote";
            EXPECT_EQ(several, 0u) << "bytes that several shares of " << count << " wrote";
        }
    }

    Guarded<float> values(size_t count) { return random_.values(count); }
    static size_t size(Storage storage) { return storage == Storage::BF16 ? 2 : 4; }

    test::Random random_{3};
};
INTARSIA_EVERY_TIER(Shares);

TEST_P(Shares, Linear) {
    for (const Storage storage : kStorages) {
        const bool bf16 = storage == Storage::BF16;
        for (const uint32_t n : {1u, 5u, 100u}) {
            for (const uint32_t outputs : {1u, 33u, 200u}) {
                const uint32_t k = 18;
                const Guarded<float> x = values(n * k);
                const Guarded<uint16_t> narrow(reference::rows_bf16(x.vector(), n, k));
                const Bytes weight(reference::packed(values(outputs * k).vector(), outputs, k, bf16));
                Bytes out(size_t{n} * cpu::stride(outputs, storage) * size(storage));
                cpu::LinearArgs args = {};
                args.x = bf16 ? static_cast<const void *>(narrow.data()) : x.data();
                args.n = n;
                args.parts[0] = args.parts[1] = {{weight.data(), outputs, k, storage}, nullptr, out.data()};
                args.part_count = 1;
                args.out_storage = storage;
                check(kernels().linear, args, out);
                args.part_count = 2;
                args.epilogue = cpu::Epilogue::SILU_MUL;
                check(kernels().linear, args, out);
            }
        }
    }
}

TEST_P(Shares, Attention) {
    for (const Storage storage : kStorages) {
        const bool bf16 = storage == Storage::BF16;
        for (const uint32_t heads : {4u, 34u}) {
            const uint32_t dim = 16;
            const uint32_t n = 45;
            const uint32_t blocks = 6;
            const uint32_t width = heads * dim;
            const Guarded<float> q = values(n * width);
            const Guarded<uint16_t> narrow(reference::rows_bf16(q.vector(), n, width));
            Bytes keys(reference::packed(values(blocks * 2 * 16 * dim).vector(), blocks * 2 * 16, dim, bf16));
            Bytes rows(reference::packed(values(blocks * 2 * 16 * dim).vector(), blocks * 2 * 16, dim, bf16));
            const Guarded<uint32_t> sequences = {3};
            const Guarded<int32_t> starts = {0, 1, 40, 42};
            const Guarded<int32_t> lengths = {17, 40, 2};
            const Guarded<int32_t> tables = {0, 1, -1, 2, 3, 4, 5, -1, -1};
            Bytes out(size_t{n} * width * size(storage));
            const cpu::AttentionArgs args = {bf16 ? static_cast<const void *>(narrow.data()) : q.data(),
                                             out.data(),
                                             storage,
                                             storage,
                                             {keys.data(), rows.data(), 2, dim, storage},
                                             heads,
                                             0,
                                             0.25f,
                                             sequences.data(),
                                             starts.data(),
                                             lengths.data(),
                                             tables.data(),
                                             3,
                                             n};
            check(kernels().attention, args, out);
        }
    }
}

TEST_P(Shares, Qkv) {
    for (const Storage storage : kStorages) {
        for (const uint32_t n : {1u, 6u}) {
            const uint32_t heads = 4;
            const uint32_t kv_heads = 2;
            const uint32_t dim = 16;
            const Guarded<float> q = values(n * heads * dim);
            const Guarded<float> k = values(n * kv_heads * dim);
            const Guarded<float> v = values(n * kv_heads * dim);
            const Guarded<float> weight(std::vector<float>(dim, 1.5f));
            const Guarded<float> table = values(n * dim);
            Guarded<int32_t> slots(n);
            std::iota(slots.begin(), slots.end(), 3);
            slots[n - 1] = n > 1 ? -1 : 5;
            const size_t written = n > 1 ? n - 1 : 1;
            const size_t block = kv_heads * dim * size(storage);
            const cpu::HeadsArgs q_args = {q.data(), weight.data(), table.data(), nullptr, heads, dim, 1e-6f, storage};
            const cpu::HeadsArgs k_args = {k.data(), weight.data(), table.data(), nullptr,
                                           kv_heads, dim,           1e-6f,        storage};

            // One buffer: the output of q, then the cache.
            const size_t q_bytes = n * heads * dim * size(storage);
            Bytes out(q_bytes + 2 * 16 * block);
            cpu::QkvArgs args = {q_args, k_args, v.data(), slots.data(), {}, n};
            args.q.out = out.data();
            args.cache = {out.data() + q_bytes, out.data() + q_bytes + 16 * block, kv_heads, dim, storage};
            check(kernels().qkv, args, out, 2 * (16 - written) * block);
        }
    }
}

TEST_P(Shares, RowByRow) {
    for (const uint32_t n : {1u, 4u, 65u}) {
        for (const uint32_t width : {12u, 51u}) {
            const Guarded<float> a = values(n * width);
            const Guarded<float> b = values(n * width);
            const Guarded<float> weight(std::vector<float>(width, 0.75f));
            Guarded<int32_t> indices(n);
            std::iota(indices.begin(), indices.end(), 0);
            Bytes f32(size_t{n} * width * 4);
            Bytes bf16(size_t{n} * cpu::stride(width, Storage::BF16) * 2);
            float *out = reinterpret_cast<float *>(f32.data());
            check(kernels().norm, cpu::NormArgs{a.data(), weight.data(), out, n, width, width / 3, 0, Storage::F32},
                  f32);
            check(kernels().norm,
                  cpu::NormArgs{a.data(), weight.data(), bf16.data(), n, width, width / 3, 0, Storage::BF16}, bf16);
            check(kernels().silu_mul, cpu::SiluMulArgs{a.data(), b.data(), out, n, width, Storage::F32}, f32);
            check(kernels().silu_mul, cpu::SiluMulArgs{a.data(), b.data(), bf16.data(), n, width, Storage::BF16}, bf16);
            check(kernels().add, cpu::AddArgs{a.data(), b.data(), out, n, width}, f32);
            check(kernels().round, cpu::RoundArgs{a.data(), bf16.data(), n, width}, bf16);
            check(kernels().select_rows, cpu::SelectRowsArgs{a.data(), indices.data(), out, n, width}, f32);
            const Bytes packed(reference::packed(a.vector(), n, width, false));
            check(kernels().embedding,
                  cpu::EmbeddingArgs{indices.data(), {packed.data(), n, width, Storage::F32}, out, n}, f32);
            Bytes table(size_t{n} * 2 * width * 4);
            check(
                kernels().rope_table,
                cpu::RopeTableArgs{indices.data(), weight.data(), reinterpret_cast<float *>(table.data()), n, width, 1},
                table);
        }
    }
}

} // namespace
} // namespace intarsia
