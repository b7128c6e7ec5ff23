package dev.intarsia.cli.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LoadTest {
    private static final Lengths SOME = Lengths.uniform(new Lengths.Range(4, 9), new Lengths.Range(3, 3));

    @TempDir
    private Path temp;

    @Test
    void arrivalsAreAPoissonProcess() {
        Load load = Load.draw(20_000, 50, SOME, 1);
        double[] gaps = IntStream.range(1, 20_000)
                .mapToDouble(i -> load.requests().get(i).at() - load.requests().get(i - 1).at())
                .toArray();
        Samples samples = Samples.of(gaps);

        // an exponential distribution of mean 1/50: median ln 2 / 50, and 1 % of the gaps above ln 100 / 50
        assertThat(samples.mean()).isCloseTo(1 / 50.0, within(0.0006));
        assertThat(samples.median()).isCloseTo(Math.log(2) / 50, within(0.0006));
        assertThat(samples.percentile(99)).isCloseTo(Math.log(100) / 50, within(0.006));
        assertThat(load.requests().getFirst().at()).isZero();
    }

    @Test
    void theSameSeedMakesTheSameLoad() {
        assertThat(Load.draw(50, 3, SOME, 7)).isEqualTo(Load.draw(50, 3, SOME, 7));
        assertThat(Load.draw(50, 3, SOME, 8)).isNotEqualTo(Load.draw(50, 3, SOME, 7));
        Load load = Load.draw(2, 3, SOME, 7);
        List<Integer> prompt = load.requests().get(0).prompt(100);
        assertThat(prompt).hasSize(load.requests().get(0).lengths().prompt()).allMatch(id -> id >= 0 && id < 100)
                .isEqualTo(load.requests().get(0).prompt(100))
                .isNotEqualTo(load.requests().get(1).prompt(100));
    }

    @Test
    void allAtOnceIsAllAtOnce() {
        assertThat(Load.draw(10, Double.POSITIVE_INFINITY, SOME, 1).requests()).allMatch(request -> request.at() == 0);
    }

    @Test
    void lengthsAreDrawnFromTheWholeRange() {
        List<Lengths.Pair> pairs = Load.draw(500, 1, SOME, 1).requests().stream().map(Load.Arrival::lengths).toList();
        assertThat(pairs.stream().map(Lengths.Pair::prompt).distinct().sorted()).containsExactly(4, 5, 6, 7, 8, 9);
        assertThat(pairs.stream().map(Lengths.Pair::output)).containsOnly(3);
        assertThat(Load.draw(500, 1, SOME, 1).longestSequence()).isEqualTo(12);
        assertThat(Lengths.Range.parse("5")).isEqualTo(new Lengths.Range(5, 5));
        assertThat(Lengths.Range.parse("5:70")).isEqualTo(new Lengths.Range(5, 70));
        for (String wrong : List.of("", "x", "0", "7:3", "1:", ":2", "1:2:3", "-1", "2000000")) {
            assertThatIllegalArgumentException().isThrownBy(() -> Lengths.Range.parse(wrong)).withMessageContaining("N:M");
        }
    }

    @Test
    void aFileIsTakenLineByLineAndFromTheStartAgain() throws Exception {
        Path file = Files.writeString(temp.resolve("lengths"), "# prompt output\n10 2\n\n300, 5\n");
        List<Load.Arrival> requests = Load.draw(3, 1, Lengths.file(file), 1).requests();
        assertThat(requests.stream().map(Load.Arrival::lengths))
                .containsExactly(new Lengths.Pair(10, 2), new Lengths.Pair(300, 5), new Lengths.Pair(10, 2));

        for (String wrong : List.of("10", "10 x", "0 5", "1 2 3", "10 -1")) {
            Files.writeString(file, "1 1\n" + wrong);
            assertThatIllegalArgumentException().isThrownBy(() -> Lengths.file(file)).withMessageContaining(", line 2: ");
        }
        Files.writeString(file, "# nothing");
        assertThatIllegalArgumentException().isThrownBy(() -> Lengths.file(file)).withMessageContaining("has no lengths");
        assertThatIllegalArgumentException().isThrownBy(() -> Load.draw(1, 0, SOME, 1)).withMessageContaining("rate is 0.0");
        assertThatIllegalArgumentException().isThrownBy(() -> Load.draw(0, 1, SOME, 1)).withMessageContaining("requests is 0");
    }
}
