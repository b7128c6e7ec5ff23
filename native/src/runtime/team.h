// A team of threads that runs one function together. The caller is member 0; the others sleep between runs.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

namespace intarsia {

class Team {
public:
    // threads >= 1, the caller included. Fails with INTARSIA_OUT_OF_MEMORY if the system gives no thread; then none is
    // left running. The threads are named intarsia-TEAM-MEMBER and take no signals but those of their own faults.
    explicit Team(uint32_t threads);
    ~Team();
    Team(const Team &) = delete;
    Team &operator=(const Team &) = delete;

    uint32_t threads() const { return threads_; }

    // Runs body(context, member) on every member at once and returns when all are done. Every member has denormals
    // flushed to zero and rounding to nearest while it runs; the caller's floating-point mode is restored. Concurrent
    // runs take turns. body must not throw. What the caller wrote before a run is seen by every member, and what they
    // wrote is seen by the caller after it. A body must not run its own team (it would wait for itself), and a fork of
    // the process has no team: its threads stay behind.
    void run(void (*body)(void *context, uint32_t member), void *context);

    // Inside a body only: waits until every member has called it as often. Spins briefly, then yields, then sleeps.
    // What any member wrote before it is seen by every member after it.
    void barrier();

private:
    // A counter that others wait for. Those who wait read its line and no other, and `sleepers_` changes only when one of them sleeps.
    class Counter {
    public:
        void reset() { value_.store(0, std::memory_order_relaxed); } // while nobody counts or waits
        uint32_t add() { return value_.fetch_add(1, std::memory_order_seq_cst) + 1; }
        void wake();                                 // those who sleep; after add()
        void wait(uint32_t goal, uint32_t spin_ns);  // until the count has reached the goal

    private:
        bool reached(uint32_t goal) const { return static_cast<int32_t>(value_.load(std::memory_order_acquire) - goal) >= 0; }

        alignas(64) std::atomic<uint32_t> value_{0};
        alignas(64) std::atomic<uint32_t> sleepers_{0};
    };

    struct Member {
        Team *team;
        uint32_t index;
        pthread_t thread;
    };

    static void *enter(void *member);
    void work(uint32_t member);
    void dismiss(); // ends and joins the threads that were started

    const uint32_t threads_;
    const uint32_t number_;
    const uint32_t spin_ns_;
    std::vector<Member> members_; // 1 .. threads - 1
    std::mutex turn_;

    void (*body_)(void *context, uint32_t member) = nullptr; // null: leave
    void *context_ = nullptr;
    Counter starts_;   // runs so far
    Counter arrivals_; // of members at a barrier or at the end, in this run
};

// Sets flush-to-zero, denormals-are-zero and rounding to nearest, all exceptions masked, for its lifetime; then the
// mode and the exception flags of the thread are again what they were. It holds for what is called inside that
// lifetime: arithmetic in the very function that declares it may be moved out by the compiler.
class FloatMode {
public:
    FloatMode();
    ~FloatMode();
    FloatMode(const FloatMode &) = delete;
    FloatMode &operator=(const FloatMode &) = delete;

private:
    uint64_t saved_;
};

} // namespace intarsia
