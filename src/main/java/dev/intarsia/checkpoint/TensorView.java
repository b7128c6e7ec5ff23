package dev.intarsia.checkpoint;

import java.lang.foreign.MemorySegment;

/**
 * A tensor where it lies in its mapped file.
 *
 * @param name  as the checkpoint spells it
 * @param dtype element type
 * @param shape row-major, outermost dimension first; empty for a scalar
 * @param data  read-only, little-endian, valid until the checkpoint is closed. Files promise no alignment: read it with
 *              the {@code _UNALIGNED} layouts or copy it.
 */
public record TensorView(String name, DType dtype, long[] shape, MemorySegment data) {

    public TensorView {
        shape = shape.clone();
        data = data.asReadOnly();
    }

    /** A copy of the shape. */
    @Override
    public long[] shape() {
        return shape.clone();
    }

    /** Number of elements. */
    public long elements() {
        long product = 1;
        for (long dimension : shape) {
            product *= dimension;
        }
        return product;
    }
}
