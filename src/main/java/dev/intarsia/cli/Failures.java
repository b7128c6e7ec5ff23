package dev.intarsia.cli;

import dev.intarsia.IntarsiaException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine;
import picocli.CommandLine.IExecutionExceptionHandler;
import picocli.CommandLine.IParameterExceptionHandler;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.UnmatchedArgumentException;

/**
 * Turns whatever goes wrong into an exit code and one line on standard error, {@code intarsia: MESSAGE}. The stack
 * trace follows only where {@code --verbose} or {@code INTARSIA_DEBUG} asks for it.
 */
final class Failures implements IParameterExceptionHandler, IExecutionExceptionHandler {
    private final Host host;

    Failures(Host host) {
        this.host = host;
    }

    @Override
    public int handleParseException(ParameterException failure, String[] args) {
        String message = failure instanceof UnmatchedArgumentException more ? unmatched(more) : failure.getMessage();
        return wrongUsage(message, failure, failure.getCommandLine());
    }

    /** Of all that could not be matched, the first is what is wrong. */
    private static String unmatched(UnmatchedArgumentException failure) {
        String first = failure.getUnmatched().getFirst();
        CommandLine command = failure.getCommandLine();
        String what = failure.isUnknownOption() ? "unknown option "
                : command.getSubcommands().isEmpty() ? "one argument too many: " : "unknown command ";
        List<String> similar = failure.getSuggestions();
        return what + first + (similar.isEmpty() ? "" : " (did you mean " + String.join(" or ", similar) + "?)");
    }

    @Override
    public int handleExecutionException(Exception failure, CommandLine command, ParseResult parsed) {
        return handle(failure, command);
    }

    /** Reports a failure of a command and says what the process ends with. */
    int handle(Throwable failure, CommandLine command) {
        if (failure instanceof Output.ReaderGone) {
            return ExitCode.OK;
        }
        if (host.interruption().requested()) {
            return ExitCode.INTERRUPTED;
        }
        String message = withOptionNames(String.valueOf(failure.getMessage()), command.getCommandSpec());
        return switch (failure) {
            case IllegalArgumentException wrong -> wrongUsage(message, failure, command);
            case IntarsiaException known -> report(message, failure, command);
            case UncheckedIOException known -> report(message, failure, command);
            case OutOfMemoryError known -> report("the JVM is out of memory: " + message, failure, command);
            default -> report("internal error: " + failure, failure, command);
        };
    }

    private int wrongUsage(String message, Throwable failure, CommandLine command) {
        String help = command.getCommandSpec().qualifiedName() + " --help";
        report(message + "; see " + help, failure, command);
        return ExitCode.USAGE;
    }

    private int report(String message, Throwable failure, CommandLine command) {
        host.err().println("intarsia: " + onOneLine(message));
        if (verbose(command)) {
            failure.printStackTrace(host.err());
        }
        host.err().flush();
        return ExitCode.FAILURE;
    }

    private boolean verbose(CommandLine command) {
        OptionSpec option = command.getCommandSpec().findOption("--verbose");
        boolean asked = option != null && Boolean.TRUE.equals(option.getValue());
        return asked || Host.isSet(host.environment().apply("INTARSIA_DEBUG"));
    }

    static String onOneLine(String message) {
        return message.strip().replaceAll(":\\s*\\R\\s*", ": ").replaceAll("\\s*\\R\\s*", "; ");
    }

    /**
     * The API's messages name its parameters; here those are options, {@code maxModelLen} and {@code max_model_len} are
     * {@code --max-model-len}.
     * A name of one word could be any word, so it counts only where a message begins with it.
     */
    static String withOptionNames(String message, CommandSpec command) {
        for (OptionSpec option : command.options()) {
            String parameter = parameter(option.longestName());
            if (parameter.chars().anyMatch(Character::isUpperCase)) {
                String inFiles = option.longestName().replaceFirst("^-+", "").replace('-', '_');
                message = message.replaceAll("\\b(" + parameter + "|" + inFiles + ")\\b", option.longestName());
            } else if (message.startsWith(parameter + " is ")) {
                message = option.longestName() + message.substring(parameter.length());
            }
        }
        return message;
    }

    /** {@code --max-model-len} → {@code maxModelLen}. */
    private static String parameter(String option) {
        StringBuilder name = new StringBuilder();
        for (String word : option.replaceFirst("^-+", "").split("-")) {
            name.append(name.isEmpty() ? word.substring(0, 1) : word.substring(0, 1).toUpperCase(Locale.ROOT));
            name.append(word, 1, word.length());
        }
        return name.toString();
    }
}
