package dev.intarsia.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.TestModels;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What only a process of its own can show: signals, pipes, exit codes, the locale. */
@EnabledOnOs(OS.LINUX)
@Timeout(300)
class ProcessTest {
    private static final String HOLMES = TestModels.holmes().toString();
    /** Slow on purpose: about a thousand tokens, of which a test waits for the first. */
    private static final List<String> SLOW = List.of("generate", "--model", HOLMES, "--precision", "f32",
            "--cpu-tier", "scalar", "--threads", "1", "--compilation", "none", "--ignore-eos", "--max-tokens", "1000",
            "--temperature", "0", "Once upon a time");

    @TempDir
    private Path directory;

    private Path err() {
        return directory.resolve("err");
    }

    private String errText() throws IOException {
        return Files.readString(err());
    }

    /** Starts the command line; {@code shell} are words before it. Standard error goes to a file. */
    private Process start(List<String> shell, List<String> arguments) throws IOException {
        List<String> command = new ArrayList<>(shell);
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(List.of("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "--enable-native-access=ALL-UNNAMED"));
        String library = System.getProperty("intarsia.library");
        if (library != null) {
            command.add("-Dintarsia.library=" + library);
        }
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), Main.class.getName()));
        command.addAll(arguments);
        ProcessBuilder builder = new ProcessBuilder(command).redirectError(err().toFile());
        builder.environment().remove("JAVA_TOOL_OPTIONS"); // the JVM would say that it picked it up
        builder.environment().remove("JDK_JAVA_OPTIONS");
        builder.environment().remove("INTARSIA_DEBUG");
        return builder.start();
    }

    private static int exit(Process process) throws InterruptedException {
        if (!process.waitFor(60, TimeUnit.SECONDS)) {
            process.destroyForcibly();
            throw new AssertionError("the process does not end");
        }
        return process.exitValue();
    }

    /** A shell that runs its children in the background has them ignore SIGINT; {@code env} undoes that. */
    private Process startInterruptible(List<String> arguments) throws IOException {
        return start(List.of("env", "--default-signal=INT"), arguments);
    }

    /** Sends SIGINT as soon as its standard input ends; ready before it is needed, so that it takes no time then. */
    private static Process interrupterOf(Process process) throws IOException {
        return new ProcessBuilder("sh", "-c", "read -r go; kill -INT " + process.pid()).start();
    }

    private static void fire(Process interrupter) throws IOException, InterruptedException {
        interrupter.getOutputStream().close();
        assertThat(interrupter.waitFor()).isZero();
    }

    @Test
    void ctrlCEndsWithTheTextSoFar() throws Exception {
        Process process = startInterruptible(SLOW);
        Process interrupter = interrupterOf(process);
        String text;
        try (InputStream out = process.getInputStream()) {
            byte[] first = out.readNBytes(1);
            fire(interrupter);
            text = new String(first, StandardCharsets.UTF_8) + new String(out.readAllBytes(), StandardCharsets.UTF_8);
        }
        assertThat(exit(process)).isEqualTo(130);
        assertThat(errText()).isEmpty();
        String whole = JsonMapper.shared().readTree(Path.of(HOLMES, "golden.json"))
                .get("cases").get(0).get("greedy_text").asString();
        int shared = Math.min(whole.length(), text.length() - 1);
        assertThat(text).endsWith("\n").startsWith(whole.substring(0, shared));
        assertThat(text.length()).as("the whole text has about 3,600 characters").isBetween(2, 3_000);
    }

    /** The tokenizer's library is there early in the loading. Where loading has ended meanwhile, there may be text. */
    @Test
    void ctrlCWhileTheModelLoadsEndsTheProcess() throws Exception {
        Process process = startInterruptible(SLOW);
        Process interrupter = interrupterOf(process);
        while (!Files.readString(Path.of("/proc", "" + process.pid(), "maps")).contains("tokenizers")) {
            assertThat(process.isAlive()).isTrue();
            Thread.sleep(2);
        }
        fire(interrupter);
        String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(exit(process)).isEqualTo(130);
        assertThat(errText()).isEmpty();
        assertThat(text).matches("(?s)|.*\n");
    }

    @Test
    void ctrlCWhileThePromptIsReadEndsTheProcess() throws Exception {
        Process process = startInterruptible(List.of("generate", "--model", HOLMES, "-"));
        Process interrupter = interrupterOf(process);
        while (!hasOpen(process, "picocli")) {
            assertThat(process.isAlive()).isTrue();
            Thread.sleep(2);
        }
        fire(interrupter);
        assertThat(exit(process)).isEqualTo(130);
        assertThat(process.getInputStream().readAllBytes()).isEmpty();
        assertThat(errText()).isEmpty();
    }

    private static boolean hasOpen(Process process, String name) throws IOException {
        try (Stream<Path> files = Files.list(Path.of("/proc", "" + process.pid(), "fd"))) {
            return files.anyMatch(file -> {
                try {
                    return Files.readSymbolicLink(file).toString().contains(name);
                } catch (IOException e) {
                    return false; // closed meanwhile
                }
            });
        }
    }

    @Test
    void aReaderThatLeavesEndsTheProcessQuietly() throws Exception {
        Process process = start(List.of(), SLOW);
        try (InputStream out = process.getInputStream()) {
            assertThat(out.readNBytes(5)).hasSize(5);
        }
        assertThat(exit(process)).isZero();
        assertThat(errText()).isEmpty();
    }

    @Test
    void failuresAreExitCodes() throws Exception {
        Process process = start(List.of(), List.of("generate", "--top-p", "2", "x"));
        assertThat(exit(process)).isEqualTo(2);
        assertThat(process.getInputStream().readAllBytes()).isEmpty();
        assertThat(errText())
                .isEqualTo("intarsia: --top-p is 2.0; it must be in (0, 1]; see intarsia generate --help\n");
    }

    /** The prompt is spelled in ASCII here and put together by a shell: this JVM may have a POSIX locale itself. */
    @Test
    void textIsUtf8InAnyLocale() throws Exception {
        String script = "LC_ALL=C exec \"$@\" \"$(printf 'Caf\\303\\251 \\346\\227\\245')\"";
        List<String> shell = List.of("sh", "-c", script, "sh");
        List<String> options = List.of(
                "generate", "--model", HOLMES, "--temperature", "0", "--max-tokens", "1", "--json");
        Process process = start(shell, options);
        JsonNode json = JsonMapper.shared().readTree(process.getInputStream().readAllBytes());
        assertThat(exit(process)).isZero();
        assertThat(errText()).isEmpty();

        List<String> here = new ArrayList<>(options);
        here.add("Caf\u00e9 \u65e5");
        JsonNode expected = new Shell().run(here.toArray(String[]::new)).json();
        assertThat(json.get("prompt_tokens")).isEqualTo(expected.get("prompt_tokens"));
        assertThat(json.get("text")).isEqualTo(expected.get("text"));
    }

    /** Nothing before it has loaded the native library here. */
    @Test
    void quantizeIsTheFirstToNeedTheLibrary() throws Exception {
        Path out = directory.resolve("int8");
        Process process = start(List.of(), List.of("quantize", HOLMES, out.toString(), "--format", "int8"));
        assertThat(exit(process)).as(errText()).isZero();
        JsonNode here = new Shell().run("inspect", "--model", out.toString(), "--json").json();
        assertThat(here.at("/engine/weight_format").asString()).isEqualTo("int8");
    }
}
