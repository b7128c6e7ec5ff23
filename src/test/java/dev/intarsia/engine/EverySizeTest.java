package dev.intarsia.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.intarsia.EngineOptions;
import dev.intarsia.Quantize;
import dev.intarsia.SamplingParams;
import dev.intarsia.TestDevice;
import dev.intarsia.TestModels;
import dev.intarsia.checkpoint.Checkpoint;
import dev.intarsia.piecewise.CompilationState;
import dev.intarsia.piecewise.Dispatch;
import dev.intarsia.piecewise.GraphMode;
import dev.intarsia.piecewise.RuntimeMode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeSet;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Every size of step in every graph mode: it reaches a recording or a stated NONE, and its bits are those of any other
 * way.
 */
class EverySizeTest {
    private static final int MAX_TOKENS = 200;
    private static final List<List<Integer>> CAPTURES = List.of(List.of(), List.of(5, 33, 100, 190));
    private static final SamplingParams ONE_TOKEN = SamplingParams.greedy(1).toBuilder().ignoreEos(true).build();

    private final Checkpoint checkpoint = Checkpoint.open(TestModels.checkpoint("qwen3-tied"));

    @AfterEach
    void close() {
        checkpoint.close();
    }

    private static EngineOptions.Builder options(GraphMode mode, List<Integer> captures) {
        return TestDevice.options()
                .maxNumBatchedTokens(MAX_TOKENS)
                .maxNumSeqs(8)
                .threads(2)
                .graphMode(mode)
                .enablePrefixCaching(false) // the whole prompt is one step
                .captureSizes(captures)
                .compileRanges(List.of(8, 64));
    }

    @ParameterizedTest
    @EnumSource
    void everySizeIsDispatched(GraphMode mode) {
        for (List<Integer> captures : CAPTURES) {
            try (LoadedModel model = LoadedModel.open(checkpoint, options(mode, captures).build())) {
                CompilationState.Graphs graphs = model.compilation().graphs();
                for (List<Dispatch> answers : List.of(graphs.mixed(), graphs.uniform())) {
                    assertThat(answers).hasSize(MAX_TOKENS + 1);
                    for (int n = 1; n <= MAX_TOKENS; n++) {
                        Dispatch how = answers.get(n);
                        assertThat(how.tokens()).isEqualTo(n);
                        assertThat(how.paddedTokens()).isGreaterThanOrEqualTo(n);
                        if (how.mode() == RuntimeMode.NONE) {
                            assertThat(how.paddedTokens()).isEqualTo(n);
                            assertThat(how.reason())
                                    .isNotIn(Dispatch.Reason.EXACT_SIZE, Dispatch.Reason.PADDED, Dispatch.Reason.NOTHING_CAPTURED);
                        } else {
                            assertThat(graphs.recorded())
                                    .anyMatch(made -> made.mode() == how.mode() && made.batch().equals(how.batch()));
                        }
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void theBitsOfASizeDoNotDependOnTheMode(Quantize format) {
        assumeTrue(TestDevice.isCpu() || format == Quantize.NONE, "CUDA devices have no quantized matrices");
        Map<Integer, float[]> expected = new HashMap<>();
        TreeSet<Integer> sizes = new TreeSet<>();
        for (int boundary : new int[] {1, 4, 5, 8, 16, 33, 64, 100, 128, 190, 199}) {
            for (int n = boundary - 1; n <= boundary + 2; n++) {
                if (n >= 1 && n <= MAX_TOKENS) {
                    sizes.add(n);
                }
            }
        }
        assertThat(sizes).hasSizeGreaterThanOrEqualTo(35);
        sizes.addAll(List.of(24, 40, 72, 96, 150));
        if (format != Quantize.NONE) {
            sizes.retainAll(List.of(1, 2, 3, 4, 5, 6, 8, 9, 16, 17, 33, 34, 64, 65, 101, 190, 191, 200));
        }
        for (GraphMode mode : GraphMode.values()) {
            for (List<Integer> captures : CAPTURES) {
                try (LoadedModel model = LoadedModel.open(checkpoint, options(mode, captures).quantize(format).build())) {
                    for (int n : sizes) {
                        float[] logits = logitsAfter(model, n);
                        float[] first = expected.putIfAbsent(n, logits);
                        assertThat(logits)
                                .as("%d tokens, %s, captures %s", n, mode, captures)
                                .isEqualTo(first == null ? logits : first);
                    }
                }
            }
        }
        assertThat(expected).hasSizeGreaterThanOrEqualTo(format == Quantize.NONE ? 40 : 18);
    }

    /** -Dintarsia.steps=10000 for the long run; the short one is a cut of it. */
    @Test
    void randomSizesCompileNothingAndMemoryStaysFlat() throws IOException {
        int steps = Integer.getInteger("intarsia.steps", 1000);
        try (LoadedModel model = LoadedModel.open(checkpoint, options(GraphMode.FULL_AND_PIECEWISE, List.of()).build())) {
            Random random = new Random(3);
            long compilations = model.compilation().counters().compilations();
            long captures = model.compilation().counters().captures();
            long before = 0;
            for (int step = 0; step < steps; step++) {
                if (step == steps / 2) {
                    System.gc();
                    before = residentKiB();
                }
                logitsAfter(model, 1 + random.nextInt(MAX_TOKENS));
            }
            assertThat(model.compilation().counters().compilations()).isEqualTo(compilations);
            assertThat(model.compilation().counters().captures()).isEqualTo(captures);
            System.gc();
            // A short run still sees the JVM warm up; in a long one nothing may grow.
            long allowed = steps >= 10_000 ? before / 100 : 32 << 10;
            assertThat(residentKiB() - before).as("KiB more after %d steps", steps).isLessThan(allowed);
        }
    }

    private static long residentKiB() throws IOException {
        return Files.readAllLines(Path.of("/proc/self/status")).stream()
                .filter(line -> line.startsWith("VmRSS:"))
                .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")))
                .findFirst()
                .orElseThrow();
    }

    /** The logits that follow n tokens run as one step. */
    private float[] logitsAfter(LoadedModel model, int n) {
        List<float[]> seen = new ArrayList<>();
        StepLoop loop = model.loop(new Meters(), ended -> {});
        loop.onLogits(row -> {
            float[] logits = new float[model.step().vocabulary()];
            model.step().logits(row, logits);
            seen.add(logits);
        });
        int[] prompt = new int[n];
        for (int i = 0; i < n; i++) {
            prompt[i] = (i * 31 + 7) % checkpoint.config().vocabSize();
        }
        Runs.toTheEnd(loop, Runs.request(prompt, ONE_TOKEN));
        assertThat(seen).hasSize(1);
        return seen.getFirst();
    }
}
