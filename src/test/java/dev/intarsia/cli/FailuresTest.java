package dev.intarsia.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.CheckpointException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import picocli.CommandLine;

/** What becomes of each kind of failure. */
class FailuresTest {

    private static CommandLine generate(Shell shell, String... arguments) {
        CommandLine command = Main.commandLine(shell.host());
        command.parseArgs(arguments);
        return command.getSubcommands().get("generate");
    }

    private static Shell.Result handle(Shell shell, Throwable failure, String... arguments) {
        int exit = new Failures(shell.host()).handle(failure, generate(shell, arguments));
        Shell.Result streams = shell.run("--version"); // for what was printed; it adds nothing to standard error
        return new Shell.Result(exit, streams.out(), streams.err());
    }

    static Stream<Arguments> failures() {
        return Stream.of(
                Arguments.of(new CheckpointException("a/config.json: no such file"), 1, "a/config.json: no such file"),
                Arguments.of(
                        new IllegalArgumentException("topK is -1; it must be >= 0"), 2,
                        "--top-k is -1; it must be >= 0; see intarsia generate --help"),
                Arguments.of(
                        new UncheckedIOException("cannot write: disk full", new IOException("disk full")), 1,
                        "cannot write: disk full"),
                Arguments.of(new OutOfMemoryError("Java heap space"), 1, "the JVM is out of memory: Java heap space"),
                Arguments.of(
                        new IllegalStateException("odd"), 1, "internal error: java.lang.IllegalStateException: odd"),
                Arguments.of(new NullPointerException(), 1, "internal error: java.lang.NullPointerException"));
    }

    @ParameterizedTest
    @MethodSource("failures")
    void areOneLineAndAnExitCode(Throwable failure, int exit, String line) {
        Shell.Result result = handle(new Shell(), failure);
        assertThat(result.exit()).isEqualTo(exit);
        assertThat(result.err()).isEqualTo("intarsia: " + line + "\n");
    }

    @Test
    void aReaderThatHasGoneIsNone() {
        Shell.Result result = handle(new Shell(), new Output.ReaderGone(new IOException("Broken pipe")));
        assertThat(result.exit()).isZero();
        assertThat(result.err()).isEmpty();
    }

    @Test
    void areNotReportedAfterCtrlC() {
        Shell shell = new Shell();
        shell.interruption.request();
        Shell.Result result = handle(shell, new CheckpointException("the stream was closed"));
        assertThat(result.exit()).isEqualTo(130);
        assertThat(result.err()).isEmpty();
    }

    @Test
    void stackTracesAreForThoseWhoAsk() {
        Exception failure = new CheckpointException("no such file", new IOException("the cause"));
        assertThat(handle(new Shell(), failure).err()).doesNotContain("\tat ");
        assertThat(handle(new Shell(), failure, "generate", "--verbose", "x").err()).contains("\tat ", "the cause");
        assertThat(handle(new Shell(), failure, "--verbose", "generate", "x").err()).contains("\tat ", "the cause");
        assertThat(handle(new Shell().environment("INTARSIA_DEBUG", "1"), failure).err()).contains("\tat ");
        assertThat(handle(new Shell().environment("INTARSIA_DEBUG", ""), failure).err()).doesNotContain("\tat ");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            temperature is -1                            | --temperature is -1
            the temperature is -1                        | the temperature is -1
            temperatures vary                            | temperatures vary
            set maxModelLen to 16                        | set --max-model-len to 16
            maxModelLength is no option                  | maxModelLength is no option
            maxTokens and maxNumBatchedTokens            | --max-tokens and --max-num-batched-tokens
            seed                                         | seed
            """)
    void nameOptionsAndNotParameters(String message, String expected) {
        assertThat(Failures.withOptionNames(message, generate(new Shell()).getCommandSpec())).isEqualTo(expected);
    }

    @Test
    void linesAreJoined() {
        assertThat(Failures.onOneLine("Tried:\n  a: no\r\n  b: no\n")).isEqualTo("Tried: a: no; b: no");
    }
}
