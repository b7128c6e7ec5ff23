// Every allocation that a call makes is refused once, then every one from there on: the call answers
// INTARSIA_OUT_OF_MEMORY and has changed nothing, so that the same call succeeds afterwards and the model built of such
// calls has the bits of one that met no error.
#include <cstdlib>
#include <functional>
#include <new>

#include "abi_fuzz_model.h"

namespace {

// Of this thread: allocations before one is refused, and whether all after it are too. Below 0: none is.
thread_local int64_t left = -1;
thread_local bool lasting = false;
thread_local uint64_t refused = 0;

void *allocate(size_t bytes, size_t alignment) {
    if (left == 0) {
        if (!lasting) left = -1;
        refused++;
        throw std::bad_alloc();
    }
    if (left > 0) left--;
    void *memory = alignment <= alignof(std::max_align_t)
                       ? std::malloc(bytes)
                       : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
}

void *allocate_or_null(size_t bytes) noexcept {
    try {
        return allocate(bytes, 1);
    } catch (...) {
        return nullptr;
    }
}

} // namespace

void *operator new(size_t bytes) { return allocate(bytes, 1); }
void *operator new[](size_t bytes) { return allocate(bytes, 1); }
void *operator new(size_t bytes, const std::nothrow_t &) noexcept { return allocate_or_null(bytes); }
void *operator new[](size_t bytes, const std::nothrow_t &) noexcept { return allocate_or_null(bytes); }
void *operator new(size_t bytes, std::align_val_t alignment) { return allocate(bytes, static_cast<size_t>(alignment)); }
void *operator new[](size_t bytes, std::align_val_t alignment) {
    return allocate(bytes, static_cast<size_t>(alignment));
}
// Not inlined: the compiler would see free meet what came of operator new, and not that both are ours.
#define OURS __attribute__((noinline)) void
OURS operator delete(void *memory) noexcept { std::free(memory); }
OURS operator delete[](void *memory) noexcept { std::free(memory); }
OURS operator delete(void *memory, size_t) noexcept { std::free(memory); }
OURS operator delete[](void *memory, size_t) noexcept { std::free(memory); }
OURS operator delete(void *memory, std::align_val_t) noexcept { std::free(memory); }
OURS operator delete[](void *memory, std::align_val_t) noexcept { std::free(memory); }
OURS operator delete(void *memory, size_t, std::align_val_t) noexcept { std::free(memory); }
OURS operator delete[](void *memory, size_t, std::align_val_t) noexcept { std::free(memory); }
#undef OURS

namespace intarsia::fuzz {
namespace {

// Makes a call until nothing is refused any more.
bool refusing(bool all, const std::function<intarsia_status()> &call) {
    for (int64_t allowed = 0; allowed < 100000; allowed++) {
        const uint64_t before = refused;
        lasting = all;
        left = allowed;
        const intarsia_status status = call();
        left = -1;
        if (status == INTARSIA_OK) return true;
        EXPECT_GT(refused, before) << "a call failed although it had what it asked for: " << intarsia_last_error();
        EXPECT_EQ(status, INTARSIA_OUT_OF_MEMORY) << intarsia_last_error();
        if (refused == before || status != INTARSIA_OUT_OF_MEMORY) return false;
    }
    return false;
}

class OutOfMemory : public testing::TestWithParam<bool> {
protected:
    const Attempt attempt = [](const std::function<intarsia_status()> &call) { return refusing(GetParam(), call); };
    void must(const std::function<intarsia_status()> &call) const {
        ASSERT_TRUE(attempt(call)) << intarsia_last_error();
    }
};

TEST_P(OutOfMemory, ChangesNothing) {
    Model undisturbed;
    const std::vector<uint32_t> bits = undisturbed.run();
    const uint64_t before = refused;
    Model model(INTARSIA_PRECISION_BF16, 2, attempt);
    EXPECT_EQ(model.run(), bits);

    std::vector<uint32_t> pieces(model.executables.size());
    for (uint32_t i = 0; i < pieces.size(); i++) pieces[i] = i;
    const auto count = static_cast<uint32_t>(pieces.size());
    fuzz::Run(model.step, model.executables).prepare();
    must([&] { return intarsia_step_begin(model.step, Model::kTokens, Model::kSequences, Model::kRows); });
    intarsia_recording *recording = nullptr;
    must([&] {
        return intarsia_record(model.step, pieces.data(), model.executables.data(), count, INTARSIA_RECORD_SAMPLE,
                               &recording);
    });
    intarsia_recording_info info{};
    info.struct_size = sizeof info;
    must([&] { return intarsia_recording_query(recording, &info); });
    std::vector<uint64_t> nanoseconds(info.kernels + info.samples);
    must([&] { return intarsia_replay(model.step, recording); });
    must([&] { return intarsia_replay_step(model.step, recording, Model::kSequences); });
    must([&] {
        return intarsia_replay_profile(model.step, recording, nanoseconds.data(),
                                       static_cast<uint32_t>(nanoseconds.size()));
    });
    intarsia_recording_destroy(recording);

    // A state that counts what is sampled: its arrays grow while rows are checked.
    const int32_t ids[] = {3, 1, 4, 1, 5};
    intarsia_sampler_state state{};
    state.struct_size = sizeof state;
    state.prompt = state.stops = state.bad_words = ids;
    const uint32_t length = 5;
    state.prompt_count = state.stop_count = 5;
    state.bad_lengths = &length;
    state.bad_count = 1;
    state.repetition_penalty = 1.5f;
    must([&] { return intarsia_step_sampler_set(model.step, 1, &state); });
    void *address = nullptr;
    uint64_t size = 0;
    must([&] { return intarsia_step_buffer(model.step, INTARSIA_BUFFER_SAMPLING, &address, &size); });
    auto *sampling = static_cast<intarsia_sampling *>(address);
    sampling[0].state = 2;
    sampling[0].logprobs = 5;
    for (int i = 0; i < 60; i++) must([&] { return intarsia_sample(model.step); });
    must([&] { return intarsia_step_sampler_clear(model.step, 1); });

    uint64_t bytes = 0, undisturbed_bytes = 0;
    must([&] { return intarsia_weights_bytes(model.weights, &bytes); });
    must([&] { return intarsia_weights_bytes(undisturbed.weights, &undisturbed_bytes); });
    EXPECT_EQ(bytes, undisturbed_bytes) << "a weight that was refused is there";
    uint64_t needed = 0;
    must([&] { return intarsia_partition_describe(model.partition, 0, nullptr, 0, &needed); });
    must([&] { return intarsia_partition_class(model.partition, 0, nullptr, 0, &needed); });
    must([&] { return intarsia_executable_describe(model.executables[0], nullptr, 0, &needed); });
    must([&] { return intarsia_executable_artifact(model.executables[0], nullptr, 0, &needed); });
    intarsia_device_info device{};
    device.struct_size = sizeof device;
    must([&] { return intarsia_device_query(0, &device); });
    EXPECT_EQ(model.run(), bits);
    EXPECT_GT(refused - before, 500u) << "hardly an allocation was refused";
}

INSTANTIATE_TEST_SUITE_P(AbiFuzz, OutOfMemory, testing::Bool(),
                         [](const auto &info) { return std::string(info.param ? "FromOneOn" : "OneAtATime"); });

} // namespace
} // namespace intarsia::fuzz
