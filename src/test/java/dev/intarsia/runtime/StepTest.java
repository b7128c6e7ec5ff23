package dev.intarsia.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatNullPointerException;

import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What a step refuses, and whose it is. */
class StepTest {
    private static final StepOptions SIZES = new StepOptions(8, 3, 4, 2);

    private final Device device = Device.open(DeviceOptions.cpu().withThreads(1));
    private final TinyModel model = new TinyModel(device);
    private final Graph graph = model.layer();
    private final Partition partition = graph.split(Set.of(OpKind.ATTENTION));
    private final KvCache cache = KvCache.create(device, TinyModel.cache(4));
    private final Step step = Step.create(partition, cache, SIZES);

    @AfterEach
    void close() {
        List.of(step, cache, partition, graph, model.weights, device).forEach(Handle::close);
    }

    // ---------------------------------------------------------------------------------------------------------- bounds

    @Test
    void sizesAreThoseAskedFor() {
        assertThat(new StepOptions(step.maxTokens(), step.maxSequences(), step.maxRows(), step.maxBlocks()))
                .isEqualTo(SIZES);
        assertThat(step.vocabulary()).isEqualTo(TinyModel.VOCABULARY);
        assertThat(step.bytes()).isGreaterThan(4L * TinyModel.VOCABULARY * step.maxRows());
    }

    @Test
    void everyIndexIsChecked() {
        for (int bad : new int[] {-1, 8, Integer.MAX_VALUE, Integer.MIN_VALUE}) {
            assertOutOfBounds(() -> step.token(bad, 0, 0, 0), "token must be in 0..7, was " + bad);
        }
        for (int bad : new int[] {-1, 4}) {
            assertOutOfBounds(() -> step.row(bad, 0), "row must be in 0..3, was " + bad);
            assertOutOfBounds(() -> step.sampling(bad, 0, 1, 0, 0, 0), "row must be in 0..3, was " + bad);
        }
        for (int bad : new int[] {-1, 3}) {
            assertOutOfBounds(() -> step.length(bad, 0), "sequence must be in 0..2, was " + bad);
            assertOutOfBounds(() -> step.block(bad, 0, 0), "sequence must be in 0..2, was " + bad);
        }
        assertOutOfBounds(() -> step.queryStart(4, 0), "sequence must be in 0..3, was 4");
        assertOutOfBounds(() -> step.queryStart(-1, 0), "sequence must be in 0..3, was -1");
        for (int bad : new int[] {-1, 2}) {
            assertOutOfBounds(() -> step.block(0, bad, 0), "block index must be in 0..1, was " + bad);
        }
    }

    @Test
    void theLastIndexIsAllowed() {
        step.token(7, 0, 0, 0);
        step.row(3, 0);
        step.sampling(3, 0, 1, 0, 0, 0);
        step.queryStart(3, 0);
        step.length(2, 0);
        step.block(2, 1, 0);
    }

    @Test
    void beginChecksItsSizes() {
        assertIllegal(() -> step.begin(9, 1, 1), "tokens must be in 0..8, was 9");
        assertIllegal(() -> step.begin(1, -1, 1), "sequences must be in 0..3, was -1");
        assertIllegal(() -> step.begin(1, 1, 5), "rows must be in 0..4, was 5");
    }

    @Test
    void resultsAreThoseOfTheStepBegun() {
        assertOutOfBounds(() -> step.sampled(0), "row must be >= 0 and below the step's number of rows 0, was 0");
        describeOneToken();
        step.begin(1, 1, 1);
        step.sampled(0);
        step.logits(0, new float[TinyModel.VOCABULARY]);
        assertOutOfBounds(() -> step.sampled(1), "row must be >= 0 and below the step's number of rows 1, was 1");
        assertOutOfBounds(() -> step.logits(-1, new float[TinyModel.VOCABULARY]),
                "row must be >= 0 and below the step's number of rows 1, was -1");
        assertIllegal(() -> step.logits(0, new float[3]), "into must have the vocabulary's length 37, has 3");
        step.token(0, -1, 0, 0);
        assertRefused(NativeStatus.INVALID_ARGUMENT, () -> step.begin(1, 1, 1), "-1");
        assertOutOfBounds(() -> step.sampled(0), "row must be >= 0 and below the step's number of rows 0, was 0");
    }

    @Test
    void optionsMustBePositive() {
        assertIllegal(() -> new StepOptions(0, 1, 1, 1), "maxTokens must be >= 1, was 0");
        assertIllegal(() -> new StepOptions(1, 0, 1, 1), "maxSequences must be >= 1, was 0");
        assertIllegal(() -> new StepOptions(1, 1, -1, 1), "maxRows must be >= 1, was -1");
        assertIllegal(() -> new StepOptions(1, 1, 1, 0), "maxBlocks must be >= 1, was 0");
        assertIllegal(() -> new KvOptions(Precision.F32, 1, 1, 1, 0), "blocks must be >= 1, was 0");
    }

    // ------------------------------------------------------------------------------------ what the native side refuses

    @Test
    void everythingWrittenIsCheckedByBegin() {
        describeOneToken();
        step.begin(1, 1, 1);

        step.token(0, TinyModel.VOCABULARY, 0, 0);
        assertRefused(NativeStatus.INVALID_ARGUMENT, () -> step.begin(1, 1, 1), "37");
        describeOneToken();
        step.token(0, 0, 5, 0);
        assertRefused(NativeStatus.INVALID_ARGUMENT, () -> step.begin(1, 1, 1), "position 5");
        describeOneToken();
        step.token(0, 0, 0, 4 * KvCache.BLOCK);
        assertRefused(NativeStatus.INVALID_ARGUMENT, () -> step.begin(1, 1, 1), "slot 64");
        describeOneToken();
        step.row(0, 1);
        assertRefused(NativeStatus.INVALID_ARGUMENT, () -> step.begin(1, 1, 1), "row 0");
        describeOneToken();
        step.queryStart(1, 2);
        assertRefused(NativeStatus.INVALID_ARGUMENT, () -> step.begin(1, 1, 1), "query start 1");
        describeOneToken();
        step.length(0, 3 * KvCache.BLOCK);
        assertRefused(NativeStatus.INVALID_ARGUMENT, () -> step.begin(1, 1, 1), "length 48");
        describeOneToken();
        step.block(0, 0, 4);
        assertRefused(NativeStatus.INVALID_ARGUMENT, () -> step.begin(1, 1, 1), "block 0 of sequence 0 is 4");
    }

    @Test
    void nothingRunsBeforeBegin() {
        try (Executable executable = partition.compile(0, 1, 8, true)) {
            assertRefused(NativeStatus.INVALID_STATE, () -> step.execute(executable, 0), "begun");
            assertRefused(NativeStatus.INVALID_STATE, step::sample, "begun");
        }
    }

    @Test
    void anExecutableRunsOnlyItsOwnPiecesAndSizes() {
        describeOneToken();
        step.begin(1, 1, 1);
        try (Executable first = partition.compile(0, 1, 8, true);
                Executable large = partition.compile(0, 2, 8, true);
                Graph other = model.layer();
                Partition foreign = other.split(Set.of());
                Executable stranger = foreign.compile(0, 1, 8, true)) {
            step.execute(first, 0);
            assertRefused(NativeStatus.INVALID_ARGUMENT, () -> step.execute(first, 1), "piece 1");
            assertRefused(NativeStatus.INVALID_ARGUMENT, () -> step.execute(first, 99), "99");
            assertRefused(NativeStatus.INVALID_ARGUMENT, () -> step.execute(large, 0), "(2, 8)");
            assertRefused(NativeStatus.INVALID_ARGUMENT, () -> step.execute(stranger, 0), "another partition");
            assertIllegal(() -> step.execute(first, -1), "piece must be >= 0, was -1");
            assertThatNullPointerException().isThrownBy(() -> step.execute(null, 0));
        }
    }

    @Test
    void aCacheMustFitTheGraph() {
        assertRefused(NativeStatus.INVALID_ARGUMENT, () -> Step.create(partition, null, SIZES), "KV cache");
        try (KvCache small = KvCache.create(device, new KvOptions(Precision.F32, 1, 1, 4, 1))) {
            assertRefused(NativeStatus.INVALID_ARGUMENT, () -> Step.create(partition, small, SIZES), "does not fit");
        }
        assertThat(cache.bytes()).isGreaterThanOrEqualTo(2L * Float.BYTES * (TinyModel.LAYER + 1) * TinyModel.KV_HEADS
                * TinyModel.HEAD_DIM * 4 * KvCache.BLOCK);
    }

    @Test
    void aGraphWithoutAnOutputHasNoLogits() {
        try (Graph silent = Graph.create(model.weights)) {
            silent.embedding(silent.input(GraphInput.TOKENS), model.id("embedding"));
            try (Partition pieces = silent.split(Set.of());
                    Step mute = Step.create(pieces, null, SIZES)) {
                assertThat(mute.vocabulary()).isZero();
                mute.token(0, 0, 0, -1);
                mute.queryStart(1, 1);
                mute.length(0, 1);
                mute.begin(1, 1, 1);
                mute.logits(0, new float[0]);
                assertRefused(NativeStatus.INVALID_STATE, mute::sample, "output");
            }
        }
    }

    // --------------------------------------------------------------------------------------------------------- threads

    @Test
    void aStepBelongsToItsThread() throws InterruptedException {
        describeOneToken();
        step.begin(1, 1, 1);
        List<ThrowingCallable> calls = List.of(
                () -> step.token(0, 0, 0, 0), () -> step.row(0, 0), () -> step.queryStart(0, 0),
                () -> step.length(0, 0), () -> step.block(0, 0, 0), () -> step.sampling(0, 0, 1, 0, 0, 0),
                () -> step.score(0, 0, 0), () -> step.samplerState(0, new SamplerState()),
                () -> step.clearSamplerState(0), () -> step.logprob(0, 0), () -> step.logprobToken(0, 0),
                () -> step.rank(0), () -> step.begin(1, 1, 1), () -> step.execute(null, 0), step::sample, () -> step.sampled(0),
                () -> step.logits(0, new float[TinyModel.VOCABULARY]), step::bytes, step::close);
        Thread owner = Thread.currentThread();
        onThread("stranger", () -> {
            for (ThrowingCallable call : calls) {
                assertThatIllegalStateException()
                        .isThrownBy(call)
                        .withMessageContaining("step belongs to thread " + owner)
                        .withMessageContaining("stranger");
            }
        });
        assertThat(step.isClosed()).isFalse();
        step.begin(1, 1, 1);
    }

    @Test
    void aStepWhoseThreadHasEndedCanBeClosed() throws InterruptedException {
        AtomicReference<Step> left = new AtomicReference<>();
        onThread("owner", () -> left.set(Step.create(partition, cache, SIZES)));
        assertThatIllegalStateException().isThrownBy(() -> left.get().token(0, 0, 0, 0));
        left.get().close();
        assertThat(left.get().isClosed()).isTrue();
    }

    private static void onThread(String name, Runnable body) throws InterruptedException {
        AtomicReference<Throwable> failure = new AtomicReference<>();
        Thread thread = Thread.ofPlatform().name(name).start(() -> {
            try {
                body.run();
            } catch (Throwable e) {
                failure.set(e);
            }
        });
        thread.join();
        if (failure.get() != null) {
            throw new AssertionError(failure.get());
        }
    }

    private void describeOneToken() {
        step.token(0, 0, 0, 0);
        step.queryStart(0, 0);
        step.queryStart(1, 1);
        step.length(0, 1);
        step.block(0, 0, 0);
        step.row(0, 0);
    }

    private static void assertOutOfBounds(ThrowingCallable call, String message) {
        assertThatExceptionOfType(IndexOutOfBoundsException.class).isThrownBy(call).withMessage(message);
    }

    private static void assertIllegal(ThrowingCallable call, String message) {
        assertThatIllegalArgumentException().isThrownBy(call).withMessage(message);
    }

    private static void assertRefused(NativeStatus status, ThrowingCallable call, String named) {
        assertThatExceptionOfType(NativeException.class)
                .isThrownBy(call)
                .withMessageContaining(named)
                .satisfies(e -> assertThat(e.status()).isEqualTo(status));
    }
}
