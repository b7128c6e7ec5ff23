package dev.intarsia.fuzz;

import java.util.ArrayList;
import java.util.List;
import java.util.random.RandomGenerator;

/**
 * Patterns about runs of one class, {@code X}: an alternative that goes over a run and may fail at its end, and others
 * that then take all of the run, some of it, or none.
 */
final class RunPatterns {

    /** A class, as patterns write it, and a character that is in it. */
    record Run(String name, String character) {
    }

    static final List<Run> RUNS = List.of(
            new Run("a", "a"), new Run("\\s", " "), new Run("[^\\s]", "é"), new Run("\\p{L}", "日"), new Run(".", "!"));
    private static final List<String> TRIED = List.of(
            "X+b", "X*b", "X+$", "X+(?!X)", "X+(?!\\S)", "X+?b", "X{2,}b", "X{1,17}b", ".?X+b", "..X+b", "X+c?b",
            "X+bX*", "X*[\\r\\n]+", "(?<!X)X+b", "X+\\b", "X+");
    private static final List<String> OTHERS = List.of(
            "", "|.", "|X", "|X+", "|X+?", "|XX+", "|.?X+c*", "|X+c", "|X{1,17}", "|X+(?=X)", "|X+(?!\\S)|X+", "|X|X+",
            "|\\s+", "|[^b]+");

    private RunPatterns() {
    }

    /** All that are made of one alternative, tried first, and one or two others. */
    static List<String> of(Run run) {
        List<String> patterns = new ArrayList<>();
        for (String tried : TRIED) {
            for (String others : OTHERS) {
                patterns.add((tried + others).replace("X", run.name));
            }
        }
        return patterns;
    }

    /** One of these or a longer one. */
    static String any(RandomGenerator random) {
        StringBuilder pattern = new StringBuilder(Hostile.pick(TRIED, random));
        while (random.nextInt(3) == 0) {
            pattern.append('|').append(Hostile.pick(TRIED, random));
        }
        pattern.append(Hostile.pick(OTHERS, random));
        return pattern.toString().replace("X", Hostile.pick(RUNS, random).name);
    }
}
