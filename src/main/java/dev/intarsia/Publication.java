package dev.intarsia;

import java.util.Objects;
import java.util.concurrent.Flow;
import java.util.function.Supplier;

/**
 * Streams as a publisher: every subscriber gets a completion of its own. A virtual thread for each takes the tokens
 * that were asked for; whatever a subscriber does, however long it takes or whatever it throws, concerns that thread
 * alone.
 */
final class Publication implements Flow.Publisher<Token> {
    private final Supplier<TokenStream> opener;

    Publication(Supplier<TokenStream> opener) {
        this.opener = opener;
    }

    @Override
    public void subscribe(Flow.Subscriber<? super Token> subscriber) {
        Objects.requireNonNull(subscriber, "subscriber");
        TokenStream stream;
        try {
            stream = opener.get();
        } catch (RuntimeException refused) {
            subscriber.onSubscribe(new Refused());
            subscriber.onError(refused);
            return;
        }
        Pump pump = new Pump(stream, subscriber);
        Thread.ofVirtual().name("intarsia-publication").start(pump);
    }

    /** A subscription that ended before it began. */
    private static final class Refused implements Flow.Subscription {
        @Override
        public void request(long count) {}

        @Override
        public void cancel() {}
    }

    /** One subscription. */
    private static final class Pump implements Flow.Subscription, Runnable {
        private final TokenStream stream;
        private final Flow.Subscriber<? super Token> subscriber;
        private long demand; // guarded by this, as what follows
        private boolean cancelled;
        private IllegalArgumentException misuse;

        Pump(TokenStream stream, Flow.Subscriber<? super Token> subscriber) {
            this.stream = stream;
            this.subscriber = subscriber;
        }

        @Override
        public void request(long count) {
            synchronized (this) {
                if (count <= 0 && misuse == null) {
                    misuse = new IllegalArgumentException("request is " + count + "; it must be 1 or more");
                }
                demand = count <= 0 ? demand : Math.addExact(Math.min(demand, Long.MAX_VALUE - count), count);
                notifyAll();
            }
            if (count <= 0) {
                stream.close();
            }
        }

        @Override
        public void cancel() {
            synchronized (this) {
                cancelled = true;
                notifyAll();
            }
            stream.close();
        }

        @Override
        public void run() {
            try (stream) {
                subscriber.onSubscribe(this);
                Throwable failure = deliver();
                if (isCancelled()) {
                    return;
                }
                if (failure == null) {
                    subscriber.onComplete();
                } else {
                    subscriber.onError(failure);
                }
            } catch (Throwable thrown) {
                // The subscriber broke its contract; closing the stream cancels what it asked for.
                Thread current = Thread.currentThread();
                current.getUncaughtExceptionHandler().uncaughtException(current, thrown);
            }
        }

        /** Tokens as long as there are any; returns what ended them, null if that is their end. */
        private Throwable deliver() {
            while (true) {
                Token token;
                try {
                    if (!stream.hasNext()) {
                        return misuse();
                    }
                    if (!awaitDemand()) {
                        return misuse();
                    }
                    token = stream.next();
                } catch (RuntimeException | InterruptedException failure) {
                    return failure;
                }
                subscriber.onNext(token);
            }
        }

        /** Whether one more may be delivered; false once there is an end to it. */
        private synchronized boolean awaitDemand() throws InterruptedException {
            while (demand == 0 && !cancelled && misuse == null) {
                wait();
            }
            if (cancelled || misuse != null) {
                return false;
            }
            demand -= demand == Long.MAX_VALUE ? 0 : 1;
            return true;
        }

        private synchronized boolean isCancelled() {
            return cancelled;
        }

        private synchronized IllegalArgumentException misuse() {
            return misuse;
        }
    }
}
