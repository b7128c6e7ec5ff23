package dev.intarsia;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.intarsia.engine.Gate;
import dev.intarsia.runtime.Precision;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The public API: what it answers, what it refuses and how it ends. */
@Timeout(120)
class EngineTest {
    private static final SamplingParams SAMPLED =
            SamplingParams.builder().temperature(0.8).topP(0.95).topK(50).seed(7).maxTokens(24).build();

    private static Engine small() {
        return Engine.open(TestModels.checkpoint("qwen3-tied"), TestDevice.options().build());
    }

    @Test
    void theSameSeedGivesTheSameTokensAndAnotherGivesOthers() {
        try (Engine engine = Engine.open(TestModels.holmes(), TestDevice.options().build())) {
            Completion first = engine.generate("The fog lay", SAMPLED);
            assertThat(engine.generate("The fog lay", SAMPLED).tokens()).isEqualTo(first.tokens());
            assertThat(engine.generate("The fog lay", SAMPLED.toBuilder().seed(8).build()).tokens())
                    .isNotEqualTo(first.tokens());
        }
    }

    @Test
    void theTokensOfAStreamAddUpToTheCompletion() {
        try (Engine engine = Engine.open(TestModels.holmes(), TestDevice.options().build());
                TokenStream stream = engine.stream("It was the best of", SAMPLED)) {
            List<Integer> ids = new ArrayList<>();
            StringBuilder text = new StringBuilder();
            stream.forEachRemaining(token -> {
                ids.add(token.id());
                text.append(token.text());
            });
            Completion completion = stream.completion();
            assertThat(ids).isEqualTo(completion.tokens());
            assertThat(text.toString()).isEqualTo(completion.text());
            assertThat(completion.timings().firstToken()).isPositive();
            assertThatThrownBy(stream::next).isInstanceOf(NoSuchElementException.class);
        }
    }

    @Test
    void theDefaultsAreThoseOfTheCheckpoint() {
        try (Engine engine = Engine.open(TestModels.holmes(), TestDevice.options().build())) {
            assertThat(engine.defaultSamplingParams().temperature()).isEqualTo(0.8);
            assertThat(engine.defaultSamplingParams().topP()).isEqualTo(0.95);
            assertThat(engine.info().maxModelLen()).isEqualTo(1024);
            assertThat(engine.info().precision()).isEqualTo(Precision.BF16);
            assertThat(engine.hasTokenizer()).isTrue();
        }
    }

    @Test
    void anEndOfSequenceTokenEndsTheCompletionUnlessIgnored() {
        List<Integer> prompt = List.of(5, 6, 7);
        try (Engine engine = small()) {
            // Of 512 ids one is the end: at a high temperature some seed samples it soon.
            SamplingParams.Builder params = SamplingParams.builder().temperature(100).maxTokens(60);
            int stopped = 0;
            for (int seed = 0; seed < 100; seed++) {
                Completion completion = engine.generate(prompt, params.seed(seed).ignoreEos(false).build());
                if (completion.finishReason() == FinishReason.STOP) {
                    stopped++;
                    Completion on = engine.generate(prompt, params.ignoreEos(true).build());
                    assertThat(on.tokens()).hasSize(60);
                    assertThat(on.tokens().subList(0, completion.tokens().size())).isEqualTo(completion.tokens());
                    assertThat(on.tokens().get(completion.tokens().size())).isEqualTo(2);
                }
                assertThat(completion.tokens()).doesNotContain(2);
            }
            assertThat(stopped).isPositive();
        }
    }

    @Test
    void aSequenceEndsAtTheLongestThatTheEngineHolds() {
        EngineOptions options = TestDevice.options().maxModelLen(20).build();
        try (Engine engine = Engine.open(TestModels.checkpoint("qwen3-tied"), options)) {
            Completion completion = engine.generate(
                    List.of(1, 2, 3), SamplingParams.greedy(100).toBuilder().ignoreEos(true).build());
            assertThat(completion.tokens()).hasSize(17);
            assertThat(completion.finishReason()).isEqualTo(FinishReason.LENGTH);
        }
    }

    @Test
    void manyThreadsGetEachItsOwnAnswer() throws Exception {
        try (Engine engine = small();
                ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Callable<List<Integer>>> calls = new ArrayList<>();
            List<List<Integer>> expected = new ArrayList<>();
            for (int i = 0; i < 40; i++) {
                List<Integer> prompt = List.of(i + 3, 2 * i + 3, 100 + i);
                SamplingParams params = SAMPLED.toBuilder().seed(i).build();
                expected.add(engine.generate(prompt, params).tokens());
                calls.add(() -> engine.generate(prompt, params).tokens());
            }
            List<Future<List<Integer>>> answers = threads.invokeAll(calls);
            for (int i = 0; i < answers.size(); i++) {
                assertThat(answers.get(i).get()).isEqualTo(expected.get(i));
            }
        }
    }

    @Test
    void aClosedStreamCancelsAndTheEngineGoesOn() {
        try (Engine engine = Engine.open(TestModels.holmes(), TestDevice.options().build());
                Gate gate = new Gate(engine.core())) {
            TokenStream stream = engine.stream(
                    "Once", SamplingParams.greedy(900).toBuilder().ignoreEos(true).build());
            gate.let(1);
            stream.next();
            stream.close();
            stream.close();
            gate.open();
            Completion completion = stream.completion();
            assertThat(completion.finishReason()).isEqualTo(FinishReason.CANCELLED);
            assertThat(completion.tokens()).isNotEmpty().hasSizeLessThan(900);
            assertThat(engine.generate("Once", SamplingParams.greedy(3)).tokens()).hasSize(3);
        }
    }

    @Test
    void anInterruptCancels() throws Exception {
        try (Engine engine = Engine.open(TestModels.holmes(), TestDevice.options().build());
                Gate gate = new Gate(engine.core())) {
            List<Throwable> thrown = new ArrayList<>();
            Thread caller = Thread.ofVirtual().start(() -> {
                try {
                    engine.generate("Once", SamplingParams.greedy(900).toBuilder().ignoreEos(true).build());
                } catch (IntarsiaException e) {
                    thrown.add(e);
                }
            });
            while (caller.getState() != Thread.State.WAITING) {
                Thread.onSpinWait();
            }
            caller.interrupt();
            caller.join();
            gate.open();
            assertThat(thrown).singleElement().satisfies(e -> assertThat(e).hasMessageContaining("interrupted"));
            assertThat(engine.generate("Once", SamplingParams.greedy(3)).tokens()).hasSize(3);
        }
    }

    @Test
    void aPromptThatDoesNotFitIsRefusedWithItsLengthAndTheBound() {
        try (Engine engine = small()) {
            List<Integer> long256 = Collections.nCopies(256, 5);
            assertThatThrownBy(() -> engine.generate(long256, SamplingParams.greedy(1)))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("256 tokens")
                    .hasMessageContaining("at most 255");
            assertThat(engine.logits(long256)).hasSize(512);
            assertThatThrownBy(() -> engine.logits(List.of())).hasMessageContaining("at least one");
            assertThatThrownBy(() -> engine.logits(List.of(3, 512)))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("token 1 of the prompt is 512")
                    .hasMessageContaining("0..511");
            assertThatThrownBy(() -> engine.logits(List.of(-1))).hasMessageContaining("is -1");
            assertThatThrownBy(() -> engine.generate("text"))
                    .isInstanceOf(IntarsiaException.class)
                    .hasMessageContaining("tokenizer.json");
        }
    }

    @Test
    void optionsThatDoNotFitTheModelAreRefusedByName() {
        var model = TestModels.checkpoint("qwen3-tied");
        assertThatThrownBy(() -> Engine.open(model, TestDevice.options().maxModelLen(257).build()))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("maxModelLen is 257")
                .hasMessageContaining("256");
        assertThatThrownBy(() -> Engine.open(model, TestDevice.options().cpuTier("sse9").build()))
                .hasMessageContaining("sse9")
                .hasMessageContaining("scalar");
        assertThatThrownBy(() ->
                        Engine.open(model, TestDevice.options().splittingOps(List.of("fold")).build()))
                .hasMessageContaining("fold");
        assertThatThrownBy(() -> Engine.open(model, TestDevice.options().compileRanges(List.of(0)).build()))
                .hasMessageContaining("Invalid compile range endpoint: 0");
    }

    @Test
    void aClosedEngineSaysSoAndClosingTwiceIsFine() {
        Engine engine = small();
        engine.close();
        engine.close();
        assertThatThrownBy(() -> engine.generate(List.of(1), SamplingParams.greedy(1)))
                .isInstanceOf(EngineClosedException.class);
        assertThatThrownBy(() -> engine.logits(List.of(1))).isInstanceOf(EngineClosedException.class);
        assertThatThrownBy(() -> engine.generate("x")).isInstanceOf(EngineClosedException.class);
        assertThat(engine.info().vocabulary()).isEqualTo(512);
        assertThat(engine.compilation().counters().graphsSeen()).isEqualTo(1);
    }

    @Test
    void closingDuringACompletionEndsItAndThoseThatWait() throws Exception {
        Engine engine = Engine.open(TestModels.holmes(), TestDevice.options().maxNumSeqs(1).build());
        SamplingParams many = SamplingParams.greedy(900).toBuilder().ignoreEos(true).build();
        try (Gate gate = new Gate(engine.core())) {
            TokenStream running = engine.stream("Once", many);
            TokenStream waiting = engine.stream("Twice", many);
            gate.let(1);
            running.next();
            Thread closer = Thread.ofVirtual().start(engine::close);
            ServingTest.untilItCloses(engine);
            gate.open();
            closer.join();
            assertThatThrownBy(running::completion).isInstanceOf(EngineClosedException.class);
            assertThatThrownBy(waiting::next).isInstanceOf(EngineClosedException.class);
        }
    }
}
