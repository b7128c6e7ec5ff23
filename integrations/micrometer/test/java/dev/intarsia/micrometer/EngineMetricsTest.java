package dev.intarsia.micrometer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.intarsia.Engine;
import dev.intarsia.EngineOptions;
import dev.intarsia.EngineStats;
import dev.intarsia.SamplingParams;
import io.micrometer.core.instrument.FunctionTimer;
import io.micrometer.core.instrument.Meter;
import io.micrometer.core.instrument.Tags;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class EngineMetricsTest {
    private static final EngineOptions OPTIONS =
            EngineOptions.builder().maxModelLen(128).maxNumSeqs(2).threads(1).artifacts("off").build();

    private final SimpleMeterRegistry registry = new SimpleMeterRegistry();

    private static Path holmes() {
        Path at = Path.of("").toAbsolutePath();
        while (!Files.isDirectory(at.resolve("models/holmes"))) {
            at = at.getParent();
        }
        return at.resolve("models/holmes");
    }

    private double counter(String name, String... tags) {
        return registry.get(name).tags(tags).functionCounter().count();
    }

    @Test
    void metersSayWhatTheStatisticsSay() {
        try (Engine engine = Engine.open(holmes(), OPTIONS)) {
            new EngineMetrics(engine, Tags.of("model", "holmes")).bindTo(registry);
            assertThat(counter("intarsia.requests", "outcome", "accepted")).isZero();
            assertThat(registry.get("intarsia.first.token").functionTimer().count()).isZero();

            SamplingParams params = SamplingParams.greedy(5).toBuilder().ignoreEos(true).build();
            engine.generate(List.of(1, 2, 3), params);
            engine.generate(List.of(4, 5, 6, 7), params);

            assertThat(counter("intarsia.requests", "outcome", "accepted")).isEqualTo(2);
            assertThat(counter("intarsia.requests", "outcome", "finished", "model", "holmes")).isEqualTo(2);
            assertThat(counter("intarsia.requests", "outcome", "failed")).isZero();
            assertThat(counter("intarsia.tokens", "kind", "prompt")).isEqualTo(7);
            assertThat(counter("intarsia.tokens", "kind", "generated")).isEqualTo(10);

            EngineStats stats = engine.stats();
            assertThat(counter("intarsia.steps")).isEqualTo(stats.steps()).isGreaterThanOrEqualTo(10);
            assertThat(registry.get("intarsia.kv.blocks").tag("state", "all").gauge().value()).isEqualTo(stats.kvBlocks());
            assertThat(registry.get("intarsia.kv.blocks").tag("state", "used").gauge().value()).isZero();
            assertThat(registry.get("intarsia.sequences").tag("state", "running").gauge().value()).isZero();
            FunctionTimer gaps = registry.get("intarsia.inter.token").functionTimer();
            assertThat(gaps.count()).isEqualTo(8);
            assertThat(gaps.totalTime(TimeUnit.SECONDS))
                    .isCloseTo(stats.interTokenSeconds().sum(), within(1e-9))
                    .isPositive();
            assertThat(registry.get("intarsia.inter.token.quantile").tag("quantile", "0.95").timeGauge().value(TimeUnit.SECONDS))
                    .isCloseTo(stats.interTokenSeconds().quantile(0.95), within(1e-9));
        }
        assertThat(counter("intarsia.requests", "outcome", "finished")).isEqualTo(2); // of a closed engine, the last
    }

    @Test
    void twoEnginesOfARegistryAreTakenApartByTheirTags() {
        try (Engine one = Engine.open(holmes(), OPTIONS);
                Engine two = Engine.open(holmes(), OPTIONS)) {
            new EngineMetrics(one, Tags.of("engine", "one")).bindTo(registry);
            new EngineMetrics(two, Tags.of("engine", "two")).bindTo(registry);
            one.generate(List.of(1), SamplingParams.greedy(1));
            assertThat(counter("intarsia.requests", "outcome", "accepted", "engine", "one")).isEqualTo(1);
            assertThat(counter("intarsia.requests", "outcome", "accepted", "engine", "two")).isZero();
        }
        assertThat(registry.getMeters()).extracting(Meter::getId).doesNotHaveDuplicates().hasSize(2 * 35);
    }
}
