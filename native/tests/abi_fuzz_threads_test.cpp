// Several threads at once on the same handles, which any of them may destroy or replace: every call is answered, an
// error names its function, and a run that meets no error has the bits that it has alone.
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

#include "abi_fuzz_model.h"

namespace intarsia::fuzz {
namespace {

constexpr uint32_t kPieces = 8;

// The handles of a model that threads share. One that was destroyed stays until it is replaced.
struct Shared {
    std::atomic<intarsia_device *> device{};
    std::atomic<intarsia_weights *> weights{};
    std::atomic<intarsia_graph *> graph{};
    std::atomic<intarsia_graph *> open{}; // one that takes ops until a thread splits it
    std::atomic<intarsia_partition *> partition{};
    std::atomic<intarsia_executable *> executables[kPieces]{};
    std::atomic<uint32_t> pieces{};
    std::atomic<intarsia_kv_cache *> cache{};
    std::atomic<intarsia_recording *> recording{}; // of a whole step
    std::atomic<intarsia_step *> step{}; // nobody writes its buffers any more: it stays as it was prepared

    // Puts a new model in place of the old one.
    void publish(uint32_t threads) {
        Model model(INTARSIA_PRECISION_BF16, threads);
        Run(model.step, model.executables).prepare();
        const intarsia_graph_options options{sizeof options, 0, 0, 0};
        intarsia_graph *graph_to_fill = nullptr;
        EXPECT_EQ(intarsia_graph_create(model.weights, &options, &graph_to_fill), INTARSIA_OK);
        ASSERT_LE(model.executables.size(), kPieces);
        std::vector<uint32_t> numbers;
        for (uint32_t i = 0; i < model.executables.size(); i++) numbers.push_back(i);
        intarsia_recording *recorded = nullptr;
        EXPECT_EQ(intarsia_step_begin(model.step, Model::kTokens, Model::kSequences, Model::kRows), INTARSIA_OK);
        EXPECT_EQ(intarsia_record(model.step, numbers.data(), model.executables.data(),
                                  static_cast<uint32_t>(numbers.size()), INTARSIA_RECORD_SAMPLE, &recorded),
                  INTARSIA_OK);
        pieces = static_cast<uint32_t>(model.executables.size());
        model.device = device.exchange(model.device); // the model ends the old ones
        model.weights = weights.exchange(model.weights);
        model.graph = graph.exchange(model.graph);
        model.partition = partition.exchange(model.partition);
        model.cache = cache.exchange(model.cache);
        model.step = step.exchange(model.step);
        for (uint32_t i = 0; i < model.executables.size(); i++)
            model.executables[i] = executables[i].exchange(model.executables[i]);
        intarsia_graph_destroy(open.exchange(graph_to_fill));
        intarsia_recording_destroy(recording.exchange(recorded));
    }

    void end() {
        intarsia_device_destroy(device);
        intarsia_weights_destroy(weights);
        intarsia_graph_destroy(graph);
        intarsia_graph_destroy(open);
        intarsia_partition_destroy(partition);
        for (const auto &executable : executables) intarsia_executable_destroy(executable);
        intarsia_kv_destroy(cache);
        intarsia_step_destroy(step);
        intarsia_recording_destroy(recording);
    }
};

class Worker {
public:
    Worker(uint64_t seed, Shared (&shared)[2], const std::vector<uint32_t> &bits)
        : s(seed, 50, false), r(s.random), shared_(shared), bits_(bits) {}

    uint64_t same_bits = 0; // runs that met no error

    void act() {
        Shared &m = shared_[r.below(2)];
        switch (r.below(24)) {
        case 0:
        case 1: return begin(m);
        case 2:
        case 3:
        case 4: return execute(m);
        case 5: return r.once_in(2) ? sampler(m) : static_cast<void>(FUZZ_CALL(s, intarsia_sample, given(m.step)));
        case 6: return ask_numbers(m);
        case 7: return ask_texts(m);
        case 8: return add_weight(m);
        case 9:
        case 10: return grow(m);
        case 11: return split(m);
        case 12: return compile(m);
        case 13:
        case 14: return run_alone(m);
        case 15: return r.once_in(8) ? destroy(m) : begin(m);
        case 16: return r.once_in(8) ? m.publish(r.from(1, 3)) : execute(m);
        case 17: return record(m);
        case 18:
        case 19:
        case 20: return replay(m);
        default: return run(m);
        }
    }

private:
    // Mostly the handle of now; else null, one of another kind, or no handle at all.
    template <class H> H *given(const std::atomic<H *> &handle) {
        if (!s.spoils()) return handle;
        switch (r.below(3)) {
        case 0: return nullptr;
        case 1: return reinterpret_cast<H *>(shared_[0].cache.load());
        default: return reinterpret_cast<H *>(shared_[1].weights.load());
        }
    }
    uint32_t piece(const Shared &m) { return r.once_in(20) ? r.below(10) : r.below(std::max(1u, m.pieces.load())); }

    void begin(const Shared &m) {
        const uint32_t tokens = r.of({5u, 8u, 8u, 9u}), rows = r.below(4);
        FUZZ_CALL(s, intarsia_step_begin, given(m.step), tokens, tokens == 5 ? 1u : 2u, rows);
    }
    void execute(const Shared &m) {
        const uint32_t p = piece(m), of = r.once_in(10) ? r.below(kPieces) : p % kPieces;
        FUZZ_CALL(s, intarsia_execute, given(m.step), given(shared_[r.once_in(20) ? 0 : &m - shared_].executables[of]),
                  p);
    }
    void run(const Shared &m) {
        if (!FUZZ_CALL(s, intarsia_step_begin, given(m.step), 8u, 2u, 2u)) return;
        for (uint32_t p = 0; p < m.pieces; p++)
            if (!FUZZ_CALL(s, intarsia_execute, given(m.step), given(m.executables[p]), p)) return;
        FUZZ_CALL(s, intarsia_sample, given(m.step));
    }

    void record(Shared &m) {
        const uint32_t p = piece(m);
        const Array pieces(s, std::vector<uint32_t>{0, p});
        const Array executables(s, std::vector<intarsia_executable *>{m.executables[0], m.executables[p % kPieces]});
        Out<intarsia_recording *> out(s);
        if (!FUZZ_CALL(s, intarsia_record, given(m.step), pieces, executables, 2u, r.below(2), out)) return;
        if (r.once_in(4)) return intarsia_recording_destroy(m.recording.exchange(out.value()));
        FUZZ_CALL(s, intarsia_replay, given(m.step), out.value());
        intarsia_recording_destroy(out.value());
    }
    void replay(const Shared &m) {
        if (r.once_in(4)) {
            FUZZ_CALL(s, intarsia_replay, given(m.step), given(m.recording));
        } else if (r.once_in(2)) {
            FUZZ_CALL(s, intarsia_replay_step, given(m.step), given(m.recording), 2u);
        } else {
            intarsia_recording *recording = given(m.recording); // it may be gone when it is replayed
            Out<intarsia_recording_info> info(s);
            if (!FUZZ_CALL(s, intarsia_recording_query, recording, info)) return;
            const uint32_t calls = info.value().kernels + info.value().samples;
            const Answers<uint64_t> nanoseconds(s, calls);
            FUZZ_CALL(s, intarsia_replay_profile, given(m.step), recording, nanoseconds, calls);
        }
    }

    void ask_numbers(const Shared &m) {
        Out<uint64_t> bytes(s);
        Out<void *> address(s);
        Out<intarsia_partition_info> partition(s);
        Out<intarsia_piece_info> piece_info(s);
        Out<intarsia_executable_info> executable(s);
        Out<uint32_t> count(s);
        switch (r.below(8)) {
        case 0: FUZZ_CALL(s, intarsia_kv_bytes, given(m.cache), bytes); return;
        case 1: FUZZ_CALL(s, intarsia_weights_bytes, given(m.weights), bytes); return;
        case 2: FUZZ_CALL(s, intarsia_step_bytes, given(m.step), bytes); return;
        case 3: FUZZ_CALL(s, intarsia_step_buffer, given(m.step), r.below(11), address, bytes); return;
        case 4: FUZZ_CALL(s, intarsia_partition_query, given(m.partition), partition); return;
        case 5: FUZZ_CALL(s, intarsia_partition_piece, given(m.partition), piece(m), piece_info); return;
        case 6: FUZZ_CALL(s, intarsia_executable_query, given(m.executables[r.below(kPieces)]), executable); return;
        default: FUZZ_CALL(s, intarsia_device_count, count); return;
        }
    }
    void ask_texts(const Shared &m) {
        const Text text(s, r.of({0u, 10u, 4000u}));
        Out<uint64_t> needed(s);
        bool told = false;
        if (r.once_in(3)) {
            told = FUZZ_CALL(s, intarsia_partition_class, given(m.partition), piece(m), text, text.capacity(), needed);
        } else if (r.once_in(2)) {
            told =
                FUZZ_CALL(s, intarsia_partition_describe, given(m.partition), piece(m), text, text.capacity(), needed);
        } else {
            told = FUZZ_CALL(s, intarsia_executable_describe, given(m.executables[r.below(kPieces)]), text,
                             text.capacity(), needed);
        }
        if (told) text.check(needed.value());
    }

    void add_weight(const Shared &m) {
        const std::vector<float> data(12, r.uniform(-1, 1));
        const std::string name = "shared " + std::to_string(r.below(50)); // one of the threads is the first
        const Array dims(s, std::vector<int64_t>{3, 4});
        Out<uint32_t> id(s);
        FUZZ_CALL(s, intarsia_weights_add, given(m.weights), name.c_str(), uint32_t{INTARSIA_DTYPE_F32}, dims, 2u,
                  data.data(), uint64_t{48}, id);
    }

    // An op on the graph that is open, or on one that is sealed.
    void grow(const Shared &m) {
        intarsia_graph *graph = given(r.once_in(5) ? m.graph : m.open);
        const uint32_t a = r.below(12), b = r.below(12), weight = r.below(8);
        Out<uint32_t> out(s);
        switch (r.below(8)) {
        case 0:
        case 1: FUZZ_CALL(s, intarsia_graph_input, graph, r.below(5), out); return;
        case 2: FUZZ_CALL(s, intarsia_graph_embedding, graph, a, 0u, out); return;
        case 3: FUZZ_CALL(s, intarsia_graph_linear, graph, a, weight, uint32_t{INTARSIA_NONE}, out); return;
        case 4: FUZZ_CALL(s, intarsia_graph_add, graph, a, b, out); return;
        case 5: FUZZ_CALL(s, intarsia_graph_silu_mul, graph, a, b, out); return;
        case 6: FUZZ_CALL(s, intarsia_graph_rms_norm, graph, a, weight, 1e-5f, out); return;
        default: FUZZ_CALL(s, intarsia_graph_empty, graph, r.below(2), 48u, out); return;
        }
    }
    void split(Shared &m) {
        Out<intarsia_partition *> out(s);
        if (!FUZZ_CALL(s, intarsia_graph_split, given(r.once_in(2) ? m.graph : m.open), nullptr, 0u, out)) return;
        const intarsia_step_options options{sizeof options, 4, 1, 1, 1, 0};
        intarsia_step *step = nullptr;
        if (intarsia_step_create(out.value(), nullptr, &options, &step) == INTARSIA_OK) intarsia_step_destroy(step);
        intarsia_partition_destroy(out.value());

        intarsia_graph *graph = nullptr;
        const intarsia_graph_options again{sizeof again, 0, 0, 0};
        if (intarsia_graph_create(m.weights, &again, &graph) == INTARSIA_OK)
            intarsia_graph_destroy(m.open.exchange(graph));
    }

    // In place of one that others may be about to use.
    void compile(Shared &m) {
        const uint32_t p = piece(m) % kPieces;
        const uint32_t flags = r.once_in(20) ? uint32_t{INTARSIA_COMPILE_MEASURE} : r.below(2);
        const In options(s, intarsia_compile_options{0, 1, Model::kTokens * 2, flags, nullptr, 0});
        Out<intarsia_executable *> out(s);
        if (FUZZ_CALL(s, intarsia_compile, given(m.partition), p, options, out))
            intarsia_executable_destroy(m.executables[p].exchange(out.value()));
    }

    void destroy(const Shared &m) {
        switch (r.below(9)) {
        case 0: return s.destroy("intarsia_device_destroy", intarsia_device_destroy, m.device.load());
        case 1: return s.destroy("intarsia_weights_destroy", intarsia_weights_destroy, m.weights.load());
        case 2: return s.destroy("intarsia_graph_destroy", intarsia_graph_destroy, m.graph.load());
        case 3: return s.destroy("intarsia_graph_destroy", intarsia_graph_destroy, m.open.load());
        case 4: return s.destroy("intarsia_partition_destroy", intarsia_partition_destroy, m.partition.load());
        case 5:
            return s.destroy("intarsia_executable_destroy", intarsia_executable_destroy,
                             m.executables[r.below(kPieces)].load());
        case 6: return s.destroy("intarsia_kv_destroy", intarsia_kv_destroy, m.cache.load());
        case 7: return s.destroy("intarsia_recording_destroy", intarsia_recording_destroy, m.recording.load());
        default: return s.destroy("intarsia_step_destroy", intarsia_step_destroy, m.step.load());
        }
    }

    // Of a slot that others may be sampling with, clear and set; the rows of the shared steps use none.
    void sampler(const Shared &m) {
        const uint32_t slot = r.below(Model::kSequences);
        if (r.once_in(2)) {
            FUZZ_CALL(s, intarsia_step_sampler_clear, given(m.step), slot);
            return;
        }
        const int32_t ids[] = {1, 2, 3};
        intarsia_sampler_state state{};
        state.prompt = state.allowed = ids;
        state.prompt_count = state.allowed_count = 3;
        state.repetition_penalty = 1.5f;
        const In in(s, state);
        FUZZ_CALL(s, intarsia_step_sampler_set, given(m.step), slot, in);
    }

    // A cache and a step of its own for the shared pieces.
    void run_alone(const Shared &m) {
        const In kv(s, intarsia_kv_options{0, INTARSIA_PRECISION_BF16, Model::kLayers, Model::kKvHeads, Model::kHeadDim,
                                           Model::kBlocks});
        const In options(s,
                         intarsia_step_options{0, Model::kTokens, Model::kSequences, Model::kRows, Model::kBlocks, 0});
        Out<intarsia_kv_cache *> cache(s);
        Out<intarsia_step *> step(s);
        if (!FUZZ_CALL(s, intarsia_kv_create, given(m.device), kv, cache)) return;
        std::vector<intarsia_executable *> executables;
        for (uint32_t i = 0; i < m.pieces; i++) executables.push_back(m.executables[i]);
        if (FUZZ_CALL(s, intarsia_step_create, given(m.partition), cache.value(), options, step)) {
            const std::vector<uint32_t> bits = Run(step.value(), executables).bits();
            if (!bits.empty()) {
                EXPECT_EQ(bits, bits_);
            }
            same_bits += !bits.empty();
            intarsia_step_destroy(step.value());
        }
        intarsia_kv_destroy(cache.value());
    }

    Session s;
    Random &r;
    Shared (&shared_)[2];
    const std::vector<uint32_t> &bits_;
};

TEST(AbiFuzz, Threads) {
    const char *text = std::getenv("INTARSIA_FUZZ_SECONDS");
    const double seconds = (text != nullptr && *text != 0 ? std::atof(text) : 20) * 0.35;
    const std::vector<uint32_t> bits = Model().run();
    Shared shared[2];
    shared[0].publish(2);
    shared[1].publish(1);
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
    std::atomic<uint64_t> same_bits{0};
    std::vector<std::thread> threads;
    for (uint64_t seed = 1; seed <= 4; seed++)
        threads.emplace_back([&, seed] {
            Worker worker(seed, shared, bits);
            for (uint32_t acts = 0;
                 (acts < 300 || std::chrono::steady_clock::now() < end) && !testing::Test::HasFailure(); acts++)
                worker.act();
            same_bits += worker.same_bits;
        });
    for (std::thread &thread : threads) thread.join();
    for (Shared &model : shared) model.end();
    EXPECT_EQ(Model().run(), bits);
    EXPECT_GT(same_bits, 0u) << "no run of a thread met no error";
    std::printf("%llu calls, %llu undisturbed runs\n", static_cast<unsigned long long>(Tally::get().calls()),
                static_cast<unsigned long long>(same_bits));
}

} // namespace
} // namespace intarsia::fuzz
