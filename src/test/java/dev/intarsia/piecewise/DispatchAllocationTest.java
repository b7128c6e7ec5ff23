package dev.intarsia.piecewise;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class DispatchAllocationTest {
    private static final int CALLS = 1_000_000;
    /** Far below one byte a call; the measurement itself may allocate a little. */
    private static final long LIMIT = 100_000;

    @Test
    void theMeasurementSeesAllocations() {
        Object[] escapes = new Object[1];
        assertThat(Allocation.bytes(CALLS, i -> {
                    escapes[0] = new int[16];
                    return i & 1;
                }))
                .isGreaterThan(64L * CALLS);
    }

    @Test
    void pickingAnEntryAllocatesNothing() {
        CompilationConfig config =
                CompilationConfig.builder(8192).endpoints(8, 32).compileSizes(16, 64, 128, 9000).build();
        PiecewiseBackend<String> backend =
                PiecewiseBackend.compile(PieceSpec.symbolic(0, 1, 0), config, (range, concrete) -> range.toString());
        assertThat(Allocation.bytes(CALLS, i -> backend.dispatch(1 + i % 8192).length())).isLessThan(LIMIT);
        int[] args = new int[1];
        assertThat(Allocation.bytes(CALLS, i -> {
                    args[0] = 1 + i % 8192;
                    return backend.dispatchArgs(args).length();
                }))
                .isLessThan(LIMIT);
    }

    @Test
    void callingAStaticPieceAllocatesNothing() {
        PiecewiseBackend<String> backend = PiecewiseBackend.compile(
                PieceSpec.frozen(0, 1, 1), CompilationConfig.builder(1).build(), (range, concrete) -> range.toString());
        assertThat(Allocation.bytes(CALLS, i -> backend.dispatch(1).length())).isLessThan(LIMIT);
    }
}
