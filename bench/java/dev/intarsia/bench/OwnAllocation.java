package dev.intarsia.bench;

import com.sun.management.ThreadMXBean;
import dev.intarsia.engine.DecodeStep;
import dev.intarsia.piecewise.GraphMode;
import java.lang.management.ManagementFactory;
import java.util.function.IntSupplier;

/**
 * What the benchmarks allocate, exactly: the JVM's counter of this one thread, read around 20,000 calls. JMH's {@code
 * -prof gc} counts every thread, its own too. Fails unless it is nothing.
 */
public final class OwnAllocation {
    private static final int CALLS = 20_000;
    private static final int MOST_ROUNDS = 100;
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    private OwnAllocation() {}

    public static void main(String[] args) {
        for (DecodeStep.Model model : DecodeStep.Model.values()) {
            for (GraphMode graphs : GraphMode.values()) {
                for (int sequences : model == DecodeStep.Model.QWEN3_TIED ? new int[] {1} : new int[] {1, 64}) {
                    StepBenchmark benchmark = new StepBenchmark();
                    DecodeStep decode = new DecodeStep();
                    decode.model = model;
                    decode.graphs = graphs;
                    decode.sequences = sequences;
                    decode.open();
                    measure("step " + model + " " + graphs + " " + sequences, () -> benchmark.step(decode));
                    decode.close();
                }
            }
        }
        for (DispatchBenchmark.Compiled compiled : DispatchBenchmark.Compiled.values()) {
            DispatchBenchmark benchmark = new DispatchBenchmark();
            benchmark.compiled = compiled;
            benchmark.compile();
            measure("dispatch " + compiled, () -> benchmark.dispatch().end());
        }
    }

    /** Counts the last of a good many rounds: until the compilers are done, which takes long on a busy machine, the interpreter's boxes are seen. */
    private static void measure(String name, IntSupplier call) {
        long bytes = 0;
        for (int round = 0; round < 5 || round < MOST_ROUNDS && bytes != 0; round++) {
            long before = THREADS.getCurrentThreadAllocatedBytes();
            for (int i = 0; i < CALLS; i++) {
                call.getAsInt();
            }
            bytes = THREADS.getCurrentThreadAllocatedBytes() - before;
        }
        System.out.println(name + ": " + bytes + " B in " + CALLS + " calls");
        if (bytes != 0) {
            throw new IllegalStateException(name + " allocates");
        }
    }
}
