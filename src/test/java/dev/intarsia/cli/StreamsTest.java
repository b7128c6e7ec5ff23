package dev.intarsia.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Arguments, standard input and standard output as UTF-8. */
class StreamsTest {

    private static OutputStream failing(String message) {
        return new OutputStream() {
            @Override
            public void write(int b) throws IOException {
                throw new IOException(message);
            }
        };
    }

    @Test
    void everyTextIsWrittenAndFlushedAtOnce() {
        List<String> events = new ArrayList<>();
        Output output = new Output(new OutputStream() {
            @Override
            public void write(int b) {
                throw new AssertionError("byte by byte");
            }

            @Override
            public void write(byte[] bytes, int offset, int length) {
                events.add(new String(bytes, offset, length, StandardCharsets.UTF_8));
            }

            @Override
            public void flush() {
                events.add("flush");
            }
        });
        output.print("日本");
        output.print("");
        output.println("é");
        assertThat(events).containsExactly("日本", "flush", "é\n", "flush");
    }

    @ParameterizedTest
    @CsvSource({"Broken pipe", "Datenübergabe unterbrochen (broken pipe)", "Connection reset by peer"})
    void aReaderThatHasGone(String message) {
        assertThatThrownBy(() -> new Output(failing(message)).print("x")).isInstanceOf(Output.ReaderGone.class);
    }

    @Test
    void aFullDisk() {
        assertThatThrownBy(() -> new Output(failing("No space left on device")).print("x"))
                .isInstanceOf(UncheckedIOException.class)
                .hasMessage("cannot write to standard output: No space left on device");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', ignoreLeadingAndTrailingWhitespace = false, value = {
        "a|a", "a%|a", "a%%|a%", "%a|%a", "a\r%|a", "a\r|a\r", "日本 é%|日本 é", "''|''", "%|''"
    })
    void standardInputLosesOneLineEnd(String input, String prompt) {
        byte[] bytes = input.replace('%', '\n').getBytes(StandardCharsets.UTF_8);
        assertThat(Prompt.read(new ByteArrayInputStream(bytes))).isEqualTo(prompt.replace('%', '\n'));
    }

    @Test
    void standardInputMustBeUtf8() {
        byte[] latin1 = "é".getBytes(StandardCharsets.ISO_8859_1);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Prompt.read(new ByteArrayInputStream(latin1)))
                .withMessageContaining("UTF-8");
    }

    private static byte[] commandLine(String... arguments) {
        return (String.join("\0", arguments) + "\0").getBytes(StandardCharsets.UTF_8);
    }

    @Test
    void argumentsAreTheLastOfTheCommandLine() {
        String[] asAscii = {"generate", "caf\ufffd\ufffd", "", "日"};
        byte[] commandLine = commandLine("java", "-cp", "x", "Main", "generate", "café", "", "日");
        assertThat(RawArguments.decode(asAscii, commandLine)).containsExactly("generate", "café", "", "日");
    }

    @Test
    void argumentsOfAnotherCommandLineAreLeftAlone() {
        String[] arguments = {"generate", "caf\ufffd"};
        assertThat(RawArguments.decode(arguments, commandLine("java", "Main", "verify", "café"))).isSameAs(arguments);
        assertThat(RawArguments.decode(arguments, commandLine("café"))).isSameAs(arguments);
        assertThat(RawArguments.decode(arguments, new byte[0])).isSameAs(arguments);
    }

    @Test
    void asciiArgumentsAreNotLookedFor() {
        String[] arguments = {"generate", "x"};
        assertThat(RawArguments.decode(arguments)).isSameAs(arguments);
    }
}
