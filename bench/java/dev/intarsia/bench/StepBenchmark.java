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
 * One decode step of one sequence, up to the token; delivering it to the caller is not part of it. Bars: 5 µs for what is
 * not kernels, which is a step of a hollow model, and no allocation.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 4, time = 250, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 6, time = 250, timeUnit = TimeUnit.MILLISECONDS)
@Fork(1)
public class StepBenchmark {

    /** Buffers written, dispatched, every piece run or replayed, sampled. */
    @Benchmark
    public int step(DecodeStep decode) {
        decode.describe();
        return decode.run();
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
