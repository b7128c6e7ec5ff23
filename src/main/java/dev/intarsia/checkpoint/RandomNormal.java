package dev.intarsia.checkpoint;

import java.nio.charset.StandardCharsets;

/**
 * Normal numbers in bf16 by place: element i of a stream is a function of the stream's key and i, so that any part of
 * it can be drawn at any time. Sixteen bits of a hash pick one of 65,536 quantiles; a hash, the finalizer of SplitMix64
 * (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014), serves four elements.
 */
final class RandomNormal {
    private static final long GAMMA = 0x9E3779B97F4A7C15L;
    private static final int BITS = 16;
    private static final int PER_HASH = Long.SIZE / BITS;
    private static final long FNV_BASIS = 0xCBF29CE484222325L;
    private static final long FNV_PRIME = 0x100000001B3L;

    /** The midpoints of 2^16 slices of equal probability, times the deviation, as bf16 bits. */
    private static final short[] QUANTILES = quantiles(1 << BITS);

    private RandomNormal() {}

    /** The stream of a tensor: FNV-1a of its name, mixed with the seed. */
    static long key(String name, long seed) {
        long hash = FNV_BASIS;
        for (byte each : name.getBytes(StandardCharsets.UTF_8)) {
            hash = (hash ^ (each & 0xFF)) * FNV_PRIME;
        }
        return mix(mix(hash) + seed);
    }

    /** Elements {@code first}, a multiple of 4, and those after it, as bf16 bits. */
    static void fill(short[] values, long key, long first) {
        long group = first / PER_HASH;
        for (int i = 0; i < values.length; group++) {
            long bits = mix(key + (group + 1) * GAMMA);
            for (int end = Math.min(i + PER_HASH, values.length); i < end; i++, bits >>>= BITS) {
                values[i] = QUANTILES[(int) bits & 0xFFFF];
            }
        }
    }

    private static long mix(long z) {
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }

    /** To the nearest, ties to even; for finite values. */
    private static short bf16(float value) {
        int bits = Float.floatToRawIntBits(value);
        return (short) ((bits + 0x7FFF + ((bits >>> 16) & 1)) >>> 16);
    }

    /**
     * Newton's method from one quantile to the next: above 0 the distribution function is concave, so that it nears
     * each from below; those below 0 are mirrored. StrictMath, so that all machines agree.
     */
    private static short[] quantiles(int count) {
        short[] quantiles = new short[count];
        double x = 0;
        for (int i = count / 2; i < count; i++) {
            double p = (i + 0.5) / count;
            for (double step = 1; step > 1e-13; x += step) {
                double density = StrictMath.exp(-x * x / 2) / StrictMath.sqrt(2 * StrictMath.PI);
                step = (p - distribution(x, density)) / density;
            }
            quantiles[i] = bf16((float) (x * RandomWeights.DEVIATION));
            quantiles[count - 1 - i] = bf16((float) (-x * RandomWeights.DEVIATION));
        }
        return quantiles;
    }

    /** Of the standard normal distribution, for x from 0 up: 1/2 + density (x + x^3/3 + x^5/(3*5) + ...). */
    private static double distribution(double x, double density) {
        double sum = 0;
        double term = x;
        for (int i = 3; term > 1e-17; i += 2) {
            sum += term;
            term *= x * x / i;
        }
        return 0.5 + density * sum;
    }
}
