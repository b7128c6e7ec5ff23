package dev.intarsia.bench.peers;

import dev.intarsia.bench.peers.Engines.Engine;
import dev.intarsia.bench.peers.Engines.Figure;
import dev.intarsia.checkpoint.Checkpoint;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Intarsia and other engines on the same weights, in turns, each in a process of its own: a table of medians in tokens per
 * second. The bf16 checkpoint comes from {@code bench checkpoint}; the files that others need are made beside it once.
 */
public final class Peers {
    private Peers() {}

    private static final String USAGE = "usage: Peers CHECKPOINT WORK THREADS ROUNDS [LLAMA_BENCH|-] [NAME...]";

    /**
     * @param args the checkpoint directory; a directory for what is made of it; threads; rounds; a {@code llama-bench} binary
     *             or -; and the beginnings of the names of those that take part, all if there are none
     */
    public static void main(String[] args) throws IOException, InterruptedException {
        if (args.length < 4) {
            System.err.println(USAGE);
            System.exit(2);
        }
        Path checkpoint = Path.of(args[0]);
        Path work = Files.createDirectories(Path.of(args[1]));
        int rounds = Integer.parseInt(args[3]);
        Engines engines = new Engines(Integer.parseInt(args[2]));
        List<String> wanted = List.of(args).subList(Math.min(args.length, 5), args.length);

        List<Engine> all = new ArrayList<>();
        all.add(engines.intarsia("Intarsia, bf16", checkpoint, List.of()));
        all.add(engines.intarsia("Intarsia, int8", checkpoint, List.of("--quantize", "int8")));
        all.add(engines.intarsia("Intarsia, int4", checkpoint, List.of("--quantize", "int4")));
        Path jlama = jlamaDirectory(checkpoint, work);
        Path here = Path.of("peers"); // Maven starts this in bench/
        Path sources = Files.isDirectory(here) ? here : Path.of("bench", "peers");
        all.add(engines.peer("Jlama, bf16", sources.resolve("JlamaPeer.java"), jlama, "BF16"));
        all.add(engines.peer("Jlama, Q4", sources.resolve("JlamaPeer.java"), jlama, "Q4"));
        for (GgufType type : List.of(GgufType.BF16, GgufType.Q8_0, GgufType.Q4_0)) {
            Path file = gguf(checkpoint, type, work);
            all.add(engines.peer("de.kherud:llama, " + type, sources.resolve("KherudPeer.java"), file));
            if (args.length > 4 && !args[4].equals("-")) {
                all.add(engines.llamaBench("llama.cpp, " + type, Path.of(args[4]), file));
            }
        }
        all.removeIf(engine -> !wanted.isEmpty() && wanted.stream().noneMatch(engine.name()::startsWith));
        System.out.println(table(measure(all, rounds)));
    }

    /** Every engine once a round; one that fails says so and is left out from then on. */
    private static Map<String, Map<Figure, List<Double>>> measure(List<Engine> engines, int rounds) throws InterruptedException {
        Map<String, Map<Figure, List<Double>>> found = new LinkedHashMap<>();
        List<Engine> left = new ArrayList<>(engines);
        for (int round = 0; round < rounds; round++) {
            for (Engine engine : List.copyOf(left)) {
                System.err.println("round " + (round + 1) + " of " + rounds + ": " + engine.name());
                try {
                    Map<Figure, Double> figures = engine.run().measure();
                    System.err.println("    tokens/s: " + figures);
                    figures.forEach((figure, value) -> found
                            .computeIfAbsent(engine.name(), _ -> new LinkedHashMap<>())
                            .computeIfAbsent(figure, _ -> new ArrayList<>())
                            .add(value));
                } catch (IOException | RuntimeException e) {
                    System.err.println(engine.name() + " is left out: " + e.getMessage());
                    left.remove(engine);
                }
            }
        }
        return found;
    }

    private static String table(Map<String, Map<Figure, List<Double>>> found) {
        StringBuilder text = new StringBuilder(String.format(
                "| | prefill %d | decode %d | %d streams | runs |%n|---|---|---|---|---|%n", Engines.PROMPT, Engines.DECODE, Engines.STREAMS));
        found.forEach((name, figures) -> {
            text.append("| ").append(name);
            for (Figure figure : Figure.values()) {
                List<Double> values = figures.getOrDefault(figure, List.of()).stream().sorted().toList();
                text.append(" | ").append(values.isEmpty() ? "–" : String.format(Locale.ROOT, "%.1f", values.get(values.size() / 2)));
            }
            text.append(" | ").append(figures.values().iterator().next().size()).append(" |\n");
        });
        return text.toString().stripTrailing();
    }

    private static Path gguf(Path checkpoint, GgufType type, Path work) throws IOException {
        Path file = work.resolve(type + ".gguf");
        if (!Files.exists(file)) {
            System.err.println("writing " + file);
            Path part = work.resolve(type + ".part");
            try (Checkpoint open = Checkpoint.open(checkpoint)) {
                GgufModel.write(open, type, part);
            }
            Files.move(part, file);
        }
        return file;
    }

    /** The checkpoint with a tokenizer, which Jlama asks for, and two files more, which it copies when it quantizes. */
    private static Path jlamaDirectory(Path checkpoint, Path work) throws IOException {
        Path directory = work.resolve("jlama");
        if (!Files.exists(directory)) {
            Files.createDirectories(directory);
            int vocabulary;
            try (Checkpoint open = Checkpoint.open(checkpoint)) {
                vocabulary = open.config().vocabSize();
            }
            try (var files = Files.list(checkpoint)) {
                for (Path file : files.toList()) {
                    Files.createSymbolicLink(directory.resolve(file.getFileName()), file.toAbsolutePath());
                }
            }
            Files.writeString(directory.resolve("tokenizer_config.json"), "{}");
            Files.writeString(directory.resolve("README.md"), "");
            ByteVocabulary.write(vocabulary, directory.resolve("tokenizer.json"));
        }
        return directory;
    }
}
