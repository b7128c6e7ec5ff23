package dev.intarsia.inspect;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.inspect.ModelReport.Entry;
import dev.intarsia.inspect.ModelReport.Kind;
import dev.intarsia.inspect.ModelReport.PieceClass;
import dev.intarsia.runtime.Dimension;
import java.util.List;
import org.junit.jupiter.api.Test;

class WordsTest {

    @Test
    void numbersHaveThreeDigitsAndAUnit() {
        assertThat(Words.bytes(0)).isEqualTo("0 B");
        assertThat(Words.bytes(1023)).isEqualTo("1023 B");
        assertThat(Words.bytes(1024)).isEqualTo("1.00 KiB");
        assertThat(Words.bytes(11_550_848)).isEqualTo("11.0 MiB");
        assertThat(Words.bytes(Long.MAX_VALUE)).endsWith(" TiB");
        assertThat(Words.count(999)).isEqualTo("999");
        assertThat(Words.count(1_572_864)).isEqualTo("1.57 M");
        assertThat(Words.plural(1, "class") + Words.plural(2, "class") + Words.plural(0, "piece"))
                .isEqualTo("1 class2 classes0 pieces");
    }

    @Test
    void equalStepsAreDrawnTogether() {
        assertThat(Words.list(List.of(1, 2, 4, 8, 16, 24, 32, 40))).isEqualTo("1, 2, 4, 8..40 by 8");
        assertThat(Words.list(List.of(3, 4, 5, 6, 9))).isEqualTo("3..6, 9");
        assertThat(Words.list(List.of(2, 4, 6))).isEqualTo("2, 4, 6");
        assertThat(Words.list(List.of(7))).isEqualTo("7");
        assertThat(Words.list(List.of())).isEmpty();
    }

    @Test
    void opsAreNamedOnceWithHowOftenTheyAreThere() {
        assertThat(Words.ops(List.of(
                        "%4 = rms_norm %1 'a = b' [256] eps=1e-06 -> [tokens, 256]",
                        "%5 = linear %4 'w' [1, 2] -> [tokens, 1]",
                        "%6 = linear %4 'v' [1, 2] -> [tokens, 1]",
                        "cache_append %5 %6 %2 layer=0")))
                .isEqualTo("rms_norm, linear × 2, cache_append");
    }

    @Test
    void sizesAreExactOrARangeOrAll() {
        Entry one = new Entry(1, 1, List.of(), 0);
        Entry some = new Entry(9, 64, List.of(), 0);
        PieceClass plain = new PieceClass(
                0, Kind.PLAIN, Dimension.TOKENS, 0, List.of(0), List.of(), List.of(one, some));
        PieceClass splitting = new PieceClass(
                1, Kind.SPLITTING, Dimension.ROWS, 0, List.of(1), List.of(), List.of(some));
        assertThat(Words.sizes(plain, one)).isEqualTo("exactly 1 token");
        assertThat(Words.sizes(plain, some)).isEqualTo("9..64 tokens");
        assertThat(Words.sizes(splitting, some)).isEqualTo("all sizes");
    }
}
