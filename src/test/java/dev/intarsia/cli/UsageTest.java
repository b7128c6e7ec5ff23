package dev.intarsia.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;

/** Wrong command lines: exit code 2, nothing on standard output, one line that names what is wrong. */
class UsageTest {

    @ParameterizedTest(name = "intarsia {0}")
    @CsvSource(delimiter = '|', textBlock = """
            ''                                      | no command
            generat x                               | unknown command generat (did you mean generate
            --no-such                               | unknown option --no-such
            generate                                | no prompt: give PROMPT, - for standard input, or --tokens
            generate a b                            | one argument too many: b
            generate --tokens 1 a                   | two prompts
            generate --tokens 1,x                   | '--tokens': 'x' is not a token id
            generate --tokens 1,,2                  | '--tokens': '' is not a token id
            generate --tokens=-1                    | '--tokens': '-1' is not a token id
            generate --tokens 2147483648            | '--tokens': '2147483648' is not a token id
            generate --top 1 a                      | unknown option --top (did you mean --top-
            generate --seed 1 --seed 2 a            | '--seed'
            generate --seed one a                   | '--seed'
            generate --n 0 a                        | --n is 0, not in 1..16384
            generate --n 2 --temperature 0 a        | --n is 2; it must be 1 with temperature 0
            generate --logprobs 21 a                | --logprobs is 21, not in 0..20
            generate --prompt-logprobs -1 a         | --prompt-logprobs is -1, not in 0..20
            generate --max-tokens 99999999999 a     | '--max-tokens'
            generate --max-tokens 0 a               | --max-tokens is 0; it must be >= 1
            generate --temperature -0.5 a           | --temperature is -0.5
            generate --temperature NaN a            | --temperature is NaN
            generate --temperature warm a           | '--temperature'
            generate --top-p 0 a                    | --top-p is 0.0
            generate --top-p 1.5 a                  | --top-p is 1.5
            generate --top-k -1 a                   | --top-k is -1
            generate --min-p 1.5 a                  | --min-p is 1.5; it must be in [0, 1]
            generate --presence-penalty 3 a         | --presence-penalty is 3.0; it must be in [-2, 2]
            generate --repetition-penalty 0 a       | --repetition-penalty is 0.0; it must be finite and > 0
            generate --logit-bias 5 a               | '--logit-bias' (ID=X)
            generate --logit-bias 5=101 a           | --logit-bias[5] is 101.0; it must be in [-100, 100]
            generate --allowed-token-ids x a        | '--allowed-token-ids': 'x' is not a token id
            generate --min-tokens 9 --max-tokens 8 a | --min-tokens is 9; it must be in 0..--max-tokens, 8
            generate --stop '' a                    | --stop is []; it must be strings of one character at least
            generate --repetition-detection 4 a     | --repetition-detection takes three numbers
            generate --repetition-detection 4,5,2 a | minPatternSize is 5; it must be in 0..maxPatternSize, 4
            generate --max-model-len -1 a           | --max-model-len is -1
            generate --max-num-batched-tokens 0 a   | --max-num-batched-tokens is 0
            generate --threads 257 a                | --threads is 257
            generate --compile-ranges 8,0 a         | '--compile-ranges': '0' is not a size
            generate --compile-ranges '' a          | '--compile-ranges': '' is not a size
            generate --compile-sizes 1;2 a          | '--compile-sizes': '1;2' is not a size
            generate --dynamic-shapes front a       | '--dynamic-shapes': expected one of [BACKED, UNBACKED, BACKED_
            generate --compilation all a            | '--compilation': expected one of
            generate --precision f64 a              | '--precision': expected one of
            generate --model                        | '--model'
            generate --graph-mode some a            | '--graph-mode': expected one of
            generate --capture-sizes 1,0 a          | '--capture-sizes': '0' is not a size
            generate --max-num-seqs 0 a             | --max-num-seqs is 0
            generate --random-weights 1 --tokens 1  | --random-weights needs --config
            generate --config c.json --tokens 1     | --config needs --random-weights
            generate --config c.json --random-weights 1 --model . --tokens 1 | two models
            generate --config c.json --random-weights 1 a | random weights have no tokenizer
            generate --random-weights one a         | '--random-weights'
            inspect x                               | one argument too many: x
            inspect --svg                           | '--svg'
            inspect --temperature 0                 | unknown option --temperature
            logits                                  | '--tokens=ID,ID,...'
            logits --tokens 1 2                     | one argument too many: 2
            logits --tokens 1 --temperature 0       | unknown option --temperature
            info --model x                          | unknown option --model
            """)
    void isNamed(String line, String expected) {
        String[] arguments = line.isEmpty() ? new String[0] : line.replace("''", "\0").split(" ");
        for (int i = 0; i < arguments.length; i++) {
            arguments[i] = arguments[i].replace("\0", "");
        }
        Shell.Result result = new Shell().run(arguments);

        assertThat(result.err())
                .startsWith("intarsia: ")
                .contains(expected)
                .endsWith("--help\n")
                .containsOnlyOnce("\n");
        assertThat(result.exit()).isEqualTo(2);
        assertThat(result.out()).isEmpty();
    }

    /** An engine would have been asked for a model that is not there, which is another failure. */
    @Test
    void boundsAreCheckedBeforeTheModelIsLookedFor() {
        Shell.Result result = new Shell().run("generate", "--model", "/nowhere", "--top-p", "2", "x");
        assertThat(result.exit()).isEqualTo(2);
        assertThat(result.err()).contains("--top-p");
    }

    @ParameterizedTest
    @CsvSource({"environment", "property"})
    void missingModelSaysWhereItsNameCameFrom(String source, @TempDir Path directory) {
        Path absent = directory.resolve("absent");
        Shell shell = source.equals("environment")
                ? new Shell().environment("INTARSIA_MODEL", absent.toString())
                : new Shell().property("intarsia.model", absent.toString());
        Shell.Result result = shell.run("logits", "--tokens", "1", "--json");
        assertThat(result.exit()).isEqualTo(1);
        assertThat(result.out()).isEmpty();
        assertThat(result.err())
                .startsWith("intarsia: no such model directory: " + absent + " (")
                .contains(source.equals("environment") ? "(INTARSIA_MODEL)" : "(system property intarsia.model)")
                .contains("--model")
                .containsOnlyOnce("\n");
    }

    @Test
    void modelIsTakenFromTheFirstPlaceThatNamesOne(@TempDir Path directory) throws Exception {
        Shell shell = new Shell();
        Path shipped = Files.createDirectories(directory.resolve("models/holmes"));
        shell.property("intarsia.home", directory.toString());
        assertThat(model(shell)).isEqualTo(shipped);

        Path property = Files.createDirectory(directory.resolve("property"));
        shell.property("intarsia.model", property.toString());
        assertThat(model(shell)).isEqualTo(property);

        Path environment = Files.createDirectory(directory.resolve("environment"));
        shell.environment("INTARSIA_MODEL", environment.toString());
        assertThat(model(shell)).isEqualTo(environment);

        Path option = Files.createDirectory(directory.resolve("option"));
        assertThat(model(shell, "--model", option.toString())).isEqualTo(option);

        shell.environment("INTARSIA_MODEL", " ");
        assertThat(model(shell)).isEqualTo(property);
    }

    private static Path model(Shell shell, String... arguments) {
        ModelOptions options = new ModelOptions();
        CommandSpec command = CommandSpec.create().addMixin("model", CommandSpec.forAnnotatedObject(options));
        new CommandLine(command).parseArgs(arguments);
        return ((ModelOptions.Checkpoint) options.source(shell.host())).directory();
    }

    @Test
    void aFileIsNoModel(@TempDir Path directory) throws Exception {
        Path file = Files.createFile(directory.resolve("model.gguf"));
        Shell.Result result = new Shell().run("generate", "--model", file.toString(), "x");
        assertThat(result.exit()).isEqualTo(1);
        assertThat(result.err()).startsWith("intarsia: not a directory: " + file).containsOnlyOnce("\n");
    }

    @Test
    void anEmptyDirectoryIsNoModel(@TempDir Path directory) {
        Shell.Result result = new Shell().run("logits", "--model", directory.toString(), "--tokens", "1");
        assertThat(result.exit()).isEqualTo(1);
        assertThat(result.err()).startsWith("intarsia: ").contains("config.json").containsOnlyOnce("\n");
    }
}
