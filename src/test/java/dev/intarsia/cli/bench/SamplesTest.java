package dev.intarsia.cli.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import org.junit.jupiter.api.Test;

class SamplesTest {

    @Test
    void percentilesLieBetweenTheNearestRanks() {
        Samples samples = Samples.of(4, 1, 3, 2);

        assertThat(samples.median()).isEqualTo(2.5);
        assertThat(samples.percentile(0)).isEqualTo(samples.least()).isEqualTo(1);
        assertThat(samples.percentile(100)).isEqualTo(samples.greatest()).isEqualTo(4);
        assertThat(samples.percentile(90)).isCloseTo(3.7, within(1e-12));
        assertThat(samples.mean()).isEqualTo(2.5);
        assertThat(samples.values()).containsExactly(1, 2, 3, 4);
        assertThat(Samples.of(List.of(7.0)).percentile(99)).isEqualTo(7);
        assertThat(Samples.of(List.of()).median()).isNaN();
    }
}
