package dev.intarsia.model;

import dev.intarsia.checkpoint.RopeConfig;

/**
 * Inverse frequencies of the rotary embedding, computed in f32 as the reference implementation does: base frequencies after Su et al.
 * (RoFormer, 2021), {@code linear} scaling after Chen et al. (position interpolation, 2023), {@code llama3} as published with Llama 3.1.
 */
final class InverseFrequencies {
    private InverseFrequencies() {}

    /** One for each pair of elements of a head: {@code [headDim / 2]}, in radians a position. */
    static float[] of(RopeConfig rope, int headDim) {
        float[] frequencies = new float[headDim / 2];
        for (int i = 0; i < frequencies.length; i++) {
            float exponent = 2f * i / headDim;
            frequencies[i] = scaled(rope, 1f / (float) Math.pow(rope.theta(), exponent));
        }
        return frequencies;
    }

    private static float scaled(RopeConfig rope, float frequency) {
        return switch (rope.type()) {
            case RopeConfig.DEFAULT -> frequency;
            case RopeConfig.LINEAR -> frequency / (float) rope.factor();
            case RopeConfig.LLAMA3 -> llama3(rope, frequency);
            default -> throw new IllegalArgumentException("rope type " + rope.type() + " is not supported");
        };
    }

    /** Long waves are stretched by the factor, short ones kept, those between blended by their length. */
    private static float llama3(RopeConfig rope, float frequency) {
        float factor = (float) rope.factor();
        float low = (float) rope.lowFreqFactor();
        float high = (float) rope.highFreqFactor();
        float original = rope.originalMaxPositionEmbeddings();
        float wavelength = (float) (2 * Math.PI) / frequency;
        if (wavelength > original / low) {
            return frequency / factor;
        }
        if (wavelength < original / high) {
            return frequency;
        }
        float smooth = (original / wavelength - low) / (high - low);
        return (1 - smooth) * frequency / factor + smooth * frequency;
    }
}
