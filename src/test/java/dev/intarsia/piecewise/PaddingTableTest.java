package dev.intarsia.piecewise;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class PaddingTableTest {
    @Test
    void padsToTheSmallestCapturedSizeThatHoldsTheStep() {
        Random random = new Random(7);
        for (int round = 0; round < 200; round++) {
            List<Integer> sizes = IntStream.range(0, 1 + random.nextInt(8))
                    .mapToObj(i -> 1 + random.nextInt(80))
                    .toList();
            PaddingTable table = new PaddingTable(CaptureSizes.of(sizes));
            assertThat(table.pad(0)).isZero();
            for (int n = 1; n <= table.max(); n++) {
                int atLeast = n;
                int expected = sizes.stream().mapToInt(size -> size).filter(size -> size >= atLeast).min().getAsInt();
                assertThat(table.pad(n)).as("%d in %s", n, sizes).isEqualTo(expected);
            }
            assertThatThrownBy(() -> table.pad(table.max() + 1)).isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> table.pad(-1)).isInstanceOf(IllegalArgumentException.class);
        }
    }

    @Test
    void withoutCapturesThereIsNothingToPad() {
        PaddingTable table = new PaddingTable(CaptureSizes.none());
        assertThat(table.toArray()).containsExactly(0);
        assertThatCode(() -> table.checkCompileSizes(List.of(3, 5))).doesNotThrowAnyException();
    }

    @Test
    void compileSizesAboveTheLargestCaptureSizeAreNotPadded() {
        PaddingTable table = new PaddingTable(CaptureSizes.of(List.of(1, 8)));
        assertThatCode(() -> table.checkCompileSizes(List.of(1, 8, 9, 100))).doesNotThrowAnyException();
        assertThatThrownBy(() -> table.checkCompileSizes(List.of(1, 2)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("compile_sizes contains 2 which would be padded to 8. ");
    }
}
