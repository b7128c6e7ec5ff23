package dev.intarsia;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.piecewise.CompilationState;
import dev.intarsia.piecewise.CompileRange;
import dev.intarsia.piecewise.DynamicShapes;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * One token a step: the range is (1, 1) and, under BACKED, no argument of a piece is symbolic. A dispatcher that asks the first symbolic
 * argument for the size dies here; ours has exactly one entry to take.
 */
class StaticShapeSmokeTest {
    private static final SamplingParams PARAMS =
            SamplingParams.builder().temperature(0).topP(0.95).maxTokens(10).build();

    private static EngineOptions oneTokenAStep(DynamicShapes shapes) {
        return TestDevice.options()
                .maxModelLen(512)
                .maxNumBatchedTokens(1)
                .dynamicShapes(shapes)
                .build();
    }

    @Test
    void twoPromptsOnOneEngineAreContinued() {
        try (Engine engine = Engine.open(TestModels.holmes(), oneTokenAStep(DynamicShapes.BACKED))) {
            assertThat(engine.generate("Hello, my name is", PARAMS).text()).isNotBlank();
            assertThat(engine.generate("The capital of France is", PARAMS).text()).isNotBlank();
        }
    }

    @ParameterizedTest
    @EnumSource
    void everyPieceHasTheOneEntry(DynamicShapes shapes) {
        try (Engine engine = Engine.open(TestModels.holmes(), oneTokenAStep(shapes))) {
            CompilationState state = engine.compilation();
            assertThat(state.ranges()).containsExactly(new CompileRange(1, 1));
            assertThat(state.pieces()).hasSize(7).allSatisfy(piece -> {
                assertThat(piece.isStatic()).isEqualTo(shapes == DynamicShapes.BACKED);
                assertThat(piece.entries())
                        .containsExactly(new CompilationState.Entry(new CompileRange(1, 1), true));
            });
            long compilations = state.counters().compilations();
            assertThat(compilations).as("first, middle and last piece, and the logits").isEqualTo(4);
            engine.generate("Hello, my name is", PARAMS);
            assertThat(engine.compilation().counters().compilations()).isEqualTo(compilations);
        }
    }

    @Test
    void theTextsAreThoseOfDynamicDispatch() {
        for (String prompt : new String[] {"Hello, my name is", "The capital of France is"}) {
            try (Engine one = Engine.open(TestModels.holmes(), oneTokenAStep(DynamicShapes.BACKED));
                    Engine many = Engine.open(TestModels.holmes(), TestDevice.options().build())) {
                assertThat(one.generate(prompt, PARAMS).text()).isEqualTo(many.generate(prompt, PARAMS).text());
            }
        }
    }
}
