package dev.intarsia.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.intarsia.EngineOptions;
import dev.intarsia.Quantize;
import dev.intarsia.SamplingParams;
import dev.intarsia.TestDevice;
import dev.intarsia.TestModels;
import dev.intarsia.checkpoint.Checkpoint;
import dev.intarsia.piecewise.CompilationMode;
import dev.intarsia.piecewise.DynamicShapes;
import dev.intarsia.piecewise.GraphMode;
import dev.intarsia.runtime.Device;
import dev.intarsia.runtime.Precision;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The same bits, whatever the path: the logits of every step are equal bit for bit however the model was compiled, on
 * any number of threads, in every instruction-set tier.
 */
class SamePathTest {
    /** Longer than 64, so that a range split at 64 is crossed and attention has more than one key block. */
    private static final int PROMPT = 75;

    private static final int TOKENS = 10;

    /** Under sanitizers: every path in every tier and format, but of one model and on two threads alone. */
    private static final boolean SANITIZED = Boolean.getBoolean("intarsia.test.sanitized");

    /** The logits of each model, precision and format by the path that was taken first; every other must equal them. */
    private static final Map<List<Object>, List<float[]>> EXPECTED = new ConcurrentHashMap<>();

    static Stream<Arguments> modelsInEveryTier() {
        List<Path> models = SANITIZED
                ? List.of(TestModels.checkpoint("qwen3-tied"))
                : List.of(TestModels.checkpoint("qwen3-tied"), TestModels.checkpoint("llama3-ropescaled"), TestModels.holmes());
        List<String> tiers = Device.list().stream().flatMap(device -> device.tiers().stream()).toList();
        assertThat(tiers).contains("scalar");
        if (!TestDevice.isCpu()) { // its kernels have no tiers, and no quantized matrices
            return models.stream().flatMap(model ->
                    Stream.of(Precision.values()).map(precision -> Arguments.of(model, precision, Quantize.NONE, "")));
        }
        Stream<Arguments> unquantized = models.stream().flatMap(model -> Stream.of(Precision.values())
                .flatMap(precision ->
                        tiers.stream().map(tier -> Arguments.of(model, precision, Quantize.NONE, tier))));
        Stream<Arguments> quantized = models.stream().limit(2).flatMap(model -> Stream.of(Quantize.INT8, Quantize.INT4)
                .flatMap(format -> tiers.stream().map(tier -> Arguments.of(model, Precision.BF16, format, tier))));
        return Stream.concat(unquantized, quantized);
    }

    /** Ways to dispatch, by name. */
    private static Map<String, EngineOptions.Builder> paths() {
        Map<String, EngineOptions.Builder> paths = new LinkedHashMap<>();
        paths.put("op by op", options().compilation(CompilationMode.NONE));
        paths.put("one range", options().graphMode(GraphMode.NONE));
        paths.put("ranges split at 8 and 64", options().graphMode(GraphMode.NONE).compileRanges(List.of(8, 64)));
        paths.put("exact sizes", options().graphMode(GraphMode.NONE).compileSizes(List.of(1, 11, PROMPT)));
        paths.put("chunks of 16", options().maxNumBatchedTokens(16));
        paths.put("chunks of 7, exact", options().maxNumBatchedTokens(7).compileSizes(List.of(1, 8)));
        paths.put("nothing split", options().splittingOps(List.of()));
        paths.put("split at attention and rope", options().splittingOps(List.of("attention", "rope")));
        for (GraphMode mode : GraphMode.values()) {
            paths.put("graph mode " + mode, options().graphMode(mode));
            paths.put(
                    "graph mode " + mode + ", always padded",
                    options().graphMode(mode).captureSizes(List.of(3, 80)).maxNumBatchedTokens(80));
        }
        for (DynamicShapes shapes : DynamicShapes.values()) {
            paths.put("one token a step, " + shapes, options().maxNumBatchedTokens(1).dynamicShapes(shapes));
        }
        paths.put("one token a step, nothing split", options().maxNumBatchedTokens(1).splittingOps(List.of()));
        return paths;
    }

    private static EngineOptions.Builder options() {
        return TestDevice.options();
    }

    @ParameterizedTest
    @MethodSource("modelsInEveryTier")
    void everyPathGivesTheSameBits(Path model, Precision precision, Quantize format, String tier) {
        try (Checkpoint checkpoint = Checkpoint.open(model)) {
            paths().forEach((path, options) -> {
                for (int threads : SANITIZED ? new int[] {2} : new int[] {1, 2}) {
                    List<float[]> logits = logits(
                            checkpoint,
                            options.precision(precision).quantize(format).cpuTier(tier).threads(threads).build());
                    List<float[]> first = EXPECTED.putIfAbsent(List.of(model, precision, format), logits);
                    assertSameBits(path + ", " + threads + " threads", logits, first == null ? logits : first);
                }
            });
        }
    }

    /** The logits of every step of a greedy completion. */
    private static List<float[]> logits(Checkpoint checkpoint, EngineOptions options) {
        int[] prompt = new int[PROMPT];
        for (int i = 0; i < PROMPT; i++) {
            prompt[i] = (i * 37 + 11) % checkpoint.config().vocabSize();
        }
        SamplingParams params = SamplingParams.greedy(TOKENS).toBuilder().ignoreEos(true).build();
        List<float[]> steps = new ArrayList<>();
        try (LoadedModel model = LoadedModel.open(checkpoint, options)) {
            StepLoop loop = model.loop(new Meters(), ended -> {});
            loop.onLogits(row -> {
                float[] logits = new float[model.step().vocabulary()];
                model.step().logits(row, logits);
                steps.add(logits);
            });
            Request request = Runs.request(prompt, params);
            Runs.toTheEnd(loop, request);
            assertThat(Runs.sampled(request.sequences[0])).hasSize(TOKENS);
        }
        return steps;
    }

    private static void assertSameBits(String path, List<float[]> actual, List<float[]> expected) {
        assertThat(actual).as(path).hasSameSizeAs(expected);
        for (int step = 0; step < expected.size(); step++) {
            int[] actualBits = bits(actual.get(step));
            assertThat(Arrays.mismatch(actualBits, bits(expected.get(step))))
                    .as("%s: first differing logit of step %d", path, step)
                    .isEqualTo(-1);
        }
    }

    private static int[] bits(float[] values) {
        int[] bits = new int[values.length];
        for (int i = 0; i < values.length; i++) {
            bits[i] = Float.floatToRawIntBits(values[i]);
        }
        return bits;
    }
}
