#include "runtime/team.h"

#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <climits>
#include <cstring>
#include <string>

#include "runtime/cpuinfo.h"
#include "runtime/error.h"
#include "runtime/relax.h"

namespace intarsia {

namespace {

// Kernels of one step follow each other within microseconds, so a member that waits watches for a while before it
// sleeps: waking a sleeper takes as long as a small kernel. Where the machine has fewer CPUs than the team has members,
// watching only keeps others from working.
constexpr uint32_t kSpin = 50'000;            // ns
constexpr uint32_t kSpinOversubscribed = 500; // ns
constexpr int kGlances = 16; // between looks at the clock
constexpr int kYields = 32;
constexpr size_t kStack = size_t{2} << 20; // bytes; thread-local storage of the whole process is taken from it too

void sleep_while(std::atomic<uint32_t> &value, uint32_t expected) {
    static_assert(sizeof value == sizeof(uint32_t) && std::atomic<uint32_t>::is_always_lock_free);
    syscall(SYS_futex, &value, FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}

void wake_all(std::atomic<uint32_t> &value) {
    syscall(SYS_futex, &value, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

// Blocks for its lifetime what a thread made in it shall never take: every signal but those of a thread's own faults,
// which a host such as the JVM wants to report.
class SignalsBlocked {
public:
    SignalsBlocked() {
        sigset_t set;
        sigfillset(&set);
        for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS}) sigdelset(&set, fault);
        pthread_sigmask(SIG_SETMASK, &set, &saved_);
    }
    ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &saved_, nullptr); }

private:
    sigset_t saved_;
};

std::atomic<uint32_t> teams{0};

} // namespace

// A waiter counts itself before it looks a last time, and wake() looks for waiters after the count has changed: with both in the one order of
// sequential consistency either the waiter sees the new count or wake() sees the waiter.
void Team::Counter::wake() {
    if (sleepers_.load(std::memory_order_seq_cst) != 0) wake_all(value_);
}

void Team::Counter::wait(uint32_t goal, uint32_t spin_ns) {
    using Clock = std::chrono::steady_clock;
    for (int i = 0; i < kGlances; ++i) {
        if (reached(goal)) return;
        relax();
    }
    const auto end = Clock::now() + std::chrono::nanoseconds(spin_ns);
    do {
        for (int i = 0; i < kGlances; ++i) {
            if (reached(goal)) return;
            relax();
        }
    } while (Clock::now() < end);
    for (int i = 0; i < kYields; ++i) {
        sched_yield();
        if (reached(goal)) return;
    }
    sleepers_.fetch_add(1, std::memory_order_seq_cst);
    for (;;) {
        const uint32_t seen = value_.load(std::memory_order_seq_cst);
        if (static_cast<int32_t>(seen - goal) >= 0) break;
        sleep_while(value_, seen);
    }
    sleepers_.fetch_sub(1, std::memory_order_relaxed);
}

Team::Team(uint32_t threads)
    : threads_(threads), number_(teams.fetch_add(1, std::memory_order_relaxed)),
      spin_ns_(threads <= default_threads() ? kSpin : kSpinOversubscribed) {
    members_.reserve(threads); // a member's address is given to its thread
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, kStack);
    int error = 0;
    {
        const SignalsBlocked blocked;
        for (uint32_t index = 1; index < threads && error == 0; ++index) {
            Member &member = members_.emplace_back(Member{this, index, {}});
            error = pthread_create(&member.thread, &attributes, enter, &member);
            if (error != 0) members_.pop_back();
        }
    }
    pthread_attr_destroy(&attributes);
    if (error != 0) {
        const size_t started = members_.size();
        dismiss();
        fail(INTARSIA_OUT_OF_MEMORY, "the system gave %zu of the %u threads asked for besides the caller: %s", started,
             threads - 1, std::strerror(error));
    }
}

Team::~Team() { dismiss(); }

void Team::dismiss() {
    body_ = nullptr;
    starts_.add();
    starts_.wake();
    for (const Member &member : members_) pthread_join(member.thread, nullptr);
}

void *Team::enter(void *argument) {
    const Member &member = *static_cast<Member *>(argument);
    // A name holds 15 characters: two digits for the team leave room for any member.
    const std::string name =
        "intarsia-" + std::to_string(member.team->number_ % 100) + "-" + std::to_string(member.index);
    pthread_setname_np(pthread_self(), name.c_str());
    const FloatMode mode;
    member.team->work(member.index);
    return nullptr;
}

void Team::work(uint32_t member) {
    // The caller waits for all members, so that none can miss a start.
    for (uint32_t run = 1;; ++run) {
        starts_.wait(run, spin_ns_);
        if (body_ == nullptr) return;
        body_(context_, member);
        if (arrivals_.add() % threads_ == 0) arrivals_.wake();
    }
}

void Team::run(void (*body)(void *context, uint32_t member), void *context) {
    const std::lock_guard<std::mutex> lock(turn_);
    const FloatMode mode;
    if (threads_ == 1) {
        body(context, 0);
        return;
    }
    body_ = body;
    context_ = context;
    arrivals_.reset(); // all of the last run have come
    starts_.add();
    starts_.wake();
    body(context, 0);
    barrier(); // the others go on to the next start at once
}

// Barriers of a run share one count: the n-th is passed when n arrivals of each member are in. One line changes hands, once for each member.
void Team::barrier() {
    if (threads_ == 1) return;
    const uint32_t arrived = arrivals_.add();
    const uint32_t missing = (threads_ - arrived % threads_) % threads_;
    if (missing == 0) {
        arrivals_.wake();
    } else {
        arrivals_.wait(arrived + missing, spin_ns_);
    }
}

} // namespace intarsia
