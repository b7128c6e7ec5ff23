package dev.intarsia.cli.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import dev.intarsia.Engine;
import dev.intarsia.EngineOptions;
import dev.intarsia.IntarsiaException;
import dev.intarsia.cli.bench.EngineBench.Settings;
import dev.intarsia.cli.bench.EngineBench.Stream;
import java.io.PrintWriter;
import java.io.Writer;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

class EngineBenchTest {
    private static final Path CONFIG = Path.of("test/resources/configs/qwen3-28-layers.json");
    private static final long MS = 1_000_000;

    @Test
    void theRateIsThatOfAllStreamsTogether() {
        Stream first = new Stream(50, 100 * MS, 600 * MS);
        Stream second = new Stream(7, 150 * MS, 290 * MS);

        assertThat(EngineBench.rate(List.of(first))).isCloseTo(100, within(1e-9));
        assertThat(EngineBench.rate(List.of(first, second))).isCloseTo(150, within(1e-9));
        assertThatExceptionOfType(IntarsiaException.class)
                .isThrownBy(() -> EngineBench.rate(List.of(first, new Stream(2, 0, 90 * MS))))
                .withMessageContaining("never decoded at the same time");
    }

    @Test
    void streamsDecodeTogether() {
        Settings settings = new Settings(0, 12, 3, 40, 1, 7);
        EngineBench.Result result = measure(settings);
        assertThat(result.prefill().count()).isZero();
        assertThat(result.decode().count()).isEqualTo(1);
        assertThat(result.decodeFloor()).isCloseTo(3 * result.read().median() / result.stepBytes(), within(1e-6));
    }

    private static EngineBench.Result measure(Settings settings) {
        return EngineBench.measure(
                () -> Engine.openRandom(CONFIG, 1, EngineOptions.builder()
                        .maxModelLen(settings.longestSequence()).maxNumSeqs(settings.batch()).threads(1).artifacts("off").build()),
                settings,
                new Progress(new PrintWriter(Writer.nullWriter())),
                engine -> {});
    }

    @Test
    void aStepReadsEveryWeightOnceAndTheKeysAndValuesOfEachStream() {
        Settings settings = new Settings(8, 5, 1, 33, 2, 7);
        EngineBench.Result result = measure(settings);

        // the file: 28 layers of width 64 with 4 heads and 2 KV heads of 32, 96 inside the MLP, vocabulary 512, tied
        long matrices = 28L * (2 * 128 * 64 + 2 * 64 * 64 + 3 * 64 * 96) + 512 * 64;
        long norms = 28L * (2 * 64 + 2 * 32) + 64;
        double positions = 33 + (5 + 1) / 2.0;
        double cache = positions * 28 * 2 * 2 * 32 * 2;
        long frequenciesAndEmbeddingRow = 4096; // at most
        assertThat((double) result.stepBytes())
                .isBetween(matrices * 2 + norms * 4 + cache, matrices * 2 + norms * 4 + cache + frequenciesAndEmbeddingRow);
        assertThat(result.prefill().count()).isEqualTo(2);
        assertThat(result.prefill().least()).isPositive();
        assertThat(result.decode().count()).isEqualTo(2);
        assertThat(result.decode().least()).isPositive();
        assertThat(result.read().count()).isEqualTo(2);
        assertThat(result.read().least()).isGreaterThan(1e8);
        assertThat(result.firstToken()).isGreaterThan(result.load());
        assertThat(result.decodeShare())
                .isCloseTo(result.decode().median() / result.decodeFloor(), within(1e-9));
        assertThat(result.peakRss().orElseThrow()).isGreaterThan(result.engine().weightBytes());
    }

    @Test
    void settingsThatMakeNoSenseAreNamed() {
        assertThatIllegalArgumentException().isThrownBy(() -> new Settings(0, 0, 1, 1, 1, 1))
                .withMessageContaining("nothing to measure");
        assertThatIllegalArgumentException().isThrownBy(() -> new Settings(1, 1, 0, 1, 1, 1))
                .withMessage("batch is 0; it must be in 1..65536");
        assertThatIllegalArgumentException().isThrownBy(() -> new Settings(1, 1, 1, 0, 1, 1))
                .withMessageContaining("context is 0");
        assertThat(new Settings(10, 0, 1, 500, 1, 1).longestSequence()).isEqualTo(11);
        assertThat(new Settings(10, 4, 1, 500, 1, 1).longestSequence()).isEqualTo(505);
    }
}
