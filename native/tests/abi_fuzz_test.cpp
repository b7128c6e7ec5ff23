// Random sequences of calls of the whole C ABI, most of them valid, many not. Whatever is given, a status comes back,
// an error names its function and leaves the answers untouched, memory that was not given is not touched (which the
// sanitizers watch), and a model built afterwards has the same bits as before.
//
//   INTARSIA_FUZZ_SECONDS  how long, 20 by default
//   INTARSIA_FUZZ_SEED     the first round, 1 by default; a failure names its round
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "abi_fuzz_graphs.h"
#include "abi_fuzz_model.h"
#include "abi_fuzz_recordings.h"

namespace intarsia::fuzz {
namespace {

using Clock = std::chrono::steady_clock;

double number_of(const char *variable, double otherwise) {
    const char *text = std::getenv(variable);
    return text != nullptr && *text != 0 ? std::atof(text) : otherwise;
}

Clock::time_point end_of(double share) {
    return Clock::now() +
           std::chrono::milliseconds(static_cast<int64_t>(number_of("INTARSIA_FUZZ_SECONDS", 20) * share * 1000));
}

// The library's statements about itself never change.
void ask_library(Session &s) {
    static const std::string version = intarsia_version(), build = intarsia_build_id(), header = intarsia_header_hash();
    for (const char *name : {"intarsia_abi_version", "intarsia_version", "intarsia_build_id", "intarsia_header_hash",
                             "intarsia_abi_table", "intarsia_last_error"})
        Tally::get().find(name)->calls++;
    EXPECT_EQ(intarsia_abi_version(), uint32_t{INTARSIA_ABI_VERSION});
    EXPECT_EQ(intarsia_version(), version);
    EXPECT_EQ(intarsia_build_id(), build);
    EXPECT_EQ(intarsia_header_hash(), header);
    EXPECT_EQ(header.size(), 64u);
    EXPECT_NE(intarsia_abi_table()[0], 0);

    Out<uint32_t> count(s);
    if (FUZZ_CALL(s, intarsia_device_count, count)) {
        EXPECT_GE(count.value(), 1u);
    }
    const bool wrong = s.spoils_argument();
    const uint32_t index = wrong ? s.random.of({2u, 3u, 0x80000000u, 0xFFFFFFFFu}) : s.random.below(2);
    Out<intarsia_device_info> info(s);
    if (!FUZZ_CALL(s, intarsia_device_query, index, info)) return;
    if (index == 0) {
        EXPECT_EQ(info.value().available, 1u);
    }
    EXPECT_LE(info.value().memory_free, info.value().memory_total);
    for (const auto &[text, size] :
         {std::pair{info.pointer()->name, 96}, {info.pointer()->tiers, 96}, {info.pointer()->note, 256}})
        EXPECT_LT(strnlen(text, static_cast<size_t>(size)), static_cast<size_t>(size));
}

class World {
public:
    explicit World(Session &session)
        : s(session), r(session.random), objects(session), graphs(objects), steps(objects), recordings(objects, steps) {
    }

    void act() {
        switch (r.below(26)) {
        case 0: return r.once_in(4) ? ask_library(s) : r.once_in(8) ? graphs.name_plugin() : r.once_in(4) ? graphs.measure_read() : graphs.ask_weights();
        case 1: return objects.devices.size() < 3 ? graphs.open_device() : objects.destroy_any();
        case 2: return objects.weights.size() < 4 ? graphs.make_weights() : objects.destroy_any();
        case 3:
        case 4: return objects.graphs.size() < 6 ? make_graph() : objects.destroy_any();
        case 5:
        case 6: return each(objects.graphs, [&](const Ref<Graph> &g) { graphs.grow(*g); });
        case 7:
        case 8:
            return each(objects.graphs, [&](const Ref<Graph> &g) {
                if (objects.partitions.size() < 6) steps.split(*g, g);
            });
        case 9: return steps.ask_partition();
        case 10:
        case 11: return each(objects.partitions, [&](const Ref<Partition> &p) { steps.compile(p); });
        case 12: return steps.ask_executable();
        case 13: return objects.caches.size() < 5 ? steps.make_cache() : steps.ask_cache();
        case 14:
        case 15: return objects.steps.size() < 6 ? steps.make_step() : steps.ask_step();
        case 16:
        case 17: return each(objects.steps, [&](const Ref<Step> &step) { steps.begin(*step); });
        case 18:
        case 19: return each(objects.steps, [&](const Ref<Step> &step) { recordings.run(step); });
        case 20: return each(objects.steps, [&](const Ref<Step> &step) { steps.execute(*step); });
        case 21:
            return each(objects.steps, [&](const Ref<Step> &step) {
                if (r.once_in(2)) steps.set_sampler(*step);
                else if (r.once_in(4)) steps.read_logits(*step);
                else steps.sample(*step);
            });
        case 22: return each(objects.steps, [&](const Ref<Step> &step) { recordings.record(step); });
        case 23:
            return r.once_in(4) ? recordings.ask()
                                : each(objects.recordings, [&](const Ref<Recording> &rec) { recordings.replay(*rec); });
        case 24:
            return objects.executables.size() > 40 || r.once_in(2) ? objects.destroy_any() : steps.ask_executable();
        default: return r.once_in(2) ? steps.ask_step() : steps.ask_cache();
        }
    }

    void end() { objects.destroy_all(); }

private:
    template <class T, class Action> void each(const std::vector<Ref<T>> &list, Action action) {
        if (!list.empty()) action(Ref<T>(r.of(list)));
    }

    void make_graph() {
        const size_t before = objects.graphs.size();
        graphs.make_graph();
        if (objects.graphs.size() == before) return;
        const Ref<Graph> g = objects.graphs.back();
        if (r.once_in(2)) graphs.grow_decoder(*g);
        for (uint32_t i = 0, ops = r.below(12); i < ops; i++) graphs.grow(*g);
    }

    Session &s;
    Random &r;
    Objects objects;
    Graphs graphs;
    Steps steps;
    Recordings recordings;
};

// What no CPU device does.
bool of_devices(const std::string &name) { return name == "intarsia_step_enqueue" || name == "intarsia_step_collect"; }

// Functions that were not called yet, or only with one of the outcomes that they have; "" if there are none.
std::string missing() {
    std::string text;
    for (const auto &[name, entry] : Tally::get().entries()) {
        const bool fails = entry.result == 'i' && name != "intarsia_abi_version";
        if (entry.calls == 0) text += " " + name + " was never called.";
        else if (fails && entry.successes == 0 && !of_devices(name)) text += " " + name + " never succeeded.";
        else if (fails && entry.successes == entry.calls) text += " " + name + " never failed.";
    }
    return text;
}

// One line of calls: what each must answer is known beforehand.
TEST(AbiFuzz, Sequences) {
    const std::vector<uint32_t> bits = Model().run();
    const auto first = static_cast<uint64_t>(number_of("INTARSIA_FUZZ_SEED", 1));
    const auto end = end_of(0.65);
    uint64_t seed = first;
    for (; seed < first + 10 || Clock::now() < end || (seed < first + 200 && !missing().empty()); seed++) {
        SCOPED_TRACE("INTARSIA_FUZZ_SEED=" + std::to_string(seed));
        Session session(seed, std::vector<uint32_t>{0, 400, 60, 12, 3}[seed % 5]);
        World world(session);
        for (uint32_t i = 0, acts = session.random.from(100, 600); i < acts && !HasFailure(); i++) world.act();
        world.end();
        ASSERT_EQ(Model().run(), bits) << "the model of before has other bits";
        ASSERT_FALSE(HasFailure());
    }

    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    std::printf("%llu rounds, %llu calls, at most %ld MiB\n", static_cast<unsigned long long>(seed - first),
                static_cast<unsigned long long>(Tally::get().calls()), usage.ru_maxrss / 1024);
    for (const auto &[name, entry] : Tally::get().entries()) {
        std::printf("%32s %9llu calls, %9llu ok, longest %8.3f ms\n", name.c_str(),
                    static_cast<unsigned long long>(entry.calls), static_cast<unsigned long long>(entry.successes),
                    static_cast<double>(entry.longest_ns) * 1e-6);
    }
    EXPECT_EQ(missing(), "");
}

} // namespace
} // namespace intarsia::fuzz
