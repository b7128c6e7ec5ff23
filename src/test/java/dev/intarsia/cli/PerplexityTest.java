package dev.intarsia.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.Engine;
import dev.intarsia.EngineOptions;
import dev.intarsia.Quantize;
import dev.intarsia.TestModels;
import java.io.IOException;
import java.nio.file.Files;
import org.junit.jupiter.api.Test;

/** What quantizing costs in quality: the perplexity of a text that the shipped model was not trained on. */
class PerplexityTest {
    private static double perplexity(Quantize format) throws IOException {
        try (Engine engine = Engine.open(
                TestModels.holmes(), EngineOptions.builder().quantize(format).maxNumSeqs(1).build())) {
            String text = Files.readString(TestModels.resource("/text/held.txt"));
            return PerplexityCommand.Perplexity.of(engine, engine.encode(text), 256, done -> {}).value();
        }
    }

    @Test
    void int8IsWithinHalfAPercentAndInt4WithinFivePercent() throws IOException {
        double bf16 = perplexity(Quantize.NONE);
        assertThat(bf16).isBetween(40.0, 80.0);
        assertThat(perplexity(Quantize.INT8) / bf16).isBetween(0.99, 1.005);
        assertThat(perplexity(Quantize.INT4) / bf16).isBetween(0.99, 1.05);
    }
}
