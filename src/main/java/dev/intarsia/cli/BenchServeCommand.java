package dev.intarsia.cli;

import dev.intarsia.EngineOptions;
import dev.intarsia.cli.bench.EngineServer;
import dev.intarsia.cli.bench.Lengths;
import dev.intarsia.cli.bench.Load;
import dev.intarsia.cli.bench.LoadReport;
import dev.intarsia.cli.bench.LoadRun;
import dev.intarsia.cli.bench.PeerServer;
import dev.intarsia.cli.bench.Progress;
import dev.intarsia.cli.bench.Samples;
import dev.intarsia.cli.bench.Server;
import dev.intarsia.inspect.LatencyDrawing;
import dev.intarsia.inspect.LatencyDrawing.Waits;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import tools.jackson.core.JsonGenerator;

/** {@code bench serve}: an engine, or another server, under load. */
@Command(
        name = "serve",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        sortSynopsis = false,
        versionProvider = Version.class,
        description = "Puts an open-loop load on an engine in this process, or with --peer on any server with OpenAI's /v1/completions, and "
                + "says how many tokens a second it made and how long requests waited for their first token and from token to token. "
                + "The same seed makes the same load. Exit code 1 if a request failed.")
final class BenchServeCommand implements Callable<Integer> {
    private final Host host;

    @Mixin
    private ModelOptions model;

    @Option(names = "--peer", paramLabel = "URL",
            description = "In place of a model: a server such as http://127.0.0.1:8080, which streams its answers.")
    private String peer;

    @Option(names = "--peer-model", paramLabel = "NAME", defaultValue = "default",
            description = "The name by which the peer knows its model. Default: ${DEFAULT-VALUE}.")
    private String peerModel;

    @Option(names = "--peer-vocabulary", paramLabel = "N", defaultValue = "32000",
            description = "Token ids below this are sent to the peer. Default: ${DEFAULT-VALUE}.")
    private int peerVocabulary;

    @Option(names = "--peer-words", description = "Send the peer words in place of token ids, about one token each.")
    private boolean peerWords;

    @Option(names = "--requests", paramLabel = "N", defaultValue = "64", description = "How many. Default: ${DEFAULT-VALUE}.")
    private int requests;

    @Option(names = "--rate", paramLabel = "R",
            description = "Requests per second, at random times (a Poisson process). Default: all at once.")
    private Double rate;

    @Option(names = "--prompt-tokens", paramLabel = "N|N:M", defaultValue = "128",
            description = "Length of every prompt, or drawn evenly from N to M. Default: ${DEFAULT-VALUE}.")
    private String promptTokens;

    @Option(names = "--output-tokens", paramLabel = "N|N:M", defaultValue = "64",
            description = "Length of every answer, or drawn evenly from N to M. Default: ${DEFAULT-VALUE}.")
    private String outputTokens;

    @Option(names = "--lengths", paramLabel = "FILE",
            description = "In place of the two: a line a request, PROMPT OUTPUT; after the last comes the first again.")
    private Path lengths;

    @Option(names = "--seed", paramLabel = "SEED", defaultValue = "1",
            description = "Of arrivals, lengths and token ids. Default: ${DEFAULT-VALUE}.")
    private long seed;

    @Mixin
    private CompileOptions compile;

    @Option(names = "--svg", paramLabel = "FILE", description = "Draw the percentiles to this file too.")
    private Path svg;

    @Option(names = "--json", description = "Print one JSON object.")
    private boolean json;

    BenchServeCommand(Host host) {
        this.host = host;
    }

    @Override
    public Integer call() {
        Load load = Load.draw(requests, rate == null ? Double.POSITIVE_INFINITY : rate, requestLengths(), seed);
        LoadReport report;
        try (Progress progress = new Progress(host.err());
                Server server = server(load, progress)) {
            host.interruption().stopWith(server::close);
            report = LoadRun.run(server, load, progress);
        } finally {
            host.interruption().ended();
        }
        if (svg != null) {
            InspectCommand.write(svg, LatencyDrawing.svg(report.server(), facts(report), List.of(
                    new Waits("Time to first token", report.firstToken().values()),
                    new Waits("From token to token", report.interToken().values()))));
        }
        host.out().println(json ? toJson(report) : toText(report));
        report.firstFailure().ifPresent(failure -> host.err().println(
                "intarsia: " + report.failed() + " requests failed, the first with: " + Failures.onOneLine(failure)));
        return report.failed() == 0 ? ExitCode.OK : ExitCode.FAILURE;
    }

    private Lengths requestLengths() {
        return lengths != null
                ? Lengths.file(lengths)
                : Lengths.uniform(Lengths.Range.parse(promptTokens), Lengths.Range.parse(outputTokens));
    }

    private Server server(Load load, Progress progress) {
        if (peer != null) {
            return new PeerServer(peer, peerModel, peerVocabulary, peerWords);
        }
        ModelOptions.Source source = model.source(host);
        EngineOptions options = compile.toEngineOptions(EngineOptions.builder()
                .maxModelLen(load.longestSequence())
                .maxQueued(Math.max(requests, EngineOptions.defaults().maxQueued())));
        progress.phase("opening the model");
        return new EngineServer(source.name(), source.open(options));
    }

    private List<String> facts(LoadReport report) {
        String arrivals = rate == null ? "all at once" : String.format(Locale.ROOT, "%s a second", rate);
        String how = lengths != null ? "lengths from " + lengths.getFileName()
                : "prompts of " + promptTokens + " tokens, answers of " + outputTokens;
        return List.of(
                requests + " requests, " + arrivals + ", " + how + (report.failed() == 0 ? "" : "; " + report.failed() + " failed"),
                String.format(Locale.ROOT, "%.1f tokens of answers a second, %.1f with those of prompts; %.2f requests a second, %.1f s in all",
                        report.outputRate(), report.totalRate(), report.requestRate(), report.seconds()));
    }

    private String toText(LoadReport report) {
        StringBuilder text = new StringBuilder(report.server()).append(System.lineSeparator());
        facts(report).forEach(fact -> text.append("  ").append(fact).append(System.lineSeparator()));
        Table table = new Table("milliseconds", "p50", "p95", "p99", "mean", "longest");
        row(table, "first token", report.firstToken());
        row(table, "token to token", report.interToken());
        row(table, "whole request", report.whole());
        return text.append(table.text("  ")).toString().stripTrailing();
    }

    private static void row(Table table, String what, Samples seconds) {
        if (seconds.count() > 0) {
            table.row(what, millis(seconds.percentile(50)), millis(seconds.percentile(95)), millis(seconds.percentile(99)),
                    millis(seconds.mean()), millis(seconds.greatest()));
        }
    }

    private static String millis(double seconds) {
        return String.format(Locale.ROOT, "%.2f", seconds * 1e3);
    }

    private String toJson(LoadReport report) {
        return Json.object(json -> {
            json.writeStringProperty("server", report.server());
            json.writeNumberProperty("requests", requests);
            json.writeNumberProperty("finished", report.finished());
            json.writeNumberProperty("failed", report.failed());
            json.writeNumberProperty("duration_s", report.seconds());
            json.writeNumberProperty("prompt_tokens", report.promptTokens());
            json.writeNumberProperty("output_tokens", report.outputTokens());
            json.writeNumberProperty("output_tokens_per_second", report.outputRate());
            json.writeNumberProperty("total_tokens_per_second", report.totalRate());
            json.writeNumberProperty("requests_per_second", report.requestRate());
            write(json, "first_token_ms", report.firstToken());
            write(json, "inter_token_ms", report.interToken());
            write(json, "request_ms", report.whole());
        });
    }

    private static void write(JsonGenerator json, String name, Samples seconds) {
        if (seconds.count() == 0) {
            return;
        }
        json.writeObjectPropertyStart(name);
        for (int percent : new int[] {50, 95, 99}) {
            json.writeNumberProperty("p" + percent, seconds.percentile(percent) * 1e3);
        }
        json.writeNumberProperty("mean", seconds.mean() * 1e3);
        json.writeNumberProperty("longest", seconds.greatest() * 1e3);
        json.writeEndObject();
    }
}
