package dev.intarsia.bench.peers;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/** The engines that are compared, each as commands of its own process that print what they measured. */
final class Engines {
    /** What is measured, in tokens per second. */
    enum Figure { PREFILL, DECODE, STREAMS }

    /** @param run one measurement of everything the engine can do */
    record Engine(String name, Run run) {}

    @FunctionalInterface
    interface Run {
        Map<Figure, Double> measure() throws IOException, InterruptedException;
    }

    static final int PROMPT = 512;
    static final int DECODE = 128;
    static final int STREAMS = 8;
    private static final long MINUTES = 10; // for one process
    private static final ObjectMapper JSON = new ObjectMapper();

    private final int threads;

    Engines(int threads) {
        this.threads = threads;
    }

    /** The command line's {@code bench run} on a checkpoint directory, with further options. */
    Engine intarsia(String name, Path model, List<String> options) {
        return new Engine(name, () -> {
            Map<Figure, Double> found = new TreeMap<>();
            JsonNode one = intarsia(model, options, PROMPT, 1);
            found.put(Figure.PREFILL, one.get("prefill_tokens_per_second").asDouble());
            found.put(Figure.DECODE, one.get("decode_tokens_per_second").asDouble());
            JsonNode many = intarsia(model, options, 0, STREAMS);
            found.put(Figure.STREAMS, many.get("decode_tokens_per_second").asDouble());
            return found;
        });
    }

    private JsonNode intarsia(Path model, List<String> options, int prompt, int batch) throws IOException, InterruptedException {
        List<String> command = java("--enable-native-access=ALL-UNNAMED");
        command.addAll(List.of("dev.intarsia.cli.Main", "bench", "run", "--model", model.toString(), "--json",
                "--prompt-tokens", Integer.toString(prompt), "--decode-tokens", Integer.toString(DECODE),
                "--batch", Integer.toString(batch), "--threads", Integer.toString(threads), "--repeat", "1"));
        command.addAll(options);
        return JSON.readTree(output(command));
    }

    /**
     * A Java engine behind its API: a source file that is run as it stands, with the model, the thread count, the numbers of
     * prompt and decoded tokens, and options as arguments. Its last line is a JSON object of figures.
     */
    Engine peer(String name, Path source, Path model, String... options) {
        return new Engine(name, () -> {
            List<String> command = java("--enable-native-access=ALL-UNNAMED", "--add-modules=jdk.incubator.vector",
                    "-Djdk.incubator.vector.VECTOR_ACCESS_OOB_CHECK=0");
            command.addAll(List.of(source.toString(), model.toString(), Integer.toString(threads),
                    Integer.toString(PROMPT), Integer.toString(DECODE)));
            command.addAll(List.of(options));
            String[] lines = output(command).strip().split("\n");
            JsonNode last = JSON.readTree(lines[lines.length - 1]);
            return new TreeMap<>(Map.of(Figure.PREFILL, last.get("prefill").asDouble(), Figure.DECODE, last.get("decode").asDouble()));
        });
    }

    /** A {@code llama-bench} on a GGUF file, and for streams the {@code llama-batched-bench} beside it, if there is one. */
    Engine llamaBench(String name, Path binary, Path model) {
        Path batched = binary.toAbsolutePath().resolveSibling("llama-batched-bench");
        return new Engine(name, () -> {
            JsonNode tests = JSON.readTree(output(List.of(binary.toString(), "-m", model.toString(),
                    "-p", Integer.toString(PROMPT), "-n", Integer.toString(DECODE), "-t", Integer.toString(threads),
                    "-r", "1", "-o", "json")));
            Map<Figure, Double> found = new TreeMap<>();
            for (JsonNode test : tests) {
                found.put(test.get("n_gen").asInt() > 0 ? Figure.DECODE : Figure.PREFILL, test.get("avg_ts").asDouble());
            }
            if (Files.isExecutable(batched)) {
                found.put(Figure.STREAMS, streams(batched, model));
            }
            return found;
        });
    }

    private double streams(Path batched, Path model) throws IOException, InterruptedException {
        String printed = output(List.of(batched.toString(), "-m", model.toString(), "-t", Integer.toString(threads),
                "-c", Integer.toString(STREAMS * (DECODE + 1)), "-npp", "1", "-ntg", Integer.toString(DECODE),
                "-npl", Integer.toString(STREAMS), "--output-format", "jsonl"));
        String line = printed.lines().filter(each -> each.startsWith("{")).findFirst()
                .orElseThrow(() -> new IOException("llama-batched-bench printed no figures"));
        return JSON.readTree(line).get("speed_tg").asDouble();
    }

    /** This JVM's executable and class path. */
    private static List<String> java(String... options) {
        List<String> command = new ArrayList<>();
        command.add(ProcessHandle.current().info().command().orElse("java"));
        command.addAll(List.of(options));
        command.addAll(List.of("-cp", System.getProperty("java.class.path")));
        return command;
    }

    /** What a process prints; fails, with what its error output says of why, if it does. */
    private static String output(List<String> command) throws IOException, InterruptedException {
        File errors = File.createTempFile("peer", ".err");
        File output = File.createTempFile("peer", ".out");
        try {
            Process process = new ProcessBuilder(command).redirectError(errors).redirectOutput(output).start();
            process.getOutputStream().close();
            boolean ended = process.waitFor(MINUTES, TimeUnit.MINUTES);
            process.destroyForcibly().waitFor();
            if (!ended || process.exitValue() != 0) {
                throw new IOException((ended ? "exit status " + process.exitValue() : "stopped after " + MINUTES + " minutes")
                        + ": " + end(errors));
            }
            return Files.readString(output.toPath());
        } finally {
            Files.delete(errors.toPath());
            Files.delete(output.toPath());
        }
    }

    /** What a JVM says was the cause, or else the end. */
    private static String end(File file) throws IOException {
        String text = Files.readString(file.toPath()).strip();
        return text.lines()
                .filter(line -> line.startsWith("Caused by: ") || line.startsWith("Exception in thread"))
                .reduce((_, last) -> last)
                .orElse(text.substring(Math.max(0, text.length() - 600)));
    }
}
