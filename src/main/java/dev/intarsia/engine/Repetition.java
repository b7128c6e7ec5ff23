package dev.intarsia.engine;

import dev.intarsia.RepetitionDetection;

/** Finds out whether an output repeats itself. */
final class Repetition {
    private Repetition() {}

    /**
     * Whether the last tokens are one pattern, so many times over. Tokens are compared backwards and only as long as
     * they agree.
     *
     * @param tokens those at {@code from .. to - 1} are the output
     */
    static boolean found(int[] tokens, int from, int to, RepetitionDetection detection) {
        for (int size = Math.max(1, detection.minPatternSize()); size <= detection.maxPatternSize(); size++) {
            long needed = (long) size * detection.minCount();
            if (needed > to - from) {
                return false;
            }
            int last = to - 1;
            int least = (int) (to - needed + size); // the pattern's first occurrence has nothing before it to agree with
            while (last >= least && tokens[last] == tokens[last - size]) {
                last--;
            }
            if (last < least) {
                return true;
            }
        }
        return false;
    }
}
