package dev.intarsia.engine;

import com.sun.management.ThreadMXBean;
import dev.intarsia.piecewise.GraphMode;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * A decode step replayed as a whole, replayed piece by piece, and called piece by piece, beside the sum of its kernels. Bar: a whole replay takes at
 * most 10 µs more than its kernels on two threads, and allocates nothing.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 1, time = 5)
@Fork(1)
@State(Scope.Thread)
public class ReplayBenchmark {
    private static final int PROFILES = 300;
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    /** The shape, whose weights are random; a path from the root of the checkout. */
    @Param("src/test/resources/configs/qwen3-28-layers.json")
    public String config;

    @Param("2")
    public int threads;

    @Param({"FULL", "PIECEWISE", "NONE"})
    public GraphMode graphs;

    private LoadedModel model;
    private LoadedModel whole;

    @Setup
    public void open() {
        Path file = DecodeStep.inCheckout(config);
        model = ReplayOverhead.open(file, threads, graphs);
        whole = graphs == GraphMode.FULL ? model : ReplayOverhead.open(file, threads, GraphMode.FULL);
    }

    @TearDown
    public void close() {
        model.close();
        if (whole != model) {
            whole.close();
        }
    }

    /** Dispatched, every piece run or replayed, sampled. */
    @Benchmark
    public void step(Figures figures) {
        long start = System.nanoTime();
        model.runner().run(1, 1, 1, true);
        figures.add(System.nanoTime() - start);
    }

    /** What JMH reports besides the mean. It adds these up over iterations and forks, so that there is one of each. */
    @AuxCounters(AuxCounters.Type.EVENTS)
    @State(Scope.Thread)
    public static class Figures {
        /** Median of a step, µs. */
        public double medianUs;
        /** Sum over the kernel calls of the slowest thread's time, median of several steps, µs. */
        public double kernelsUs;
        /** What is left of the median step, µs. */
        public double beyondUs;
        /** What the measuring thread allocated, bytes a step; {@code -prof gc} counts JMH's threads and {@link #measure} too. */
        public double ownBytes;

        private final long[] taken = new long[1 << 20];
        private int steps;
        private long allocated;

        void add(long nanoseconds) {
            taken[steps++ & taken.length - 1] = nanoseconds;
        }

        @Setup(Level.Iteration)
        public void begin() {
            steps = 0;
            allocated = THREADS.getCurrentThreadAllocatedBytes();
        }

        @TearDown(Level.Iteration)
        public void measure(ReplayBenchmark benchmark) {
            ownBytes = (double) (THREADS.getCurrentThreadAllocatedBytes() - allocated) / steps;
            long[] kernels = new long[PROFILES];
            for (int i = 0; i < PROFILES; i++) {
                kernels[i] = Arrays.stream(benchmark.whole.runner().profile(1, 1)).sum();
            }
            int kept = Math.min(steps, taken.length);
            Arrays.sort(taken, 0, kept);
            medianUs = taken[kept / 2] / 1e3;
            kernelsUs = ReplayOverhead.median(kernels) / 1e3;
            beyondUs = medianUs - kernelsUs;
        }
    }
}
