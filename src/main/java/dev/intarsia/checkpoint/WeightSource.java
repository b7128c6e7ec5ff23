package dev.intarsia.checkpoint;

import dev.intarsia.CheckpointException;
import java.util.Optional;

/** A model to be loaded: its configuration, and its weights by name, one after the other. For one thread at a time. */
public interface WeightSource extends AutoCloseable {

    ModelConfig config();

    GenerationConfig generation();

    /**
     * A weight that can be loaded: F32, F16 or BF16.
     *
     * @param name  as the checkpoints of the family spell it
     * @param shape the one that the configuration makes it
     * @return data that is valid until the next call, or until the source is closed
     * @throws CheckpointException if there is none of that name and shape
     */
    TensorView weight(String name, long... shape);

    /**
     * A matrix of a source whose {@link ModelConfig#quantized()} is not NONE and whose weights are stored so: row-major values and scales, as
     * {@code intarsia_quantize} makes them.
     *
     * @return data that is valid until the next call, or until the source is closed; empty if this source has no quantized weights
     * @throws CheckpointException if there is none of that name and shape
     */
    default Optional<QuantizedView> quantized(String name, long outputs, long inputs) {
        return Optional.empty();
    }

    /** Ends the source and the data that it gave. Closing again does nothing. */
    @Override
    void close();
}
