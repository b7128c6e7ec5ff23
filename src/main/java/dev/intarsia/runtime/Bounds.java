package dev.intarsia.runtime;

/** Bounds of indices and sizes, checked without allocating. */
final class Bounds {
    private Bounds() {}

    static void checkIndex(String name, int index, int bound) {
        if (index < 0 || index >= bound) {
            throw new IndexOutOfBoundsException(name + " must be in 0.." + (bound - 1) + ", was " + index);
        }
    }

    static void checkFrom(int least, String name, int value, int most) {
        if (value < least || value > most) {
            throw new IndexOutOfBoundsException(name + " must be in " + least + ".." + most + ", was " + value);
        }
    }

    static void checkSize(String name, int size, int most) {
        if (size < 0 || size > most) {
            throw new IllegalArgumentException(name + " must be in 0.." + most + ", was " + size);
        }
    }
}
