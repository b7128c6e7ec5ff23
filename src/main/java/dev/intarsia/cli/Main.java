package dev.intarsia.cli;

import java.util.logging.Level;
import java.util.logging.Logger;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.HelpCommand;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;

/** The command line, {@code intarsia}. */
@Command(
        name = "intarsia",
        mixinStandardHelpOptions = true,
        versionProvider = Version.class,
        synopsisSubcommandLabel = "COMMAND",
        description = "Runs language models inside the JVM, at native speed.",
        footer = {
            "",
            "From a checkout, `./intarsia verify` builds everything and runs all tests.",
            "",
            "Exit codes: 0 done, 1 the checkpoint or the engine failed, 2 wrong usage, 130 Ctrl-C.",
            "Environment: INTARSIA_MODEL (checkpoint directory), INTARSIA_LIBRARY (native library),",
            "INTARSIA_CPU_TIER (instruction-set tier), INTARSIA_DEBUG (stack traces of failures)."
        })
public final class Main implements Runnable {
    private static final Logger LOG = Logger.getLogger("dev.intarsia");

    @Spec
    private CommandSpec spec;

    @Option(names = "--verbose", scope = ScopeType.INHERIT, description = "Print the stack trace of a failure too.")
    private boolean verbose;

    private Main() {}

    /** Runs a command and leaves with its exit code. */
    public static void main(String[] args) {
        LOG.setLevel(Level.WARNING); // what an engine says of itself, commands print in their own way
        quieten("slf4j.internal.verbosity", "ERROR"); // the tokenizer library's logger has nobody to log to
        System.exit(run(Host.process(), RawArguments.decode(args)));
    }

    private static void quieten(String property, String value) {
        if (System.getProperty(property) == null) {
            System.setProperty(property, value);
        }
    }

    /** Runs a command; the answer is its exit code. */
    static int run(Host host, String... args) {
        CommandLine commandLine = commandLine(host);
        try {
            return commandLine.execute(args);
        } catch (Error e) { // picocli hands on exceptions only
            return new Failures(host).handle(e, commandLine);
        }
    }

    static CommandLine commandLine(Host host) {
        Failures failures = new Failures(host);
        return new CommandLine(new Main())
                .addSubcommand(new GenerateCommand(host))
                .addSubcommand(new LogitsCommand(host))
                .addSubcommand(new InspectCommand(host))
                .addSubcommand(new InfoCommand(host))
                .addSubcommand(new QuantizeCommand(host))
                .addSubcommand(new PerplexityCommand(host))
                .addSubcommand(new CommandLine(new BenchCommand()).addSubcommand(new BenchRunCommand(host))
                        .addSubcommand(new BenchServeCommand(host))
                        .addSubcommand(new BenchCheckpointCommand(host)))
                .addSubcommand(new HelpCommand())
                .setOut(host.out().writer())
                .setErr(host.err())
                .setUsageHelpWidth(110)
                .setCaseInsensitiveEnumValuesAllowed(true)
                .setExpandAtFiles(false) // a prompt may begin with @
                .setParameterExceptionHandler(failures)
                .setExecutionExceptionHandler(failures);
    }

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "no command: generate, logits, inspect, info, quantize, perplexity, bench or help");
    }
}
