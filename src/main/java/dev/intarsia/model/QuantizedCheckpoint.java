package dev.intarsia.model;

import dev.intarsia.Quantize;
import dev.intarsia.checkpoint.Checkpoint;
import dev.intarsia.checkpoint.QuantizedView;
import dev.intarsia.checkpoint.QuantizedWriter;
import dev.intarsia.checkpoint.TensorView;
import dev.intarsia.runtime.WeightFormat;
import dev.intarsia.runtime.Weights;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.function.Consumer;
import java.util.stream.LongStream;

/** Quantizes a checkpoint once, so that opening it need not: the same bits as opening the original with that format. */
public final class QuantizedCheckpoint {
    /** Outputs that a thread quantizes at a time. */
    private static final long ROWS = 64;

    private QuantizedCheckpoint() {}

    /**
     * Writes a directory.
     *
     * @param format  INT8 or INT4
     * @param target  must not exist, or be an empty directory
     * @param writing told the name of each weight before it is written
     * @throws dev.intarsia.CheckpointException if the source cannot be served or the target not be written
     */
    public static void write(Path source, Path target, Quantize format, Consumer<String> writing) {
        WeightFormat weights = switch (format) {
            case NONE -> throw new IllegalArgumentException("format is NONE; it must be INT8 or INT4");
            case INT8 -> WeightFormat.INT8;
            case INT4 -> WeightFormat.INT4;
        };
        try (Checkpoint checkpoint = Checkpoint.open(source);
                Buffers buffers = new Buffers(weights)) {
            QuantizedWriter.write(
                    checkpoint, WeightShapes.of(checkpoint.config()), format, buffers::quantize, target, writing);
        }
    }

    /** Where the results of one matrix are. */
    private static final class Buffers implements AutoCloseable {
        private final WeightFormat format;
        private Arena arena = Arena.ofShared();

        Buffers(WeightFormat format) {
            this.format = format;
        }

        QuantizedView quantize(TensorView matrix, long outputs, long inputs) {
            arena.close();
            arena = Arena.ofShared();
            MemorySegment data = matrix.data();
            MemorySegment values = arena.allocate(format.valueBytes(outputs, inputs));
            MemorySegment scales = arena.allocate(format.scaleBytes(outputs, inputs));
            long dataRow = data.byteSize() / outputs;
            LongStream.range(0, Math.ceilDiv(outputs, ROWS)).parallel().forEach(part -> {
                long first = part * ROWS;
                long rows = Math.min(ROWS, outputs - first);
                Weights.quantize(format, ModelBuilder.elementType(matrix), rows, inputs,
                        data.asSlice(first * dataRow, rows * dataRow),
                        values.asSlice(first * format.valueRow(inputs), rows * format.valueRow(inputs)),
                        scales.asSlice(first * format.scaleRow(inputs), rows * format.scaleRow(inputs)));
            });
            return new QuantizedView(values, scales);
        }

        @Override
        public void close() {
            arena.close();
        }
    }
}
