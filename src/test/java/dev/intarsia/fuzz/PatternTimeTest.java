package dev.intarsia.fuzz;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.CheckpointException;
import dev.intarsia.text.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.node.ObjectNode;

/** However a tokenizer file's patterns read, the time of encoding grows no faster than the text. */
class PatternTimeTest {

    private static final int LENGTH = 100_000;
    /** Machines stop for a while. Going over runs again and again takes half a minute or more. */
    private static final long SLACK_NANOS = TimeUnit.SECONDS.toNanos(1);
    private static final int GOES = 3;

    @TempDir
    private Path directory;

    @ParameterizedTest
    @ValueSource(strings = {
        "\\s+$", "\\s+(?!\\S)|\\s+",
        "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
                + "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|"
                + "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}|"
                + " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
                + " ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
    })
    void patternsOfKnownTokenizers(String pattern) throws IOException {
        try (Tokenizer tokenizer = open(pattern)) {
            for (String character : List.of("a", "A", " ", "\n", "\n ", "!", "1", "日")) {
                assertLinear(tokenizer, pattern, character);
            }
        }
    }

    @Test
    void acceptedShapes() throws IOException {
        int accepted = 0;
        int refused = 0;
        for (RunPatterns.Run run : RunPatterns.RUNS.subList(0, 3)) {   // the fuzzer draws all
            for (String pattern : RunPatterns.of(run)) {
                try (Tokenizer tokenizer = open(pattern)) {
                    assertLinear(tokenizer, pattern, run.character());
                    accepted++;
                } catch (CheckpointException e) {
                    assertThat(e).hasMessageContaining("safe to run, but it ");
                    refused++;
                }
            }
        }
        assertThat(accepted).as("accepted, and %d refused", refused).isGreaterThan(100);
        assertThat(refused).as("refused, and %d accepted", accepted).isGreaterThan(100);
    }

    private Tokenizer open(String pattern) throws IOException {
        ObjectNode root = (ObjectNode) WeightsFile.JSON.readTree(TokenizerFiles.bytes());
        root.remove("normalizer");
        ((ObjectNode) root.get("pre_tokenizer").get("pattern")).put("Regex", pattern);
        ObjectNode model = (ObjectNode) root.get("model");
        model.put("byte_fallback", false);   // letters that have no token are one unknown one: little else to do
        Files.writeString(directory.resolve("tokenizer.json"), root.toString());
        return Tokenizer.open(directory);
    }

    private static void assertLinear(Tokenizer tokenizer, String pattern, String character) {
        long once = 0;
        long twice = 0;
        for (int go = 0; go < GOES; go++) {
            once = nanos(tokenizer, character, LENGTH);
            twice = nanos(tokenizer, character, 2 * LENGTH);
            if (twice < 3 * once + SLACK_NANOS) {
                return;
            }
        }
        throw new AssertionError("%s on runs of %s takes %d ms and, twice as long, %d ms".formatted(
                pattern, WeightsFile.JSON.writeValueAsString(character), once / 1_000_000, twice / 1_000_000));
    }

    /** Of two runs, one that another character ends and one that ends with the text. */
    private static long nanos(Tokenizer tokenizer, String character, int length) {
        String run = character.repeat(length / 2 / character.length());
        String text = run + (character.equals("日") ? " " : "日") + run;
        long begin = System.nanoTime();
        tokenizer.encode(text);
        return System.nanoTime() - begin;
    }
}
