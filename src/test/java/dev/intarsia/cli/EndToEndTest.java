package dev.intarsia.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.Completion;
import dev.intarsia.Engine;
import dev.intarsia.EngineOptions;
import dev.intarsia.TestModels;
import dev.intarsia.TokenLogprobs;
import dev.intarsia.runtime.Precision;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Whole commands on the model that ships and on one without a tokenizer, against what transformers computed. */
@Timeout(300)
class EndToEndTest {
    private static final String HOLMES = TestModels.holmes().toString();
    private static final String TIED = TestModels.checkpoint("qwen3-tied").toString();

    private static JsonNode golden(String model, int index) {
        return JsonMapper.shared().readTree(Path.of(model, "golden.json")).get("cases").get(index);
    }

    private static String ids(JsonNode array) {
        return integers(array).stream().map(String::valueOf).collect(Collectors.joining(","));
    }

    private static List<Integer> integers(JsonNode array) {
        List<Integer> values = new ArrayList<>();
        array.forEach(value -> values.add(value.asInt()));
        return values;
    }

    private static Shell.Result generate(Shell shell, String... arguments) {
        List<String> all = new ArrayList<>(List.of("generate"));
        all.addAll(List.of(arguments));
        return shell.run(all.toArray(String[]::new));
    }

    @Test
    void textIsTheContinuationAndALineEnd() {
        JsonNode expected = golden(HOLMES, 0);
        Shell.Result result = generate(new Shell().environment("INTARSIA_MODEL", HOLMES),
                "--precision", "f32", "--temperature", "0", "--max-tokens", "48", "--ignore-eos",
                expected.get("prompt").asString());
        assertThat(result.err()).isEmpty();
        assertThat(result.exit()).isZero();
        assertThat(result.out()).isEqualTo(expected.get("greedy_text").asString() + "\n");
    }

    @Test
    void jsonHasTokensTextReasonAndTimings() {
        JsonNode expected = golden(HOLMES, 1);
        Shell.Result result = generate(new Shell(), "--model", HOLMES, "--json",
                "--precision", "f32", "--temperature", "0", "--max-tokens", "48", "--ignore-eos",
                expected.get("prompt").asString());
        assertThat(result.err()).isEmpty();
        assertThat(result.exit()).isZero();
        JsonNode json = result.json();
        assertThat(integers(json.get("tokens"))).isEqualTo(integers(expected.get("greedy_48")));
        assertThat(integers(json.get("prompt_tokens"))).isEqualTo(integers(expected.get("ids")));
        assertThat(json.get("text").asString()).isEqualTo(expected.get("greedy_text").asString());
        assertThat(json.get("finish_reason").asString()).isEqualTo("length");
        JsonNode timings = json.get("timings");
        assertThat(timings.get("load_ms").asDouble()).isPositive();
        assertThat(timings.get("first_token_ms").asDouble()).isPositive();
        assertThat(timings.get("decode_ms").asDouble()).isPositive();
        assertThat(timings.get("decode_tokens_per_second").asDouble()).isPositive();
    }

    @Test
    void manyOutputsAndLogprobsAreThoseOfTheEngine() {
        String[] options = {"--model", HOLMES, "--seed", "3", "--n", "2", "--temperature", "1", "--max-tokens", "4",
                "--logprobs", "1", "--prompt-logprobs", "0", "Holmes said"};
        Completion expected;
        try (Engine engine = Engine.open(Path.of(HOLMES))) {
            expected = engine.generate("Holmes said", engine.defaultSamplingParams().toBuilder()
                    .seed(3).n(2).temperature(1).maxTokens(4).logprobs(1).promptLogprobs(0).build());
        }
        List<String> arguments = new ArrayList<>(List.of(options));
        arguments.add(0, "--json");
        JsonNode json = generate(new Shell(), arguments.toArray(String[]::new)).json();
        Shell.Result text = generate(new Shell(), options);
        assertThat(text.exit()).isZero();
        assertThat(json.get("outputs").size()).isEqualTo(2);
        assertThat(json.get("text")).isEqualTo(json.get("outputs").get(0).get("text"));
        assertThat(json.get("prompt_logprobs").size()).isEqualTo(json.get("prompt_tokens").size() - 1);
        StringBuilder lines = new StringBuilder();
        for (int i = 0; i < 2; i++) {
            Completion.Output output = expected.outputs().get(i);
            JsonNode shown = json.get("outputs").get(i);
            assertThat(integers(shown.get("tokens"))).isEqualTo(output.tokens());
            assertThat(shown.get("text").asString()).isEqualTo(output.text());
            for (int token = 0; token < output.tokens().size(); token++) {
                JsonNode known = shown.get("logprobs").get(token);
                TokenLogprobs told = output.logprobs().get(token);
                assertThat(known.get("id").asInt()).isEqualTo(told.id());
                assertThat((float) known.get("logprob").asDouble()).isEqualTo(told.logprob());
                assertThat(known.get("rank").asInt()).isEqualTo(told.rank());
                assertThat(known.get("top").get(0).get("id").asInt()).isEqualTo(told.top().getFirst().id());
                assertThat(text.out()).contains(String.format(Locale.ROOT, "[%d] token %d: id %d, logprob %.4f, rank %d; likeliest %d %.4f%n",
                        i, token, told.id(), told.logprob(), told.rank(), told.top().getFirst().id(), told.top().getFirst().logprob()));
            }
            lines.append("[").append(i).append("]\n").append(output.text()).append("\n");
        }
        assertThat(text.out()).startsWith(lines.toString());
        for (int i = 0; i < expected.promptLogprobs().size(); i++) {
            TokenLogprobs told = expected.promptLogprobs().get(i);
            assertThat(text.out()).contains(String.format(
                    Locale.ROOT, "prompt token %d: id %d, logprob %.4f, rank %d%n", i + 1, told.id(), told.logprob(), told.rank()));
        }
    }

    @Test
    void promptFromStandardInputIsTheSamePrompt() {
        String[] options = {"--model", HOLMES, "--seed", "11", "--max-tokens", "12", "--json"};
        List<String> fromArgument = new ArrayList<>(List.of(options));
        fromArgument.add("Ein Café in 日本");
        List<String> fromInput = new ArrayList<>(List.of(options));
        fromInput.add("-");
        JsonNode argument = generate(new Shell(), fromArgument.toArray(String[]::new)).json();
        JsonNode input = generate(new Shell().in("Ein Café in 日本\n"), fromInput.toArray(String[]::new)).json();
        assertThat(input.get("prompt_tokens")).isEqualTo(argument.get("prompt_tokens"));
        assertThat(input.get("tokens")).isEqualTo(argument.get("tokens"));
        assertThat(input.get("text")).isEqualTo(argument.get("text"));
    }

    /** A small model often stops within a character of several tokens; what is streamed is the text all the same. */
    @Test
    void streamedTextIsTheTextOfTheCompletion() {
        for (int seed = 0; seed < 3; seed++) {
            String[] options = {
                "--model", HOLMES, "--seed", "" + seed, "--temperature", "40", "--max-tokens", "15", "--ignore-eos", "x"
            };
            List<String> json = new ArrayList<>(List.of(options));
            json.add("--json");
            String text = generate(new Shell(), json.toArray(String[]::new)).json().get("text").asString();
            assertThat(generate(new Shell(), options).out()).isEqualTo(text + "\n");
        }
    }

    @Test
    void tokenIdsNeedNoTokenizer() {
        JsonNode expected = golden(TIED, 1);
        String[] options = {
            "--model", TIED, "--tokens", ids(expected.get("ids")), "--precision", "f32", "--temperature", "0",
            "--max-tokens", "24", "--ignore-eos"
        };
        Shell.Result text = generate(new Shell(), options);
        assertThat(text.err()).isEmpty();
        assertThat(text.exit()).isZero();
        assertThat(text.out()).isEqualTo(ids(expected.get("greedy_24")) + "\n");

        List<String> asJson = new ArrayList<>(List.of(options));
        asJson.add("--json");
        JsonNode json = generate(new Shell(), asJson.toArray(String[]::new)).json();
        assertThat(integers(json.get("tokens"))).isEqualTo(integers(expected.get("greedy_24")));
        assertThat(json.get("text").asString()).isEmpty();
    }

    @Test
    void compileOptionsChangeNoToken() {
        String[][] variants = {
            {},
            {"--compilation", "none"},
            {"--compile-ranges", "8,64", "--compile-sizes", "1,16"},
            {"--max-num-batched-tokens", "1"},
            {"--max-num-batched-tokens", "1", "--dynamic-shapes", "unbacked"},
            {"--threads", "1", "--cpu-tier", "scalar", "--max-model-len", "64"}
        };
        List<JsonNode> tokens = new ArrayList<>();
        for (String[] variant : variants) {
            List<String> all = new ArrayList<>(List.of("--model", TIED, "--tokens", "337,403,132,143", "--seed", "5",
                    "--temperature", "2", "--max-tokens", "16", "--ignore-eos", "--json"));
            all.addAll(List.of(variant));
            tokens.add(generate(new Shell(), all.toArray(String[]::new)).json().get("tokens"));
        }
        assertThat(tokens).hasSize(variants.length).containsOnly(tokens.getFirst());
    }

    @Test
    void textNeedsATokenizer() {
        Shell.Result result = generate(new Shell(), "--model", TIED, "Hello");
        assertThat(result.exit()).isEqualTo(1);
        assertThat(result.out()).isEmpty();
        assertThat(result.err()).startsWith("intarsia: ").contains("tokenizer.json", "--tokens").containsOnlyOnce("\n");
    }

    @Test
    void logitsAreThoseOfTheEngineBitForBit() {
        JsonNode expected = golden(TIED, 2);
        Shell.Result result = new Shell().run(
                "logits", "--model", TIED, "--tokens", ids(expected.get("ids")), "--precision", "f32", "--json");
        assertThat(result.err()).isEmpty();
        assertThat(result.exit()).isZero();
        JsonNode json = result.json();
        assertThat(json.propertyNames()).containsExactly("logits");
        float[] printed = new float[json.get("logits").size()];
        for (int i = 0; i < printed.length; i++) {
            printed[i] = Float.parseFloat(json.get("logits").get(i).asString());
        }
        EngineOptions options = EngineOptions.builder().precision(Precision.F32).build();
        try (Engine engine = Engine.open(TestModels.checkpoint("qwen3-tied"), options)) {
            assertThat(printed).isEqualTo(engine.logits(integers(expected.get("ids"))));
        }
        assertThat(relativeError(printed, expected.get("last_logits"))).isLessThanOrEqualTo(1e-5);

        String lines = new Shell().run(
                "logits", "--model", TIED, "--tokens", ids(expected.get("ids")), "--precision", "f32").out();
        assertThat(lines.lines().map(Float::valueOf).toList()).hasSize(printed.length).element(7).isEqualTo(printed[7]);
    }

    private static double relativeError(float[] actual, JsonNode expected) {
        assertThat(actual).hasSize(expected.size());
        double difference = 0;
        double norm = 0;
        for (int i = 0; i < actual.length; i++) {
            difference += Math.pow(actual[i] - expected.get(i).asDouble(), 2);
            norm += Math.pow(expected.get(i).asDouble(), 2);
        }
        return Math.sqrt(difference / norm);
    }

    @Test
    void whatDoesNotFitTheModelIsWrongUsage() {
        assertRefused("--max-model-len is 2000", "--model", TIED, "--max-model-len", "2000", "--tokens", "1");
        assertRefused("512", "--model", TIED, "--tokens", "1,512");
        assertRefused("--max-model-len", "--model", TIED, "--max-model-len", "4", "--tokens", "1,2,3,4");
        assertRefused("prompt", "--model", HOLMES, "");
    }

    private static void assertRefused(String expected, String... arguments) {
        Shell.Result result = generate(new Shell(), arguments);
        assertThat(result.exit()).isEqualTo(2);
        assertThat(result.out()).isEmpty();
        assertThat(result.err()).startsWith("intarsia: ").contains(expected).containsOnlyOnce("\n");
    }

    @Test
    void anUnknownTierIsRefusedByName() {
        Shell.Result result = generate(new Shell(), "--model", TIED, "--cpu-tier", "mmx", "--tokens", "1");
        assertThat(result.exit()).isEqualTo(2);
        assertThat(result.err()).startsWith("intarsia: ").contains("mmx", "scalar").containsOnlyOnce("\n");
    }

    @Test
    void statsGoToStandardError() {
        Shell.Result result = generate(new Shell(), "--model", TIED, "--tokens", "1,2", "--max-tokens", "3",
                "--ignore-eos", "--stats", "--json");
        assertThat(result.exit()).isZero();
        assertThat(integers(result.json().get("tokens"))).hasSize(3);
        assertThat(result.err()).containsOnlyOnce("\n").contains("prompt of 2 tokens", "3 tokens at", "length");
    }

    @Test
    void afterCtrlCTheTokensSoFarAreTheResult() {
        Shell shell = new Shell();
        shell.interruption.request();
        Shell.Result result = generate(
                shell, "--model", TIED, "--tokens", "1,2", "--max-tokens", "200", "--ignore-eos", "--json");
        assertThat(result.exit()).isEqualTo(130);
        assertThat(result.err()).isEmpty();
        assertThat(result.json().get("finish_reason").asString()).isEqualTo("cancelled");
        assertThat(result.json().get("tokens").size()).isLessThan(200);
    }

    @Test
    void aReaderThatLeavesEndsTheCommandQuietly() {
        Shell shell = new Shell().out(new OutputStream() {
            private int left = 2;

            @Override
            public void write(int b) throws IOException {
                throw new IOException("Broken pipe");
            }

            @Override
            public void write(byte[] bytes, int offset, int length) throws IOException {
                if (left-- == 0) {
                    throw new IOException("Broken pipe");
                }
            }
        });
        Shell.Result result = generate(shell, "--model", TIED, "--tokens", "1", "--max-tokens", "100", "--ignore-eos");
        assertThat(result.exit()).isZero();
        assertThat(result.err()).isEmpty();
    }
}
