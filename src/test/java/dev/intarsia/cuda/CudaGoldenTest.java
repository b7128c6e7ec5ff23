package dev.intarsia.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.Engine;
import dev.intarsia.EngineOptions;
import dev.intarsia.Golden;
import dev.intarsia.SamplingParams;
import dev.intarsia.TestModels;
import dev.intarsia.runtime.DeviceKind;
import dev.intarsia.runtime.Precision;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Logits and tokens of a CUDA device against those that transformers computed in f32, with the fast kernels and the deterministic ones. */
@OnCuda
class CudaGoldenTest {
    static Stream<Arguments> models() {
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
                        Stream.of(TestModels.holmes()))
                .flatMap(model -> Stream.of(Precision.values()).flatMap(precision ->
                        Stream.of(false, true).map(exact -> Arguments.of(model, precision, exact))));
    }

    @ParameterizedTest(name = "{0} in {1}, deterministic {2}")
    @MethodSource("models")
    void logitsAndTokens(Path model, Precision precision, boolean deterministic) {
        EngineOptions options = EngineOptions.builder()
                .device("cuda")
                .deterministic(deterministic)
                .precision(precision)
                .maxNumSeqs(2)
                .build();
        double worst = 0;
        int compared = 0;
        try (Engine engine = Engine.open(model, options)) {
            assertThat(engine.info().deviceKind()).isEqualTo(DeviceKind.CUDA);
            assertThat(engine.info().deterministic()).isEqualTo(deterministic);
            assertThat(engine.info().noCuda()).isEmpty();
            for (Golden.Case golden : Golden.of(model).cases()) {
                float[] logits = engine.logits(golden.ids());
                worst = Math.max(worst, golden.error(logits));
                int steps = precision == Precision.F32 ? golden.greedy().size() : golden.stepsBeyond(golden.worst(logits));
                SamplingParams params = SamplingParams.greedy(golden.greedy().size()).toBuilder().ignoreEos(true).build();
                List<Integer> tokens = engine.generate(golden.ids(), params).tokens();
                assertThat(tokens.subList(0, steps)).isEqualTo(golden.greedy().subList(0, steps));
                compared += steps;
            }
        }
        System.out.printf("%s %s deterministic=%s: relative L2 error %.2e%n", model.getFileName(), precision, deterministic, worst);
        assertThat(worst).isLessThan(precision == Precision.F32 ? 1e-5 : 2e-2);
        assertThat(compared).as("tokens beyond doubt").isPositive();
    }
}
