package dev.intarsia.piecewise;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class CompileRangeTest {
    @Test
    void isInclusiveAtBothEnds() {
        CompileRange range = new CompileRange(9, 32);
        assertThat(range.contains(8)).isFalse();
        assertThat(range.contains(9)).isTrue();
        assertThat(range.contains(32)).isTrue();
        assertThat(range.contains(33)).isFalse();
        assertThat(range.isSingleSize()).isFalse();
        assertThat(CompileRange.of(16)).isEqualTo(new CompileRange(16, 16));
        assertThat(CompileRange.of(16).isSingleSize()).isTrue();
    }

    @Test
    void printsAsAPair() {
        assertThat(new CompileRange(1, 8)).hasToString("(1, 8)");
    }

    @Test
    void rejectsEmptyAndZeroBasedRanges() {
        assertThatThrownBy(() -> new CompileRange(9, 8))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("(9, 8)");
        assertThatThrownBy(() -> new CompileRange(0, 8)).isInstanceOf(IllegalArgumentException.class);
    }
}
