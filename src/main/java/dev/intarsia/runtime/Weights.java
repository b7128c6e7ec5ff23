package dev.intarsia.runtime;

import dev.intarsia.ffi.Intarsia;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Objects;

/**
 * The weights of a model, laid out once for the kernels of their device and shared by everything compiled from them.
 * Any thread may use it; calls on one set wait for each other.
 */
public final class Weights extends Handle {

    private Weights(MemorySegment pointer) {
        super("weights", pointer, Intarsia::intarsia_weights_destroy);
    }

    /** An empty set whose matrices are held in its precision. */
    public static Weights create(Device device, Precision precision) {
        return create(device, precision, WeightFormat.NATIVE);
    }

    /** An empty set. */
    public static Weights create(Device device, Precision precision, WeightFormat format) {
        MemorySegment pointer = Calls.pointerOf(device, "device");
        return new Weights(Calls.askHandle(
                out -> Intarsia.intarsia_weights_create(pointer, precision.code, format.code, out)));
    }

    /**
     * Adds a tensor: a vector is kept as f32, a matrix {@code [outputs, inputs]} in the format of the set.
     *
     * @param name  unique in the set
     * @param type  element type of {@code data}
     * @param shape {@code [length]} or {@code [outputs, inputs]}, each at least 1
     * @param data  row-major, exactly the product of the shape times {@link ElementType#bytes()} bytes, of any
     *              alignment: native memory, a mapped file, or a heap array, which is copied once more on the way. It
     *              is read only during the call. A mapped file must not be truncated meanwhile: that ends the process.
     * @return the id that ops refer to it by
     * @throws IllegalArgumentException if {@code data} is not as long as the shape says
     * @throws NativeException if the name is taken, the shape is not allowed, or there is no memory
     */
    public WeightId add(String name, ElementType type, long[] shape, MemorySegment data) {
        Objects.requireNonNull(type, "type");
        Structs.checkNoZero(name, "name");
        long[] dims = shape.clone();
        long bytes = bytes(name, type, dims);
        if (data.byteSize() != bytes) {
            throw new IllegalArgumentException("data of " + name + " must have " + bytes + " bytes for " + type + " "
                    + Arrays.toString(dims) + ", has " + data.byteSize());
        }
        MemorySegment pointer = pointer();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment nativeName = arena.allocateFrom(name);
            MemorySegment nativeDims = arena.allocateFrom(Structs.LONG, dims);
            MemorySegment nativeData = data.isNative() ? data : arena.allocate(bytes).copyFrom(data);
            return new WeightId(Calls.askInt(out -> Intarsia.intarsia_weights_add(
                    pointer, nativeName, type.code, nativeDims, dims.length, nativeData, bytes, out)));
        }
    }

    /**
     * Adds a matrix that {@link #quantize} made, to a set of its format: the same bits as adding the matrix that it was made of.
     *
     * @param values row-major, exactly {@link WeightFormat#valueBytes} of the format
     * @param scales row-major, exactly {@link WeightFormat#scaleBytes} of the format
     * @throws NativeException if the name is taken, shape and bytes do not fit each other or the set, a value is not one that the format has, or there is
     *     no memory
     */
    public WeightId addQuantized(String name, long outputs, long inputs, MemorySegment values, MemorySegment scales) {
        Structs.checkNoZero(name, "name");
        MemorySegment pointer = pointer();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment nativeName = arena.allocateFrom(name);
            MemorySegment dims = arena.allocateFrom(Structs.LONG, outputs, inputs);
            MemorySegment nativeValues = values.isNative() ? values : copy(values, arena);
            MemorySegment nativeScales = scales.isNative() ? scales : copy(scales, arena);
            return new WeightId(Calls.askInt(out -> Intarsia.intarsia_weights_add_quantized(pointer, nativeName, dims,
                    nativeValues, values.byteSize(), nativeScales, scales.byteSize(), out)));
        }
    }

    /**
     * Quantizes a matrix {@code [outputs, inputs]}; see {@code intarsia_quantize} of the native header for the rules. Any thread may call it.
     *
     * @param data   row-major, native memory, as for {@link #add}
     * @param values native memory that receives the values, exactly {@link WeightFormat#valueBytes}
     * @param scales native memory that receives the scales, exactly {@link WeightFormat#scaleBytes}
     * @throws NativeException if shape and bytes do not fit each other, or the format is not a quantized one
     */
    public static void quantize(WeightFormat format, ElementType type, long outputs, long inputs, MemorySegment data,
            MemorySegment values, MemorySegment scales) {
        for (MemorySegment segment : new MemorySegment[] {data, values, scales}) {
            if (!segment.isNative()) {
                throw new IllegalArgumentException("data, values and scales must be native memory, one is " + segment);
            }
        }
        if (values.isReadOnly() || scales.isReadOnly()) {
            throw new IllegalArgumentException("values and scales must be writable");
        }
        NativeLibrary.load(); // no device was opened for this
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment dims = arena.allocateFrom(Structs.LONG, outputs, inputs);
            Status.check(Intarsia.intarsia_quantize(format.code, type.code, dims, data, data.byteSize(), values,
                    values.byteSize(), scales, scales.byteSize()));
        }
    }

    private static MemorySegment copy(MemorySegment data, Arena arena) {
        return arena.allocate(data.byteSize()).copyFrom(data);
    }

    /** Bytes held by the set. */
    public long bytes() {
        MemorySegment pointer = pointer();
        return Calls.askLong(out -> Intarsia.intarsia_weights_bytes(pointer, out));
    }

    private static long bytes(String name, ElementType type, long[] shape) {
        long bytes = type.bytes();
        for (long dimension : shape) {
            if (dimension < 1) {
                throw new IllegalArgumentException(
                        "shape of " + name + " must have dimensions >= 1, was " + Arrays.toString(shape));
            }
            try {
                bytes = Math.multiplyExact(bytes, dimension);
            } catch (ArithmeticException e) {
                throw new IllegalArgumentException(
                        "shape of " + name + " must have fewer than 2^63 bytes, was " + Arrays.toString(shape), e);
            }
        }
        return bytes;
    }
}
