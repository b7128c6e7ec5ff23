package dev.intarsia.inspect;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class FoldTest {

    private static List<Fold> of(String letters) {
        return Fold.of(letters.chars().mapToObj(c -> (char) c).toList());
    }

    @Test
    void layersAreOneStretch() {
        assertThat(of("a" + "sb".repeat(27) + "scL"))
                .containsExactly(
                        new Fold(0, 1, 1), new Fold(1, 2, 27), new Fold(55, 1, 1), new Fold(56, 1, 1), new Fold(57, 1, 1));
    }

    @Test
    void theStretchThatCoversMostIsTakenAndOfThoseTheShortest() {
        assertThat(of("aabaabaab")).containsExactly(new Fold(0, 3, 3));
        assertThat(of("aaaaaa")).containsExactly(new Fold(0, 1, 6));
        assertThat(of("abab")).containsExactly(new Fold(0, 2, 2));
        assertThat(of("abc")).hasSize(3).allMatch(fold -> fold.times() == 1 && fold.period() == 1);
        assertThat(of("")).isEmpty();
    }

    @Test
    void foldsGiveTheSequenceBack() {
        Random random = new Random(5);
        for (int round = 0; round < 500; round++) {
            List<Integer> sequence = random.ints(random.nextInt(40), 0, 3).boxed().toList();
            List<Integer> unfolded = new ArrayList<>();
            for (Fold fold : Fold.of(sequence)) {
                assertThat(fold.start()).isEqualTo(unfolded.size());
                for (int i = 0; i < fold.times(); i++) {
                    unfolded.addAll(sequence.subList(fold.start(), fold.start() + fold.period()));
                }
            }
            assertThat(unfolded).isEqualTo(sequence);
        }
    }
}
