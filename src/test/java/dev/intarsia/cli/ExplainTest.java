package dev.intarsia.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.Engine;
import dev.intarsia.EngineOptions;
import dev.intarsia.TestModels;
import dev.intarsia.checkpoint.Checkpoint;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import tools.jackson.databind.JsonNode;

/** {@code generate --explain} and {@code --random-weights}, in whole commands. */
@Timeout(120)
class ExplainTest {
    private static final String TIED = TestModels.checkpoint("qwen3-tied").toString();
    private static final String DEEP = TestModels.resource("/configs/qwen3-28-layers.json").toString();

    private static Shell.Result generate(String... arguments) {
        List<String> all = new ArrayList<>(List.of("generate"));
        all.addAll(List.of(arguments));
        Shell.Result result = new Shell().run(all.toArray(String[]::new));
        assertThat(result.exit()).as(result.err()).isZero();
        return result;
    }

    private static List<String> steps(JsonNode json) {
        List<String> steps = new ArrayList<>();
        for (JsonNode step : json.get("explain").get("steps")) {
            steps.add(step.get("count").asLong() + " " + step.get("mode").asString() + " "
                    + step.get("padded").asInt() + " " + step.get("reason").asString());
        }
        return steps;
    }

    @Test
    void theStepsThatRanAreCounted() {
        JsonNode json = generate("--model", TIED, "--tokens", "1,2,3,4,5", "--max-tokens", "9", "--ignore-eos",
                "--max-num-batched-tokens", "4", "--capture-sizes", "1,4", "--json", "--explain").json();
        assertThat(steps(json)).containsExactlyInAnyOrder("1 PIECEWISE 4 exact_size", "9 FULL 1 exact_size");
        JsonNode explain = json.get("explain");
        try (Engine engine = Engine.open(
                TestModels.checkpoint("qwen3-tied"), EngineOptions.builder().maxNumSeqs(1).build())) {
            assertThat(explain.get("device").asString()).isEqualTo(engine.info().device());
            assertThat(explain.get("cpu_tier").asString()).isEqualTo(engine.info().cpuTier());
            assertThat(explain.get("threads").asInt()).isEqualTo(engine.info().threads());
        }
        assertThat(explain.get("precision").asString()).isEqualTo("bf16");
        assertThat(explain.get("graph_mode").asString()).isEqualTo("FULL_AND_PIECEWISE");
        assertThat(explain.get("counters").get("compilations").asLong()).isPositive();
        int plainPieces;
        try (Checkpoint checkpoint = Checkpoint.open(TestModels.checkpoint("qwen3-tied"))) {
            plainPieces = checkpoint.config().numLayers() + 1; // around the attention of each layer
        }
        assertThat(explain.get("counters").get("replays").asLong())
                .as("each plain piece of the one step, and nine whole steps")
                .isEqualTo(plainPieces + 9);
    }

    @Test
    void paddingAndTheOffSwitchAreReasons() {
        assertThat(steps(generate("--model", TIED, "--tokens", "1,2,3", "--max-tokens", "2", "--ignore-eos",
                                "--capture-sizes", "8", "--max-num-seqs", "8", "--json", "--explain")
                        .json()))
                .containsExactlyInAnyOrder("1 PIECEWISE 8 padded", "1 FULL 8 padded");
        assertThat(steps(generate("--model", TIED, "--tokens", "1,2,3", "--max-tokens", "2", "--ignore-eos",
                                "--graph-mode", "none", "--json", "--explain")
                        .json()))
                .containsExactlyInAnyOrder("1 NONE 3 graphs_off", "1 NONE 1 graphs_off");
    }

    @Test
    void theExplanationGoesToStandardErrorAfterTheTokens() {
        Shell.Result result = generate("--model", TIED, "--tokens", "1,2,3", "--max-tokens", "4", "--temperature", "0",
                "--ignore-eos", "--explain", "--cpu-tier", "scalar", "--threads", "1", "--precision", "f32",
                "--compile-ranges", "9999");
        assertThat(result.out().strip().split(",")).hasSize(4);
        assertThat(result.err().lines())
                .anyMatch(line -> line.matches(" +3 +FULL +1 +its size is captured"))
                .anyMatch(line -> line.matches(" +1 +NONE +3 +larger than every captured size"))
                .anyMatch(line -> line.contains("4 compilations") && line.contains("3 replays"))
                .anyMatch(line -> line.endsWith(", tier scalar, 1 thread, f32"))
                .anyMatch(line -> line.startsWith("ranges: endpoint 9999 dropped"));
        assertThat(generate("--model", TIED, "--tokens", "1", "--max-tokens", "1", "--json").json().has("explain"))
                .isFalse();
    }

    @Test
    void randomWeightsGenerateTheSameTokensForTheSameSeed() {
        String[] options = {"generate", "--config", DEEP, "--tokens", "3,4,5", "--max-tokens", "8", "--temperature", "0",
            "--ignore-eos", "--random-weights"};
        List<String> outputs = new ArrayList<>();
        for (String seed : List.of("11", "11", "-12")) {
            List<String> line = new ArrayList<>(List.of(options));
            line.add(seed);
            Shell.Result result = new Shell().environment("INTARSIA_MODEL", "/nowhere").run(line.toArray(String[]::new));
            assertThat(result.err()).isEmpty();
            outputs.add(result.out());
        }
        assertThat(outputs.get(0).strip().split(",")).hasSize(8);
        assertThat(outputs.get(1)).isEqualTo(outputs.get(0));
        assertThat(outputs.get(2)).isNotEqualTo(outputs.get(0));
    }

    @Test
    void logitsOfRandomWeights() {
        Shell.Result result = new Shell().run("logits", "--config", DEEP, "--random-weights", "11", "--tokens", "3,4");
        assertThat(result.exit()).isZero();
        float[] expected;
        try (Engine engine = Engine.openRandom(
                TestModels.resource("/configs/qwen3-28-layers.json"), 11, EngineOptions.builder().maxNumSeqs(1).build())) {
            expected = engine.logits(List.of(3, 4));
        }
        List<Float> printed = result.out().lines().map(Float::valueOf).toList();
        assertThat(printed).hasSize(512);
        for (int i = 0; i < expected.length; i++) {
            assertThat(printed.get(i)).isEqualTo(expected[i]);
        }
    }

    @Test
    void aShapeThatIsNotThereIsAFailureAndNoWrongUsage() {
        Shell.Result result = new Shell().run("inspect", "--config", "/nowhere/config.json", "--random-weights", "1");
        assertThat(result.exit()).isEqualTo(1);
        assertThat(result.out()).isEmpty();
        assertThat(result.err()).startsWith("intarsia: /nowhere/config.json: no such file").containsOnlyOnce("\n");
    }
}
