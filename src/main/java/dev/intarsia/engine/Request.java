package dev.intarsia.engine;

import dev.intarsia.Completion;
import dev.intarsia.EngineClosedException;
import dev.intarsia.FinishReason;
import dev.intarsia.IntarsiaException;
import dev.intarsia.SamplingParams;
import dev.intarsia.Token;
import dev.intarsia.TokenStream;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * One completion on its way: the engine's thread puts tokens in, the caller takes them out. The engine never waits for the caller.
 * Guarded by its own monitor; {@code cancelled} is read without it.
 */
final class Request implements TokenStream {
    private final int[] prompt;
    private final SamplingParams params;
    private final long seed;
    private final boolean logitsOnly;
    private final long submitted = System.nanoTime();
    private volatile boolean cancelled;

    private final ArrayDeque<Token> ready = new ArrayDeque<>();
    private final List<Integer> tokens = new ArrayList<>();
    private final StringBuilder text = new StringBuilder();
    private long started;
    private long firstToken;
    private long lastToken;
    private Completion completion;
    private float[] logits;
    private Throwable failure;

    /**
     * @param seed drawn by the caller if the parameters have none
     * @param logitsOnly the logits of the last position are wanted and nothing is sampled
     */
    Request(int[] prompt, SamplingParams params, long seed, boolean logitsOnly) {
        this.prompt = prompt;
        this.params = params;
        this.seed = seed;
        this.logitsOnly = logitsOnly;
    }

    // ------------------------------------------------------------------------------------------- for the engine's thread

    int[] prompt() {
        return prompt;
    }

    SamplingParams params() {
        return params;
    }

    long seed() {
        return seed;
    }

    boolean logitsOnly() {
        return logitsOnly;
    }

    boolean cancelled() {
        return cancelled;
    }

    synchronized void start() {
        started = System.nanoTime();
    }

    synchronized void emit(int id, String newText) {
        lastToken = System.nanoTime();
        if (tokens.isEmpty()) {
            firstToken = lastToken;
        }
        tokens.add(id);
        text.append(newText);
        ready.add(new Token(0, id, newText, Optional.empty()));
        notifyAll();
    }

    /** @param tail text that was held back */
    synchronized void finish(FinishReason reason, String tail) {
        text.append(tail);
        if (!tail.isEmpty()) {
            ready.add(new Token(0, Token.NONE, tail, Optional.empty()));
        }
        Duration queued = Duration.ofNanos(started - submitted);
        Duration prefill = Duration.ofNanos(tokens.isEmpty() ? System.nanoTime() - started : firstToken - started);
        Duration decode = Duration.ofNanos(tokens.isEmpty() ? 0 : lastToken - firstToken);
        completion = new Completion(
                Arrays.stream(prompt).boxed().toList(),
                List.of(new Completion.Output(
                        text.toString(), tokens, reason, Optional.empty(), OptionalInt.empty(), List.of())),
                0,
                List.of(),
                new Completion.Timings(queued, prefill, decode));
        notifyAll();
    }

    synchronized void finishWithLogits(float[] values) {
        logits = values;
        finish(FinishReason.LENGTH, "");
    }

    /** The end of a request that ended without failure. */
    synchronized void count(Meters meters) {
        (completion.finishReason() == FinishReason.CANCELLED ? meters.cancelled : meters.finished).incrementAndGet();
        meters.promptTokens.addAndGet(prompt.length);
        meters.generatedTokens.addAndGet(tokens.size());
        meters.queue.add(started - submitted);
        if (!tokens.isEmpty()) {
            meters.firstToken.add(firstToken - submitted);
        }
    }

    synchronized void fail(Throwable cause) {
        if (completion == null && failure == null) {
            failure = cause;
            notifyAll();
        }
    }

    // ------------------------------------------------------------------------------------------------------ for the caller

    @Override
    public synchronized boolean hasNext() {
        while (ready.isEmpty() && completion == null && failure == null) {
            await();
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
        while (completion == null && failure == null) {
            await();
        }
        if (completion == null) {
            throw rethrown();
        }
        return completion;
    }

    /** The logits of the last position of the prompt; waits for them. */
    synchronized float[] logits() {
        completion();
        if (logits == null) {
            throw new IntarsiaException("the request was cancelled before its logits were computed");
        }
        return logits;
    }

    @Override
    public void close() {
        cancelled = true;
    }

    private void await() {
        try {
            wait();
        } catch (InterruptedException e) {
            cancelled = true;
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
