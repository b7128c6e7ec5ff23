package dev.intarsia.piecewise;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import java.util.function.IntUnaryOperator;

/** Measures what a piece of code allocates on this thread. */
final class Allocation {
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    private Allocation() {}

    /** Bytes allocated by {@code calls} calls, after as many to warm up. */
    static long bytes(int calls, IntUnaryOperator code) {
        long sum = run(calls, code);
        long before = THREADS.getCurrentThreadAllocatedBytes();
        sum += run(calls, code);
        long after = THREADS.getCurrentThreadAllocatedBytes();
        if (sum == Long.MIN_VALUE) {
            throw new AssertionError("keeps the calls alive");
        }
        return after - before;
    }

    private static long run(int calls, IntUnaryOperator code) {
        long sum = 0;
        for (int i = 0; i < calls; i++) {
            sum += code.applyAsInt(i);
        }
        return sum;
    }
}
