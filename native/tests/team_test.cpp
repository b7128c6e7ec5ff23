#include "runtime/team.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cfenv>
#include <cfloat>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/error.h"

namespace intarsia {
namespace {

// Runs any callable of the member's number.
template <typename Body> void run(Team &team, Body body) {
    team.run([](void *context, uint32_t member) { (*static_cast<Body *>(context))(member); }, &body);
}

size_t tasks() {
    size_t count = 0;
    for ([[maybe_unused]] const auto &task : std::filesystem::directory_iterator("/proc/self/task")) ++count;
    return count;
}

// A joined thread leaves /proc a little later.
bool tasks_return_to(size_t count) {
    for (int i = 0; i < 200 && tasks() > count; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return tasks() <= count;
}

float half_of_smallest_normal() {
    volatile float smallest = FLT_MIN;
    return smallest * 0.5f;
}

// The rounding mode as arithmetic shows it; std::fegetround looks at another register on x86-64.
int rounding() {
    volatile float one = 1, little = 1e-10f;
    const float above = one + little, below = one - little, beyond = -one - little;
    if (above > 1) return FE_UPWARD;
    if (beyond < -1) return FE_DOWNWARD;
    return below < 1 ? FE_TOWARDZERO : FE_TONEAREST;
}

class TeamOf : public testing::TestWithParam<uint32_t> {};

TEST_P(TeamOf, RunsEveryMemberOnce) {
    Team team(GetParam());
    ASSERT_EQ(team.threads(), GetParam());
    std::vector<uint32_t> calls(GetParam(), 0); // not atomic: a run orders its writes before the caller's reads
    for (uint32_t i = 1; i <= 50; ++i) {
        run(team, [&](uint32_t member) { calls.at(member) += member + i; });
        for (uint32_t member = 0; member < GetParam(); ++member) ASSERT_EQ(calls[member], member * i + i * (i + 1) / 2);
    }
}

TEST_P(TeamOf, RunsOnThreadsOfItsOwnAndTheCallers) {
    Team team(GetParam());
    std::vector<std::thread::id> ids(GetParam());
    run(team, [&](uint32_t member) { ids[member] = std::this_thread::get_id(); });
    EXPECT_EQ(ids[0], std::this_thread::get_id());
    const std::vector<std::thread::id> first = ids;
    run(team, [&](uint32_t member) { ids[member] = std::this_thread::get_id(); });
    EXPECT_EQ(ids, first);
    std::sort(ids.begin(), ids.end());
    EXPECT_EQ(std::unique(ids.begin(), ids.end()), ids.end());
}

TEST_P(TeamOf, BarrierSeparatesPhases) {
    // In each phase a member adds up what all members wrote in the phase before. A member that runs ahead or lags reads
    // a wrong sum.
    const uint32_t threads = GetParam();
    const uint64_t phases = threads > 8 ? 50 : 500;
    Team team(threads);
    for (int repeat = 0; repeat < 3; ++repeat) {
        std::vector<uint64_t> even(threads, 1), odd(threads, 0);
        std::vector<uint64_t> wrong(threads, 0);
        run(team, [&](uint32_t member) {
            for (uint64_t phase = 0; phase < phases; ++phase) {
                const auto &from = phase % 2 == 0 ? even : odd;
                auto &to = phase % 2 == 0 ? odd : even;
                const uint64_t sum = std::accumulate(from.begin(), from.end(), uint64_t{0});
                if (sum != threads * (phase + 1)) ++wrong[member];
                to[member] = phase + 2;
                team.barrier();
            }
        });
        EXPECT_EQ(wrong, std::vector<uint64_t>(threads, 0));
    }
}

TEST_P(TeamOf, FlushesDenormalsAndRoundsToNearestInEveryMember) {
    Team team(GetParam());
    std::vector<float> products(GetParam(), 1), widened(GetParam(), 1);
    std::vector<int> modes(GetParam(), -1);
    volatile float denormal = 1e-40f;
    ASSERT_EQ(std::fesetround(FE_UPWARD), 0);
    run(team, [&](uint32_t member) {
        products[member] = half_of_smallest_normal();
        widened[member] = denormal * 1e10f; // a denormal read is zero
        modes[member] = rounding();
    });
    EXPECT_EQ(rounding(), FE_UPWARD);
    std::fesetround(FE_TONEAREST);
    EXPECT_GT(half_of_smallest_normal(), 0.0f);
    EXPECT_EQ(products, std::vector<float>(GetParam(), 0));
    EXPECT_EQ(widened, std::vector<float>(GetParam(), 0));
    EXPECT_EQ(modes, std::vector<int>(GetParam(), FE_TONEAREST));
}

INSTANTIATE_TEST_SUITE_P(Threads, TeamOf, testing::Values(1, 2, 3, 8, 64), testing::PrintToStringParamName());

TEST(Team, ManyQuickRuns) {
    for (const auto &[threads, runs] : {std::pair{2u, 5'000u}, std::pair{3u, 20'000u}}) {
        Team team(threads);
        std::vector<uint64_t> sums(threads * 8, 0); // a cache line each
        for (uint64_t i = 0; i < runs; ++i) run(team, [&](uint32_t member) { sums[member * 8] += i; });
        for (uint32_t member = 0; member < threads; ++member)
            EXPECT_EQ(sums[member * 8], uint64_t{runs} * (runs - 1) / 2);
    }
}

TEST(Team, WakesAfterSleeping) {
    Team team(3);
    std::vector<int> calls(3, 0);
    for (int i = 0; i < 20; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2)); // longer than anyone spins
        run(team, [&](uint32_t member) {
            // So do the members that wait for the slow one, at the barrier and at the end.
            if (member == static_cast<uint32_t>(i % 3)) std::this_thread::sleep_for(std::chrono::milliseconds(2));
            team.barrier();
            if (member == static_cast<uint32_t>((i + 1) % 3)) std::this_thread::sleep_for(std::chrono::milliseconds(2));
            ++calls[member];
        });
    }
    EXPECT_EQ(calls, std::vector<int>(3, 20));
}

TEST(Team, ConcurrentRunsTakeTurns) {
    for (const uint32_t threads : {1u, 4u}) {
        Team team(threads);
        std::atomic<int> inside{0}, overlaps{0};
        std::vector<uint64_t> calls(threads, 0); // not atomic: taking turns orders the runs
        std::vector<std::thread> callers;
        for (int caller = 0; caller < 5; ++caller)
            callers.emplace_back([&] {
                for (int i = 0; i < 200; ++i) {
                    const int mode = i % 2 == 0 ? FE_DOWNWARD : FE_TOWARDZERO;
                    std::fesetround(mode);
                    run(team, [&](uint32_t member) {
                        ++calls[member];
                        if (member == 0 && inside.fetch_add(1) != 0) ++overlaps;
                        team.barrier();
                        if (member == 0) --inside;
                    });
                    if (rounding() != mode) ++overlaps;
                }
            });
        for (std::thread &caller : callers) caller.join();
        EXPECT_EQ(overlaps, 0);
        EXPECT_EQ(calls, std::vector<uint64_t>(threads, 1000));
    }
}

TEST(Team, SleepsBetweenRuns) {
    Team team(8);
    std::vector<int> calls(8, 0);
    run(team, [&](uint32_t member) { ++calls[member]; });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const auto cpu_ms = [] {
        timespec time;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
        return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) * 1e-6;
    };
    const double before = cpu_ms();
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    EXPECT_LT(cpu_ms() - before, 15);
}

TEST(Team, LeavesNoThreadBehind) {
    { Team first(2); } // a sanitizer starts a thread of its own with the first of the process
    const size_t before = tasks();
    for (int i = 0; i < 200; ++i) {
        Team team(1 + static_cast<uint32_t>(i) % 6);
        if (i % 3 != 0) continue; // some are destroyed before their threads have begun
        std::atomic<uint32_t> calls{0};
        run(team, [&](uint32_t) { ++calls; });
        ASSERT_EQ(calls, team.threads());
    }
    EXPECT_TRUE(tasks_return_to(before)) << tasks() << " threads, " << before << " before";
}

TEST(Team, NamesItsThreadsAndKeepsSignalsFromThem) {
    sigset_t callers_before, callers_after;
    pthread_sigmask(SIG_SETMASK, nullptr, &callers_before);
    Team team(3);
    pthread_sigmask(SIG_SETMASK, nullptr, &callers_after);
    std::vector<std::string> names(3);
    std::vector<sigset_t> masks(3);
    run(team, [&](uint32_t member) {
        char name[16];
        pthread_getname_np(pthread_self(), name, sizeof name);
        names[member] = name;
        pthread_sigmask(SIG_SETMASK, nullptr, &masks[member]);
    });
    for (const uint32_t member : {1u, 2u}) {
        EXPECT_EQ(names[member].substr(0, 9), "intarsia-");
        EXPECT_EQ(names[member].substr(names[member].rfind('-')), "-" + std::to_string(member));
        for (const int blocked :
             {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD, SIGPROF, SIGALRM, SIGPIPE})
            EXPECT_EQ(sigismember(&masks[member], blocked), 1) << blocked;
        for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT})
            EXPECT_EQ(sigismember(&masks[member], fault), 0) << fault;
    }
    for (int signal = 1; signal < 32; ++signal)
        EXPECT_EQ(sigismember(&callers_before, signal), sigismember(&callers_after, signal)) << signal;
}

// The sanitizers need more address space than the limit leaves.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(Team, FailsCleanlyWhenTheSystemGivesNoThread) {
    const size_t before = tasks();
    rlimit whole;
    ASSERT_EQ(getrlimit(RLIMIT_AS, &whole), 0);
    uint64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    rlimit tight = whole;
    // Room for some stacks, not for 255.
    tight.rlim_cur = pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) + (uint64_t{64} << 20);
    ASSERT_EQ(setrlimit(RLIMIT_AS, &tight), 0);
    void *probe = mmap(nullptr, size_t{128} << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (probe != MAP_FAILED) { // as under qemu-user, which grants the limit and does not hold it
        munmap(probe, size_t{128} << 20);
        ASSERT_EQ(setrlimit(RLIMIT_AS, &whole), 0);
        GTEST_SKIP() << "this system does not hold a process to its limit of address space";
    }
    intarsia_status status = INTARSIA_OK;
    std::string message;
    try {
        Team team(256);
    } catch (const Error &error) {
        status = error.status();
        message = error.what();
    }
    ASSERT_EQ(setrlimit(RLIMIT_AS, &whole), 0);
    EXPECT_EQ(status, INTARSIA_OUT_OF_MEMORY);
    EXPECT_NE(message.find("of the 255 threads"), std::string::npos) << message;
    EXPECT_TRUE(tasks_return_to(before)) << tasks() << " threads, " << before << " before";
}
#endif

TEST(FloatMode, RestoresModeAndExceptionFlags) {
    std::feclearexcept(FE_ALL_EXCEPT);
    ASSERT_EQ(std::fesetround(FE_TOWARDZERO), 0);
    {
        const auto mode = std::make_unique<FloatMode>();
        EXPECT_EQ(rounding(), FE_TONEAREST);
        EXPECT_EQ(half_of_smallest_normal(), 0.0f);
        volatile float zero = 0;
        volatile float infinite = 1 / zero;
        EXPECT_GT(infinite, FLT_MAX);
        {
            const auto inner = std::make_unique<FloatMode>();
            EXPECT_EQ(half_of_smallest_normal(), 0.0f);
        }
        EXPECT_EQ(half_of_smallest_normal(), 0.0f);
    }
    EXPECT_EQ(rounding(), FE_TOWARDZERO);
    EXPECT_EQ(std::fetestexcept(FE_DIVBYZERO), 0);
    std::fesetround(FE_TONEAREST);
    EXPECT_GT(half_of_smallest_normal(), 0.0f);
}

} // namespace
} // namespace intarsia
