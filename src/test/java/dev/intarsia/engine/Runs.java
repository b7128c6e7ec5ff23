package dev.intarsia.engine;

import dev.intarsia.SamplingParams;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicLong;

/** Requests run on the thread of a test, with no engine around the loop. */
final class Runs {
    private static final AtomicLong ARRIVALS = new AtomicLong();
    private static final long[] NO_SALT = {0, 0};

    private Runs() {}

    static Request request(int[] prompt, SamplingParams params) {
        return request(prompt, params, 0);
    }

    static Request request(int[] prompt, SamplingParams params, int priority) {
        return new Request(
                new Request.Asked(prompt, params, priority, Request.NEVER, NO_SALT, false, false),
                ARRIVALS.getAndIncrement(),
                params.seed().orElse(0));
    }

    /** Runs steps until nothing is left to run. */
    static void toTheEnd(StepLoop loop, Request... requests) {
        for (Request request : requests) {
            loop.add(request);
        }
        while (loop.step()) {}
    }

    static int[] sampled(Sequence sequence) {
        return Arrays.copyOfRange(sequence.tokens, sequence.promptLength(), sequence.length);
    }
}
