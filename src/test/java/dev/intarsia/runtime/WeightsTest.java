package dev.intarsia.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class WeightsTest {
    private static final int ROWS = 5;
    private static final int WIDTH = 6;
    private static final long[] SHAPE = {ROWS, WIDTH};

    private final Device device = Device.open(DeviceOptions.cpu().withThreads(1));
    private final Weights weights = Weights.create(device, Precision.F32);

    @AfterEach
    void close() {
        weights.close();
        device.close();
    }

    /** Representable in each element type. */
    private static float element(int row, int column) {
        return (row * WIDTH + column - 12) / 8f;
    }

    @Test
    void everyElementTypeOnTheHeapKeepsItsValues() {
        for (ElementType type : ElementType.values()) {
            assertHolds(weights.add(type.name(), type, SHAPE, MemorySegment.ofArray(bytes(type))));
        }
    }

    @Test
    void nativeMemoryNeedsNoAlignment() {
        byte[] bytes = bytes(ElementType.F32);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment data = arena.allocate(bytes.length + 1).asSlice(1);
            data.copyFrom(MemorySegment.ofArray(bytes));
            assertHolds(weights.add("unaligned", ElementType.F32, SHAPE, data.asReadOnly()));
        }
    }

    @Test
    void aMappedFileIsReadInPlace(@TempDir Path directory) throws IOException {
        byte[] bytes = bytes(ElementType.BF16);
        byte[] file = new byte[bytes.length + 3];
        System.arraycopy(bytes, 0, file, 3, bytes.length);
        Path path = Files.write(directory.resolve("weights"), file);
        WeightId weight;
        try (Arena arena = Arena.ofConfined(); FileChannel channel = FileChannel.open(path)) {
            MemorySegment mapped = channel.map(FileChannel.MapMode.READ_ONLY, 0, file.length, arena);
            weight = weights.add("mapped", ElementType.BF16, SHAPE, mapped.asSlice(3));
        }
        assertHolds(weight); // the mapping is gone: nothing of it is read any more
    }

    @Test
    void bytesGrow() {
        long empty = weights.bytes();
        weights.add("w", ElementType.F32, new long[] {64, 64}, MemorySegment.ofArray(new float[64 * 64]));
        assertThat(weights.bytes()).isGreaterThanOrEqualTo(empty + 64 * 64 * Float.BYTES);
    }

    @Test
    void bf16KeepsAMatrixInHalfTheBytesAndAVectorInAll() {
        MemorySegment ones = MemorySegment.ofArray(new float[4096]);
        try (Weights half = Weights.create(device, Precision.BF16)) {
            half.add("matrix", ElementType.F32, new long[] {64, 64}, ones);
            assertThat(half.bytes()).isBetween(2L * 4096, 3L * 4096);
            long matrix = half.bytes();
            half.add("vector", ElementType.F32, new long[] {4096}, ones);
            assertThat(half.bytes() - matrix).isGreaterThanOrEqualTo(4L * 4096);
        }
    }

    @Test
    void idsCount() {
        MemorySegment one = MemorySegment.ofArray(new float[1]);
        assertThat(weights.add("a", ElementType.F32, new long[] {1}, one)).isEqualTo(new WeightId(0));
        assertThat(weights.add("b", ElementType.F32, new long[] {1}, one)).isEqualTo(new WeightId(1));
    }

    @Test
    void dataThatDoesNotFitItsShapeIsIllegal() {
        MemorySegment data = MemorySegment.ofArray(new float[6]);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> weights.add("w", ElementType.F32, new long[] {2, 4}, data))
                .withMessage("data of w must have 32 bytes for F32 [2, 4], has 24");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> weights.add("w", ElementType.F32, new long[] {0, 4}, data))
                .withMessage("shape of w must have dimensions >= 1, was [0, 4]");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> weights.add("w", ElementType.F32, new long[] {1L << 40, 1L << 40}, data))
                .withMessageContaining("fewer than 2^63 bytes");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> weights.add("a\0b", ElementType.F32, new long[] {6}, data))
                .withMessageContaining("name");
    }

    @Test
    void theNativeSideNamesTheTensor() {
        MemorySegment data = MemorySegment.ofArray(new float[6]);
        weights.add("layers.0.w", ElementType.F32, new long[] {6}, data);
        assertRefused(() -> weights.add("layers.0.w", ElementType.F32, new long[] {6}, data), "layers.0.w");
        assertRefused(() -> weights.add("cube", ElementType.F32, new long[] {1, 2, 3}, data), "cube");
        assertRefused(() -> weights.add("scalar", ElementType.F32, new long[0],
                MemorySegment.ofArray(new float[1])), "scalar");
    }

    @Test
    void memoryThatIsNoLongerThereIsNotRead() {
        Arena arena = Arena.ofConfined();
        MemorySegment data = arena.allocate(ValueLayout.JAVA_FLOAT, 6);
        arena.close();
        assertThatIllegalStateException()
                .isThrownBy(() -> weights.add("w", ElementType.F32, new long[] {1}, data.asSlice(0, 4)));
    }

    private static void assertRefused(ThrowingCallable call, String named) {
        assertThatExceptionOfType(NativeException.class)
                .isThrownBy(call)
                .withMessageContaining(named)
                .satisfies(e -> assertThat(e.status()).isEqualTo(NativeStatus.INVALID_ARGUMENT));
    }

    private static byte[] bytes(ElementType type) {
        MemorySegment bytes = MemorySegment.ofArray(new byte[ROWS * WIDTH * type.bytes()]);
        for (int i = 0; i < ROWS * WIDTH; i++) {
            float value = element(i / WIDTH, i % WIDTH);
            switch (type) {
                case F32 -> bytes.set(ValueLayout.JAVA_FLOAT_UNALIGNED, 4L * i, value);
                case F16 -> bytes.set(ValueLayout.JAVA_SHORT_UNALIGNED, 2L * i, Float.floatToFloat16(value));
                case BF16 -> bytes.set(
                        ValueLayout.JAVA_SHORT_UNALIGNED, 2L * i, (short) (Float.floatToIntBits(value) >> 16));
            }
        }
        return bytes.toArray(ValueLayout.JAVA_BYTE);
    }

    /** Looks every row of the matrix up, through a graph that does nothing else. */
    private void assertHolds(WeightId weight) {
        try (Graph graph = Graph.create(weights)) {
            Value rows = graph.embedding(graph.input(GraphInput.TOKENS), weight);
            graph.output(graph.selectRows(rows, graph.input(GraphInput.ROWS)));
            try (Partition partition = graph.split(Set.of());
                    Step step = Step.create(partition, null, new StepOptions(ROWS, 1, ROWS, 1))) {
                for (int row = 0; row < ROWS; row++) {
                    step.token(row, row, row, -1);
                    step.row(row, row);
                }
                step.queryStart(1, ROWS);
                step.length(0, ROWS);
                step.begin(ROWS, 1, ROWS);
                for (int piece = 0; piece < partition.info().pieces(); piece++) {
                    try (Executable executable = partition.compile(piece, 1, ROWS, true)) {
                        step.execute(executable, piece);
                    }
                }
                float[] row = new float[WIDTH];
                for (int r = 0; r < ROWS; r++) {
                    step.logits(r, row);
                    for (int c = 0; c < WIDTH; c++) {
                        assertThat(row[c]).as("[" + r + ", " + c + "]").isEqualTo(element(r, c));
                    }
                }
            }
        }
    }
}
