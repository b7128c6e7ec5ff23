package dev.intarsia.piecewise;

import java.util.List;
import java.util.TreeSet;

/** Reads exact compile sizes as people write them: numbers, and a word that stands for the capture sizes. */
public final class CompileSizes {
    /** Expands to the capture sizes; {@code capture_sizes} does too. */
    public static final String CAPTURE_SIZES = "cudagraph_capture_sizes";

    private CompileSizes() {}

    /**
     * @param words numbers or {@link #CAPTURE_SIZES}, in any order
     * @return ascending and distinct
     * @throws IllegalArgumentException if a word is neither, or a number is below 1
     */
    public static List<Integer> parse(List<String> words, CaptureSizes captured) {
        TreeSet<Integer> sizes = new TreeSet<>();
        for (String word : words) {
            if (word.equals(CAPTURE_SIZES) || word.equals("capture_sizes")) {
                sizes.addAll(captured.sizes());
            } else {
                sizes.add(number(word));
            }
        }
        return List.copyOf(sizes);
    }

    private static int number(String word) {
        try {
            int size = Integer.parseInt(word);
            if (size >= 1) {
                return size;
            }
        } catch (NumberFormatException e) {
            // said below
        }
        throw new IllegalArgumentException(
                "compile_sizes must be numbers >= 1 or \"" + CAPTURE_SIZES + "\", found \"" + word + "\"");
    }
}
