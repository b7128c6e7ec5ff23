package dev.intarsia;

import java.lang.ref.Reference;

/** A stream that keeps its engine from being dropped for as long as somebody may read it. */
final class Held implements TokenStream {
    private final TokenStream stream;
    private final Engine engine;

    Held(TokenStream stream, Engine engine) {
        this.stream = stream;
        this.engine = engine;
    }

    @Override
    public boolean hasNext() {
        try {
            return stream.hasNext();
        } finally {
            Reference.reachabilityFence(engine);
        }
    }

    @Override
    public Token next() {
        try {
            return stream.next();
        } finally {
            Reference.reachabilityFence(engine);
        }
    }

    @Override
    public Completion completion() {
        try {
            return stream.completion();
        } finally {
            Reference.reachabilityFence(engine);
        }
    }

    @Override
    public void close() {
        stream.close();
    }
}
