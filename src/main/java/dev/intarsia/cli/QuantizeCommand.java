package dev.intarsia.cli;

import dev.intarsia.Quantize;
import dev.intarsia.cli.bench.Progress;
import dev.intarsia.model.QuantizedCheckpoint;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code quantize}: a checkpoint in fewer bits. */
@Command(
        name = "quantize",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        versionProvider = Version.class,
        description = "Writes a checkpoint again with its matrices in 8 or 4 bits, embedding and logits layer too. It opens "
                + "without a flag, faster, and gives the same bits as the original with --quantize.")
final class QuantizeCommand implements Callable<Integer> {
    private final Host host;

    @Parameters(paramLabel = "IN", description = "Checkpoint directory.")
    private Path in;

    @Parameters(paramLabel = "OUT", description = "Where to; a directory that is new or empty.")
    private Path out;

    @Option(names = "--format", required = true, paramLabel = "int8|int4", description = "Bits of a weight.")
    private Quantize format;

    QuantizeCommand(Host host) {
        this.host = host;
    }

    @Override
    public Integer call() {
        try (Progress progress = new Progress(host.err())) {
            QuantizedCheckpoint.write(in, out, format, name -> progress.phase("quantizing " + name));
        }
        return ExitCode.OK;
    }
}
