package dev.intarsia.cli.bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** How long prompts and answers are, request by request. */
public interface Lengths {
    /** The most tokens that a prompt or an answer may have. */
    int MOST = 1 << 20;

    /**
     * Of one request.
     *
     * @param prompt tokens of the prompt, at least 1
     * @param output tokens of the answer, at least 1
     */
    record Pair(int prompt, int output) {
        public Pair {
            check(prompt, prompt + " prompt tokens");
            check(output, output + " output tokens");
        }

        private static void check(int value, String what) {
            if (value < 1 || value > MOST) {
                throw new IllegalArgumentException(what + ": must be in 1.." + MOST);
            }
        }
    }

    /** Of request {@code index}, counted from 0. */
    Pair of(int index, SplittableRandom random);

    /**
     * Every whole number from {@code least} to {@code most} is as likely as any other.
     *
     * @param least also the only one, where the two are equal
     */
    record Range(int least, int most) {
        public Range {
            if (least < 1 || most < least || most > MOST) {
                throw new IllegalArgumentException("a length is " + least + ":" + most + "; it must be N or N:M with 1 <= N <= M <= " + MOST);
            }
        }

        /** {@code N} or {@code N:M}. */
        public static Range parse(String text) {
            String[] parts = text.strip().split(":", 2);
            try {
                int least = Integer.parseInt(parts[0]);
                return new Range(least, parts.length == 1 ? least : Integer.parseInt(parts[1]));
            } catch (NumberFormatException e) {
                throw new IllegalArgumentException("'" + text + "' is no length; it must be N or N:M", e);
            }
        }

        int draw(SplittableRandom random) {
            return random.nextInt(least, most + 1);
        }
    }

    /** Drawn for each request. */
    static Lengths uniform(Range prompts, Range outputs) {
        return (index, random) -> new Pair(prompts.draw(random), outputs.draw(random));
    }

    /**
     * A line a request, {@code PROMPT OUTPUT}; empty lines and those that begin with # are passed over. After the last comes the first again.
     *
     * @throws IllegalArgumentException naming the line that is wrong
     */
    static Lengths file(Path file) {
        List<Pair> pairs = new ArrayList<>();
        int number = 0;
        for (String line : lines(file)) {
            number++;
            if (line.isBlank() || line.startsWith("#")) {
                continue;
            }
            String[] numbers = line.strip().split("[\\s,]+");
            try {
                if (numbers.length != 2) {
                    throw new IllegalArgumentException("two numbers are needed, PROMPT OUTPUT");
                }
                pairs.add(new Pair(Integer.parseInt(numbers[0]), Integer.parseInt(numbers[1])));
            } catch (IllegalArgumentException e) {
                throw new IllegalArgumentException(file + ", line " + number + ": " + e.getMessage(), e);
            }
        }
        if (pairs.isEmpty()) {
            throw new IllegalArgumentException(file + " has no lengths; a line is PROMPT OUTPUT");
        }
        return (index, random) -> pairs.get(index % pairs.size());
    }

    private static List<String> lines(Path file) {
        try {
            return Files.readAllLines(file, StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read " + file + ": " + e, e);
        }
    }
}
