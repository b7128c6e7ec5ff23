package dev.intarsia.cli;

import dev.intarsia.Engine;
import dev.intarsia.EngineOptions;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code logits}: what the model says of the next token. */
@Command(
        name = "logits",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        sortSynopsis = false,
        versionProvider = Version.class,
        description = "Prints the logits of the last position, in order of token ids, one a line; "
                + "with all the digits that it takes to get the same floats back.")
final class LogitsCommand implements Callable<Integer> {
    private final Host host;

    @Mixin
    private ModelOptions model;

    @Mixin
    private CompileOptions compile;

    @Option(names = "--tokens", required = true, paramLabel = "ID,ID,...", converter = Integers.TokenIds.class,
            description = "Token ids of the sequence.")
    private Integers tokens;

    @Option(names = "--json", description = "Print one JSON object: {\"logits\":[...]}.")
    private boolean json;

    LogitsCommand(Host host) {
        this.host = host;
    }

    @Override
    public Integer call() {
        EngineOptions options = engineOptions();
        float[] logits;
        try (Engine engine = model.source(host).open(options)) {
            logits = engine.logits(tokens.values());
        }
        host.out().println(json ? toJson(logits) : lines(logits));
        return ExitCode.OK;
    }

    EngineOptions engineOptions() {
        return compile.forOneSequence();
    }

    static String toJson(float[] logits) {
        return Json.object(json -> Json.floats(json, "logits", logits));
    }

    private static String lines(float[] logits) {
        StringBuilder lines = new StringBuilder();
        for (float logit : logits) {
            lines.append(lines.isEmpty() ? "" : "\n").append(logit);
        }
        return lines.toString();
    }
}
