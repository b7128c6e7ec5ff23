package dev.intarsia.cli;

import dev.intarsia.Engine;
import dev.intarsia.EngineOptions;
import dev.intarsia.inspect.ModelReport;
import dev.intarsia.inspect.ReportDrawing;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code inspect}: what a model is compiled to. */
@Command(
        name = "inspect",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        sortSynopsis = false,
        versionProvider = Version.class,
        description = "Loads and compiles a model, runs nothing, and says what it was cut and compiled to: pieces, "
                + "which of them share executables, ranges and kernels, recordings, and how a step of each size is "
                + "dispatched.")
final class InspectCommand implements Callable<Integer> {
    private final Host host;

    @Mixin
    private ModelOptions model;

    @Mixin
    private CompileOptions compile;

    @Option(names = "--json", description = "Print one JSON object, with nothing left out.")
    private boolean json;

    @Option(names = "--explain-cache",
            description = "Say of each executable whether its choices came from the artifact store, and if not, why.")
    private boolean explainCache;

    @Option(names = "--svg", paramLabel = "FILE", description = "Draw the cut graph to this file too.")
    private Path svg;

    InspectCommand(Host host) {
        this.host = host;
    }

    @Override
    public Integer call() {
        EngineOptions options = engineOptions();
        ModelOptions.Source source = model.source(host);
        ModelReport report;
        try (Engine engine = source.open(options)) {
            report = engine.inspect();
        }
        if (svg != null) {
            write(svg, ReportDrawing.svg(report));
        }
        if (explainCache && !json) {
            host.out().println(InspectText.cache(report.compilation()));
        } else {
            host.out().println(json ? InspectJson.of(report) : InspectText.of(report));
        }
        return ExitCode.OK;
    }

    EngineOptions engineOptions() {
        return compile.toEngineOptions(EngineOptions.builder());
    }

    static void write(Path file, String text) {
        try {
            Files.writeString(file, text);
        } catch (IOException e) {
            throw new UncheckedIOException("cannot write " + file + ": " + e.getClass().getSimpleName() + " "
                    + e.getMessage(), e);
        }
    }
}
