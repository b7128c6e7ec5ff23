package dev.intarsia.bench;

import dev.intarsia.piecewise.CaptureLock;
import dev.intarsia.piecewise.CaptureSizes;
import dev.intarsia.piecewise.Captures;
import dev.intarsia.piecewise.CompilationTracker;
import dev.intarsia.piecewise.Dispatch;
import dev.intarsia.piecewise.Dispatcher;
import dev.intarsia.piecewise.GraphConfig;
import dev.intarsia.piecewise.GraphKeys;
import dev.intarsia.piecewise.GraphMode;
import java.util.Random;
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

/** Asking how a step runs: mode, padded size and reason, for random sizes of decode and other batches. Bar: 20 ns, no allocation. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 4, time = 250, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 6, time = 250, timeUnit = TimeUnit.MILLISECONDS)
@Fork(2)
public class DispatcherBenchmark {
    private static final int COUNT = 1 << 16;
    private static final int MAX_TOKENS = 2048;
    private static final int MAX_SEQUENCES = 256;

    private final int[] sizes = new int[COUNT];
    private int next;
    private Dispatcher dispatcher;

    @Setup
    public void capture() {
        GraphConfig config = GraphConfig.builder(MAX_TOKENS, MAX_SEQUENCES).build();
        GraphKeys keys =
                new GraphKeys(GraphMode.FULL_AND_PIECEWISE, CaptureSizes.derive(config), MAX_SEQUENCES, 1);
        dispatcher = new Dispatcher(keys, MAX_TOKENS);
        Captures.run(keys, (mode, key) -> {}, new CaptureLock(), dispatcher, new CompilationTracker());
        Random random = new Random(1);
        for (int i = 0; i < COUNT; i++) {
            sizes[i] = 1 + random.nextInt(random.nextBoolean() ? MAX_SEQUENCES : MAX_TOKENS);
        }
    }

    @Benchmark
    public Dispatch dispatch() {
        int size = sizes[next++ & COUNT - 1];
        return dispatcher.dispatch(size, (size & 1) == 0);
    }
}
