// What tests of CUDA kernels need: a device or a reason to skip, memory on it, and times of launches.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include "cuda/context.h"

namespace intarsia::test {

// Empty, or why nothing can run here.
inline std::string no_device() {
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess) {
        return cudaGetErrorString(error);
    }
    return count == 0 ? "no CUDA device" : "";
}

inline void expect_ok(cudaError_t error) {
    if (error != cudaSuccess) {
        throw std::runtime_error(cudaGetErrorString(error));
    }
}

// Device memory, every byte of it 0xFF where nothing else is given: NaN as f32 and bf16.
template <class T> class OnDevice {
public:
    explicit OnDevice(size_t count) : count_(count) {
        expect_ok(cudaMalloc(&data_, bytes() + 256));
        expect_ok(cudaMemset(data_, 0xFF, bytes() + 256));
    }
    explicit OnDevice(const std::vector<T> &values) : OnDevice(values.size()) { set(values); }
    OnDevice(const OnDevice &) = delete;
    ~OnDevice() { cudaFree(data_); }

    void set(const std::vector<T> &values) { expect_ok(cudaMemcpy(data_, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice)); }
    void zero() { expect_ok(cudaMemset(data_, 0, bytes())); }
    T *data() const { return static_cast<T *>(data_); }
    size_t bytes() const { return count_ * sizeof(T); }
    std::vector<T> get() const {
        expect_ok(cudaDeviceSynchronize());
        std::vector<T> out(count_);
        expect_ok(cudaMemcpy(out.data(), data_, bytes(), cudaMemcpyDeviceToHost));
        return out;
    }
    // Whether what lies behind is as it was.
    bool intact() const {
        std::vector<unsigned char> tail(256);
        expect_ok(cudaMemcpy(tail.data(), static_cast<char *>(data_) + bytes(), 256, cudaMemcpyDeviceToHost));
        return std::all_of(tail.begin(), tail.end(), [](unsigned char c) { return c == 0xFF; });
    }

private:
    void *data_ = nullptr;
    size_t count_;
};

class CudaTest : public ::testing::Test {
protected:
    void SetUp() override {
        if (const std::string reason = no_device(); !reason.empty()) {
            GTEST_SKIP() << reason;
        }
        scratch_ = std::make_unique<OnDevice<std::byte>>(cuda::kScratch);
        counters_ = std::make_unique<OnDevice<uint32_t>>(cuda::kCounters);
        counters_->zero();
        expect_ok(cudaStreamCreateWithFlags(&context.stream, cudaStreamNonBlocking));
        context.device = 0;
        expect_ok(cudaDeviceGetAttribute(&context.multiprocessors, cudaDevAttrMultiProcessorCount, 0));
        context.deterministic = true;
        context.scratch = scratch_->data();
        context.scratch_bytes = cuda::kScratch;
        context.counters = counters_->data();
        expect_ok(cudaDeviceSynchronize());
    }

    void TearDown() override {
        if (!context.stream) {
            return;
        }
        finish();
        for (const uint32_t counter : counters_->get()) {
            ASSERT_EQ(counter, 0u) << "a counter was left behind";
        }
        cudaStreamDestroy(context.stream);
    }

    void finish() { expect_ok(cudaStreamSynchronize(context.stream)); }

    // `calls` as a graph.
    cudaGraphExec_t capture(const std::function<void()> &calls) {
        cudaGraph_t graph;
        cudaGraphExec_t exec;
        expect_ok(cudaStreamBeginCapture(context.stream, cudaStreamCaptureModeThreadLocal));
        calls();
        expect_ok(cudaStreamEndCapture(context.stream, &graph));
        expect_ok(cudaGraphInstantiate(&exec, graph, 0));
        expect_ok(cudaGraphDestroy(graph));
        return exec;
    }

    // Microseconds of a call: the median over replays of a graph of `repeat` calls, call(i) for i = 0 .. repeat.
    double microseconds(uint32_t repeat, const std::function<void(uint32_t)> &call) {
        const cudaGraphExec_t exec = capture([&] {
            for (uint32_t i = 0; i < repeat; ++i) {
                call(i);
            }
        });
        cudaEvent_t begin, end;
        expect_ok(cudaEventCreate(&begin));
        expect_ok(cudaEventCreate(&end));
        std::vector<float> times;
        for (int i = 0; i < 12; ++i) {
            expect_ok(cudaEventRecord(begin, context.stream));
            expect_ok(cudaGraphLaunch(exec, context.stream));
            expect_ok(cudaEventRecord(end, context.stream));
            expect_ok(cudaEventSynchronize(end));
            float ms = 0;
            expect_ok(cudaEventElapsedTime(&ms, begin, end));
            if (i >= 3) {
                times.push_back(ms);
            }
        }
        expect_ok(cudaGraphExecDestroy(exec));
        cudaEventDestroy(begin);
        cudaEventDestroy(end);
        std::nth_element(times.begin(), times.begin() + static_cast<long>(times.size() / 2), times.end());
        return times[times.size() / 2] * 1e3 / repeat;
    }

    cuda::Context context{};

private:
    std::unique_ptr<OnDevice<std::byte>> scratch_;
    std::unique_ptr<OnDevice<uint32_t>> counters_;
};

// Fresh numbers in [-1, 1), the same for the same seed.
class Numbers {
public:
    explicit Numbers(uint32_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}
    uint32_t bits() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return static_cast<uint32_t>((state_ * 0x2545F4914F6CDD1Du) >> 32);
    }
    uint32_t below(uint32_t bound) { return static_cast<uint32_t>(uint64_t{bits()} * bound >> 32); }
    float value() { return static_cast<float>(static_cast<int32_t>(bits())) * 0x1p-31f; }
    std::vector<float> values(size_t count) {
        std::vector<float> out(count);
        for (float &v : out) {
            v = value();
        }
        return out;
    }

private:
    uint64_t state_;
};

inline bool same_bits(const std::vector<float> &a, const std::vector<float> &b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * 4) == 0);
}

inline std::string exactly(float value) {
    char text[32];
    std::snprintf(text, sizeof(text), "%a", static_cast<double>(value));
    return text;
}

// Says where two results differ first.
inline std::string difference(const std::vector<float> &a, const std::vector<float> &b, size_t width) {
    if (a.size() != b.size()) {
        return "sizes " + std::to_string(a.size()) + " and " + std::to_string(b.size());
    }
    size_t count = 0;
    std::string first;
    for (size_t i = 0; i < a.size(); ++i) {
        if (std::memcmp(&a[i], &b[i], 4) != 0 && count++ == 0) {
            first = "row " + std::to_string(i / width) + " element " + std::to_string(i % width) + ": " + exactly(a[i]) + " and " + exactly(b[i]);
        }
    }
    return std::to_string(count) + " of " + std::to_string(a.size()) + " differ, first " + first;
}

} // namespace intarsia::test
