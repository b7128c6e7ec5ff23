// Attention on the device: against f64 loops, and bit for bit against itself whatever the path.
//
// Speed: --gtest_also_run_disabled_tests --gtest_filter=*Speed*
#if defined(__CUDACC__)
#pragma nv_diag_suppress 177 // of what TEST_F declares
#endif

#include <cmath>
#include <cstdio>
#include <limits>
#include <numeric>

#include "cuda/kernels.h"
#include "cuda_device.h"
#include "reference.h"

namespace intarsia {
namespace {

using cpu::Storage;
using test::Numbers;
using test::OnDevice;
using Floats = std::vector<float>;

struct Shape {
    uint32_t heads, kv_heads, dim, window;
    Storage storage;
    bool bf16() const { return storage == Storage::BF16; }
    float scale() const { return 1.0f / std::sqrt(static_cast<float>(dim)); }
    size_t width() const { return size_t{heads} * dim; }
};

std::string text(const Shape &s) {
    return std::to_string(s.heads) + "/" + std::to_string(s.kv_heads) + " heads of " + std::to_string(s.dim) + ", window " +
           std::to_string(s.window) + (s.bf16() ? ", bf16" : ", f32");
}

uint16_t narrowed(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    return static_cast<uint16_t>(std::isnan(value) ? 0x7FFF : (bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

// Queries `count` at the end of a sequence of `length` tokens.
struct Chunk {
    uint32_t sequence, length, count;
};

// What the kernel before attention is: it lets attention start, and writes to the cache a good while after that.
__global__ void write_late(uint4 *keys, uint4 *values, const uint4 *all_keys, const uint4 *all_values, uint64_t count) {
    cuda::let_next_start();
    cuda::wait_for_earlier();
    for (const long long start = clock64(); clock64() - start < 200000;) {}
    for (uint64_t i = threadIdx.x; i < count; i += blockDim.x) {
        keys[i] = all_keys[i];
        values[i] = all_values[i];
    }
}

// Sequences with known queries, keys and values, and a paged cache that is NaN where nothing is written. Tables name shuffled blocks; what no row may use is
// far outside the cache.
class World {
public:
    World(const Shape &shape, const std::vector<uint32_t> &lengths, uint32_t seed, uint32_t shuffle = 1) : shape_(shape) {
        Numbers numbers(seed);
        for (const uint32_t length : lengths) {
            max_blocks_ = std::max(max_blocks_, (length + 15) / 16 + 1);
            q_.push_back(rounded(numbers, length * shape.width(), 4.0f)); // so that some keys weigh much more than others
            k_.push_back(rounded(numbers, size_t{length} * shape.kv_heads * shape.dim, 1.0f));
            v_.push_back(rounded(numbers, size_t{length} * shape.kv_heads * shape.dim, 1.0f));
        }
        blocks_ = static_cast<uint32_t>(lengths.size()) * max_blocks_ + 3;
        order_.resize(blocks_);
        std::iota(order_.begin(), order_.end(), 0);
        Numbers shuffled(shuffle);
        for (size_t i = order_.size() - 1; i > 0; --i) {
            std::swap(order_[i], order_[shuffled.below(static_cast<uint32_t>(i + 1))]);
        }
        const size_t elements = size_t{blocks_} * shape.kv_heads * 16 * shape.dim;
        keys_.assign(elements * size(), 0xFF); // NaN
        values_.assign(elements * size(), 0xFF);
        written_.resize(lengths.size());
    }

    // The buffers of a step, at the same addresses for all steps with up to n tokens.
    struct Step {
        Step(const World &world, uint32_t n_, uint32_t sequences_)
            : q(n_ * world.shape_.width() * (world.shape_.bf16() ? 2 : 4)), out(n_ * world.shape_.width() * 4),
              keys(world.keys_.size()), values(keys.bytes()), sequences(2), starts(sequences_ + 1),
              lengths(sequences_), tables(size_t{sequences_} * world.max_blocks_), n(n_) {}
        OnDevice<unsigned char> q, out, keys, values;
        OnDevice<uint32_t> sequences;
        OnDevice<int32_t> starts, lengths, tables;
        uint32_t n;
    };

    void fill(Step &step, const std::vector<Chunk> &chunks) {
        std::vector<int32_t> starts = {0}, lengths, tables;
        Floats q;
        for (const Chunk &c : chunks) {
            write(c.sequence, c.length);
            const Floats &from = q_[c.sequence];
            q.insert(q.end(), from.begin() + static_cast<long>((c.length - c.count) * shape_.width()),
                     from.begin() + static_cast<long>(c.length * shape_.width()));
            starts.push_back(starts.back() + static_cast<int32_t>(c.count));
            lengths.push_back(static_cast<int32_t>(c.length));
            const uint32_t oldest = first_seen(c.length - c.count);
            for (uint32_t b = 0; b < max_blocks_; ++b) {
                tables.push_back(b < oldest / 16 || b * 16 >= c.length ? 0x70000000 : order_[c.sequence * max_blocks_ + b]);
            }
        }
        q.resize(step.n * shape_.width(), std::numeric_limits<float>::quiet_NaN());
        step.q.set(bytes(q));
        step.keys.set(keys_);
        step.values.set(values_);
        test::expect_ok(cudaMemset(step.out.data(), 0xFF, step.out.bytes()));
        step.sequences.set({static_cast<uint32_t>(chunks.size()), 0});
        step.starts.set(starts);
        step.lengths.set(lengths);
        step.tables.set(tables);
    }

    cpu::AttentionArgs args(Step &step, Storage out_storage) const {
        return {step.q.data(),
                step.out.data(),
                shape_.storage,
                out_storage,
                {step.keys.data(), step.values.data(), shape_.kv_heads, shape_.dim, shape_.storage},
                shape_.heads,
                shape_.window,
                shape_.scale(),
                step.sequences.data(),
                step.starts.data(),
                step.lengths.data(),
                step.tables.data(),
                max_blocks_,
                step.n};
    }

    Floats result(Step &step, Storage out_storage) const {
        const std::vector<unsigned char> raw = step.out.get();
        Floats out(step.n * shape_.width());
        for (size_t i = 0; i < out.size(); ++i) {
            if (out_storage == Storage::F32) {
                std::memcpy(&out[i], &raw[i * 4], 4);
            } else {
                uint16_t half;
                std::memcpy(&half, &raw[i * 2], 2);
                out[i] = reference::from_bf16(half);
            }
        }
        return out;
    }

    // Rows [token, heads * dim] of the chunks in order, then `padding` rows, which must become zero.
    Floats step(const cuda::Context &context, const std::vector<Chunk> &chunks, uint32_t padding, Storage out_storage = Storage::F32) {
        uint32_t n = padding;
        for (const Chunk &c : chunks) {
            n += c.count;
        }
        Step step(*this, n, static_cast<uint32_t>(std::max<size_t>(chunks.size(), 1)));
        fill(step, chunks);
        test::expect_ok(cudaDeviceSynchronize());
        cuda::launch(context, args(step, out_storage));
        test::expect_ok(cudaStreamSynchronize(context.stream));
        EXPECT_TRUE(step.out.intact());
        return result(step, out_storage);
    }

    // The same where what the step itself writes to the cache gets there only while attention may have begun.
    Floats step_late(const cuda::Context &context, const std::vector<Chunk> &chunks, bool reads_of_others) {
        uint32_t n = 0;
        std::vector<uint32_t> before(written_.size(), UINT32_MAX);
        for (const Chunk &c : chunks) {
            n += c.count;
            before[c.sequence] = std::min(before[c.sequence], c.length - c.count);
        }
        for (const Chunk &c : chunks) {
            write(c.sequence, before[c.sequence]);
        }
        const std::vector<unsigned char> keys = keys_, values = values_; // as before the step
        Step step(*this, n, static_cast<uint32_t>(chunks.size()));
        fill(step, chunks);
        const OnDevice<unsigned char> all_keys(keys_), all_values(values_);
        step.keys.set(keys);
        step.values.set(values);
        step.sequences.set({static_cast<uint32_t>(chunks.size()), reads_of_others});
        test::expect_ok(cudaDeviceSynchronize());
        const auto at = [](const OnDevice<unsigned char> &from) { return reinterpret_cast<const uint4 *>(from.data()); };
        cuda::launch(context, "writing late", write_late, dim3(1), dim3(512), 0, reinterpret_cast<uint4 *>(step.keys.data()),
                     reinterpret_cast<uint4 *>(step.values.data()), at(all_keys), at(all_values), keys_.size() / 16);
        cuda::launch(context, args(step, Storage::F32));
        test::expect_ok(cudaStreamSynchronize(context.stream));
        return result(step, Storage::F32);
    }

    // The relative error of rows first, first + every, ... of a step.
    double error(const Floats &got, const std::vector<Chunk> &chunks, uint32_t every = 1) const {
        double wrong = 0, all = 0;
        size_t row = 0;
        for (const Chunk &c : chunks) {
            for (uint32_t position = c.length - c.count; position < c.length; ++position, ++row) {
                if (row % every != 0) {
                    continue;
                }
                for (uint32_t h = 0; h < shape_.heads; ++h) {
                    const std::vector<double> want = exact(c.sequence, position, h);
                    for (uint32_t d = 0; d < shape_.dim; ++d) {
                        const double e = got[row * shape_.width() + size_t{h} * shape_.dim + d] - want[d];
                        wrong += e * e; // NaN stays NaN
                        all += want[d] * want[d];
                    }
                }
            }
        }
        return std::sqrt(wrong / all);
    }

    // Makes the key and the value at a position NaN, before they are written.
    void poison(uint32_t sequence, uint32_t position, float value) {
        const size_t width = size_t{shape_.kv_heads} * shape_.dim;
        std::fill_n(k_[sequence].begin() + static_cast<long>(position * width), width, std::numeric_limits<float>::quiet_NaN());
        std::fill_n(v_[sequence].begin() + static_cast<long>(position * width), width, value);
    }

private:
    Floats rounded(Numbers &numbers, size_t count, float factor) const {
        Floats out = numbers.values(count);
        for (float &v : out) {
            v = shape_.bf16() ? reference::from_bf16(narrowed(v * factor)) : v * factor;
        }
        return out;
    }

    uint32_t first_seen(uint32_t position) const {
        return shape_.window == 0 || position < shape_.window ? 0 : position - shape_.window + 1;
    }

    std::vector<double> exact(uint32_t sequence, uint32_t position, uint32_t head) const {
        const size_t dim = shape_.dim;
        const size_t step = shape_.kv_heads * dim;
        const size_t kv = head / (shape_.heads / shape_.kv_heads) * dim;
        const float *q = &q_[sequence][position * shape_.width() + head * dim];
        std::vector<double> scores;
        double top = -1e300;
        for (uint32_t p = first_seen(position); p <= position; ++p) {
            double s = 0;
            for (size_t d = 0; d < dim; ++d) {
                s += double{q[d]} * k_[sequence][p * step + kv + d];
            }
            scores.push_back(s * shape_.scale());
            top = std::max(top, scores.back());
        }
        std::vector<double> out(dim, 0.0);
        double sum = 0;
        for (size_t i = 0; i < scores.size(); ++i) {
            const double weight = std::exp(scores[i] - top);
            sum += weight;
            for (size_t d = 0; d < dim; ++d) {
                out[d] += weight * v_[sequence][(first_seen(position) + i) * step + kv + d];
            }
        }
        for (double &o : out) {
            o /= sum;
        }
        return out;
    }

    void write(uint32_t sequence, uint32_t length) {
        const size_t width = size_t{shape_.kv_heads} * shape_.dim;
        for (uint32_t &p = written_[sequence]; p < length; ++p) {
            const size_t block = static_cast<size_t>(order_[sequence * max_blocks_ + p / 16]);
            for (size_t i = 0; i < width; ++i) {
                const size_t to = ((block * shape_.kv_heads + i / shape_.dim) * 16 + p % 16) * shape_.dim + i % shape_.dim;
                store(keys_, to, k_[sequence][p * width + i]);
                store(values_, to, v_[sequence][p * width + i]);
            }
        }
    }

    size_t size() const { return shape_.bf16() ? 2 : 4; }

    void store(std::vector<unsigned char> &to, size_t i, float value) const {
        const uint16_t half = narrowed(value);
        std::memcpy(&to[i * size()], shape_.bf16() ? static_cast<const void *>(&half) : &value, size());
    }

    std::vector<unsigned char> bytes(const Floats &x) const {
        std::vector<unsigned char> out(x.size() * size());
        for (size_t i = 0; i < x.size(); ++i) {
            store(out, i, x[i]);
        }
        return out;
    }

    Shape shape_;
    uint32_t max_blocks_ = 0, blocks_ = 0;
    std::vector<Floats> q_, k_, v_; // of each sequence: [position, heads * dim]
    std::vector<int32_t> order_;
    std::vector<unsigned char> keys_, values_; // the cache
    std::vector<uint32_t> written_;
};

class CudaAttention : public test::CudaTest {
protected:
    // A sequence of `length` in chunks of `size`, in a world of its own.
    Floats in_chunks(const Shape &shape, uint32_t length, uint32_t size, uint32_t shuffle = 1) {
        World world(shape, {length}, 500, shuffle);
        Floats out;
        for (uint32_t at = 0; at < length; at += size) {
            const uint32_t end = std::min(at + size, length);
            const Floats rows = world.step(context, {{0, end, end - at}}, 0);
            out.insert(out.end(), rows.begin(), rows.end());
        }
        return out;
    }

    void expect_near(World &world, const Shape &shape, const std::vector<Chunk> &chunks, uint32_t padding, const std::string &what,
                     uint32_t every = 1) {
        const Floats got = world.step(context, chunks, padding);
        const double error = world.error(got, chunks, every);
        EXPECT_LT(error, shape.bf16() ? 5e-3 : 1e-6) << what << ", " << text(shape);
        EXPECT_GE(error, 0) << what << ", " << text(shape);
        worst_[shape.bf16()] = std::max(worst_[shape.bf16()], error);
        for (size_t i = got.size() - padding * shape.width(); i < got.size(); ++i) {
            ASSERT_EQ(got[i], 0.0f) << "padding, " << text(shape);
        }
    }

    void TearDown() override {
        if (worst_[0] + worst_[1] > 0) {
            std::printf("    worst relative error: f32 %.2e, bf16 %.2e\n", worst_[0], worst_[1]);
        }
        test::CudaTest::TearDown();
    }

    double worst_[2] = {};
};

constexpr Storage kStorages[] = {Storage::F32, Storage::BF16};

TEST_F(CudaAttention, DecodesAtEveryBoundary) {
    uint32_t seed = 0;
    for (const Storage storage : kStorages) {
        for (const uint32_t dim : {64u, 128u}) {
            for (const uint32_t length : {1u, 2u, 15u, 16u, 17u, 63u, 64u, 65u, 127u, 128u, 129u, 255u, 256u, 257u, 513u, 1000u, 4096u}) {
                const Shape shape = {4, 2, dim, 0, storage};
                World world(shape, {length}, ++seed);
                expect_near(world, shape, {{0, length, 1}}, 0, "length " + std::to_string(length));
            }
        }
    }
}

TEST_F(CudaAttention, EveryHeadShape) {
    uint32_t seed = 100;
    for (const Storage storage : kStorages) {
        for (const uint32_t dim : {2u, 16u, 22u, 32u, 48u, 64u, 80u, 128u, 256u, 1024u}) {
            for (const uint32_t group : {1u, 2u, 7u, 16u, 20u}) {
                const uint32_t kv_heads = 1 + seed % 3;
                const Shape shape = {kv_heads * group, kv_heads, dim, 0, storage};
                World world(shape, {90}, ++seed);
                expect_near(world, shape, {{0, 70, 9}}, 2, "few tokens");
                expect_near(world, shape, {{0, 90, 80}}, 1, "many tokens", 7);
                expect_near(world, shape, {{0, 90, 1}}, 0, "one token");
            }
        }
    }
}

TEST_F(CudaAttention, SlidingWindows) {
    uint32_t seed = 300;
    for (const Storage storage : kStorages) {
        for (const uint32_t dim : {16u, 64u, 128u}) {
            for (const uint32_t window : {1u, 16u, 17u, 63u, 64u, 65u, 100u, 300u, 0xFFFFFFFFu}) {
                const Shape shape = {4, 2, dim, window, storage};
                World world(shape, {400, 90}, ++seed);
                const int processors = context.multiprocessors;
                for (const int some : {processors, 3}) { // so few that tiles are large
                    context.multiprocessors = some;
                    expect_near(world, shape, {{0, 400, 170}, {1, 90, 1}}, 1, "many tokens", 3);
                }
                context.multiprocessors = processors;
                expect_near(world, shape, {{0, 400, 30}, {1, 90, 2}}, 1, "few tokens", 3);
                expect_near(world, shape, {{0, 400, 1}}, 0, "one token");
            }
        }
    }
}

TEST_F(CudaAttention, LongSequences) {
    const Shape shape = {16, 8, 128, 0, Storage::BF16};
    World world(shape, {4100, 600}, 350);
    expect_near(world, shape, {{0, 4100, 1}}, 0, "one token");
    expect_near(world, shape, {{0, 4096, 1}, {1, 600, 7}}, 1, "few tokens");
    expect_near(world, shape, {{0, 4100, 1000}, {1, 600, 600}}, 3, "many tokens", 97);
}

// Whole, in chunks, and token by token; in other blocks; in a cache where later positions are still unwritten.
TEST_F(CudaAttention, ChunkingAndPlacingChangeNothing) {
    for (const Shape &shape : {Shape{16, 8, 128, 0, Storage::BF16}, Shape{8, 2, 64, 0, Storage::BF16}, Shape{4, 2, 128, 70, Storage::BF16},
                               Shape{6, 2, 48, 0, Storage::BF16}, Shape{6, 2, 48, 50, Storage::F32}, Shape{20, 1, 64, 0, Storage::BF16},
                               Shape{3, 3, 128, 0, Storage::F32}}) {
        const uint32_t length = 333;
        const Floats whole = in_chunks(shape, length, length);
        for (const uint32_t size : {1u, 5u, 16u, 64u, 77u, 160u}) {
            const Floats got = in_chunks(shape, length, size, size + 7);
            EXPECT_TRUE(test::same_bits(got, whole)) << "chunks of " << size << ", " << text(shape) << ": "
                                                     << test::difference(got, whole, shape.width());
        }
    }
}

// Beside others, padded, with and without room for partial results.
TEST_F(CudaAttention, CompanyChangesNothing) {
    for (const Shape &shape : {Shape{16, 8, 128, 0, Storage::BF16}, Shape{8, 2, 64, 100, Storage::BF16}, Shape{4, 2, 32, 0, Storage::F32}}) {
        const std::vector<uint32_t> lengths = {1290, 17, 640, 330, 1, 700, 65, 128};
        const std::vector<Chunk> mixed = {{0, 1290, 137}, {1, 17, 1}, {2, 640, 640}, {3, 330, 2}, {4, 1, 1}, {5, 700, 1}, {6, 65, 8}, {7, 128, 1}};
        const std::vector<Chunk> few = {{0, 1290, 3}, {1, 17, 1}, {2, 640, 20}, {3, 330, 2}, {4, 1, 1}, {5, 700, 1}, {6, 65, 8}, {7, 128, 1}};
        for (const auto &chunks : {mixed, few}) {
            Floats alone;
            for (const Chunk &c : chunks) {
                World world(shape, lengths, 400, 3);
                const Floats rows = world.step(context, {c}, 0);
                alone.insert(alone.end(), rows.begin(), rows.end());
            }
            for (const uint32_t padding : {0u, 5u, 300u}) {
                for (const bool room : {true, false}) {
                    cuda::Context other = context;
                    other.scratch_bytes = room ? cuda::kScratch : 4096;
                    World world(shape, lengths, 400, 9);
                    Floats got = world.step(other, chunks, padding);
                    for (size_t i = alone.size(); i < got.size(); ++i) {
                        ASSERT_EQ(got[i], 0.0f);
                    }
                    got.resize(alone.size());
                    EXPECT_TRUE(test::same_bits(got, alone)) << padding << " rows of padding, " << (room ? "room, " : "no room, ") << text(shape)
                                                             << ": " << test::difference(got, alone, shape.width());
                }
            }
            World world(shape, lengths, 400, 9);
            Floats narrow = world.step(context, chunks, 0, Storage::BF16);
            for (float &v : alone) {
                v = reference::as_bf16(v);
            }
            EXPECT_TRUE(test::same_bits(narrow, alone)) << test::difference(narrow, alone, shape.width());
        }
    }
}

// Attention begins while the kernel before it still runs, which writes this step's keys and values: those are waited for, and of other sequences too.
TEST_F(CudaAttention, SeesWhatIsWrittenJustBefore) {
    uint32_t seed = 900;
    for (const uint32_t dim : {64u, 128u}) {
        for (const uint32_t window : {0u, 5u, 70u}) {
            const Shape shape = {4, 2, dim, window, Storage::BF16};
            const auto check = [&](const std::vector<Chunk> &chunks, bool reads_of_others) {
                World world(shape, {300, 300, 300}, ++seed);
                const Floats late = world.step_late(context, chunks, reads_of_others);
                const std::string what = std::to_string(chunks.size()) + " sequences, the first with " + std::to_string(chunks[0].count) + " tokens of " +
                                         std::to_string(chunks[0].length) + ", " + text(shape);
                EXPECT_LT(world.error(late, chunks), 5e-3) << what;
                EXPECT_EQ(late, world.step(context, chunks, 0)) << what;
            };
            for (const uint32_t count : {1u, 3u, 8u, 40u}) {
                for (const uint32_t length : {count, 62u, 64u, 65u, 67u, 130u, 300u}) {
                    if (length >= count) check({{0, length, count}}, false);
                }
                check({{0, 129, 1}, {1, 64, count}, {2, 300, 1}}, false);
                // The second has what the first writes; as if it were another's blocks.
                check({{0, 40 + count, count}, {0, 41 + count, 1}}, true);
                check({{0, 190, count}, {0, 191, 1}, {1, 77, 1}}, true);
            }
        }
    }
}

// A graph captured once is right for other lengths, tables and numbers of sequences.
TEST_F(CudaAttention, ReplaysReadTheStep) {
    for (const Shape &shape : {Shape{16, 8, 128, 0, Storage::BF16}, Shape{4, 2, 16, 0, Storage::F32}}) {
        for (const uint32_t n : {1u, 8u, 100u}) {
            const std::vector<uint32_t> lengths = {1000, 300, 70, 90, 130};
            World world(shape, lengths, 600);
            World::Step step(world, n, 5);
            step.sequences.set({0, 0});
            step.starts.set({0, 0, 0, 0, 0, 0});
            const cudaGraphExec_t exec = capture([&] { cuda::launch(context, world.args(step, Storage::F32)); });
            const std::vector<std::vector<Chunk>> steps = n == 1 ? std::vector<std::vector<Chunk>>{{{0, 40, 1}}, {{0, 999, 1}}, {{1, 300, 1}}, {}}
                                                          : n == 8
                                                              ? std::vector<std::vector<Chunk>>{{{0, 500, 1}, {1, 20, 4}, {2, 70, 1}}, {{4, 130, 8}}, {}}
                                                              : std::vector<std::vector<Chunk>>{
                                                                    {{0, 700, 60}, {1, 20, 1}, {3, 90, 30}}, {{0, 800, 100}}, {{1, 300, 1}, {2, 70, 20}}};
            for (const std::vector<Chunk> &chunks : steps) {
                world.fill(step, chunks);
                test::expect_ok(cudaDeviceSynchronize());
                test::expect_ok(cudaGraphLaunch(exec, context.stream));
                test::expect_ok(cudaStreamSynchronize(context.stream));
                const Floats got = world.result(step, Storage::F32);
                Floats want;
                for (const Chunk &c : chunks) {
                    World fresh(shape, lengths, 600, 77);
                    const Floats rows = fresh.step(context, {c}, 0);
                    want.insert(want.end(), rows.begin(), rows.end());
                }
                want.resize(n * shape.width(), 0.0f);
                EXPECT_TRUE(test::same_bits(got, want)) << n << " tokens, " << text(shape) << ": " << test::difference(got, want, shape.width());
            }
            test::expect_ok(cudaGraphExecDestroy(exec));
        }
    }
}

// A position enters only the rows that see it, though others of the same tile work on the same keys.
TEST_F(CudaAttention, NanStaysWhereItIsSeen) {
    const uint32_t length = 140;
    for (const Shape &base : {Shape{4, 2, 128, 0, Storage::BF16}, Shape{4, 2, 64, 0, Storage::BF16}, Shape{4, 2, 32, 0, Storage::F32}}) {
        for (const uint32_t window : {0u, 20u}) {
            for (const auto &[size, processors] : {std::pair{length, context.multiprocessors}, {length, 3}, {30u, context.multiprocessors}}) {
                cuda::Context other = context;
                other.multiprocessors = processors; // with few, tiles are large
                for (const uint32_t position : {0u, 36u, 63u, 64u, 101u}) {
                    for (const float value : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
                        Shape shape = base;
                        shape.window = window;
                        const Floats want = in_chunks(shape, length, length);
                        World poisoned(shape, {length}, 500);
                        poisoned.poison(0, position, value);
                        Floats got;
                        for (uint32_t at = 0; at < length; at += size) {
                            const uint32_t end = std::min(at + size, length);
                            const Floats rows = poisoned.step(other, {{0, end, end - at}}, 0);
                            got.insert(got.end(), rows.begin(), rows.end());
                        }
                        for (size_t i = 0; i < want.size(); ++i) {
                            const size_t row = i / shape.width();
                            if (row >= position && (window == 0 || row < size_t{position} + window)) {
                                ASSERT_TRUE(std::isnan(got[i])) << "row " << row << " sees " << position << ", " << text(shape);
                            } else {
                                ASSERT_EQ(std::memcmp(&got[i], &want[i], 4), 0)
                                    << "row " << row << " does not see " << position << ", " << text(shape) << ": " << got[i] << " " << want[i];
                            }
                        }
                    }
                }
            }
        }
    }
}

TEST_F(CudaAttention, OnlyPadding) {
    for (const uint32_t dim : {16u, 128u}) {
        for (const uint32_t n : {1u, 5u, 200u}) {
            const Shape shape = {2, 1, dim, 0, Storage::BF16};
            World world(shape, {1}, 600);
            EXPECT_TRUE(test::same_bits(world.step(context, {}, n), Floats(n * shape.width(), 0.0f))) << n;
        }
    }
}

// Time and rate of calls in a graph, each over a cache layer of its own.
TEST_F(CudaAttention, DISABLED_Speed) {
    const uint32_t heads = 16, kv_heads = 8, dim = 128;
    struct Case {
        uint32_t sequences, context, count;
    };
    std::printf("sequences context queries |      us |   GB/s | TFLOP/s\n");
    for (const Case &c : {Case{1, 128, 1}, Case{1, 512, 1}, Case{1, 1024, 1}, Case{1, 4096, 1}, Case{1, 32768, 1}, Case{8, 512, 1}, Case{8, 4096, 1},
                          Case{9, 512, 1}, Case{64, 512, 1}, Case{128, 512, 1}, Case{256, 512, 1}, Case{64, 4096, 1}, Case{1, 512, 512},
                          Case{4, 512, 512}, Case{1, 2048, 2048}, Case{1, 8192, 8192}, Case{1, 8192, 2048}}) {
        const uint32_t blocks_each = (c.context + 15) / 16;
        const size_t layer = size_t{c.sequences} * blocks_each * kv_heads * 16 * dim; // elements of keys
        const uint32_t layers = static_cast<uint32_t>(std::clamp<size_t>(size_t{3} << 29 > layer ? (size_t{3} << 29) / layer : 1, 1, 28));
        const uint32_t n = c.sequences * c.count;
        OnDevice<uint32_t> keys(layer * layers / 2), values(layer * layers / 2);
        OnDevice<uint16_t> q(size_t{n} * heads * dim);
        OnDevice<uint16_t> out(size_t{n} * heads * dim);
        Numbers numbers(7);
        std::vector<uint32_t> random(1 << 20);
        for (uint32_t &r : random) {
            r = (numbers.bits() & 0x807F807Fu) | 0x3F003F00u; // +-[0.5, 1)
        }
        const auto spread = [&](void *to, size_t bytes) {
            for (size_t at = 0; at < bytes; at += random.size() * 4) {
                test::expect_ok(cudaMemcpy(static_cast<char *>(to) + at, random.data(), std::min(bytes - at, random.size() * 4), cudaMemcpyHostToDevice));
            }
        };
        spread(keys.data(), keys.bytes());
        spread(values.data(), values.bytes());
        spread(q.data(), q.bytes());
        std::vector<int32_t> starts = {0}, lengths, tables(size_t{c.sequences} * blocks_each);
        for (uint32_t s = 0; s < c.sequences; ++s) {
            starts.push_back(starts.back() + static_cast<int32_t>(c.count));
            lengths.push_back(static_cast<int32_t>(c.context));
        }
        std::iota(tables.begin(), tables.end(), 0);
        for (size_t i = tables.size() - 1; i > 0; --i) {
            std::swap(tables[i], tables[numbers.below(static_cast<uint32_t>(i + 1))]);
        }
        OnDevice<uint32_t> sequences(std::vector<uint32_t>{c.sequences, 0});
        OnDevice<int32_t> d_starts(starts), d_lengths(lengths), d_tables(tables);
        const double us = microseconds(n > 4096 ? 4 : 28, [&](uint32_t i) {
            const size_t at = i % layers * layer / 2;
            cuda::launch(context, cpu::AttentionArgs{q.data(), out.data(), Storage::BF16, Storage::BF16,
                                                     {keys.data() + at, values.data() + at, kv_heads, dim, Storage::BF16}, heads, 0, 0.08838834764f,
                                                     sequences.data(), d_starts.data(), d_lengths.data(), d_tables.data(), blocks_each, n});
        });
        const double bytes = 4.0 * static_cast<double>(layer);
        const double pairs = static_cast<double>(c.sequences) * c.count * (c.context - (c.count - 1) / 2.0);
        std::printf("%9u %7u %7u | %7.2f | %6.0f | %7.1f\n", c.sequences, c.context, c.count, us, bytes / us / 1e3,
                    pairs * heads * dim * 4 / us / 1e6);
        std::fflush(stdout);
    }
}

} // namespace
} // namespace intarsia
