package dev.intarsia.cli;

import dev.intarsia.Engine;
import dev.intarsia.EngineInfo;
import dev.intarsia.EngineOptions;
import dev.intarsia.cli.bench.EngineBench;
import dev.intarsia.cli.bench.Progress;
import dev.intarsia.cli.bench.Samples;
import dev.intarsia.runtime.DeviceKind;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import tools.jackson.core.JsonGenerator;

/** {@code bench run}: one engine by itself. */
@Command(
        name = "run",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        sortSynopsis = false,
        versionProvider = Version.class,
        description = "Opens a model and measures it: how long it loads, how fast it reads a prompt and decodes, and what share that is of "
                + "the speed at which the same threads, or the same CUDA device, read memory, "
                + "which is measured in turns with the rest. Token ids are random. "
                + "Figures are medians of the repeats.")
final class BenchRunCommand implements Callable<Integer> {
    private final Host host;

    @Mixin
    private ModelOptions model;

    @Option(names = "--prompt-tokens", paramLabel = "N", defaultValue = "512",
            description = "Tokens of the prompt whose reading is measured; 0 leaves it out. Default: ${DEFAULT-VALUE}.")
    private int promptTokens;

    @Option(names = "--decode-tokens", paramLabel = "N", defaultValue = "64",
            description = "Tokens that each stream decodes; 0 leaves decoding out. Default: ${DEFAULT-VALUE}.")
    private int decodeTokens;

    @Option(names = "--batch", paramLabel = "B", defaultValue = "1",
            description = "Streams that decode at once. Default: ${DEFAULT-VALUE}.")
    private int batch;

    @Option(names = "--context", paramLabel = "N", defaultValue = "1",
            description = "Tokens of each stream in the cache when decoding starts. Default: ${DEFAULT-VALUE}.")
    private int context;

    @Option(names = "--repeat", paramLabel = "N", defaultValue = "5",
            description = "How often it is measured. Default: ${DEFAULT-VALUE}.")
    private int repeat;

    @Option(names = "--seed", paramLabel = "SEED", defaultValue = "1",
            description = "Of the token ids. Default: ${DEFAULT-VALUE}.")
    private long seed;

    @Mixin
    private CompileOptions compile;

    @Option(names = "--json", description = "Print one JSON object, every repeat's value included.")
    private boolean json;

    BenchRunCommand(Host host) {
        this.host = host;
    }

    @Override
    public Integer call() {
        EngineBench.Settings settings =
                new EngineBench.Settings(promptTokens, decodeTokens, batch, context, repeat, seed);
        EngineOptions options = engineOptions(settings);
        ModelOptions.Source source = model.source(host);
        try (Progress progress = new Progress(host.err())) {
            EngineBench.Result result = EngineBench.measure(
                    () -> source.open(options),
                    settings,
                    progress,
                    (Engine engine) -> host.interruption().stopWith(engine::close));
            host.out().println(json ? toJson(source, result) : toText(source, result));
            return ExitCode.OK;
        } finally {
            host.interruption().ended();
        }
    }

    /** As much room as the measurement needs, unless told otherwise. */
    EngineOptions engineOptions(EngineBench.Settings settings) {
        return compile.toEngineOptions(EngineOptions.builder()
                .maxModelLen(settings.longestSequence())
                .maxNumSeqs(settings.batch()));
    }

    static String toText(ModelOptions.Source source, EngineBench.Result result) {
        EngineInfo info = result.engine();
        EngineBench.Settings settings = result.settings();
        StringBuilder text = new StringBuilder();
        text.append(String.format(Locale.ROOT, "%s: %s, %s, %s, weights %.1f MB, KV cache %.1f MB%n",
                source.name(), info.architecture(), info.precision().name().toLowerCase(Locale.ROOT), device(info),
                info.weightBytes() / 1e6, info.kvCacheBytes() / 1e6));
        Table table = new Table("", "median", "", "least", "greatest");
        row(table, "load", Samples.of(result.load()), 1, "s");
        row(table, "load and first token", Samples.of(result.firstToken()), 1, "s");
        if (result.prefill().count() > 0) {
            row(table, "prompt of " + settings.promptTokens(), result.prefill(), 1, "tok/s");
        }
        row(table, "memory reads", result.read(), 1e-9, "GB/s");
        if (result.decode().count() > 0) {
            String streams = settings.batch() == 1 ? "" : settings.batch() + " streams, ";
            row(table, "decode, " + streams + "context " + settings.context(), result.decode(), 1, "tok/s");
        }
        text.append(table.text("  "));
        if (result.decode().count() > 0) {
            text.append(String.format(Locale.ROOT,
                    "  a decode step reads %.1f MB: %.1f GB/s, %.1f %% of the bandwidth, which would allow %.1f tok/s%n",
                    result.stepBytes() / 1e6, result.decodeBytesPerSecond() / 1e9, 100 * result.decodeShare(),
                    result.decodeFloor()));
        }
        result.peakRss().ifPresent(bytes ->
                text.append(String.format(Locale.ROOT, "  peak resident memory %.1f MB%n", bytes / 1e6)));
        return text.toString().stripTrailing();
    }

    private static String device(EngineInfo info) {
        return info.deviceKind() == DeviceKind.CPU
                ? "tier " + info.cpuTier() + ", " + info.threads() + " threads"
                : info.device() + (info.deterministic() ? ", deterministic" : "");
    }

    private static void row(Table table, String what, Samples samples, double scale, String unit) {
        if (samples.count() == 1) {
            table.row(what, decimals(samples.median() * scale), unit);
        } else {
            table.row(what, decimals(samples.median() * scale), unit, decimals(samples.least() * scale),
                    decimals(samples.greatest() * scale));
        }
    }

    private static String decimals(double value) {
        return String.format(Locale.ROOT, value < 10 ? "%.3f" : "%.1f", value);
    }

    private static String toJson(ModelOptions.Source source, EngineBench.Result result) {
        EngineInfo info = result.engine();
        EngineBench.Settings settings = result.settings();
        return Json.object(json -> {
            json.writeStringProperty("model", source.name());
            json.writeStringProperty("architecture", info.architecture());
            json.writeStringProperty("version", info.version());
            json.writeStringProperty("device", info.device());
            json.writeStringProperty("device_kind", info.deviceKind().name().toLowerCase(Locale.ROOT));
            json.writeBooleanProperty("deterministic", info.deterministic());
            json.writeStringProperty("tier", info.cpuTier());
            json.writeNumberProperty("threads", info.threads());
            json.writeStringProperty("precision", info.precision().name().toLowerCase(Locale.ROOT));
            json.writeNumberProperty("weight_bytes", info.weightBytes());
            json.writeNumberProperty("kv_cache_bytes", info.kvCacheBytes());
            json.writeNumberProperty("prompt_tokens", settings.promptTokens());
            json.writeNumberProperty("decode_tokens", settings.decodeTokens());
            json.writeNumberProperty("batch", settings.batch());
            json.writeNumberProperty("context", settings.context());
            json.writeNumberProperty("load_s", result.load());
            json.writeNumberProperty("first_token_s", result.firstToken());
            write(json, "prefill_tokens_per_second", result.prefill());
            write(json, "decode_tokens_per_second", result.decode());
            write(json, "read_bytes_per_second", result.read());
            if (result.decode().count() > 0) {
                json.writeNumberProperty("decode_step_bytes", result.stepBytes());
                json.writeNumberProperty("decode_bytes_per_second", result.decodeBytesPerSecond());
                json.writeNumberProperty("decode_share_of_bandwidth", result.decodeShare());
                json.writeNumberProperty("decode_floor_tokens_per_second", result.decodeFloor());
            }
            result.peakRss().ifPresent(bytes -> json.writeNumberProperty("peak_rss_bytes", bytes));
        });
    }

    /** Nothing where nothing was measured. */
    private static void write(JsonGenerator json, String name, Samples samples) {
        if (samples.count() > 0) {
            json.writeNumberProperty(name, samples.median());
            json.writeArrayPropertyStart(name + "_sorted");
            for (double value : samples.values()) {
                json.writeNumber(value);
            }
            json.writeEndArray();
        }
    }
}
