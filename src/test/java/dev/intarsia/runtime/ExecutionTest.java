package dev.intarsia.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Graphs run to their logits and sampled, against references in double. */
class ExecutionTest {
    private static final int[] NO_CACHE = {};
    private static final double TOLERANCE = 1e-5; // relative L2

    private static Device device;
    private static TinyModel model;

    @BeforeAll
    static void open() {
        device = Device.open(DeviceOptions.cpu().withThreads(2));
        model = new TinyModel(device);
    }

    @AfterAll
    static void close() {
        model.weights.close();
        device.close();
    }

    @Test
    void aGraphWithoutAttentionGivesTheReferencesLogits() {
        for (boolean fuse : new boolean[] {true, false}) {
            try (Graph graph = model.plain();
                    Partition partition = graph.split(Set.of());
                    Step step = Step.create(partition, null, new StepOptions(8, 2, 4, 1))) {
                List<Executable> executables = compileAll(partition, 8, 4, fuse);
                int[] tokens = {5, 0, 36, 17, 5};
                int[] rows = {4, 0, 2};
                describe(step, 0, tokens, 0, NO_CACHE);
                for (int r = 0; r < rows.length; r++) {
                    step.row(r, rows[r]);
                }
                step.begin(tokens.length, 1, rows.length);
                execute(step, executables);
                for (int r = 0; r < rows.length; r++) {
                    assertClose(step, r, model.plainLogits(tokens[rows[r]]));
                }
                executables.forEach(Executable::close);
            }
        }
    }

    @Test
    void aLayerPrefilledAndDecodedOverScatteredBlocksGivesTheReferencesLogits() {
        try (Graph graph = model.layer();
                Partition partition = graph.split(Set.of(OpKind.ATTENTION));
                KvCache cache = KvCache.create(device, TinyModel.cache(4));
                Step step = Step.create(partition, cache, new StepOptions(32, 2, 32, 2))) {
            List<Executable> executables = compileAll(partition, 32, 32, true);
            int[] tokens = IntStream.range(0, 22).map(i -> i * 11 % TinyModel.VOCABULARY).toArray();
            double[][] expected = model.layerLogits(tokens);
            int[] blocks = {3, 1};

            int prefill = 20; // the second block begins at 16
            describe(step, 0, IntStream.of(tokens).limit(prefill).toArray(), 0, blocks);
            IntStream.range(0, prefill).forEach(i -> step.row(i, i));
            step.begin(prefill, 1, prefill);
            execute(step, executables);
            for (int i = 0; i < prefill; i++) {
                assertClose(step, i, expected[i]);
            }
            for (int p = prefill; p < tokens.length; p++) {
                describe(step, 0, new int[] {tokens[p]}, p, blocks);
                step.row(0, 0);
                step.begin(1, 1, 1);
                execute(step, executables);
                assertClose(step, 0, expected[p]);
            }
            executables.forEach(Executable::close);
        }
    }

    @Test
    void twoSequencesOfAStepAndItsPaddingDoNotMix() {
        try (Graph graph = model.layer();
                Partition partition = graph.split(Set.of(OpKind.ATTENTION));
                KvCache cache = KvCache.create(device, TinyModel.cache(3));
                Step step = Step.create(partition, cache, new StepOptions(16, 3, 4, 1))) {
            List<Executable> executables = compileAll(partition, 16, 4, true);
            int[] first = {1, 2, 3, 4};
            int[] second = {30, 20, 10};
            describe(step, 0, first, 0, new int[] {2});
            describe(step, 1, second, 0, new int[] {0}, first.length);
            step.token(7, 0, 0, -1);
            step.row(0, 3);
            step.row(1, 6);
            step.begin(8, 2, 2);
            execute(step, executables);
            assertClose(step, 0, model.layerLogits(first)[3]);
            assertClose(step, 1, model.layerLogits(second)[2]);
            executables.forEach(Executable::close);
        }
    }

    @Test
    void samplingFollowsItsParameters() {
        try (Graph graph = model.plain();
                Partition partition = graph.split(Set.of());
                Step step = Step.create(partition, null, new StepOptions(4, 1, 4, 1))) {
            List<Executable> executables = compileAll(partition, 4, 4, true);
            int[] tokens = {3, 8, 13, 21};
            describe(step, 0, tokens, 0, NO_CACHE);
            IntStream.range(0, 4).forEach(i -> step.row(i, i));
            step.begin(4, 1, 4);
            execute(step, executables);

            step.sampling(0, 0, 1, 0, 1, 1); // greedy, or as good as: nothing but the largest is kept
            step.sampling(1, 1, 1, 1, 2, 2);
            step.sampling(2, 1, 1e-6f, 0, 3, 3);
            step.sampling(3, 1e-4f, 1, 0, 4, 4);
            step.sample();
            for (int row = 0; row < 4; row++) {
                assertThat(step.sampled(row)).as("row " + row).isEqualTo(argmax(model.plainLogits(tokens[row])));
            }

            Set<Integer> bySeed = new HashSet<>();
            Set<Integer> byPosition = new HashSet<>();
            List<Integer> kept = best(model.plainLogits(tokens[2]), 5);
            for (int i = 0; i < 64; i++) {
                step.sampling(0, 100, 1, 0, i, 0);
                step.sampling(1, 100, 1, 0, 0, i);
                step.sampling(2, 100, 1, 5, i, i);
                step.sampling(3, 100, 1, 0, 1L << 40, 1L << 41);
                step.sample();
                bySeed.add(step.sampled(0));
                byPosition.add(step.sampled(1));
                assertThat(kept).contains(step.sampled(2));
                int same = step.sampled(3);
                step.sample();
                assertThat(step.sampled(3)).isEqualTo(same);
            }
            assertThat(bySeed).hasSizeGreaterThan(10);
            assertThat(byPosition).hasSizeGreaterThan(10);
            executables.forEach(Executable::close);
        }
    }

    @Test
    void parametersThatCannotBeSampledWithAreRefusedWithTheirRow() {
        try (Graph graph = model.plain();
                Partition partition = graph.split(Set.of());
                Step step = Step.create(partition, null, new StepOptions(1, 1, 1, 1))) {
            List<Executable> executables = compileAll(partition, 1, 1, true);
            describe(step, 0, new int[] {1}, 0, NO_CACHE);
            step.row(0, 0);
            step.begin(1, 1, 1);
            execute(step, executables);
            step.sampling(0, -1, 1, 0, 0, 0);
            assertRefused(step, "temperature");
            step.sampling(0, Float.NaN, 1, 0, 0, 0);
            assertRefused(step, "temperature");
            step.sampling(0, 1, 0, 0, 0, 0);
            assertRefused(step, "top_p");
            step.sampling(0, 1, 1, -3, 0, 0);
            assertRefused(step, "top_k");
            step.sampling(0, 1, 1, 3, 0, 0);
            step.sample();
            executables.forEach(Executable::close);
        }
    }

    private static void assertRefused(Step step, String parameter) {
        assertThatExceptionOfType(NativeException.class)
                .isThrownBy(step::sample)
                .withMessageContaining(parameter)
                .satisfies(e -> assertThat(e.status()).isEqualTo(NativeStatus.INVALID_ARGUMENT));
    }

    private static List<Executable> compileAll(Partition partition, int tokens, int rows, boolean fuse) {
        List<Executable> executables = new ArrayList<>();
        for (int piece = 0; piece < partition.info().pieces(); piece++) {
            int hi = partition.piece(piece).dimension() == Dimension.TOKENS ? tokens : rows;
            executables.add(partition.compile(piece, 1, hi, fuse));
        }
        return executables;
    }

    private static void execute(Step step, List<Executable> executables) {
        for (int piece = 0; piece < executables.size(); piece++) {
            step.execute(executables.get(piece), piece);
        }
    }

    /** Writes sequence 0 of a step, or the one after {@code from} tokens, whose cache holds {@code past} tokens. */
    private static void describe(Step step, int sequence, int[] tokens, int past, int[] blocks, int... from) {
        int start = from.length == 0 ? 0 : from[0];
        step.queryStart(sequence, start);
        step.queryStart(sequence + 1, start + tokens.length);
        step.length(sequence, past + tokens.length);
        for (int b = 0; b < blocks.length; b++) {
            step.block(sequence, b, blocks[b]);
        }
        for (int i = 0; i < tokens.length; i++) {
            int position = past + i;
            int slot = blocks == NO_CACHE
                    ? -1
                    : blocks[position / KvCache.BLOCK] * KvCache.BLOCK + position % KvCache.BLOCK;
            step.token(start + i, tokens[i], position, slot);
        }
    }

    private static void assertClose(Step step, int row, double[] expected) {
        float[] actual = new float[step.vocabulary()];
        step.logits(row, actual);
        assertThat(actual).hasSameSizeAs(expected);
        double difference = 0;
        double norm = 0;
        for (int i = 0; i < actual.length; i++) {
            difference += (actual[i] - expected[i]) * (actual[i] - expected[i]);
            norm += expected[i] * expected[i];
        }
        assertThat(Math.sqrt(difference / norm)).as("relative error of row " + row).isLessThan(TOLERANCE);
    }

    private static int argmax(double[] logits) {
        return best(logits, 1).getFirst();
    }

    private static List<Integer> best(double[] logits, int count) {
        return IntStream.range(0, logits.length)
                .boxed()
                .sorted((a, b) -> Double.compare(logits[b], logits[a]))
                .limit(count)
                .toList();
    }
}
