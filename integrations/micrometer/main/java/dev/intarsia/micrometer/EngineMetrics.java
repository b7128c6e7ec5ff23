package dev.intarsia.micrometer;

import dev.intarsia.Engine;
import dev.intarsia.EngineStats;
import dev.intarsia.Histogram;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.FunctionTimer;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tag;
import io.micrometer.core.instrument.Tags;
import io.micrometer.core.instrument.TimeGauge;
import io.micrometer.core.instrument.binder.MeterBinder;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;

/**
 * What an engine does and has done, as meters of a registry; {@link EngineStats} says what each figure is.
 *
 * <table>
 * <caption>Meters</caption>
 * <tr><th>name</th><th>tags</th><th>kind</th></tr>
 * <tr><td>{@code intarsia.sequences}</td><td>{@code state}: running, waiting</td><td>gauge</td></tr>
 * <tr><td>{@code intarsia.kv.blocks}</td><td>{@code state}: used, cached, all</td><td>gauge</td></tr>
 * <tr><td>{@code intarsia.requests}</td><td>{@code outcome}: accepted, rejected, finished, cancelled, expired, failed</td><td>counter</td></tr>
 * <tr><td>{@code intarsia.tokens}</td><td>{@code kind}: prompt, cached, generated, recomputed, step, padding</td><td>counter</td></tr>
 * <tr><td>{@code intarsia.steps}, {@code intarsia.preemptions}</td><td></td><td>counter</td></tr>
 * <tr><td>{@code intarsia.queue}, {@code intarsia.first.token}, {@code intarsia.inter.token}, {@code intarsia.step}</td><td></td><td>timer</td></tr>
 * <tr><td>the same with {@code .quantile}</td><td>{@code quantile}: 0.5, 0.95, 0.99, since the engine was opened</td><td>gauge</td></tr>
 * </table>
 *
 * <p>The registry holds the engine weakly: meters do not keep one alive that is dropped. {@snippet :
 * new EngineMetrics(engine, Tags.of("model", "holmes")).bindTo(registry);
 * }
 */
public final class EngineMetrics implements MeterBinder {
    private static final double[] QUANTILES = {0.5, 0.95, 0.99};

    private final Engine engine;
    private final Iterable<Tag> tags;

    /** Without tags of its own. */
    public EngineMetrics(Engine engine) {
        this(engine, Tags.empty());
    }

    /** @param tags of every meter: two engines of one registry need different ones */
    public EngineMetrics(Engine engine, Iterable<Tag> tags) {
        this.engine = Objects.requireNonNull(engine, "engine");
        this.tags = Objects.requireNonNull(tags, "tags");
    }

    @Override
    public void bindTo(MeterRegistry registry) {
        gauge(registry, "intarsia.sequences", "running", "Sequences by what they do now", EngineStats::running);
        gauge(registry, "intarsia.sequences", "waiting", "Sequences by what they do now", EngineStats::waiting);
        gauge(registry, "intarsia.kv.blocks", "used", "Blocks of the KV cache", EngineStats::kvBlocksUsed);
        gauge(registry, "intarsia.kv.blocks", "cached", "Blocks of the KV cache", EngineStats::kvBlocksCached);
        gauge(registry, "intarsia.kv.blocks", "all", "Blocks of the KV cache", EngineStats::kvBlocks);

        request(registry, "accepted", EngineStats::accepted);
        request(registry, "rejected", EngineStats::rejected);
        request(registry, "finished", EngineStats::finished);
        request(registry, "cancelled", EngineStats::cancelled);
        request(registry, "expired", EngineStats::expired);
        request(registry, "failed", EngineStats::failed);

        tokens(registry, "prompt", EngineStats::promptTokens);
        tokens(registry, "cached", EngineStats::cachedTokens);
        tokens(registry, "generated", EngineStats::generatedTokens);
        tokens(registry, "recomputed", EngineStats::recomputedTokens);
        tokens(registry, "step", EngineStats::stepTokens);
        tokens(registry, "padding", EngineStats::paddingTokens);

        count(registry, "intarsia.steps", Tags.empty(), "Steps that ran", EngineStats::steps);
        count(registry, "intarsia.preemptions", Tags.empty(), "Sequences put back for want of KV blocks", EngineStats::preemptions);

        time(registry, "intarsia.queue", "From a call to its first step", EngineStats::queueSeconds);
        time(registry, "intarsia.first.token", "From a call to its first token", EngineStats::firstTokenSeconds);
        time(registry, "intarsia.inter.token", "From token to token of a sequence", EngineStats::interTokenSeconds);
        time(registry, "intarsia.step", "Of a step", EngineStats::stepSeconds);
    }

    private void gauge(
            MeterRegistry registry, String name, String state, String description, ToDoubleFunction<EngineStats> value) {
        Gauge.builder(name, engine, each -> value.applyAsDouble(each.stats()))
                .tags(tags)
                .tag("state", state)
                .description(description)
                .register(registry);
    }

    private void request(MeterRegistry registry, String outcome, ToDoubleFunction<EngineStats> value) {
        count(registry, "intarsia.requests", Tags.of("outcome", outcome), "Requests by what became of them", value);
    }

    private void tokens(MeterRegistry registry, String kind, ToDoubleFunction<EngineStats> value) {
        count(registry, "intarsia.tokens", Tags.of("kind", kind), "Tokens by what was done with them", value);
    }

    private void count(
            MeterRegistry registry, String name, Tags own, String description, ToDoubleFunction<EngineStats> value) {
        FunctionCounter.builder(name, engine, each -> value.applyAsDouble(each.stats()))
                .tags(tags)
                .tags(own)
                .description(description)
                .register(registry);
    }

    private void time(
            MeterRegistry registry, String name, String description, Function<EngineStats, Histogram> histogram) {
        FunctionTimer.builder(
                        name,
                        engine,
                        each -> histogram.apply(each.stats()).count(),
                        each -> histogram.apply(each.stats()).sum(),
                        TimeUnit.SECONDS)
                .tags(tags)
                .description(description)
                .register(registry);
        for (double quantile : QUANTILES) {
            TimeGauge.builder(
                            name + ".quantile",
                            engine,
                            TimeUnit.SECONDS,
                            each -> histogram.apply(each.stats()).quantile(quantile))
                    .tags(tags)
                    .tag("quantile", String.valueOf(quantile))
                    .description(description)
                    .register(registry);
        }
    }
}
