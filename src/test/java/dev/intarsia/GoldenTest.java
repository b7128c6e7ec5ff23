package dev.intarsia;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.runtime.Precision;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Logits, tokens and texts against those that transformers computed in f32. */
class GoldenTest {
    private static final double F32_ERROR = 1e-5;
    private static final double BF16_ERROR = 2e-2;

    static Stream<Path> models() {
        return Stream.concat(
                Stream.of(
                                "qwen3-tied",
                                "qwen3-untied",
                                "qwen2-tied",
                                "mistral-window",
                                "llama2-f16",
                                "llama3-ropescaled",
                                "llama-linear-f32")
                        .map(TestModels::checkpoint),
                Stream.of(TestModels.holmes()));
    }

    @ParameterizedTest
    @MethodSource("models")
    void f32GivesTheLogitsAndEveryToken(Path model) {
        try (Engine engine = Engine.open(model, options(Precision.F32))) {
            for (Golden.Case golden : Golden.of(model).cases()) {
                assertThat(golden.error(engine.logits(golden.ids()))).isLessThan(F32_ERROR);
                assertThat(greedy(engine, golden)).isEqualTo(golden.greedy());
            }
        }
    }

    @ParameterizedTest
    @MethodSource("models")
    void bf16GivesTheLogitsAndTheTokensUpToTheFirstCloseCall(Path model) {
        try (Engine engine = Engine.open(model, options(Precision.BF16))) {
            int compared = 0;
            for (Golden.Case golden : Golden.of(model).cases()) {
                float[] logits = engine.logits(golden.ids());
                assertThat(golden.error(logits)).isLessThan(BF16_ERROR);
                int steps = golden.stepsBeyond(golden.worst(logits));
                assertThat(greedy(engine, golden).subList(0, steps))
                        .isEqualTo(golden.greedy().subList(0, steps));
                compared += steps;
            }
            assertThat(compared).as("tokens beyond doubt").isPositive();
        }
    }

    @Test
    void theShippedModelContinuesTextsWithTheGoldenTexts() {
        Path model = TestModels.holmes();
        try (Engine engine = Engine.open(model, options(Precision.F32))) {
            for (Golden.Case golden : Golden.of(model).cases()) {
                assertThat(engine.encode(golden.text())).isEqualTo(golden.ids());
                Completion completion = engine.generate(golden.text(), ignoringEnds(golden.greedy().size()));
                assertThat(completion.text()).isEqualTo(golden.greedyText());
                assertThat(completion.promptTokens()).isEqualTo(golden.ids());
                assertThat(completion.finishReason()).isEqualTo(FinishReason.LENGTH);
            }
        }
    }

    private static EngineOptions options(Precision precision) {
        return TestDevice.options().precision(precision).maxNumSeqs(1).build();
    }

    private static SamplingParams ignoringEnds(int tokens) {
        return SamplingParams.greedy(tokens).toBuilder().ignoreEos(true).build();
    }

    private static List<Integer> greedy(Engine engine, Golden.Case golden) {
        return engine.generate(golden.ids(), ignoringEnds(golden.greedy().size())).tokens();
    }
}
