package dev.intarsia.cli;

import dev.intarsia.Engine;
import dev.intarsia.cli.bench.Progress;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.function.IntConsumer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code perplexity}: how well a model foretells a text. */
@Command(
        name = "perplexity",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        sortSynopsis = false,
        versionProvider = Version.class,
        description = "Prints the perplexity of a text: e to the mean of -log p of each token given those before it in its "
                + "window. What precision and --quantize cost in quality shows here.")
final class PerplexityCommand implements Callable<Integer> {
    private final Host host;

    @Mixin
    private ModelOptions model;

    @Mixin
    private CompileOptions compile;

    @Parameters(paramLabel = "FILE", description = "UTF-8 text.")
    private Path file;

    @Option(names = "--window", paramLabel = "N", defaultValue = "256",
            description = "Tokens of a window; the text is cut into windows, and the first token of each is given. "
                    + "Default: ${DEFAULT-VALUE}.")
    private int window;

    PerplexityCommand(Host host) {
        this.host = host;
    }

    @Override
    public Integer call() {
        if (window < 2) {
            throw new IllegalArgumentException("--window is " + window + "; it must be >= 2");
        }
        try (Engine engine = model.source(host).open(compile.forOneSequence());
                Progress progress = new Progress(host.err())) {
            Perplexity perplexity = Perplexity.of(
                    engine, engine.encode(read(file)), window, done -> progress.phase(done + " tokens"));
            host.out().println(String.format(Locale.ROOT, "perplexity %.4f over %d tokens, %s", perplexity.value(),
                    perplexity.tokens(), engine.info().mode()));
        }
        return ExitCode.OK;
    }

    private static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read " + file + ": " + e, e);
        }
    }

    /**
     * What a model makes of token ids.
     *
     * @param tokens how many were foretold
     */
    record Perplexity(double value, int tokens) {

        /** Each token but the first of a window, by the logits that follow those before it; the prefix cache has most of them. */
        static Perplexity of(Engine engine, List<Integer> ids, int window, IntConsumer done) {
            double nats = 0;
            int tokens = 0;
            for (int start = 0; start < ids.size(); start += window) {
                int end = Math.min(start + window, ids.size());
                for (int next = start + 1; next < end; next++) {
                    nats -= logProbability(engine.logits(ids.subList(start, next)), ids.get(next));
                    done.accept(++tokens);
                }
            }
            if (tokens == 0) {
                throw new IllegalArgumentException("the text has " + ids.size() + " tokens; perplexity takes 2 at least");
            }
            return new Perplexity(Math.exp(nats / tokens), tokens);
        }

        private static double logProbability(float[] logits, int id) {
            double most = Double.NEGATIVE_INFINITY;
            for (float logit : logits) {
                most = Math.max(most, logit);
            }
            double sum = 0;
            for (float logit : logits) {
                sum += Math.exp(logit - most);
            }
            return logits[id] - most - Math.log(sum);
        }
    }
}
