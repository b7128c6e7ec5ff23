package dev.intarsia.fuzz;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

/** Runs ranges of inputs on several threads and measures each input. */
final class Fuzzer {

    /** What an input may take: nanoseconds by the clock, and bytes of the Java heap all in all. */
    private static final long MAX_NANOS = TimeUnit.SECONDS.toNanos(2);
    private static final long MAX_ALLOCATED = 64 << 20;
    /** An input that has not ended by then never will. */
    private static final long HANGS_NANOS = TimeUnit.SECONDS.toNanos(60);
    private static final int ENOUGH_FAILURES = 20;

    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    private final Inputs inputs;
    private final Path work;
    private final Queue<String> failures = new ConcurrentLinkedQueue<>();
    private final Map<String, Integer> endings = new TreeMap<>();
    private long slowest;
    private long greediest;

    /** @param work the directory for those of the inputs */
    Fuzzer(Inputs inputs, Path work) {
        this.inputs = inputs;
        this.work = work;
    }

    /** One thread's place in a range. */
    private final class Worker extends Thread {
        private final AtomicLong next;
        private final long end;
        private volatile Input current;
        private volatile long since = System.nanoTime();

        Worker(AtomicLong next, long end) {
            this.next = next;
            this.end = end;
            setDaemon(true);
        }

        @Override
        public void run() {
            try {
                for (long index = next.getAndIncrement();
                        index < end && failures.size() < ENOUGH_FAILURES;
                        index = next.getAndIncrement()) {
                    Input input = inputs.input(index);
                    since = System.nanoTime();
                    current = input;
                    String complaint = measured(input);
                    if (!complaint.isEmpty()) {
                        failures.add(input + " " + complaint);
                    }
                }
            } catch (Throwable e) {
                failures.add(current + " cannot be tried: " + Verdict.of(e));
            }
        }
    }

    /** Runs inputs first to end - 1; returns what went wrong so far, an entry an input. */
    List<String> run(long first, long end, int threads) throws InterruptedException {
        AtomicLong next = new AtomicLong(first);
        List<Worker> workers = new ArrayList<>();
        for (int i = 0; i < threads; i++) {
            workers.add(new Worker(next, end));
        }
        workers.forEach(Thread::start);
        for (Worker worker : workers) {
            while (worker.isAlive()) {
                worker.join(200);
                if (worker.isAlive() && System.nanoTime() - worker.since > HANGS_NANOS) {
                    failures.add(worker.current + " does not end");
                    return List.copyOf(failures);
                }
            }
        }
        return List.copyOf(failures);
    }

    /** What is wrong with how an input ended, or empty. Machines stop for a while: who is slow gets another go. */
    private String measured(Input input) throws IOException {
        long begin = System.nanoTime();
        long allocated = THREADS.getCurrentThreadAllocatedBytes();
        Verdict verdict = tried(input);
        allocated = THREADS.getCurrentThreadAllocatedBytes() - allocated;
        long nanos = System.nanoTime() - begin;
        if (nanos > MAX_NANOS) {
            begin = System.nanoTime();
            tried(input);
            nanos = Math.min(nanos, System.nanoTime() - begin);
        }
        note(input.target() + " " + verdict.ending(), nanos, allocated);
        if (!verdict.complaint().isEmpty()) {
            return verdict.complaint();
        }
        if (nanos > MAX_NANOS) {
            return "took " + nanos / 1_000_000 + " ms";
        }
        return allocated > MAX_ALLOCATED ? "allocated " + allocated + " bytes" : "";
    }

    private Verdict tried(Input input) throws IOException {
        Path directory = input.write(work);
        try {
            Targets.run(input, directory, inputs.random(input.index(), 1));
            return Verdict.accepted();
        } catch (Throwable e) {
            return Verdict.of(e);
        } finally {
            Input.delete(directory);
        }
    }

    private synchronized void note(String ending, long nanos, long allocated) {
        endings.merge(ending, 1, Integer::sum);
        slowest = Math.max(slowest, nanos);
        greediest = Math.max(greediest, allocated);
    }

    /** How many inputs of a target ended in a way. */
    synchronized int count(Input.Target target, String ending) {
        return endings.getOrDefault(target + " " + ending, 0);
    }

    @Override
    public synchronized String toString() {
        return endings + ", slowest " + slowest / 1_000_000 + " ms, most allocated " + (greediest >> 10) + " KiB";
    }
}
