package dev.intarsia;

import java.lang.ref.Cleaner;
import java.lang.ref.Reference;

/**
 * A stream that keeps its engine from being dropped for as long as somebody may read it, and that cancels its
 * completion when it is dropped itself.
 */
final class Held implements TokenStream {
    private static final Cleaner CLEANER = Cleaner.create();

    private final TokenStream stream;
    private final Engine engine;
    private final Cleaner.Cleanable dropped;

    Held(TokenStream stream, Engine engine) {
        this.stream = stream;
        this.engine = engine;
        dropped = CLEANER.register(this, stream::close);
    }

    @Override
    public boolean hasNext() {
        try {
            return stream.hasNext();
        } finally {
            held();
        }
    }

    @Override
    public Token next() {
        try {
            return stream.next();
        } finally {
            held();
        }
    }

    @Override
    public Completion completion() {
        try {
            Completion completion = stream.completion();
            dropped.clean(); // there is nothing left to cancel
            return completion;
        } finally {
            held();
        }
    }

    @Override
    public void close() {
        dropped.clean();
        held();
    }

    /** Neither this nor the engine was dropped up to here. */
    private void held() {
        Reference.reachabilityFence(engine);
        Reference.reachabilityFence(this);
    }
}
