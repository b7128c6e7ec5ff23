package dev.intarsia.inspect;

import java.util.ArrayList;
import java.util.List;

/**
 * A stretch of a sequence that repeats, such as the layers of a deep model.
 *
 * @param start  index of its first element
 * @param period elements that repeat
 * @param times  how often they stand there, 1 for what does not repeat
 */
public record Fold(int start, int period, int times) {

    /** All of the sequence in stretches: at each place the one that covers most, of several the shortest. */
    public static List<Fold> of(List<?> sequence) {
        List<Fold> folds = new ArrayList<>();
        for (int at = 0; at < sequence.size(); ) {
            Fold best = new Fold(at, 1, 1);
            for (int period = 1; at + 2 * period <= sequence.size(); period++) {
                int times = times(sequence, at, period);
                if (times > 1 && times * period > best.period * best.times) {
                    best = new Fold(at, period, times);
                }
            }
            folds.add(best);
            at += best.period * best.times;
        }
        return folds;
    }

    private static int times(List<?> sequence, int start, int period) {
        int end = start + period;
        while (end < sequence.size() && sequence.get(end).equals(sequence.get(end - period))) {
            end++;
        }
        return (end - start) / period;
    }
}
