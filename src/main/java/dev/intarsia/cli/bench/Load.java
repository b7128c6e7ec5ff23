package dev.intarsia.cli.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Requests and when they come, decided beforehand: an open loop does not wait for answers. The same seed makes the same load, whoever serves it.
 *
 * @param requests in the order in which they come
 */
public record Load(List<Arrival> requests) {

    /**
     * One request.
     *
     * @param at     seconds after the start
     * @param seed   of the token ids of its prompt
     */
    public record Arrival(double at, Lengths.Pair lengths, long seed) {

        /** Ids of the prompt, each in 0 .. vocabulary - 1. */
        public List<Integer> prompt(int vocabulary) {
            return new SplittableRandom(seed).ints(lengths.prompt(), 0, vocabulary).boxed().toList();
        }
    }

    public Load {
        requests = List.copyOf(requests);
    }

    /**
     * Draws a load.
     *
     * @param count    requests
     * @param rate     requests per second of a Poisson process; infinite = all at once
     */
    public static Load draw(int count, double rate, Lengths lengths, long seed) {
        if (count < 1 || count > 1_000_000) {
            throw new IllegalArgumentException("requests is " + count + "; it must be in 1..1000000");
        }
        if (!(rate > 0)) {
            throw new IllegalArgumentException("rate is " + rate + "; it must be > 0");
        }
        SplittableRandom random = new SplittableRandom(seed);
        List<Arrival> requests = new ArrayList<>(count);
        double at = 0;
        for (int i = 0; i < count; i++) {
            requests.add(new Arrival(at, lengths.of(i, random), random.nextLong()));
            at += -Math.log1p(-random.nextDouble()) / rate; // exponential; 0 for an infinite rate
        }
        return new Load(requests);
    }

    /** Tokens of the longest sequence, prompt and answer. */
    public int longestSequence() {
        return requests.stream()
                .mapToInt(request -> request.lengths().prompt() + request.lengths().output())
                .max()
                .orElseThrow();
    }
}
