package dev.intarsia.engine;

import dev.intarsia.Completion;
import dev.intarsia.EngineClosedException;
import dev.intarsia.IntarsiaException;
import dev.intarsia.Token;
import dev.intarsia.TokenStream;
import java.util.ArrayDeque;
import java.util.NoSuchElementException;
import java.util.function.Consumer;

/**
 * What the caller of a request holds: the thread of the outputs puts tokens and the completion in, the caller takes
 * them out; nobody waits for the caller. Guarded by its own monitor.
 */
final class Answer implements TokenStream {
    private final Request request;
    private final boolean streamed;
    private final ArrayDeque<Token> ready = new ArrayDeque<>();
    private int awaitingToken; // threads
    private Completion completion;
    private Throwable failure;
    private Consumer<Request> canceller; // null before it was accepted

    /** @param streamed whether tokens will be asked for one by one; else only the completion is */
    Answer(Request request, boolean streamed) {
        this.request = request;
        this.streamed = streamed;
    }

    boolean streamed() {
        return streamed;
    }

    /** @param canceller told, at most once and by any thread, that the rest is not wanted */
    synchronized void accepted(Consumer<Request> canceller) {
        this.canceller = canceller;
    }

    synchronized void emit(Token token) {
        ready.add(token);
        if (awaitingToken > 0) {
            notifyAll();
        }
    }

    /** @param first done, if nothing has ended it before, and before its caller is told */
    synchronized void complete(Completion value, Runnable first) {
        if (isOpen()) {
            first.run();
            completion = value;
            notifyAll();
        }
    }

    /** @param first done, if nothing has ended it before, and before its caller is told */
    synchronized void fail(Throwable cause, Runnable first) {
        if (isOpen()) {
            first.run();
            failure = cause;
            notifyAll();
        }
    }

    private boolean isOpen() {
        return completion == null && failure == null;
    }

    // -------------------------------------------------------------------------------------------------- for the caller

    @Override
    public synchronized boolean hasNext() {
        while (ready.isEmpty() && isOpen()) {
            awaitingToken++;
            try {
                await();
            } finally {
                awaitingToken--;
            }
        }
        if (ready.isEmpty() && failure != null) {
            throw rethrown();
        }
        return !ready.isEmpty();
    }

    @Override
    public synchronized Token next() {
        if (!hasNext()) {
            throw new NoSuchElementException("the completion has ended");
        }
        return ready.remove();
    }

    @Override
    public synchronized Completion completion() {
        while (isOpen()) {
            await();
        }
        if (completion == null) {
            throw rethrown();
        }
        return completion;
    }

    /** The logits of the last position of the prompt; waits for them. */
    float[] logits() {
        completion();
        if (request.logits == null) {
            throw new IntarsiaException("the request was cancelled before its logits were computed");
        }
        return request.logits;
    }

    @Override
    public void close() {
        Consumer<Request> told;
        synchronized (this) {
            told = isOpen() ? canceller : null;
            canceller = null;
        }
        if (told != null) {
            told.accept(request);
        }
    }

    private void await() {
        try {
            wait();
        } catch (InterruptedException e) {
            close();
            Thread.currentThread().interrupt();
            throw new IntarsiaException("interrupted while waiting for tokens; the completion was cancelled", e);
        }
    }

    /** A new exception of the same kind, so that its trace shows the caller and its cause what happened. */
    private RuntimeException rethrown() {
        return switch (failure) {
            case EngineClosedException e -> new EngineClosedException(e.getMessage(), e);
            default -> new IntarsiaException("the completion failed: " + failure.getMessage(), failure);
        };
    }
}
