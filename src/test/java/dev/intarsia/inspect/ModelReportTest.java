package dev.intarsia.inspect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.intarsia.Engine;
import dev.intarsia.EngineClosedException;
import dev.intarsia.EngineOptions;
import dev.intarsia.SamplingParams;
import dev.intarsia.TestModels;
import dev.intarsia.checkpoint.Checkpoint;
import dev.intarsia.checkpoint.ModelConfig;
import dev.intarsia.inspect.ModelReport.Entry;
import dev.intarsia.inspect.ModelReport.Kind;
import dev.intarsia.inspect.ModelReport.PieceClass;
import dev.intarsia.inspect.ModelReport.Steps;
import dev.intarsia.piecewise.CompilationMode;
import dev.intarsia.piecewise.CompilationState;
import dev.intarsia.piecewise.CompileRange;
import dev.intarsia.piecewise.Dispatch;
import dev.intarsia.piecewise.RuntimeMode;
import dev.intarsia.runtime.Dimension;
import dev.intarsia.runtime.Precision;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The report against the state that the engine keeps, and against counts made from the shapes of the checkpoint. */
@Timeout(120)
class ModelReportTest {

    private static ModelReport inspect(Path model, EngineOptions.Builder options) {
        try (Engine engine = Engine.open(model, options.build())) {
            return engine.inspect();
        }
    }

    private static ModelReport holmes(EngineOptions.Builder options) {
        return inspect(TestModels.holmes(), options);
    }

    static Stream<Arguments> modelsAndPrecisions() {
        return Stream.of(TestModels.holmes(), TestModels.checkpoint("qwen3-untied"), TestModels.checkpoint("qwen2-tied"))
                .flatMap(model -> Stream.of(Precision.values()).map(precision -> Arguments.of(model, precision)));
    }

    @ParameterizedTest
    @MethodSource("modelsAndPrecisions")
    void bytesAndFlopsAreThoseOfTheShapes(Path model, Precision precision) {
        ModelReport report = inspect(model, EngineOptions.builder().precision(precision));
        long element = precision == Precision.BF16 ? 2 : 4;
        long all = 0;
        long embedding = 0;
        long linearElements = 0;
        try (Checkpoint checkpoint = Checkpoint.open(model)) {
            ModelConfig config = checkpoint.config();
            for (String name : checkpoint.names()) {
                long[] shape = checkpoint.tensor(name).shape();
                if (shape.length == 1) {
                    all += 4 * shape[0];
                    continue;
                }
                assertThat(shape[0] % 16 + shape[1] % 32).as("%s fills its tiles", name).isZero();
                all += element * shape[0] * shape[1];
                if (name.equals("model.embed_tokens.weight")) {
                    embedding = element * shape[0] * shape[1];
                } else if (!name.equals("lm_head.weight")) {
                    linearElements += shape[0] * shape[1];
                }
            }
            all += 4L * config.headDim() / 2; // inverse frequencies of the rotary embedding
            assertThat(report.engine().weightBytes()).isEqualTo(all);
            // A step gathers one row of the embedding; where it is tied, the logits read all of it too.
            long row = element * config.hiddenSize();
            assertThat(report.weightBytesPerStep()).isEqualTo(all + row - (config.tieWordEmbeddings() ? 0 : embedding));
            assertThat(report.flopsPerToken()).isEqualTo(2 * linearElements);
            assertThat(report.flopsPerRow()).isEqualTo(2L * config.vocabSize() * config.hiddenSize());
        }
    }

    @Test
    void theClassesAgreeWithTheCompilationState() {
        ModelReport report = holmes(EngineOptions.builder().compileRanges(List.of(8, 64)).compileSizes(List.of(1, 16)));
        CompilationState state = report.compilation();
        assertThat(report.pieces()).hasSize(14);
        assertThat(report.classes()).extracting(PieceClass::id).containsExactly(0, 1, 2, 3, 4);
        assertThat(report.classes()).extracting(PieceClass::kind)
                .containsExactly(Kind.PLAIN, Kind.SPLITTING, Kind.PLAIN, Kind.PLAIN, Kind.PLAIN);
        assertThat(report.classes().get(1).pieces()).containsExactly(1, 3, 5, 7, 9, 11);
        assertThat(report.classes().get(2).pieces()).containsExactly(2, 4, 6, 8, 10);
        assertThat(report.classes().get(4).dimension()).isEqualTo(Dimension.ROWS);

        List<PieceClass> plainOverTokens = report.pieces().stream()
                .map(report::classOf)
                .filter(each -> each.kind() == Kind.PLAIN && each.dimension() == Dimension.TOKENS)
                .toList();
        assertThat(plainOverTokens).hasSameSizeAs(state.pieces()).hasSize(7);
        for (int i = 0; i < plainOverTokens.size(); i++) {
            assertThat(plainOverTokens.get(i).entries().stream()
                            .map(entry -> new CompilationState.Entry(new CompileRange(entry.lo(), entry.hi()), true)))
                    .containsExactlyElementsOf(state.pieces().get(i).entries());
        }
        assertThat(report.executables()).isEqualTo(3 * 5 + 1);
        assertThat((long) report.executables())
                .isEqualTo(state.counters().compilations() + state.counters().artifactsLoaded());
        assertThat(report.steps()).isEmpty();
    }

    @Test
    void everyEntryKnowsItsKernelsAndARecordingHasAsMany() {
        ModelReport report = holmes(EngineOptions.builder().compileSizes(List.of(1)));
        PieceClass middle = report.classes().get(2);
        assertThat(middle.ops()).hasSize(17);
        assertThat(middle.entries()).allSatisfy(entry -> assertThat(entry.kernels()).hasSize(7));
        assertThat(middle.entries().getFirst().kernels()).contains("linear+add [1, 256] x [256, 256] -> [1, 256]");
        assertThat(middle.entries().getLast().kernels()).contains("linear+add [T, 256] x [256, 256] -> [T, 256]");
        assertThat(middle.kernelsOfAnySize(middle.entries().getFirst()))
                .isEqualTo(middle.entries().getLast().kernels());
        int kernels = report.pieces().stream()
                .mapToInt(piece -> report.classOf(piece).entryFor(1).orElseThrow().kernels().size())
                .sum();
        assertThat(report.compilation().graphs().recorded())
                .filteredOn(each -> each.mode() == RuntimeMode.FULL)
                .isNotEmpty()
                .allSatisfy(each -> assertThat(each.kernels()).isEqualTo(kernels));
    }

    @Test
    void anExactSizeBeatsTheRangeAndOutsideIsNone() {
        PieceClass of = holmes(EngineOptions.builder().compileRanges(List.of(8)).compileSizes(List.of(4, 5000)))
                .classes().getFirst();
        assertThat(of.entryFor(4)).hasValueSatisfying(entry -> assertThat(entry.exact()).isTrue());
        assertThat(of.entryFor(5)).map(Entry::hi).hasValue(8);
        assertThat(of.entryFor(2048)).map(Entry::lo).hasValue(9);
        assertThat(of.entryFor(2049)).isEmpty();
        assertThat(of.entryFor(5000)).map(Entry::lo).hasValue(5000);
    }

    @Test
    void frozenPiecesSaySo() {
        ModelReport report = holmes(EngineOptions.builder().maxNumBatchedTokens(1));
        assertThat(report.classes()).allSatisfy(each -> assertThat(each.frozen()).isEqualTo(1));
        assertThat(report.executables()).isEqualTo(4);
    }

    @Test
    void opByOpNothingIsCompiledForRanges() {
        ModelReport report = holmes(EngineOptions.builder().compilation(CompilationMode.NONE));
        assertThat(report.classes()).hasSize(2).allSatisfy(each -> {
            assertThat(each.kind()).isEqualTo(Kind.OP_BY_OP);
            assertThat(each.entries().getFirst().kernels()).hasSameSizeAs(each.ops());
        });
        assertThat(report.executables()).isZero();
        assertThat(DispatchRun.of(report, true)).singleElement().satisfies(run -> {
            assertThat(run.entry()).isEmpty();
            assertThat(run.last()).isEqualTo(2048);
        });
    }

    @Test
    void runsOfEqualAnswersGiveEveryAnswerBack() {
        for (ModelReport report : List.of(
                holmes(EngineOptions.builder().compileRanges(List.of(8, 64)).compileSizes(List.of(16))),
                holmes(EngineOptions.builder().captureSizes(List.of(3, 100)).maxNumSeqs(8)))) {
            for (boolean uniform : new boolean[] {false, true}) {
                CompilationState.Graphs graphs = report.compilation().graphs();
                List<Dispatch> answers = uniform ? graphs.uniform() : graphs.mixed();
                List<DispatchRun> runs = DispatchRun.of(report, uniform);
                assertThat(runs.getFirst().first()).isEqualTo(1);
                assertThat(runs.getLast().last()).isEqualTo(answers.size() - 1);
                for (int i = 1; i < runs.size(); i++) {
                    assertThat(runs.get(i).first()).isEqualTo(runs.get(i - 1).last() + 1);
                }
                for (DispatchRun run : runs) {
                    IntStream.rangeClosed(run.first(), run.last()).mapToObj(answers::get).forEach(answer -> {
                        assertThat(answer.mode()).isEqualTo(run.answer().mode());
                        assertThat(answer.paddedTokens()).isEqualTo(run.replayed() ? run.last() : answer.tokens());
                        assertThat(report.classes().getFirst().entryFor(answer.paddedTokens())).isEqualTo(run.entry());
                    });
                }
                assertThat(runs).hasSizeLessThan(30);
            }
        }
    }

    @Test
    void stepsAreCountedByHowTheyRan() {
        EngineOptions options = EngineOptions.builder().maxNumSeqs(1).maxNumBatchedTokens(16).build();
        try (Engine engine = Engine.open(TestModels.checkpoint("qwen3-tied"), options)) {
            SamplingParams params = SamplingParams.greedy(6).toBuilder().ignoreEos(true).build();
            engine.generate(IntStream.range(0, 37).boxed().toList(), params); // 16 + 16 + 5, then 5 of 1
            engine.logits(List.of(1, 2));
            ModelReport report = engine.inspect();
            List<String> steps = new ArrayList<>();
            for (Steps each : report.steps()) {
                steps.add(each.count() + (each.uniform() ? " uniform " : " mixed ") + each.how().mode() + " "
                        + each.how().paddedTokens() + " " + each.how().reason().name());
            }
            assertThat(steps).containsExactlyInAnyOrder(
                    "2 mixed NONE 16 TOO_LARGE",
                    "1 mixed NONE 5 TOO_LARGE",
                    "5 uniform FULL 1 EXACT_SIZE",
                    "1 mixed PIECEWISE 2 EXACT_SIZE");
        }
    }

    @Test
    void aClosedEngineHasNothingToInspect() {
        Engine engine = Engine.open(TestModels.checkpoint("qwen3-tied"));
        ModelReport report = engine.inspect();
        engine.close();
        assertThatThrownBy(engine::inspect).isInstanceOf(EngineClosedException.class);
        assertThat(report.classes()).isNotEmpty();
    }
}
