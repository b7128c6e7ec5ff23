package dev.intarsia.fuzz;

import dev.intarsia.Quantize;
import dev.intarsia.TestModels;
import dev.intarsia.model.QuantizedCheckpoint;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The valid directories that inputs are made of. */
final class Seeds {

    private static final List<String> CHECKPOINTS = List.of("llama-linear-f32", "llama2-f16", "llama3-ropescaled",
            "mistral-window", "qwen2-tied", "qwen3-tied", "qwen3-untied");
    /** Of these, quantized ones too: with biases, and with another matrix for the logits. */
    private static final List<String> QUANTIZED = List.of("qwen2-tied", "qwen3-untied");

    /** A valid directory: its files as they lie beside the inputs, and what is in them. */
    record Seed(String name, Map<String, Path> files, Map<String, byte[]> bytes) {
    }

    private final Path directory;
    private final List<Seed> checkpoints = new ArrayList<>();
    private final List<Seed> tokenizers = new ArrayList<>();

    /** Puts copies under {@code directory}, to which inputs can be linked. */
    Seeds(Path directory) throws IOException {
        this.directory = directory;
        for (String name : CHECKPOINTS) {
            Map<String, byte[]> files = files(TestModels.checkpoint(name));
            byte[] other = files.remove("config.v5.json");
            checkpoints.add(seed(name, files));
            if (other != null) {
                files.put("config.json", other);
                checkpoints.add(seed(name + "-v5", files));
            }
        }
        for (Quantize format : List.of(Quantize.INT8, Quantize.INT4)) {
            for (String name : QUANTIZED) {
                Path written = directory.resolve("written-" + name + "-" + format);
                QuantizedCheckpoint.write(TestModels.checkpoint(name), written, format, weight -> {});
                Map<String, byte[]> files = files(written);
                files.remove("config.v5.json");
                checkpoints.add(seed(name + "-" + format, files));
            }
        }
        Path holmes = TestModels.holmes();
        byte[] config = Files.readAllBytes(holmes.resolve("tokenizer_config.json"));
        String small = TokenizerFiles.small(holmes.resolve("tokenizer.json"));
        tokenizers.add(tokenizer("small", small.getBytes(StandardCharsets.UTF_8), config));
        tokenizers.add(tokenizer("bytes", TokenizerFiles.bytes().getBytes(StandardCharsets.UTF_8),
                "{\"add_bos_token\": true, \"bos_token\": {\"content\": \"<s>\"}}".getBytes(StandardCharsets.UTF_8)));
        tokenizers.add(tokenizer("holmes", Files.readAllBytes(holmes.resolve("tokenizer.json")), config));
    }

    private static Map<String, byte[]> files(Path directory) throws IOException {
        Map<String, byte[]> files = new TreeMap<>();
        try (DirectoryStream<Path> all = Files.newDirectoryStream(directory)) {
            for (Path file : all) {
                files.put(file.getFileName().toString(), Files.readAllBytes(file));
            }
        }
        files.remove("golden.json");
        return files;
    }

    private Seed tokenizer(String name, byte[] tokenizer, byte[] config) throws IOException {
        return seed(name, Map.of("tokenizer.json", tokenizer, "tokenizer_config.json", config));
    }

    private Seed seed(String name, Map<String, byte[]> bytes) throws IOException {
        Path at = Files.createDirectories(directory.resolve(name));
        Map<String, Path> files = new TreeMap<>();
        for (Map.Entry<String, byte[]> file : bytes.entrySet()) {
            files.put(file.getKey(), Files.write(at.resolve(file.getKey()), file.getValue()));
        }
        return new Seed(name, files, new TreeMap<>(bytes));
    }

    List<Seed> checkpoints() {
        return checkpoints;
    }

    /** Two small ones, then the one that ships. */
    List<Seed> tokenizers() {
        return tokenizers;
    }
}
