#include <algorithm>
#include <limits>
#include <numeric>

#include <gtest/gtest.h>

#include "guarded.h"
#include "reference.h"
#include "tiers.h"
#include "tiles_emulated.h"

namespace intarsia {
namespace {

using cpu::Storage;
using test::Guarded;
using test::run;
using Floats = reference::Floats;

struct Shape {
    uint32_t heads, kv_heads, dim, window;
    Storage storage;
    bool bf16() const { return storage == Storage::BF16; }
    float scale() const { return 1.0f / std::sqrt(static_cast<float>(dim)); }
};

// Queries `count` at the end of a sequence of `length` tokens.
struct Chunk {
    uint32_t sequence, length, count;
};

// Sequences with known queries, keys and values for every position, and a paged cache in which only some are written.
// Block tables name shuffled blocks; entries that nothing may use are far outside the cache.
class World {
public:
    World(const Shape &shape, std::vector<uint32_t> lengths, uint32_t seed) : shape_(shape), random_(seed) {
        for (const uint32_t length : lengths) {
            max_blocks_ = std::max(max_blocks_, (length + 15) / 16 + 1);
            for (auto [rows, heads] : {std::pair{&q_, shape.heads}, {&k_, shape.kv_heads}, {&v_, shape.kv_heads}}) {
                rows->push_back(values(length * heads * shape.dim));
            }
        }
        const uint32_t blocks = static_cast<uint32_t>(lengths.size()) * max_blocks_ + 3;
        order_.resize(blocks);
        std::iota(order_.begin(), order_.end(), 0);
        for (size_t i = order_.size() - 1; i > 0; --i) {
            std::swap(order_[i], order_[random_.below(static_cast<uint32_t>(i + 1))]);
        }
        const size_t size = shape.bf16() ? 2 : 4;
        keys_.emplace_back(size_t{blocks} * shape.kv_heads * shape.dim * 16 * size);
        values_.emplace_back(size_t{blocks} * shape.kv_heads * cpu::tiles(shape.dim) * 256 * size);
        written_.resize(lengths.size());
    }

    // Attention of a step made of `chunks`, after their keys and values are in the cache: rows [token, heads * dim] of
    // the chunks, in order. `padding` rows follow, which must become zero.
    Floats step(const cpu::Kernels &kernels, const std::vector<Chunk> &chunks, uint32_t padding, uint32_t shares,
                Storage out_storage = Storage::F32) {
        const uint32_t width = shape_.heads * shape_.dim;
        std::vector<int32_t> starts = {0};
        std::vector<int32_t> lengths;
        std::vector<int32_t> tables;
        Floats q;
        for (const Chunk &c : chunks) {
            write(c.sequence, c.length);
            const Floats &from = q_[c.sequence];
            q.insert(q.end(), from.begin() + (c.length - c.count) * width, from.begin() + c.length * width);
            starts.push_back(starts.back() + static_cast<int32_t>(c.count));
            lengths.push_back(static_cast<int32_t>(c.length));
            const uint32_t oldest = first_seen(c.length - c.count);
            for (uint32_t b = 0; b < max_blocks_; ++b) {
                tables.push_back(b < oldest / 16 || b * 16 >= c.length ? 0x70000000 : block(c.sequence, b));
            }
        }
        const uint32_t n = static_cast<uint32_t>(starts.back()) + padding;
        q.resize(n * width, 1.0f);
        const Guarded<float> q_f32(shape_.bf16() ? Floats{} : q);
        const Guarded<uint16_t> q_bf16(shape_.bf16() ? reference::rows_bf16(q, n, width) : std::vector<uint16_t>{});
        const Guarded<int32_t> guarded_starts(starts);
        const Guarded<int32_t> guarded_lengths(lengths);
        const Guarded<int32_t> guarded_tables(tables);
        const bool narrow = out_storage == Storage::BF16;
        Guarded<float> out(narrow ? 0 : n * width);
        Guarded<uint16_t> out_bf16(narrow ? n * width : 0);
        const uint32_t sequences = static_cast<uint32_t>(chunks.size());
        const cpu::AttentionArgs args = {
            shape_.bf16() ? static_cast<const void *>(q_bf16.data()) : q_f32.data(),
            narrow ? static_cast<void *>(out_bf16.data()) : out.data(),
            shape_.storage,
            out_storage,
            {keys_[0].data(), values_[0].data(), shape_.kv_heads, shape_.dim, shape_.storage},
            shape_.heads,
            shape_.window,
            shape_.scale(),
            &sequences,
            guarded_starts.data(),
            guarded_lengths.data(),
            guarded_tables.data(),
            max_blocks_,
            n,
        };
        run(kernels.attention, args, shares);
        if (!narrow) {
            return out.vector();
        }
        Floats widened;
        for (const uint16_t half : out_bf16) {
            widened.push_back(reference::from_bf16(half));
        }
        return widened;
    }

    // Makes the key and the value at a position NaN, before they are written.
    void poison(uint32_t sequence, uint32_t position) {
        const size_t width = shape_.kv_heads * shape_.dim;
        for (Floats *rows : {&k_[sequence], &v_[sequence]}) {
            std::fill_n(rows->begin() + position * width, width, std::numeric_limits<float>::quiet_NaN());
        }
    }

    // What the definition gives for the same step.
    Floats expected(const std::vector<Chunk> &chunks, uint32_t padding) const {
        const test::Flushed flushed;
        const reference::Attention attend = {shape_.dim, shape_.bf16(), shape_.scale(), test::kernel_exp};
        Floats out;
        for (const Chunk &c : chunks) {
            for (uint32_t position = c.length - c.count; position < c.length; ++position) {
                for (uint32_t h = 0; h < shape_.heads; ++h) {
                    const uint32_t kv = h / (shape_.heads / shape_.kv_heads);
                    const Floats keys = head(k_[c.sequence], kv, position);
                    const Floats values = head(v_[c.sequence], kv, position);
                    const float *q = &q_[c.sequence][(size_t{position} * shape_.heads + h) * shape_.dim];
                    const Floats row = attend(q, keys.data(), values.data(), first_seen(position), position);
                    const std::vector<double> exact = reference::attention_f64(
                        q, keys.data(), values.data(), shape_.dim, shape_.scale(), first_seen(position), position);
                    for (uint32_t d = 0; d < shape_.dim; ++d) {
                        EXPECT_NEAR(row[d], exact[d], shape_.bf16() ? 4e-2 : 1e-5) << "the definition is not attention";
                    }
                    out.insert(out.end(), row.begin(), row.end());
                }
            }
        }
        out.resize(out.size() + padding * shape_.heads * shape_.dim, 0.0f);
        return out;
    }

private:
    Floats values(size_t count) {
        Floats out = random_.values(count);
        for (float &v : out) {
            v = shape_.bf16() ? reference::as_bf16(v) : v;
        }
        return out;
    }

    uint32_t first_seen(uint32_t position) const {
        return shape_.window == 0 || position < shape_.window ? 0 : position - shape_.window + 1;
    }

    int32_t block(uint32_t sequence, uint32_t index) const { return order_[sequence * max_blocks_ + index]; }

    Floats head(const Floats &rows, uint32_t kv, uint32_t last) const {
        Floats out;
        for (uint32_t p = 0; p <= last; ++p) {
            const auto from = rows.begin() + (p * shape_.kv_heads + kv) * shape_.dim;
            out.insert(out.end(), from, from + shape_.dim);
        }
        return out;
    }

    // Keys and values of positions up to `length`, those not yet there.
    void write(uint32_t sequence, uint32_t length) {
        const uint32_t dim = shape_.dim;
        for (uint32_t &p = written_[sequence]; p < length; ++p) {
            for (uint32_t i = 0; i < shape_.kv_heads * dim; ++i) {
                const size_t tile = static_cast<size_t>(block(sequence, p / 16)) * shape_.kv_heads + i / dim;
                const uint32_t d = i % dim;
                const uint32_t at = p % 16;
                const size_t from = size_t{p} * shape_.kv_heads * dim + i;
                const size_t key = tile * dim * 16 + (shape_.bf16() ? d / 2 * 32 + at * 2 + d % 2 : d * 16 + at);
                const size_t value = tile * cpu::tiles(dim) * 256 + d / 16 * 256 +
                                     (shape_.bf16() ? at / 2 * 32 + d % 16 * 2 + at % 2 : at * 16 + d % 16);
                put(keys_[0], key, k_[sequence][from]);
                put(values_[0], value, v_[sequence][from]);
            }
        }
    }

    void put(Guarded<unsigned char> &cache, size_t index, float value) const {
        const uint16_t half = reference::to_bf16(value);
        if (shape_.bf16()) {
            std::memcpy(cache.data() + index * 2, &half, 2);
        } else {
            std::memcpy(cache.data() + index * 4, &value, 4);
        }
    }

    Shape shape_;
    test::Random random_;
    uint32_t max_blocks_ = 0;
    std::vector<Floats> q_, k_, v_; // of each sequence: [position, heads * dim]
    std::vector<int32_t> order_;
    std::vector<Guarded<unsigned char>> keys_, values_;
    std::vector<uint32_t> written_;
};

class Attention : public test::TierTest {};
INTARSIA_EVERY_TIER(Attention);

constexpr Storage kStorages[] = {Storage::F32, Storage::BF16};

std::string text(const Shape &s) {
    return std::to_string(s.heads) + "/" + std::to_string(s.kv_heads) + " heads of " + std::to_string(s.dim) +
           ", window " + std::to_string(s.window) + (s.bf16() ? ", bf16" : ", f32");
}

TEST_P(Attention, DecodesAtEveryBoundary) {
    uint32_t seed = 0;
    for (const Storage storage : kStorages) {
        for (const uint32_t length :
             {1u, 2u, 15u, 16u, 17u, 31u, 32u, 33u, 63u, 64u, 65u, 127u, 128u, 129u, 130u, 1000u}) {
            const Shape shape = {4, 2, 32, 0, storage};
            World world(shape, {length}, ++seed);
            const std::vector<Chunk> chunks = {{0, length, 1}};
            const Floats want = world.expected(chunks, 0);
            for (const uint32_t shares : test::kShares) {
                EXPECT_TRUE(test::same_bits(world.step(kernels(), chunks, 0, shares), want))
                    << "length " << length << ", " << text(shape);
            }
        }
    }
}

TEST_P(Attention, EveryHeadShape) {
    uint32_t seed = 100;
    for (const Storage storage : kStorages) {
        for (const uint32_t dim : {2u, 16u, 32u, 48u, 64u, 128u}) {
            for (const uint32_t group : {1u, 2u, 4u, 7u}) {
                const uint32_t kv_heads = 1 + seed % 3;
                const Shape shape = {kv_heads * group, kv_heads, dim, 0, storage};
                World world(shape, {70}, ++seed);
                const std::vector<Chunk> chunks = {{0, 70, 9}};
                const Floats want = world.expected(chunks, 2);
                EXPECT_TRUE(test::same_bits(world.step(kernels(), chunks, 2, 1), want)) << text(shape);
                EXPECT_TRUE(test::same_bits(world.step(kernels(), chunks, 2, 3), want)) << text(shape);
            }
        }
    }
}

TEST_P(Attention, WideHeadsAndManyHeads) {
    uint32_t seed = 200;
    for (const Storage storage : kStorages) {
        for (const Shape &shape : {Shape{6, 1, 1024, 0, storage}, Shape{2, 2, 258, 0, storage},
                                   Shape{35, 1, 16, 0, storage}, Shape{34, 2, 64, 20, storage}}) {
            World world(shape, {80}, ++seed);
            const std::vector<Chunk> chunks = {{0, 80, 5}};
            EXPECT_TRUE(test::same_bits(world.step(kernels(), chunks, 0, 2), world.expected(chunks, 0))) << text(shape);
        }
    }
}

TEST_P(Attention, SlidingWindows) {
    uint32_t seed = 300;
    for (const Storage storage : kStorages) {
        for (const uint32_t window : {1u, 2u, 15u, 16u, 17u, 63u, 64u, 65u, 100u, 200u, 0xFFFFFFFFu}) {
            for (const uint32_t dim : {16u, 32u}) {
                const Shape shape = {4, 2, dim, window, storage};
                World world(shape, {200, 90}, ++seed);
                const std::vector<Chunk> chunks = {{0, 200, 70}, {1, 90, 1}};
                const Floats want = world.expected(chunks, 1);
                EXPECT_TRUE(test::same_bits(world.step(kernels(), chunks, 1, 1), want)) << text(shape);
                EXPECT_TRUE(test::same_bits(world.step(kernels(), chunks, 1, 7), want)) << text(shape);
            }
        }
    }
}

TEST_P(Attention, SeveralSequencesInChunks) {
    for (const Storage storage : kStorages) {
        const Shape shape = {8, 4, 32, 0, storage};
        World world(shape, {129, 17, 64, 33, 1}, 400);
        const std::vector<Chunk> chunks = {{0, 100, 37}, {1, 17, 1}, {2, 64, 64}, {3, 33, 2}, {4, 1, 1}};
        const Floats want = world.expected(chunks, 3);
        for (const uint32_t shares : test::kShares) {
            EXPECT_TRUE(test::same_bits(world.step(kernels(), chunks, 3, shares), want)) << "shares " << shares;
            Floats rounded = want;
            for (float &v : rounded) {
                v = reference::as_bf16(v);
            }
            EXPECT_TRUE(test::same_bits(world.step(kernels(), chunks, 3, shares, Storage::BF16), rounded))
                << "shares " << shares;
        }
        const std::vector<Chunk> next = {{2, 64, 1}, {0, 129, 29}};
        EXPECT_TRUE(test::same_bits(world.step(kernels(), next, 0, 2), world.expected(next, 0)));
    }
}

// A sequence gives the same bits whole, in chunks, and token by token, in a cache where later positions are still
// unwritten.
TEST_P(Attention, ChunkingChangesNothing) {
    for (const Storage storage : kStorages) {
        for (const auto &[window, dim] : {std::pair{0u, 48u}, {50u, 48u}, {0u, 96u}, {50u, 96u}}) {
            const Shape shape = {6, 2, dim, window, storage};
            const uint32_t length = 150;
            const auto in_chunks = [&](uint32_t size) {
                World world(shape, {length}, 500);
                Floats out;
                for (uint32_t at = 0; at < length; at += size) {
                    const uint32_t end = std::min(at + size, length);
                    const Floats rows = world.step(kernels(), {{0, end, end - at}}, 0, 1);
                    out.insert(out.end(), rows.begin(), rows.end());
                }
                return out;
            };
            const Floats whole = in_chunks(length);
            for (const uint32_t size : {1u, 5u, 16u, 64u, 77u}) {
                EXPECT_TRUE(test::same_bits(in_chunks(size), whole)) << "chunks of " << size << ", " << text(shape);
            }
        }
    }
}

// Tile registers are used from nine rows on, where a head is of whole operands.
TEST(AttentionByTiles, FromNineRowsOn) {
    const auto products = [](uint32_t rows, uint32_t dim, Storage storage) {
        const Shape shape = {4, 2, dim, 0, storage};
        World world(shape, {128}, 800);
        const std::vector<Chunk> chunks = {{0, 128, rows / 2}};
        const Floats want = world.expected(chunks, 0);
        const uint64_t before = test::EmulatedTiles::products_of_bf16;
        EXPECT_TRUE(test::same_bits(world.step(test::amx_emulated(), chunks, 0, 1), want)) << rows << " rows, " << text(shape);
        return test::EmulatedTiles::products_of_bf16 - before;
    };
    EXPECT_EQ(products(8, 64, Storage::BF16), 0u);
    EXPECT_EQ(products(10, 48, Storage::BF16), 0u);
    EXPECT_EQ(products(10, 64, Storage::F32), 0u);
    // Two heads of the cache, two key blocks: two pairs of cache blocks, then of element tiles, with two operands of inputs and of positions.
    EXPECT_EQ(products(10, 64, Storage::BF16), 2u * 2 * (2 * 2 + 2 * 2) * 4);
}

// A position enters only the rows that see it, though others of the same step work on the same keys.
TEST_P(Attention, NanStaysWhereItIsSeen) {
    const uint32_t length = 140;
    for (const Storage storage : kStorages) {
        for (const uint32_t window : {0u, 20u}) {
            for (const uint32_t position : {0u, 36u, 37u, 63u, 64u, 101u}) {
                const Shape shape = {4, 2, 32, window, storage};
                World clean(shape, {length}, 700);
                World poisoned(shape, {length}, 700);
                poisoned.poison(0, position);
                const Floats want = clean.step(kernels(), {{0, length, length}}, 0, 1);
                const Floats got = poisoned.step(kernels(), {{0, length, length}}, 0, 1);
                const uint32_t width = shape.heads * shape.dim;
                for (uint32_t i = 0; i < want.size(); ++i) {
                    const uint32_t row = i / width;
                    if (row >= position && (window == 0 || row < position + window)) {
                        ASSERT_TRUE(std::isnan(got[i])) << "row " << row << " sees " << position << ", " << text(shape);
                    } else {
                        ASSERT_TRUE(test::same(got[i], want[i]))
                            << "row " << row << " does not see " << position << ", " << text(shape);
                    }
                }
            }
        }
    }
}

TEST_P(Attention, OnlyPadding) {
    const Shape shape = {2, 1, 16, 0, Storage::BF16};
    World world(shape, {1}, 600);
    EXPECT_TRUE(test::same_bits(world.step(kernels(), {}, 5, 2), Floats(5 * 32, 0.0f)));
}

} // namespace
} // namespace intarsia
