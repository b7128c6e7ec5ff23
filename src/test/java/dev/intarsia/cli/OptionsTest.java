package dev.intarsia.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.EngineOptions;
import dev.intarsia.RepetitionDetection;
import dev.intarsia.SamplingParams;
import dev.intarsia.piecewise.CompilationMode;
import dev.intarsia.piecewise.DynamicShapes;
import dev.intarsia.piecewise.GraphMode;
import dev.intarsia.runtime.Precision;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** What each option becomes, without a model. */
class OptionsTest {
    private static <T> T parse(Class<T> command, String line) {
        return command.cast(Main.commandLine(new Shell().host())
                .parseArgs(line.split(" "))
                .subcommand()
                .commandSpec()
                .userObject());
    }

    static Stream<Arguments> engineOptions() {
        return Stream.of(
                engine("", options -> options),
                engine("--precision f32", options -> options.precision(Precision.F32)),
                engine("--precision BF16", options -> options.precision(Precision.BF16)),
                engine("--max-model-len 77", options -> options.maxModelLen(77)),
                engine("--max-num-batched-tokens 33", options -> options.maxNumBatchedTokens(33)),
                engine("--compile-ranges 8,64", options -> options.compileRanges(List.of(8, 64))),
                engine("--compile-ranges 64,8,8", options -> options.compileRanges(List.of(64, 8, 8))),
                engine("--compile-sizes 1,16", options -> options.compileSizes(List.of(1, 16))),
                engine("--compile-sizes=4", options -> options.compileSizes(List.of(4))),
                engine("--dynamic-shapes BACKED", options -> options.dynamicShapes(DynamicShapes.BACKED)),
                engine("--dynamic-shapes unbacked", options -> options.dynamicShapes(DynamicShapes.UNBACKED)),
                engine("--dynamic-shapes Backed_Size_Oblivious",
                        options -> options.dynamicShapes(DynamicShapes.BACKED_SIZE_OBLIVIOUS)),
                engine("--compilation none", options -> options.compilation(CompilationMode.NONE)),
                engine("--compilation Piecewise", options -> options.compilation(CompilationMode.PIECEWISE)),
                engine("--splitting-ops attention,rope", options -> options.splittingOps(List.of("attention", "rope"))),
                engine("--splitting-ops=", options -> options.splittingOps(List.of())),
                engine("--graph-mode none", options -> options.graphMode(GraphMode.NONE)),
                engine("--graph-mode PIECEWISE", options -> options.graphMode(GraphMode.PIECEWISE)),
                engine("--graph-mode Full", options -> options.graphMode(GraphMode.FULL)),
                engine("--graph-mode FULL_DECODE_ONLY", options -> options.graphMode(GraphMode.FULL_DECODE_ONLY)),
                engine("--graph-mode full_and_piecewise", options -> options.graphMode(GraphMode.FULL_AND_PIECEWISE)),
                engine("--capture-sizes 1,2,4", options -> options.captureSizes(List.of(1, 2, 4))),
                engine("--max-num-seqs 5", options -> options.maxNumSeqs(5)),
                engine("--device cpu", options -> options.device("cpu")),
                engine("--device cuda", options -> options.device("cuda")),
                engine("--device cuda:1 --deterministic", options -> options.device("cuda:1").deterministic(true)),
                engine("--device cuda --device-memory 5000000000", options -> options.device("cuda").deviceMemory(5_000_000_000L)),
                engine("--device cuda --device-memory 8G", options -> options.device("cuda").deviceMemory(8L << 30)),
                engine("--device cuda --device-memory 700M", options -> options.device("cuda").deviceMemory(700L << 20)),
                engine("--threads 3", options -> options.threads(3)),
                engine("--cpu-tier scalar", options -> options.cpuTier("scalar")),
                engine("--precision f32 --threads 2 --max-model-len 64 --compile-sizes 1",
                        options -> options
                                .precision(Precision.F32)
                                .threads(2)
                                .maxModelLen(64)
                                .compileSizes(List.of(1))));
    }

    private static Arguments engine(String line, UnaryOperator<EngineOptions.Builder> expected) {
        return Arguments.of(line, expected);
    }

    @ParameterizedTest(name = "options {0}")
    @MethodSource("engineOptions")
    void becomeEngineOptions(String line, UnaryOperator<EngineOptions.Builder> given) {
        EngineOptions oneSequence = given.apply(EngineOptions.builder().maxNumSeqs(1)).build();
        assertThat(parse(GenerateCommand.class, ("generate " + line).strip() + " x").engineOptions())
                .isEqualTo(oneSequence);
        assertThat(parse(LogitsCommand.class, ("logits " + line).strip() + " --tokens 1").engineOptions())
                .isEqualTo(oneSequence);
        assertThat(parse(InspectCommand.class, ("inspect " + line).strip()).engineOptions())
                .isEqualTo(given.apply(EngineOptions.builder()).build());
    }

    static Stream<Arguments> samplingParams() {
        return Stream.of(
                sampling("", params -> params),
                sampling("--max-tokens 7", params -> params.maxTokens(7)),
                sampling("--n 3", params -> params.n(3)),
                sampling("--logprobs 0", params -> params.logprobs(0)),
                sampling("--prompt-logprobs 20", params -> params.promptLogprobs(20)),
                sampling("--temperature 0", params -> params.temperature(0)),
                sampling("--temperature 0.25", params -> params.temperature(0.25)),
                sampling("--top-p 0.5", params -> params.topP(0.5)),
                sampling("--top-p 1", params -> params.topP(1)),
                sampling("--top-k 40", params -> params.topK(40)),
                sampling("--top-k 0", params -> params.topK(0)),
                sampling("--seed -9223372036854775808", params -> params.seed(Long.MIN_VALUE)),
                sampling("--ignore-eos", params -> params.ignoreEos(true)),
                sampling("--min-p 0.05", params -> params.minP(0.05)),
                sampling("--presence-penalty -1.5", params -> params.presencePenalty(-1.5)),
                sampling("--frequency-penalty 0.25", params -> params.frequencyPenalty(0.25)),
                sampling("--repetition-penalty 1.1", params -> params.repetitionPenalty(1.1)),
                sampling("--logit-bias 7=-100,3=2.5", params -> params.logitBias(Map.of(3, 2.5, 7, -100.0))),
                sampling("--logit-bias 7=1 --logit-bias 9=2", params -> params.logitBias(Map.of(7, 1.0, 9, 2.0))),
                sampling("--allowed-token-ids 4,5", params -> params.allowedTokenIds(List.of(4, 5))),
                sampling("--bad-word moor --bad-word a,b", params -> params.badWords("moor", "a,b")),
                sampling("--bad-word-ids 1,2 --bad-word-ids 3",
                        params -> params.badWordsTokenIds(List.of(List.of(1, 2), List.of(3)))),
                sampling("--min-tokens 4", params -> params.minTokens(4)),
                sampling("--stop end --stop a,b", params -> params.stop("end", "a,b")),
                sampling("--include-stop-str-in-output", params -> params.includeStopStrInOutput(true)),
                sampling("--stop-token-ids 0,11", params -> params.stopTokenIds(List.of(0, 11))),
                sampling("--no-skip-special-tokens", params -> params.skipSpecialTokens(false)),
                sampling("--repetition-detection 8,2,3",
                        params -> params.repetitionDetection(new RepetitionDetection(8, 2, 3))),
                sampling("--top-k 5 --seed 3 --max-tokens 2", params -> params.topK(5).seed(3).maxTokens(2)));
    }

    /** The defaults that options go over; none is the API's own. */
    private static SamplingParams checkpointDefaults() {
        return SamplingParams.builder().temperature(0.8).topP(0.95).topK(20).maxTokens(9).build();
    }

    private static Arguments sampling(String line, UnaryOperator<SamplingParams.Builder> expected) {
        return Arguments.of(line, expected.apply(checkpointDefaults().toBuilder()).build());
    }

    @ParameterizedTest(name = "options {0}")
    @MethodSource("samplingParams")
    void becomeSamplingParams(String line, SamplingParams expected) {
        GenerateCommand command = parse(GenerateCommand.class, ("generate " + line).strip() + " x");
        assertThat(command.samplingParams(checkpointDefaults())).isEqualTo(expected);
    }

    @Test
    void whatIsNoDeviceOrNoSizeIsWrongUsage() {
        for (String[] wrong : new String[][] {
            {"--device", "gpu", "--device is gpu; it must be cpu, cuda, or cuda:N"},
            {"--device", "cuda:x", "--device is cuda:x"},
            {"--device-memory", "8GB", "'8GB' is no number of bytes"},
            {"--device-memory", "999999999999G", "more bytes than any memory has"},
            {"--device-memory", "8G", "--device-memory is 8589934592; it must be 0 where device is cpu"}
        }) {
            Shell.Result result = new Shell().run("inspect", wrong[0], wrong[1]);
            assertThat(result.exit()).as(result.err()).isEqualTo(ExitCode.USAGE);
            assertThat(result.err()).contains(wrong[2]);
        }
    }

    @Test
    void listsMayHaveBlanks() {
        assertThat(new Integers.TokenIds().convert("1, 2 ,0").values()).containsExactly(1, 2, 0);
        assertThat(new Names.Converter().convert(" attention, rope").values()).containsExactly("attention", "rope");
        assertThat(new Names.Converter().convert(" ").values()).isEmpty();
    }

    @Test
    void versionAndHelpAreEverywhere() {
        for (List<String> command : List.of(
                List.<String>of(), List.of("generate"), List.of("logits"), List.of("inspect"), List.of("info"))) {
            for (String option : List.of("--help", "-h", "--version", "-V")) {
                Shell.Result result = new Shell()
                        .run(Stream.concat(command.stream(), Stream.of(option)).toArray(String[]::new));
                assertThat(result.exit()).isZero();
                assertThat(result.err()).isEmpty();
                assertThat(result.out()).startsWith(option.contains("h") ? "Usage: intarsia" : "intarsia ");
            }
        }
    }

    @Test
    void helpNamesTheTestsOfTheLauncher() {
        assertThat(new Shell().run("--help").out()).contains("./intarsia verify", "generate", "logits", "inspect", "info");
    }
}
