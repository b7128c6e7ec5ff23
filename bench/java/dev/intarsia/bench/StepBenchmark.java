package dev.intarsia.bench;

import dev.intarsia.engine.DecodeStep;
import dev.intarsia.ffi.Intarsia;
import dev.intarsia.runtime.NativeLibrary;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/**
 * One decode step of one sequence or of many, from the plan to the tokens; delivering them to callers is not part of
 * it. Bars: 5 µs for what is not kernels, which is a step of a hollow model, with one sequence, 30 µs with 64, and no
 * allocation.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 4, time = 250, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 6, time = 250, timeUnit = TimeUnit.MILLISECONDS)
@Fork(1)
public class StepBenchmark {

    /** Planned, buffers written, dispatched, every piece run or replayed, sampled. */
    @Benchmark
    public int step(DecodeStep decode) {
        return decode.step();
    }

    /** A downcall that does nothing on either side: the cost of crossing. */
    @Benchmark
    public int emptyDowncall(Library loaded) {
        return Intarsia.intarsia_abi_version();
    }

    /** The native library, loaded. */
    @State(Scope.Benchmark)
    public static class Library {
        @Setup
        public void load() {
            NativeLibrary.describe();
        }
    }
}
