// The kernels on the device that are neither matrix products nor attention, against plain loops.
//
// Speed: --gtest_also_run_disabled_tests --gtest_filter=*Speed*
#if defined(__CUDACC__)
#pragma nv_diag_suppress 177 // of what TEST_F declares
#endif

#include <array>
#include <cmath>
#include <cstdio>
#include <limits>

#include "cuda/kernels.h"
#include "cuda_device.h"
#include "reference.h"

namespace intarsia {
namespace {

using cpu::Storage;
using test::Numbers;
using test::OnDevice;
using Floats = std::vector<float>;

constexpr Storage kStorages[] = {Storage::F32, Storage::BF16};
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

uint32_t bytes_of(Storage storage) { return storage == Storage::BF16 ? 2 : 4; }

// Elements as they lie in memory.
std::vector<unsigned char> stored(const Floats &x, Storage storage) {
    std::vector<unsigned char> out(x.size() * bytes_of(storage));
    for (size_t i = 0; i < x.size(); ++i) {
        const uint16_t half = reference::to_bf16(x[i]);
        std::memcpy(&out[i * bytes_of(storage)], storage == Storage::BF16 ? static_cast<const void *>(&half) : &x[i], bytes_of(storage));
    }
    return out;
}

Floats loaded(const std::vector<unsigned char> &raw, Storage storage) {
    Floats out(raw.size() / bytes_of(storage));
    for (size_t i = 0; i < out.size(); ++i) {
        uint16_t half;
        std::memcpy(&half, &raw[i * 2], 2);
        if (storage == Storage::BF16) {
            out[i] = reference::from_bf16(half);
        } else {
            std::memcpy(&out[i], &raw[i * 4], 4);
        }
    }
    return out;
}

// Rows [n, width] with the stride and padding of a storage.
Floats padded(const Floats &x, uint32_t width, Storage storage) {
    const uint32_t step = cpu::stride(width, storage);
    Floats out(x.size() / width * step, 0.0f);
    for (size_t i = 0; i < x.size(); ++i) {
        out[i / width * step + i % width] = storage == Storage::BF16 ? reference::as_bf16(x[i]) : x[i];
    }
    return out;
}

float inverse_rms(const float *x, uint32_t count, float eps) {
    float lanes[16] = {};
    for (uint32_t i = 0; i < count; ++i) {
        lanes[i % 16] = std::fma(x[i], x[i], lanes[i % 16]);
    }
    for (uint32_t step = 8; step > 0; step /= 2) {
        for (uint32_t l = 0; l < step; ++l) {
            lanes[l] = lanes[l] + lanes[l + step];
        }
    }
    return 1.0f / std::sqrt(lanes[0] / static_cast<float>(count) + eps);
}

double relative_error(const Floats &got, const std::vector<double> &want) {
    double wrong = 0, all = 1e-300;
    for (size_t i = 0; i < want.size(); ++i) {
        wrong += (got[i] - want[i]) * (got[i] - want[i]);
        all += want[i] * want[i];
    }
    return std::sqrt(wrong / all);
}

class CudaKernels : public test::CudaTest {
protected:
    // What a kernel writes to n rows of width; nothing beyond them.
    template <class Call> Floats written(uint32_t n, uint32_t width, Storage storage, Call call) {
        OnDevice<unsigned char> out(size_t{n} * cpu::stride(width, storage) * bytes_of(storage));
        test::expect_ok(cudaDeviceSynchronize());
        call(out.data());
        finish();
        EXPECT_TRUE(out.intact());
        return loaded(out.get(), storage);
    }
};

TEST_F(CudaKernels, Embedding) {
    Numbers numbers(1);
    for (const Storage storage : kStorages) {
        for (const uint32_t width : {1u, 11u, 48u, 64u, 1024u, 2052u}) {
            const uint32_t vocabulary = 37, n = 9;
            Floats w = numbers.values(vocabulary * width);
            for (float &v : w) {
                v = storage == Storage::BF16 ? reference::as_bf16(v) : v;
            }
            std::vector<int32_t> tokens;
            Floats want;
            for (uint32_t i = 0; i < n; ++i) {
                tokens.push_back(static_cast<int32_t>(i == 0 ? vocabulary - 1 : numbers.below(vocabulary)));
                const auto from = w.begin() + static_cast<long>(tokens[i]) * width;
                want.insert(want.end(), from, from + width);
            }
            OnDevice<int32_t> d_tokens(tokens);
            OnDevice<unsigned char> weight(stored(w, storage));
            const Floats got = written(n, width, Storage::F32, [&](void *out) {
                cuda::launch(context, cpu::EmbeddingArgs{d_tokens.data(), {weight.data(), vocabulary, width, storage}, static_cast<float *>(out), n});
            });
            EXPECT_TRUE(test::same_bits(got, want)) << width << ": " << test::difference(got, want, width);
        }
    }
}

TEST_F(CudaKernels, Norm) {
    Numbers numbers(2);
    for (const Storage storage : kStorages) {
        for (const auto &[n, width, group] : {std::array{1u, 1024u, 1024u}, {3u, 11u, 11u}, {5u, 48u, 16u}, {300u, 128u, 128u}, {7u, 1024u, 128u},
                                              {2u, 10000u, 10000u}, {2000u, 1024u, 1024u}, {901u, 600u, 300u}, {700u, 1028u, 1028u}, {1u, 4096u, 4096u}, {4u, 255u, 255u}, {3u, 333u, 333u}}) {
            const Floats x = numbers.values(size_t{n} * width);
            const Floats w = numbers.values(group);
            Floats want(x.size());
            for (size_t i = 0; i < x.size(); i += group) {
                const float inverse = inverse_rms(&x[i], group, 1e-6f);
                for (uint32_t j = 0; j < group; ++j) {
                    want[i + j] = x[i + j] * inverse * w[j];
                }
            }
            OnDevice<float> d_x(x), d_w(w);
            const Floats got = written(n, width, storage, [&, n = n, width = width, group = group](void *out) {
                cuda::launch(context, cpu::NormArgs{d_x.data(), d_w.data(), out, n, width, group, 1e-6f, storage});
            });
            const Floats all = padded(want, width, storage);
            EXPECT_TRUE(test::same_bits(got, all)) << n << " x " << width << " in " << group << ": "
                                                   << test::difference(got, all, cpu::stride(width, storage));
        }
    }
}

TEST_F(CudaKernels, RopeTable) {
    for (const uint32_t half : {1u, 8u, 64u, 100u}) {
        const std::vector<int32_t> positions = {0, 1, 17, 4095, 131071, 2000000};
        const uint32_t n = static_cast<uint32_t>(positions.size());
        Floats frequencies;
        for (uint32_t j = 0; j < half; ++j) {
            frequencies.push_back(static_cast<float>(std::pow(1e6, -static_cast<double>(j) / half)));
        }
        OnDevice<int32_t> d_positions(positions);
        OnDevice<float> d_frequencies(frequencies);
        const Floats got = written(n, 2 * half, Storage::F32, [&](void *out) {
            cuda::launch(context, cpu::RopeTableArgs{d_positions.data(), d_frequencies.data(), static_cast<float *>(out), n, half, 0.75f});
        });
        for (uint32_t i = 0; i < n; ++i) {
            for (uint32_t j = 0; j < half; ++j) {
                const float angle = static_cast<float>(positions[i]) * frequencies[j];
                EXPECT_EQ(got[i * 2 * half + j], static_cast<float>(std::cos(double{angle}) * 0.75)) << positions[i] << " " << j;
                EXPECT_EQ(got[i * 2 * half + half + j], static_cast<float>(std::sin(double{angle}) * 0.75)) << positions[i] << " " << j;
            }
        }
    }
}

// All parts, or some; to matrices and to the cache, in which nothing but the slots changes.
TEST_F(CudaKernels, HeadsForAttention) {
    Numbers numbers(3);
    struct Case {
        uint32_t n, heads, kv_heads, dim;
        bool norm, rope, q, k, v, k_out;
    };
    for (const Storage storage : kStorages) {
        for (const Case &c : {Case{1, 16, 8, 128, true, true, true, true, true, false}, Case{300, 16, 8, 128, true, true, true, true, true, false},
                              Case{37, 4, 2, 128, false, true, true, true, true, false}, Case{6, 3, 3, 64, true, true, true, true, false, true},
                              Case{9, 4, 2, 16, false, true, true, true, true, false}, Case{7, 3, 1, 22, true, true, true, true, true, false},
                              Case{5, 2, 2, 64, true, false, true, true, true, false}, Case{5, 5, 5, 2, false, true, false, true, true, false},
                              Case{6, 3, 3, 11, true, false, true, true, false, true}, Case{4, 4, 1, 48, false, false, false, false, true, false}}) {
            const uint32_t blocks = (c.n + 15) / 16 + 2;
            const uint32_t q_width = c.heads * c.dim, k_width = c.kv_heads * c.dim;
            const Floats q = numbers.values(size_t{c.n} * q_width), k = numbers.values(size_t{c.n} * k_width), v = numbers.values(size_t{c.n} * k_width);
            const Floats w = numbers.values(c.dim), table = numbers.values(size_t{c.n} * c.dim);
            std::vector<int32_t> slots;
            for (uint32_t i = 0; i < c.n; ++i) {
                slots.push_back(i % 5 == 3 ? -1 : static_cast<int32_t>((i * 13 + 3) % (blocks * 16)));
            }
            const size_t cache = size_t{blocks} * k_width * 16;
            OnDevice<float> d_q(q), d_k(k), d_v(v), d_w(w), d_table(table);
            OnDevice<int32_t> d_slots(slots);
            OnDevice<unsigned char> q_out(size_t{c.n} * cpu::stride(q_width, storage) * bytes_of(storage));
            OnDevice<unsigned char> k_out(size_t{c.n} * cpu::stride(k_width, storage) * bytes_of(storage));
            OnDevice<unsigned char> keys(cache * bytes_of(storage)), values(cache * bytes_of(storage));
            cpu::QkvArgs args{};
            const auto heads = [&](const float *x, void *out, uint32_t count) {
                return cpu::HeadsArgs{x, c.norm ? d_w.data() : nullptr, c.rope ? d_table.data() : nullptr, out, count, c.dim, 1e-5f, storage};
            };
            args.q = heads(c.q ? d_q.data() : nullptr, q_out.data(), c.heads);
            args.k = heads(c.k ? d_k.data() : nullptr, c.k_out ? k_out.data() : nullptr, c.kv_heads);
            args.v = c.v ? d_v.data() : nullptr;
            args.slots = d_slots.data();
            args.cache = {keys.data(), values.data(), c.kv_heads, c.dim, storage};
            args.n = c.n;
            test::expect_ok(cudaDeviceSynchronize());
            cuda::launch(context, args);
            finish();

            const auto ready = [&](const Floats &x, uint32_t width) {
                Floats out(x.size());
                for (size_t i = 0; i < x.size(); i += c.dim) {
                    const float inverse = inverse_rms(&x[i], c.dim, 1e-5f);
                    const auto at = [&](uint32_t j) { return c.norm ? x[i + j] * inverse * w[j] : x[i + j]; };
                    const float *row = &table[i / width * c.dim];
                    for (uint32_t j = 0; j < c.dim; ++j) {
                        const uint32_t half = c.dim / 2;
                        out[i + j] = !c.rope      ? at(j)
                                     : j < half   ? std::fma(at(j), row[j], -(at(j + half) * row[j + half]))
                                                  : std::fma(at(j), row[j - half], at(j - half) * row[j]);
                    }
                }
                return out;
            };
            const auto cached = [&](const Floats &x, bool any) {
                Floats out(cache, 0.0f);
                std::vector<bool> there(cache, false);
                for (uint32_t i = 0; i < c.n && any; ++i) {
                    for (uint32_t j = 0; j < k_width && slots[i] >= 0; ++j) {
                        const uint32_t slot = static_cast<uint32_t>(slots[i]);
                        const size_t to = ((size_t{slot / 16} * c.kv_heads + j / c.dim) * 16 + slot % 16) * c.dim + j % c.dim;
                        out[to] = storage == Storage::BF16 ? reference::as_bf16(x[size_t{i} * k_width + j]) : x[size_t{i} * k_width + j];
                        there[to] = true;
                    }
                }
                return std::pair(out, there);
            };
            const std::string what = std::to_string(c.n) + " tokens, heads of " + std::to_string(c.dim);
            const auto check = [&](const OnDevice<unsigned char> &memory, const Floats &x, uint32_t width, bool any, const char *part) {
                EXPECT_TRUE(memory.intact()) << what << part;
                const std::vector<unsigned char> raw = memory.get();
                if (!any) {
                    EXPECT_TRUE(std::all_of(raw.begin(), raw.end(), [](unsigned char b) { return b == 0xFF; })) << what << part;
                    return;
                }
                const Floats got = loaded(raw, storage), want = padded(x, width, storage);
                EXPECT_TRUE(test::same_bits(got, want)) << what << part << test::difference(got, want, cpu::stride(width, storage));
            };
            check(q_out, ready(q, q_width), q_width, c.q, ", q: ");
            check(k_out, ready(k, k_width), k_width, c.k && c.k_out, ", k: ");
            const auto check_cache = [&](const OnDevice<unsigned char> &memory, const Floats &x, bool any, const char *part) {
                EXPECT_TRUE(memory.intact()) << what << part;
                const Floats got = loaded(memory.get(), storage);
                const auto [want, there] = cached(x, any);
                for (size_t i = 0; i < got.size(); ++i) {
                    ASSERT_TRUE(there[i] ? got[i] == want[i] : std::isnan(got[i])) << what << part << i << ": " << got[i] << " and " << want[i];
                }
            };
            check_cache(keys, ready(k, k_width), c.k && !c.k_out, ", keys: ");
            check_cache(values, v, c.v, ", values: ");
        }
    }
}

TEST_F(CudaKernels, Elementwise) {
    Numbers numbers(4);
    for (const Storage storage : kStorages) {
        for (const auto &[n, width] : {std::array{1u, 1u}, {3u, 11u}, {5u, 48u}, {2u, 3072u}, {300u, 132u}, {1u, 130u}}) {
            Floats a = numbers.values(size_t{n} * width), b = numbers.values(size_t{n} * width);
            for (float &v : a) {
                v *= 20;
            }
            OnDevice<float> d_a(a), d_b(b);
            std::vector<double> silu;
            Floats sum;
            for (size_t i = 0; i < a.size(); ++i) {
                silu.push_back(a[i] / (1 + std::exp(-double{a[i]})) * b[i]);
                sum.push_back(a[i] + b[i]);
            }
            const auto shape = std::to_string(n) + " x " + std::to_string(width);
            const Floats got = written(n, width, storage, [&, n = n, width = width](void *out) {
                cuda::launch(context, cpu::SiluMulArgs{d_a.data(), d_b.data(), out, n, width, storage});
            });
            Floats unpadded;
            for (size_t i = 0; i < got.size(); ++i) {
                if (i % cpu::stride(width, storage) < width) {
                    unpadded.push_back(got[i]);
                } else {
                    EXPECT_EQ(got[i], 0.0f) << shape;
                }
            }
            EXPECT_LT(relative_error(unpadded, silu), storage == Storage::BF16 ? 3e-3 : 1e-6) << shape;

            const Floats rounded = written(n, width, Storage::BF16, [&, n = n, width = width](void *out) {
                cuda::launch(context, cpu::RoundArgs{d_a.data(), out, n, width, Storage::BF16});
            });
            EXPECT_TRUE(test::same_bits(rounded, padded(a, width, Storage::BF16))) << shape;

            const Floats added = written(n, width, Storage::F32, [&, n = n, width = width](void *out) {
                cuda::launch(context, cpu::AddArgs{d_a.data(), d_b.data(), static_cast<float *>(out), n, width});
            });
            EXPECT_TRUE(test::same_bits(added, sum)) << shape;

            std::vector<int32_t> rows;
            Floats chosen;
            for (uint32_t i = 0; i < 7; ++i) {
                rows.push_back(static_cast<int32_t>(i == 0 ? n - 1 : numbers.below(n)));
                chosen.insert(chosen.end(), a.begin() + static_cast<long>(size_t{static_cast<uint32_t>(rows[i])} * width),
                              a.begin() + static_cast<long>(size_t{static_cast<uint32_t>(rows[i]) + 1} * width));
            }
            OnDevice<int32_t> d_rows(rows);
            const Floats selected = written(7, width, Storage::F32, [&, width = width](void *out) {
                cuda::launch(context, cpu::SelectRowsArgs{d_a.data(), d_rows.data(), static_cast<float *>(out), 7, width});
            });
            EXPECT_TRUE(test::same_bits(selected, chosen)) << shape;
        }
    }
}

TEST_F(CudaKernels, Argmax) {
    Numbers numbers(5);
    for (const uint32_t vocabulary : {1u, 2u, 3u, 5u, 11u, 255u, 1024u, 1027u, 4099u, 151936u}) {
        for (const uint32_t rows : {1u, 3u, 64u}) {
            Floats x = numbers.values(size_t{rows} * vocabulary);
            std::vector<int32_t> want;
            for (uint32_t r = 0; r < rows; ++r) {
                float *row = &x[size_t{r} * vocabulary];
                const uint32_t at = numbers.below(vocabulary), later = at + numbers.below(vocabulary - at);
                switch (r % 8) {
                case 1: row[at] = row[later] = 2; break;                 // a tie
                case 2: std::fill_n(row, vocabulary, -kInfinity); break; // nothing
                case 3: std::fill_n(row, vocabulary, kNan); break;
                case 4: row[at] = kNan; row[later] = kInfinity; break;
                case 5: std::fill_n(row, vocabulary, -kInfinity); row[later] = -3e38f; break;
                case 6: std::fill_n(row, vocabulary, -0.0f); row[later] = 0.0f; break; // equal
                case 7: std::fill_n(row, vocabulary, 1e-40f); row[later] = 2e-40f; break; // denormals are 0
                default: break;
                }
                uint32_t best = 0;
                float top = -kInfinity;
                for (uint32_t i = 0; i < vocabulary; ++i) {
                    const float value = std::fabs(row[i]) < 1.17549435e-38f ? 0.0f : row[i];
                    if (value > top) {
                        top = value;
                        best = i;
                    }
                }
                want.push_back(static_cast<int32_t>(best));
            }
            OnDevice<float> logits(x);
            OnDevice<int32_t> tokens(rows);
            test::expect_ok(cudaDeviceSynchronize());
            for (int again = 0; again < 2; ++again) { // counters are as they were
                cuda::launch_argmax(context, logits.data(), rows, vocabulary, tokens.data());
            }
            finish();
            EXPECT_EQ(tokens.get(), want) << rows << " x " << vocabulary;
        }
    }
}

TEST_F(CudaKernels, DISABLED_Speed) {
    const auto line = [](const char *name, uint32_t n, double us, double bytes) {
        std::printf("%-12s %6u | %8.2f us | %6.0f GB/s\n", name, n, us, bytes / us / 1e3);
        std::fflush(stdout);
    };
    const size_t room = size_t{1} << 28; // floats
    OnDevice<float> a(room), b(room), c(room);
    a.zero();
    b.zero();
    c.zero();
    OnDevice<int32_t> ids(8192);
    std::vector<int32_t> some(8192);
    for (uint32_t i = 0; i < some.size(); ++i) {
        some[i] = static_cast<int32_t>(i);
    }
    ids.set(some);
    OnDevice<int32_t> tokens(8192);
    // Copies in turn, so that none is in the cache.
    const auto turn = [&](uint32_t i, size_t floats) { return i % 8 * (floats * 8 <= room ? floats : 0); };
    for (const uint32_t n : {1u, 8u, 256u, 2048u, 8192u}) {
        line("norm", n, microseconds(28, [&](uint32_t i) {
                 const size_t at = turn(i, size_t{n} * 1024);
                 cuda::launch(context, cpu::NormArgs{a.data() + at, b.data(), c.data() + at, n, 1024, 1024, 1e-6f, Storage::BF16});
             }), n * 1024.0 * 6);
        line("silu_mul", n, microseconds(28, [&](uint32_t i) {
                 const size_t at = turn(i, size_t{n} * 3072);
                 cuda::launch(context, cpu::SiluMulArgs{a.data() + at, b.data() + at, c.data() + at, n, 3072, Storage::BF16});
             }), n * 3072.0 * 10);
        line("rope_table", n, microseconds(28, [&](uint32_t) {
                 cuda::launch(context, cpu::RopeTableArgs{ids.data(), a.data(), c.data(), n, 64, 1.0f});
             }), n * 512.0);
        line("qkv", n, microseconds(28, [&](uint32_t i) {
                 const size_t at = turn(i, size_t{n} * 2048);
                 cpu::QkvArgs args{};
                 args.q = {a.data() + at, b.data(), b.data() + 4096, c.data() + at, 16, 128, 1e-6f, Storage::BF16};
                 args.k = {b.data() + (1 << 24) + at / 2, b.data(), b.data() + 4096, nullptr, 8, 128, 1e-6f, Storage::BF16};
                 args.v = a.data() + (1 << 27) + at / 2;
                 args.slots = ids.data();
                 args.cache = {c.data() + (1 << 27), c.data() + (1 << 27) + (1 << 26), 8, 128, Storage::BF16};
                 args.n = n;
                 cuda::launch(context, args);
             }), n * (4096.0 * 6 + 512));
        line("embedding", n, microseconds(28, [&](uint32_t i) {
                 cuda::launch(context, cpu::EmbeddingArgs{ids.data(), {a.data(), 151936, 1024, Storage::BF16}, c.data() + turn(i, size_t{n} * 1024), n});
             }), n * 1024.0 * 6);
    }
    for (const uint32_t rows : {1u, 8u, 64u, 256u}) {
        line("argmax", rows, microseconds(28, [&](uint32_t i) {
                 const size_t at = rows < 64 ? i % 28 * (size_t{rows} * 151936) : i % 4 * (size_t{rows} * 151936);
                 cuda::launch_argmax(context, a.data() + at, rows, 151936, tokens.data());
             }), rows * 151936.0 * 4);
    }
}

} // namespace
} // namespace intarsia
