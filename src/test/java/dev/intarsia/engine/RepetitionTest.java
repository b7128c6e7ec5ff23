package dev.intarsia.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.RepetitionDetection;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Repetition at the end of an output, against looking at every pattern as it is written. */
class RepetitionTest {

    @Test
    void aPatternOfAnyAllowedSizeIsFoundAndNothingElse() {
        Random random = new Random(3);
        int found = 0;
        for (int round = 0; round < 20_000; round++) {
            int[] tokens = random.ints(random.nextInt(24), 0, 1 + random.nextInt(3)).toArray();
            int from = random.nextInt(tokens.length + 1); // what is before it is the prompt
            int most = random.nextInt(6);
            RepetitionDetection detection = new RepetitionDetection(most, random.nextInt(most + 1), 2 + random.nextInt(3));
            boolean expected = repeats(Arrays.copyOfRange(tokens, from, tokens.length), detection);
            assertThat(Repetition.found(tokens, from, tokens.length, detection))
                    .as("%s from %d, %s", Arrays.toString(tokens), from, detection)
                    .isEqualTo(expected);
            found += expected ? 1 : 0;
        }
        assertThat(found).isBetween(2_000, 18_000);
    }

    private static boolean repeats(int[] output, RepetitionDetection detection) {
        for (int size = Math.max(1, detection.minPatternSize()); size <= detection.maxPatternSize(); size++) {
            int[] pattern = Arrays.copyOfRange(output, Math.max(0, output.length - size), output.length);
            int count = 0;
            for (int end = output.length; end >= size && Arrays.equals(output, end - size, end, pattern, 0, size); end -= size) {
                count++;
            }
            if (count >= detection.minCount()) {
                return true;
            }
        }
        return false;
    }

    @Test
    void sizesThatNoOutputCanHoldAreNoTrouble() {
        int[] tokens = {7, 7, 7};
        assertThat(Repetition.found(tokens, 0, 3, new RepetitionDetection(Integer.MAX_VALUE, 1, 4))).isFalse();
        assertThat(Repetition.found(tokens, 0, 3, new RepetitionDetection(Integer.MAX_VALUE, 2, Integer.MAX_VALUE))).isFalse();
        assertThat(Repetition.found(tokens, 0, 3, new RepetitionDetection(Integer.MAX_VALUE, 0, 3))).isTrue();
        assertThat(Repetition.found(tokens, 0, 3, new RepetitionDetection(0, 0, 0))).isFalse();
    }
}
