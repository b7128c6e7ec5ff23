package dev.intarsia;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Flow;

/** A subscriber that keeps what it gets. */
class Reader implements Flow.Subscriber<Token> {
    final List<Token> tokens = new CopyOnWriteArrayList<>();
    final CountDownLatch subscribed = new CountDownLatch(1);
    final CountDownLatch ended = new CountDownLatch(1);
    volatile Flow.Subscription subscription;
    volatile Throwable failure;
    private final long first;

    /** @param first how many it asks for at once, 0 = none */
    Reader(long first) {
        this.first = first;
    }

    List<Integer> ids() {
        return tokens.stream().map(Token::id).toList();
    }

    @Override
    public void onSubscribe(Flow.Subscription given) {
        subscription = given;
        subscribed.countDown();
        if (first > 0) {
            given.request(first);
        }
    }

    @Override
    public void onNext(Token token) {
        tokens.add(token);
    }

    @Override
    public void onError(Throwable thrown) {
        failure = thrown;
        ended.countDown();
    }

    @Override
    public void onComplete() {
        ended.countDown();
    }
}
