package dev.intarsia.checkpoint;

import dev.intarsia.CheckpointException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.LongStream;

/**
 * A model of a given shape with weights drawn at random, for measuring and for looking at: matrices and biases from a
 * normal distribution, mean 0, deviation {@value #DEVIATION}, the weights of norms 1, all exactly bf16.
 *
 * <p>An element depends on the seed, the name of its tensor and its place in it, and on nothing else: the same seed
 * gives the same model on every machine, in whatever order and by however many threads it is drawn. One tensor at a
 * time is in memory.
 */
public final class RandomWeights implements WeightSource {
    /** What models are initialized with as a rule. */
    static final double DEVIATION = 0.02;

    private static final short ONE = (short) 0x3F80;
    private static final ValueLayout.OfShort BF16 = ValueLayout.JAVA_SHORT.withOrder(ByteOrder.LITTLE_ENDIAN);
    /** Elements that a thread draws at a time. */
    private static final int CHUNK = 1 << 15;

    private final ModelConfig config;
    private final long seed;
    private Arena arena = Arena.ofShared();

    private RandomWeights(ModelConfig config, long seed) {
        this.config = config;
        this.seed = seed;
    }

    /**
     * A model of the shape that a {@code config.json} describes.
     *
     * @throws CheckpointException if the file cannot be read
     */
    public static RandomWeights of(Path config, long seed) {
        return new RandomWeights(ModelConfig.read(config), seed);
    }

    @Override
    public ModelConfig config() {
        return config;
    }

    /** The defaults: there is no file that asks for others. */
    @Override
    public GenerationConfig generation() {
        return new GenerationConfig(true, 1, 1, 0, config.eosTokenIds(), config.bosTokenId());
    }

    @Override
    public TensorView weight(String name, long... shape) {
        arena.close();
        arena = Arena.ofShared();
        long elements = Arrays.stream(shape).reduce(1, Math::multiplyExact);
        MemorySegment data = allocate(name, shape, elements);
        boolean norm = shape.length == 1 && name.endsWith(".weight"); // vectors are biases or the weights of norms
        long key = RandomNormal.key(name, seed);
        LongStream.range(0, Math.ceilDiv(elements, CHUNK)).parallel().forEach(chunk -> {
            long first = chunk * CHUNK;
            short[] values = new short[(int) Math.min(CHUNK, elements - first)];
            if (norm) {
                Arrays.fill(values, ONE);
            } else {
                RandomNormal.fill(values, key, first);
            }
            MemorySegment.copy(values, 0, data, BF16, first * Short.BYTES, values.length);
        });
        return new TensorView(name, DType.BF16, shape, data);
    }

    private MemorySegment allocate(String name, long[] shape, long elements) {
        try {
            return arena.allocate(BF16, elements);
        } catch (OutOfMemoryError e) {
            throw new CheckpointException("no memory to draw " + name + " " + Arrays.toString(shape) + ", "
                    + elements * Short.BYTES + " bytes: " + e.getMessage(), e);
        }
    }

    @Override
    public void close() {
        if (arena.scope().isAlive()) {
            arena.close();
        }
    }
}
