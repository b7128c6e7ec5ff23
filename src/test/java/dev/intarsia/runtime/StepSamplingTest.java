package dev.intarsia.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Sampler states, log-probabilities and scored rows of a step, against plain loops over the logits. */
class StepSamplingTest {
    private static final int VOCABULARY = TinyModel.VOCABULARY;
    private static final int[] TOKENS = {3, 8, 13, 21};

    private final Device device = Device.open(DeviceOptions.cpu().withThreads(2));
    private final TinyModel model = new TinyModel(device);
    private final Graph graph = model.plain();
    private final Partition partition = graph.split(Set.of());
    private final Step step = Step.create(partition, null, new StepOptions(4, 3, 4, 1));
    private final List<Executable> executables = new ArrayList<>();

    /** Four rows whose logits are computed. */
    @BeforeEach
    void compute() {
        for (int piece = 0; piece < partition.info().pieces(); piece++) {
            executables.add(partition.compile(piece, 1, 4, true));
        }
        step.queryStart(0, 0);
        step.queryStart(1, 4);
        step.length(0, 4);
        for (int i = 0; i < 4; i++) {
            step.token(i, TOKENS[i], i, -1);
            step.row(i, i);
            step.sampling(i, 0, 1, 0, 0, 0);
        }
        step.begin(4, 1, 4);
        for (int piece = 0; piece < executables.size(); piece++) {
            step.execute(executables.get(piece), piece);
        }
    }

    @AfterEach
    void close() {
        executables.forEach(Executable::close);
        List.of(step, partition, graph, model.weights, device).forEach(Handle::close);
    }

    private float[] logits(int row) {
        float[] logits = new float[VOCABULARY];
        step.logits(row, logits);
        return logits;
    }

    private static int[] best(float[] logits) {
        return IntStream.range(0, logits.length)
                .boxed()
                .sorted(Comparator.comparing((Integer id) -> -logits[id]))
                .mapToInt(Integer::intValue)
                .toArray();
    }

    private static double logprob(float[] logits, int token) {
        double sum = 0;
        for (float logit : logits) {
            sum += Math.exp(logit - (double) logits[token]);
        }
        return -Math.log(sum);
    }

    @Test
    void logprobsAreThoseOfTheLogitsWhateverTheTemperature() {
        step.sampling(0, 0, 1, 0, 0, 0, 0, -1, 5);
        step.sampling(1, 5, 1, 0, 0, 1, 2, -1, 0);
        step.score(2, 17, Step.MAX_LOGPROBS);
        step.sample();
        int[] ids = best(logits(0));
        assertThat(step.sampled(0)).isEqualTo(ids[0]);
        assertThat(step.rank(0)).isEqualTo(1);
        assertThat(step.logprobToken(0, 0)).isEqualTo(ids[0]);
        for (int entry = 1; entry <= 5; entry++) {
            assertThat(step.logprobToken(0, entry)).isEqualTo(ids[entry - 1]);
            assertThat(step.logprob(0, entry)).isCloseTo((float) logprob(logits(0), ids[entry - 1]), within(1e-6f));
        }
        int sampled = step.sampled(1);
        assertThat(step.logprobToken(1, 0)).isEqualTo(sampled);
        assertThat(step.logprob(1, 0)).isCloseTo((float) logprob(logits(1), sampled), within(1e-6f));
        assertThat(step.sampled(2)).isEqualTo(17);
        assertThat(step.logprob(2, 0)).isCloseTo((float) logprob(logits(2), 17), within(1e-6f));
        float[] third = logits(2);
        assertThat(step.rank(2)).isEqualTo((int) IntStream.range(0, VOCABULARY).filter(id -> third[id] >= third[17]).count());
        assertThat(step.logprobToken(2, Step.MAX_LOGPROBS)).isEqualTo(best(third)[Step.MAX_LOGPROBS - 1]);
    }

    @Test
    void aStateCountsWhatIsSampledFromStepToStep() {
        int[] ids = best(logits(0));
        // Each sampled token is as good as banned by its presence: greedy sampling goes down the list.
        step.samplerState(2, new SamplerState().penalties(1e6f, 0, 1));
        step.sampling(0, 0, 1, 0, 0, 0, 0, 2, -1);
        for (int i = 0; i < 10; i++) {
            step.sample();
            assertThat(step.sampled(0)).as("sample " + i).isEqualTo(ids[i]);
        }
        float[] before = logits(0);
        step.samplerState(2, new SamplerState().output(Arrays.copyOf(ids, 3)).penalties(1e6f, 0, 1)); // from the start
        step.sample();
        assertThat(step.sampled(0)).isEqualTo(ids[3]);
        assertThat(logits(0)).isEqualTo(before);
    }

    @Test
    void everySettingOfAStateIsHeard() {
        int[] ids = best(logits(0));
        assertSamples(new SamplerState(), ids[0]);
        assertSamples(new SamplerState().allowed(new int[] {ids[7], ids[5], ids[30]}), ids[5]);
        assertSamples(new SamplerState().minTokens(1, new int[] {ids[0], ids[1]}), ids[2], ids[0]);
        assertSamples(new SamplerState().biases(new int[] {ids[9]}, new float[] {1e4f}), ids[9], ids[9]);
        assertSamples(new SamplerState().badWords(List.of(new int[] {ids[0]}, new int[] {ids[1], ids[1]})),
                ids[1], ids[2], ids[1]);
        assertSamples(new SamplerState().prompt(new int[] {ids[0]}).penalties(0, 0, 1e6f),
                best(penalized(logits(0), ids[0]))[0]);
        assertSamples(new SamplerState().penalties(0, 1e6f, 1), ids[0], ids[1], ids[2]);
    }

    private static float[] penalized(float[] logits, int id) {
        float[] copy = logits.clone();
        copy[id] = copy[id] > 0 ? copy[id] / 1e6f : copy[id] * 1e6f;
        return copy;
    }

    private void assertSamples(SamplerState state, int... tokens) {
        step.samplerState(0, state);
        step.sampling(0, 0, 1, 0, 0, 0, 0, 0, -1);
        for (int token : tokens) {
            step.sample();
            assertThat(step.sampled(0)).isEqualTo(token);
        }
    }

    @Test
    void minPDropsTheUnlikely() {
        float[] logits = logits(3);
        Set<Integer> seen = new HashSet<>();
        for (int i = 0; i < 300; i++) {
            step.sampling(3, 2, 1, 0, 0.5f, i, 0, -1, -1);
            step.sample();
            seen.add(step.sampled(3));
        }
        float max = logits[best(logits)[0]];
        assertThat(seen).allSatisfy(id -> assertThat(Math.exp((logits[id] - max) / 2)).isGreaterThan(0.4999));
        assertThat(seen).hasSizeGreaterThan(1);
    }

    @Test
    void statesMakeTheStepLargerUntilTheyAreCleared() {
        long before = step.bytes();
        step.samplerState(1, new SamplerState().prompt(new int[5000]).allowed(new int[3000]));
        assertThat(step.bytes()).isBetween(before + 12_000, before + 40_000);
        step.clearSamplerState(1);
        step.clearSamplerState(1);
        assertThat(step.bytes()).isEqualTo(before);
    }

    @Test
    void whatCannotBeSampledWithIsRefused() {
        step.sampling(0, 0, 1, 0, 0, 0, 0, 1, -1);
        assertRefused(step::sample, "slot 1 was not set");
        step.samplerState(1, new SamplerState());
        step.sampling(1, 0, 1, 0, 0, 0, 0, 1, -1);
        assertRefused(step::sample, "row 1: row 0 has the same sampler state");
        step.sampling(1, 0, 1, 0, 1.5f, 0, 0, -1, -1);
        assertRefused(step::sample, "min_p is 1.5");
        step.sampling(1, 0, 1, 0, 0, 0);
        step.sample();

        assertRefused(() -> step.samplerState(0, new SamplerState().prompt(new int[] {VOCABULARY})), "not in 0..36");
        assertRefused(() -> step.samplerState(0, new SamplerState().penalties(0, 0, 0)), "repetition_penalty is 0");
        assertRefused(() -> step.samplerState(0, new SamplerState().penalties(Float.NaN, 0, 1)), "presence_penalty");
        assertRefused(() -> step.samplerState(0, new SamplerState().badWords(List.of(new int[0]))), "bad_lengths[0]");
        assertRefused(() -> step.samplerState(0, new SamplerState()
                .biases(new int[] {1}, new float[] {Float.POSITIVE_INFINITY})), "bias");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new SamplerState().biases(new int[2], new float[3]))
                .withMessage("ids and biases must be as many, were 2 and 3");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new SamplerState().minTokens(-1, new int[0]))
                .withMessage("minTokens must be >= 0, was -1");
    }

    private static void assertRefused(ThrowingCallable call, String part) {
        assertThatExceptionOfType(NativeException.class)
                .isThrownBy(call)
                .withMessageContaining(part)
                .satisfies(e -> assertThat(e.status()).isEqualTo(NativeStatus.INVALID_ARGUMENT));
    }

    @Test
    void everyIndexIsChecked() {
        assertOutOfBounds(() -> step.sampling(4, 0, 1, 0, 0, 0, 0, -1, -1), "row must be in 0..3, was 4");
        assertOutOfBounds(() -> step.sampling(0, 0, 1, 0, 0, 0, 0, 3, -1), "slot must be in -1..2, was 3");
        assertOutOfBounds(() -> step.sampling(0, 0, 1, 0, 0, 0, 0, -2, -1), "slot must be in -1..2, was -2");
        assertOutOfBounds(() -> step.sampling(0, 0, 1, 0, 0, 0, 0, 0, 21), "logprobs must be in -1..20, was 21");
        assertOutOfBounds(() -> step.score(-1, 0, 0), "row must be in 0..3, was -1");
        assertOutOfBounds(() -> step.score(0, 37, 0), "token must be in 0..36, was 37");
        assertOutOfBounds(() -> step.score(0, 0, -1), "logprobs must be in 0..20, was -1");
        assertOutOfBounds(() -> step.samplerState(3, new SamplerState()), "slot must be in 0..2, was 3");
        assertOutOfBounds(() -> step.clearSamplerState(-1), "slot must be in 0..2, was -1");
        assertOutOfBounds(() -> step.logprob(0, 21), "entry must be in 0..20, was 21");
        assertOutOfBounds(() -> step.logprobToken(0, -1), "entry must be in 0..20, was -1");
        assertOutOfBounds(() -> step.rank(4), "row must be >= 0 and below the step's number of rows 4, was 4");
        assertOutOfBounds(() -> step.logprob(4, 0), "row must be >= 0 and below the step's number of rows 4, was 4");
    }

    private static void assertOutOfBounds(ThrowingCallable call, String message) {
        assertThatExceptionOfType(IndexOutOfBoundsException.class).isThrownBy(call).withMessage(message);
    }
}
