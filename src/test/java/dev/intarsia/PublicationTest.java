package dev.intarsia;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.intarsia.engine.Gate;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Subscribers get what they ask for, when they ask, and nothing that they do reaches the engine. */
@Timeout(60)
class PublicationTest {
    private static final List<Integer> PROMPT = List.of(5, 6, 7);
    private static final SamplingParams TWENTY = SamplingParams.greedy(20).toBuilder().ignoreEos(true).build();
    private static final GenerationRequest REQUEST = GenerationRequest.of(PROMPT, TWENTY);

    private static Engine open() {
        return Engine.open(TestModels.checkpoint("qwen3-tied"), EngineOptions.builder().maxNumSeqs(2).build());
    }

    @Test
    void noMoreThanWasAskedFor() throws Exception {
        try (Engine engine = open()) {
            Reader reader = new Reader(0);
            engine.publish(REQUEST).subscribe(reader);
            reader.subscribed.await();
            Thread.sleep(50);
            assertThat(reader.tokens).isEmpty();
            reader.subscription.request(3);
            ServingTest.eventually(() -> reader.tokens.size() == 3);
            Thread.sleep(50);
            assertThat(reader.tokens).hasSize(3);
            reader.subscription.request(1);
            ServingTest.eventually(() -> reader.tokens.size() == 4);
            reader.subscription.request(Long.MAX_VALUE);
            reader.subscription.request(Long.MAX_VALUE);
            reader.ended.await();
            assertThat(reader.ids()).isEqualTo(engine.generate(REQUEST).tokens());
        }
    }

    @Test
    void theEndIsToldWithoutFurtherDemand() throws Exception {
        try (Engine engine = open()) {
            Reader reader = new Reader(20);
            engine.publish(REQUEST).subscribe(reader);
            reader.ended.await();
            assertThat(reader.tokens).hasSize(20);
            assertThat(reader.failure).isNull();
        }
    }

    @Test
    void aSubscriptionThatIsCancelledEndsItsRequest() throws Exception {
        try (Engine engine = Engine.open(TestModels.holmes());
                Gate gate = new Gate(engine.core())) {
            gate.let(5);
            Reader reader = new Reader(2);
            engine.publish(GenerationRequest.of("It was", TWENTY.toBuilder().maxTokens(1000).build())).subscribe(reader);
            ServingTest.eventually(() -> reader.tokens.size() == 2);
            reader.subscription.cancel();
            reader.subscription.cancel();
            gate.open();
            ServingTest.eventually(() -> engine.stats().cancelled() == 1 && engine.stats().kvBlocksUsed() == 0);
            reader.subscription.request(5);
            Thread.sleep(20);
            assertThat(reader.tokens).hasSize(2);
            assertThat(reader.ended.getCount()).as("nothing is told after a cancellation").isOne();
        }
    }

    @Test
    void aSubscriberThatThrowsCancelsItsRequestAlone() throws Exception {
        try (Engine engine = Engine.open(TestModels.holmes());
                Gate gate = new Gate(engine.core())) {
            GenerationRequest request = GenerationRequest.of("It was", TWENTY.toBuilder().maxTokens(1000).build());
            Thread.UncaughtExceptionHandler before = Thread.getDefaultUncaughtExceptionHandler();
            List<String> uncaught = new java.util.concurrent.CopyOnWriteArrayList<>();
            Thread.setDefaultUncaughtExceptionHandler((thread, thrown) -> uncaught.add(thrown.getMessage()));
            try {
                engine.publish(request).subscribe(new Reader(Long.MAX_VALUE) {
                    @Override
                    public void onNext(Token token) {
                        throw new IllegalStateException("thrown by a subscriber");
                    }
                });
                gate.letUntil(() -> engine.stats().cancelled() == 1);
                gate.open();
            } finally {
                Thread.setDefaultUncaughtExceptionHandler(before);
            }
            assertThat(uncaught).containsExactly("thrown by a subscriber");
            assertThat(engine.generate("It was", SamplingParams.greedy(3)).tokens()).hasSize(3);
        }
    }

    @Test
    void aDemandBelowOneIsAnError() throws Exception {
        try (Engine engine = open()) {
            Reader reader = new Reader(0);
            engine.publish(REQUEST).subscribe(reader);
            reader.subscribed.await();
            reader.subscription.request(0);
            reader.ended.await();
            assertThat(reader.failure).isInstanceOf(IllegalArgumentException.class).hasMessageContaining("request is 0");
        }
    }

    @Test
    void whatTheEngineRefusesIsAnErrorOfTheSubscriber() throws Exception {
        Engine engine = open();
        engine.close();
        Reader reader = new Reader(1);
        engine.publish(REQUEST).subscribe(reader);
        reader.ended.await();
        assertThat(reader.failure).isInstanceOf(EngineClosedException.class);
        assertThatThrownBy(() -> engine.publish(REQUEST).subscribe(null)).isInstanceOf(NullPointerException.class);
        assertThatThrownBy(() -> engine.publish(null)).isInstanceOf(NullPointerException.class);
    }

    @Test
    void eachSubscriberGetsACompletionOfItsOwn() throws Exception {
        try (Engine engine = open()) {
            var publisher = engine.publish(REQUEST);
            Reader first = new Reader(Long.MAX_VALUE);
            Reader second = new Reader(Long.MAX_VALUE);
            publisher.subscribe(first);
            publisher.subscribe(second);
            first.ended.await();
            second.ended.await();
            assertThat(first.ids()).hasSize(20).isEqualTo(second.ids());
            assertThat(engine.stats().finished()).isEqualTo(2);
        }
    }
}
