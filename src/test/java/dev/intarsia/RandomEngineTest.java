package dev.intarsia;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.intarsia.inspect.ModelReport;
import dev.intarsia.runtime.Precision;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Models of a shape alone, with weights drawn at random. */
@Timeout(120)
class RandomEngineTest {
    private static final Path DEEP = TestModels.resource("/configs/qwen3-28-layers.json");
    private static final List<Integer> PROMPT = List.of(5, 300, 17, 44, 90);

    private static float[] logits(long seed, EngineOptions.Builder options) {
        try (Engine engine = Engine.openRandom(DEEP, seed, options.maxNumSeqs(1).build())) {
            return engine.logits(PROMPT);
        }
    }

    @Test
    void theSameSeedGivesTheSameBitsAndAnotherGivesOthers() {
        float[] logits = logits(7, EngineOptions.builder());
        assertThat(logits).hasSize(512);
        for (float logit : logits) {
            assertThat(logit).isFinite();
        }
        assertThat(logits(7, EngineOptions.builder().threads(1).maxNumBatchedTokens(2))).isEqualTo(logits);
        assertThat(logits(8, EngineOptions.builder())).isNotEqualTo(logits);
        float[] reference = logits(7, EngineOptions.builder().precision(Precision.F32));
        double difference = 0;
        double norm = 0;
        for (int i = 0; i < logits.length; i++) {
            difference += Math.pow(logits[i] - reference[i], 2);
            norm += Math.pow(reference[i], 2);
        }
        assertThat(Math.sqrt(difference / norm)).as("relative error of bf16").isBetween(1e-6, 2e-2);
    }

    @Test
    void thereIsNoTokenizer() {
        try (Engine engine = Engine.openRandom(DEEP, 1, EngineOptions.builder().maxNumSeqs(1).build())) {
            assertThat(engine.hasTokenizer()).isFalse();
            assertThatThrownBy(() -> engine.generate("text")).isInstanceOf(IntarsiaException.class);
            Completion completion = engine.generate(PROMPT, SamplingParams.greedy(3));
            assertThat(completion.text()).isEmpty();
            assertThat(completion.tokens()).hasSize(3);
        }
    }

    /** What 28 layers are compiled to is what 6 are. */
    @Test
    void depthCostsNoCompilations() {
        try (Engine engine = Engine.openRandom(DEEP, 1, EngineOptions.builder().maxNumSeqs(1).build())) {
            ModelReport report = engine.inspect();
            assertThat(report.pieces()).hasSize(2 * 28 + 1 + 1);
            assertThat(report.classes()).hasSize(5);
            assertThat(report.compilation().counters().compilations()).isEqualTo(4);
        }
    }

    @Test
    void whatCannotBeServedIsRefused() {
        EngineOptions options = EngineOptions.defaults();
        assertThatThrownBy(() -> Engine.openRandom(Path.of("/nowhere.json"), 1, options))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("/nowhere.json");
        assertThatThrownBy(() -> Engine.openRandom(TestModels.holmes().resolve("tokenizer.json"), 1, options))
                .isInstanceOf(CheckpointException.class);
        assertThatThrownBy(() -> Engine.openRandom(null, 1, options)).isInstanceOf(NullPointerException.class);
    }
}
