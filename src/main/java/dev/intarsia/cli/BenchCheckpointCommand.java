package dev.intarsia.cli;

import dev.intarsia.checkpoint.CheckpointWriter;
import dev.intarsia.checkpoint.RandomWeights;
import dev.intarsia.cli.bench.Progress;
import dev.intarsia.model.WeightShapes;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code bench checkpoint}: files to measure with. */
@Command(
        name = "checkpoint",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        versionProvider = Version.class,
        description = "Writes the model of a config.json with random weights as a checkpoint directory, in bf16, so that loading can be "
                + "measured, and other engines on the same files.")
final class BenchCheckpointCommand implements Callable<Integer> {
    private final Host host;

    @Option(names = "--config", paramLabel = "FILE", required = true, description = "The config.json of the model.")
    private Path config;

    @Option(names = "--random-weights", paramLabel = "SEED", defaultValue = "1",
            description = "The same seed gives the same weights. Default: ${DEFAULT-VALUE}.")
    private long seed;

    @Parameters(paramLabel = "DIR", description = "Where to; a directory that is new or empty.")
    private Path directory;

    BenchCheckpointCommand(Host host) {
        this.host = host;
    }

    @Override
    public Integer call() {
        try (RandomWeights weights = RandomWeights.of(config, seed);
                Progress progress = new Progress(host.err())) {
            Map<String, long[]> shapes = WeightShapes.of(weights.config());
            CheckpointWriter.write(config, weights, shapes, directory, name -> progress.phase("writing " + name));
        }
        return ExitCode.OK;
    }
}
