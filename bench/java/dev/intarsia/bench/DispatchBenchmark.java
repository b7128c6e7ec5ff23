package dev.intarsia.bench;

import dev.intarsia.piecewise.CompilationConfig;
import dev.intarsia.piecewise.CompileRange;
import dev.intarsia.piecewise.PieceSpec;
import dev.intarsia.piecewise.PiecewiseBackend;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.infra.Blackhole;

/**
 * Finding the compiled entry for a number of tokens. Bar: 30 ns, no allocation. The sizes come at random, more of them than
 * a branch predictor remembers; {@link #nextSize} is what drawing one costs and is part of {@link #dispatch}.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 4, time = 250, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 6, time = 250, timeUnit = TimeUnit.MILLISECONDS)
@Fork(2)
public class DispatchBenchmark {
    private static final int COUNT = 1 << 16;
    private static final int PIECES = 29; // that are compiled, in a model of 28 layers

    /** What a piece was compiled for. */
    public enum Compiled {
        ONE_RANGE(CompilationConfig.builder(2048)),
        THREE_RANGES_AND_SIZES(CompilationConfig.builder(2048).endpoints(8, 512).compileSizes(1, 2, 4, 16, 64, 256)),
        /** 1, 2, 4 and every multiple of 8 up to 376, as sizes to be captured are usually chosen. */
        FIFTY_SIZES(CompilationConfig.builder(2048).compileSizes(
                IntStream.concat(IntStream.of(1, 2, 4), IntStream.rangeClosed(1, 47).map(i -> 8 * i)).toArray())),
        /** Frozen to one token, the only size it serves. */
        STATIC(CompilationConfig.builder(1));

        private final CompilationConfig config;

        Compiled(CompilationConfig.Builder config) {
            this.config = config.build();
        }

        /** The executable of an entry is its range, so that every answer can be checked. */
        private PiecewiseBackend<CompileRange> backend() {
            PieceSpec spec = config.freezesTokens() ? PieceSpec.frozen(0, 1, 1) : PieceSpec.symbolic(0, 1, 0);
            return PiecewiseBackend.compile(spec, config, (range, concrete) -> range);
        }

        /** Half of them exact sizes where there are any, the others anything that is served. */
        private int size(Random random) {
            List<Integer> exact = config.compileSizes();
            return exact.isEmpty() || random.nextBoolean()
                    ? 1 + random.nextInt(config.maxNumBatchedTokens())
                    : exact.get(random.nextInt(exact.size()));
        }
    }

    @Param
    public Compiled compiled;

    private final int[] sizes = new int[COUNT];
    private int next;
    private PiecewiseBackend<CompileRange> backend;
    private List<PiecewiseBackend<CompileRange>> pieces;

    @Setup
    public void compile() {
        backend = compiled.backend();
        pieces = Stream.generate(compiled::backend).limit(PIECES).toList();
        Random random = new Random(1);
        for (int i = 0; i < COUNT; i++) {
            sizes[i] = compiled.size(random);
            CompileRange found = backend.dispatch(sizes[i]);
            boolean exact = compiled.config.compileSizes().contains(sizes[i]);
            if (!found.contains(sizes[i]) || exact && !found.isSingleSize()) {
                throw new IllegalStateException(sizes[i] + " was dispatched to " + found);
            }
        }
    }

    @Benchmark
    public int nextSize() {
        return sizes[next++ & COUNT - 1];
    }

    @Benchmark
    public CompileRange dispatch() {
        return backend.dispatch(nextSize());
    }

    /** As in an engine: every piece of a step is asked for the same size. The time is that of one piece. */
    @Benchmark
    @OperationsPerInvocation(PIECES)
    public void dispatchStep(Blackhole found) {
        int size = nextSize();
        for (PiecewiseBackend<CompileRange> piece : pieces) {
            found.consume(piece.dispatch(size));
        }
    }
}
