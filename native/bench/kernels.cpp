// How fast the kernels are, beside what the machine can do: a plain loop that reads memory and one of nothing but fused
// multiply-adds, measured in the same run. The shapes are those of a layer of a 0.6B model: hidden 1024, 16 query and 8
// KV heads of 128, intermediate 3072.
//
//   cmake -S native -B build -G Ninja -DINTARSIA_BENCH=ON && ninja -C build intarsia_kernels
//   build/intarsia_kernels [--threads N] [--tier NAME] [--weights bf16|int8|int4] [--rounds N] [--only TEXT]
//
// Every round runs every case once, so that what else the machine does meanwhile hits all alike; a line has the medians.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "cpu/args.h"
#include "runtime/device.h"
#include "runtime/memory.h"
#include "runtime/team.h"

namespace intarsia {
namespace {

using cpu::Epilogue;
using cpu::LinearArgs;
using cpu::Share;
using cpu::Storage;

constexpr uint32_t kHidden = 1024, kHeads = 16, kKvHeads = 8, kHeadDim = 128, kWide = 3072, kVocabulary = 151'936;
constexpr uint32_t kMostRows = 4096;
constexpr uint64_t kPool = uint64_t{384} << 20; // bytes of weights or of cached keys and values; more than any cache
constexpr uint64_t kLayerWeights = uint64_t{4096} * kHidden + 2048 * kHidden + 3 * kWide * kHidden;

// Bytes of the matrices of a layer.
constexpr uint64_t layer_bytes(Storage weights) {
    return cpu::matrix_bytes(4096, kHidden, weights) + cpu::matrix_bytes(kHidden, 2048, weights) +
           2 * cpu::matrix_bytes(kWide, kHidden, weights) + cpu::matrix_bytes(kHidden, kWide, weights);
}

// Reads memory as two streams.
typedef uint64_t Lanes __attribute__((vector_size(16)));
uint64_t read(const std::byte *from, uint64_t bytes) {
    const auto *first = reinterpret_cast<const Lanes *>(from);
    const auto *second = first + bytes / 32;
    Lanes sums[8] = {};
    for (uint64_t i = 0; i < bytes / 32; i += 4) {
        for (uint64_t lane = 0; lane < 4; ++lane) {
            sums[lane] ^= first[i + lane];
            sums[4 + lane] ^= second[i + lane];
        }
    }
    uint64_t sum = 0;
    for (const Lanes &each : sums) sum ^= each[0] ^ each[1];
    return sum;
}

// Fused multiply-adds in 16 independent chains, 512 a turn, of as many lanes as the processor has.
#if defined(__x86_64__)
__attribute__((target("avx512f"))) float multiply_512(uint64_t turns) {
    __m512 sums[16];
    const __m512 factor = _mm512_set1_ps(0.999f);
    for (int i = 0; i < 16; ++i) sums[i] = _mm512_set1_ps(static_cast<float>(i));
    for (uint64_t i = 0; i < turns * 32; ++i)
#pragma GCC unroll 16
        for (__m512 &sum : sums) sum = _mm512_fmadd_ps(sum, factor, factor);
    float total = 0;
    for (const __m512 &sum : sums) total += _mm512_cvtss_f32(sum);
    return total;
}

__attribute__((target("avx2,fma"))) float multiply_256(uint64_t turns) {
    __m256 sums[15];
    const __m256 factor = _mm256_set1_ps(0.999f);
    for (int i = 0; i < 15; ++i) sums[i] = _mm256_set1_ps(static_cast<float>(i));
    for (uint64_t i = 0; i < turns * 34; ++i)
#pragma GCC unroll 16
        for (__m256 &sum : sums) sum = _mm256_fmadd_ps(sum, factor, factor);
    float total = 0;
    for (const __m256 &sum : sums) total += _mm256_cvtss_f32(sum);
    return total;
}

double multiply(uint64_t turns, float &out) { // flops
    if (__builtin_cpu_supports("avx512f")) {
        out += multiply_512(turns);
        return double(turns) * 512 * 32;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        out += multiply_256(turns);
        return double(turns) * 510 * 16;
    }
    return 0;
}
#else
double multiply(uint64_t, float &) { return 0; }
#endif

volatile float nothing; // what loops compute, so that they are not left out

struct Case {
    std::string name;
    double bytes; // read from memory
    double flops;
    std::function<void(Team &)> run;
    std::vector<double> seconds = {};
};

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

// Of each thread, as much as any tier needs.
std::byte *scratch(uint32_t member) {
    constexpr uint64_t kEach = uint64_t{4} << 20;
    static const Memory memory(kEach * 64, "scratch");
    return memory.data() + member * kEach;
}

// Calls body(share) on every thread.
template <class F> void together(Team &team, F body) {
    struct Context {
        Team &team;
        F &body;
    } context{team, body};
    team.run(
        [](void *opaque, uint32_t member) {
            Context &c = *static_cast<Context *>(opaque);
            c.body(Share{member, c.team.threads(), scratch(member)});
        },
        &context);
}

class Bench {
public:
    explicit Bench(Storage weights) : weights_(weights), pool_(kPool, "weights"), x_(rows(kWide)), y_(rows(4096)), z_(rows(4096)) {
        auto *words = reinterpret_cast<uint16_t *>(pool_.data());
        uint32_t random = 1;
        for (uint64_t i = 0; i < kPool / 2; ++i) {
            random = random * 1664525 + 1013904223;
            words[i] = static_cast<uint16_t>(0x3A00 | (random >> 16 & 0x81FF)); // magnitudes about 2^-11 .. 2^-8
        }
        auto *x = reinterpret_cast<uint16_t *>(x_.data());
        for (uint64_t i = 0; i < x_.bytes() / 2; ++i) x[i] = words[i];
    }

    // The four products of a layer: q, k and v; the output of attention; gate and up; down. Of all or of one.
    static constexpr const char *kProducts[] = {"q, k, v", "attention output", "gate and up", "down"};
    static constexpr int kAll = -1;
    void layer(const cpu::Kernels &kernels, cpu::Blocking blocking, uint32_t index, uint32_t n, Team &team, Share share, int only = kAll) {
        const std::byte *at = pool_.data() + index % layers() * layer_bytes(weights_);
        const auto part = [&](uint32_t outputs, uint32_t k, Memory &out) {
            const cpu::Matrix matrix{at, outputs, k, weights_};
            at += cpu::matrix_bytes(outputs, k, weights_);
            return cpu::LinearPart{matrix, nullptr, out.data()};
        };
        LinearArgs args{};
        args.x = x_.data();
        args.n = n;
        args.blocking = blocking;
        args.residual = reinterpret_cast<const float *>(z_.data());
        int product = 0;
        const auto run = [&](uint32_t parts, Epilogue epilogue, Storage out) {
            args.part_count = parts;
            args.epilogue = epilogue;
            args.out_storage = out;
            if (only == kAll || only == product) {
                kernels.linear(args, share);
                team.barrier();
            }
            ++product;
        };
        args.parts[0] = part(4096, kHidden, y_);
        run(1, Epilogue::STORE, Storage::F32);
        args.parts[0] = part(kHidden, 2048, y_);
        run(1, Epilogue::ADD, Storage::F32);
        args.parts[0] = part(kWide, kHidden, y_);
        args.parts[1] = part(kWide, kHidden, y_);
        run(2, Epilogue::SILU_MUL, cpu::quantized(weights_) ? Storage::F32 : Storage::BF16);
        args.parts[0] = part(kHidden, kWide, y_);
        run(1, Epilogue::ADD, Storage::F32);
    }
    static constexpr double kProductWeights[] = {4096.0 * kHidden, 2048.0 * kHidden, 2.0 * kWide * kHidden, 1.0 * kWide * kHidden};

    // What else a layer has: norms, the heads made ready, and for quantized weights rounding of what attention and the gate make.
    void norm(const cpu::Kernels &kernels, uint32_t n, Share share) {
        kernels.norm({values(y_), values(z_), x_.data(), n, kHidden, kHidden, 1e-6f, cpu::input_storage(weights_)}, share);
    }
    void round(const cpu::Kernels &kernels, uint32_t n, uint32_t width, Share share) {
        kernels.round({values(y_), x_.data(), n, width, cpu::input_storage(weights_)}, share);
    }
    void heads(const cpu::Kernels &kernels, uint32_t n, Share share) {
        cpu::QkvArgs args{};
        const float *y = values(y_), *weight = values(z_);
        const float *table = weight + kHeadDim;
        const uint64_t of_q = uint64_t{n} * kHeads * kHeadDim, of_k = uint64_t{n} * kKvHeads * kHeadDim;
        args.q = {y, weight, table, x_.data(), kHeads, kHeadDim, 1e-6f, Storage::BF16};
        args.k = {y + of_q, weight, table, nullptr, kKvHeads, kHeadDim, 1e-6f, Storage::BF16};
        args.v = y + of_q + of_k;
        std::vector<int32_t> slots;
        for (uint32_t i = 0; i < n; ++i) slots.push_back(static_cast<int32_t>(i));
        args.slots = slots.data();
        std::byte *cache = reinterpret_cast<std::byte *>(z_.data()) + (uint64_t{4} << 20);
        args.cache = {cache, cache + of_k * 2, kKvHeads, kHeadDim, Storage::BF16};
        args.n = n;
        kernels.qkv(args, share);
    }

    void logits(const cpu::Kernels &kernels, uint32_t n, Share share) {
        LinearArgs args{};
        args.x = x_.data();
        args.n = n;
        args.part_count = 1;
        args.parts[0] = {{pool_.data(), kVocabulary, kHidden, weights_}, nullptr, logits_memory().data()};
        args.epilogue = Epilogue::STORE;
        args.out_storage = Storage::F32;
        kernels.linear(args, share);
    }

    // Sequences of `length` positions of which the last `queries` are asked for.
    void attention(const cpu::Kernels &kernels, uint32_t index, uint32_t sequences, uint32_t queries, uint32_t length,
                   Share share) {
        const uint64_t bytes = uint64_t{tokens(sequences, length)} * kKvHeads * kHeadDim * 2;
        std::byte *at = pool_.data() + index % (kPool / (2 * bytes)) * 2 * bytes;
        const std::vector<int32_t> lengths(sequences, static_cast<int32_t>(length));
        std::vector<int32_t> starts;
        for (uint32_t i = 0; i <= sequences; ++i) starts.push_back(static_cast<int32_t>(i * queries));
        std::vector<int32_t> blocks;
        const uint32_t count = tokens(sequences, length) / 16; // out of order, as a pool hands them out
        for (uint32_t i = 0; i < count; ++i) blocks.push_back(static_cast<int32_t>(uint64_t{i} * 37 % count));
        cpu::AttentionArgs args{};
        args.q = x_.data();
        args.out = y_.data();
        args.q_storage = args.out_storage = Storage::BF16;
        args.cache = {at, at + bytes, kKvHeads, kHeadDim, Storage::BF16};
        args.heads = kHeads;
        args.scale = 0.088f;
        args.sequences = &sequences;
        args.query_starts = starts.data();
        args.lengths = lengths.data();
        args.block_tables = blocks.data();
        args.max_blocks = length / 16;
        args.n = sequences * queries;
        kernels.attention(args, share);
    }

    uint32_t layers() const { return static_cast<uint32_t>(kPool / layer_bytes(weights_)); }
    std::byte *pool() { return pool_.data(); }
    uint32_t next() { return next_++; }

private:
    static const float *values(const Memory &memory) { return reinterpret_cast<const float *>(memory.data()); }
    static uint32_t tokens(uint32_t sequences, uint32_t length) { return sequences * length; }
    static Memory rows(uint32_t width) { return Memory(uint64_t{width} * kMostRows * 4, "values"); }
    Memory &logits_memory() {
        static Memory memory(uint64_t{kVocabulary} * 8 * 4, "logits");
        return memory;
    }

    Storage weights_;
    Memory pool_;
    Memory x_, y_, z_; // values
    uint32_t next_ = 0;
};

} // namespace
} // namespace intarsia

int main(int count, char **words) {
    using namespace intarsia;
    uint32_t threads = default_threads();
    int rounds = 7;
    std::string tier, only;
    Storage weights = Storage::BF16;
    for (int i = 1; i + 1 < count; i += 2) {
        const std::string word = words[i];
        if (word == "--threads") threads = static_cast<uint32_t>(std::atoi(words[i + 1]));
        if (word == "--tier") tier = words[i + 1];
        if (word == "--rounds") rounds = std::atoi(words[i + 1]);
        if (word == "--weights")
            weights = words[i + 1][0] == 'b' ? Storage::BF16 : std::strcmp(words[i + 1], "int8") == 0 ? Storage::INT8 : Storage::INT4;
        if (word == "--only") only = words[i + 1];
    }
    Team team(threads);
    Bench bench(weights);
    std::vector<Case> cases;
    cases.push_back({"read", double(kPool), 0, [&](Team &team) {
                         together(team, [&](Share share) {
                             const uint64_t part = kPool / share.count / 256 * 256;
                             nothing = static_cast<float>(read(bench.pool() + share.index * part, part));
                         });
                     }});
    constexpr uint64_t kTurns = 20'000;
    float ignored = 0;
    cases.push_back({"multiply-add", 0, multiply(kTurns, ignored) * threads, [](Team &team) {
                         together(team, [](Share) {
                             float sum = 0;
                             multiply(kTurns, sum);
                             nothing = sum;
                         });
                     }});
    for (const Tier &candidate : build_tiers()) {
        const cpu::Kernels &kernels = *candidate.kernels;
        const std::string name = kernels.tier;
        if (!candidate.supported || (tier.empty() ? name == "scalar" : name != tier)) continue;
        for (const uint32_t n : {1u, 2u, 3u, 4u, 6u, 8u, 12u, 16u, 24u, 32u, 64u, 128u, 512u}) {
            const uint32_t layers = n <= 8 ? bench.layers() : n <= 64 ? 4 : 1;
            for (const cpu::Blocking blocking : cpu::kBlockings) {
                std::string text = name + " layer, " + std::to_string(n) + " rows";
                if (n > cpu::kStreamRows && weights == Storage::BF16)
                    text += " by " + std::to_string(blocking.rows) + " x " + std::to_string(blocking.section);
                cases.push_back({text, double(layer_bytes(weights)) * layers, 2.0 * kLayerWeights * layers * n, [=, &kernels, &bench](Team &team) {
                                     const uint32_t first = bench.next() * layers;
                                     together(team, [&](Share share) {
                                         for (uint32_t i = 0; i < layers; ++i)
                                             bench.layer(kernels, blocking, first + i, n, team, share);
                                     });
                                 }});
                if (n <= cpu::kStreamRows || weights != Storage::BF16) break;
            }
        }
        for (const uint32_t n : {8u, 512u}) {
            const std::string rows = ", " + std::to_string(n) + " rows";
            const auto together_on = [&](const char *what, double bytes, auto body) {
                cases.push_back({name + " " + what + rows, bytes * n, 1, [=](Team &team) {
                                     together(team, [&](Share share) { body(team, share); });
                                 }});
            };
            for (int i = 0; i < 4; ++i) {
                const double weights_of = Bench::kProductWeights[i];
                cases.push_back({name + " " + Bench::kProducts[i] + rows, weights_of / double(kLayerWeights) * double(layer_bytes(weights)),
                                 2.0 * weights_of * n, [=, &kernels, &bench](Team &team) {
                                     const uint32_t index = bench.next();
                                     together(team, [&](Share share) { bench.layer(kernels, {}, index, n, team, share, i); });
                                 }});
            }
            together_on("norm", kHidden * 4, [=, &kernels, &bench](Team &, Share share) { bench.norm(kernels, n, share); });
            together_on("heads", 4096 * 4, [=, &kernels, &bench](Team &, Share share) { bench.heads(kernels, n, share); });
            together_on("round 2048", 2048 * 4, [=, &kernels, &bench](Team &, Share share) { bench.round(kernels, n, 2048, share); });
            together_on("round 3072", kWide * 4, [=, &kernels, &bench](Team &, Share share) { bench.round(kernels, n, kWide, share); });
        }
        for (const uint32_t n : {1u, 8u}) {
            cases.push_back({name + " logits, " + std::to_string(n) + " rows", double(cpu::matrix_bytes(kVocabulary, kHidden, weights)),
                             2.0 * kVocabulary * kHidden * n,
                             [&kernels, &bench, n](Team &team) {
                                 together(team, [&](Share share) { bench.logits(kernels, n, share); });
                             }});
        }
        struct Shape {
            uint32_t sequences, queries, length, repeats;
        };
        for (const Shape s : {Shape{1, 1, 2048, 28}, Shape{1, 1, 512, 28}, Shape{8, 1, 2048, 5}, Shape{1, 512, 512, 2},
                              Shape{1, 512, 2048, 1}, Shape{1, 512, 4096, 1}}) {
            const double positions = double(s.sequences) * s.queries * (s.length - (s.queries - 1) / 2.0);
            cases.push_back({name + " attention, " + std::to_string(s.sequences) + " x " + std::to_string(s.queries) + " of " +
                                 std::to_string(s.length),
                             double(s.repeats) * s.sequences * s.length * kKvHeads * kHeadDim * 4,
                             s.repeats * positions * kHeads * kHeadDim * 4,
                             [&kernels, &bench, s](Team &team) {
                                 const uint32_t first = bench.next() * s.repeats;
                                 together(team, [&](Share share) {
                                     for (uint32_t i = 0; i < s.repeats; ++i) {
                                         bench.attention(kernels, first + i, s.sequences, s.queries, s.length, share);
                                         team.barrier();
                                     }
                                 });
                             }});
        }
    }
    std::erase_if(cases, [&](const Case &c) {
        return c.bytes != 0 && c.flops != 0 && c.name.find(only) == std::string::npos;
    });
    for (int round = 0; round <= rounds; ++round)
        for (Case &c : cases) {
            const auto start = std::chrono::steady_clock::now();
            c.run(team);
            const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
            if (round > 0) c.seconds.push_back(taken.count()); // the first one warms up
        }
    const double bandwidth = cases[0].bytes / median(cases[0].seconds);
    const double peak = cases[1].flops / median(cases[1].seconds);
    std::printf("%u threads; of the bound: of what reading at the first line's or multiplying at the second's speed takes\n",
                threads);
    std::printf("%-36s %10s %8s %10s %9s\n", "", "ms", "GB/s", "GFLOP/s", "of bound");
    for (const Case &c : cases) {
        const double seconds = median(c.seconds);
        std::printf("%-36s %10.3f %8.1f %10.1f %8.0f%%\n", c.name.c_str(), seconds * 1e3, c.bytes / seconds * 1e-9,
                    c.flops / seconds * 1e-9, std::max(c.bytes / bandwidth, c.flops / peak) / seconds * 100);
    }
    return nothing == 1 ? 1 : 0;
}
