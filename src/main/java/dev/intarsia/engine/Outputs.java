package dev.intarsia.engine;

import dev.intarsia.Completion;
import dev.intarsia.FinishReason;
import dev.intarsia.Token;
import dev.intarsia.TokenLogprobs;
import dev.intarsia.text.Tokenizer;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * Turns sampled tokens into what callers get: text, tokens of streams, completions. It has a thread of its own, so
 * that neither the decoding of text nor the waking of callers holds up a step. A stop string is found here; the
 * engine, told of it, ends the sequence, and tokens that it sampled meanwhile are dropped.
 */
final class Outputs implements AutoCloseable {
    private final Tokenizer tokenizer; // null if there is none
    private final Events events;
    private final Thread thread;
    private final List<Sequence> news = new ArrayList<>(); // the engine's thread's

    private final ArrayDeque<Sequence> queue = new ArrayDeque<>(); // guarded by itself, as `closed`
    private boolean closed;

    /** What the outputs' thread has to tell. */
    interface Events {
        /** A stop string came: the sequence is to be ended. */
        void stopped(Sequence sequence);

        /** The request has failed here: it is to be cancelled. */
        void failed(Request request);

        /** A request ends, just before its caller is told. */
        void ended(FinishReason reason);
    }

    Outputs(String name, Tokenizer tokenizer, Events events) {
        this.tokenizer = tokenizer;
        this.events = events;
        thread = Thread.ofPlatform().name(name).daemon(true).start(this::run);
    }

    /**
     * Something was published of a sequence. For the engine's thread, as {@link #flush}, which hands all of a step
     * over at once.
     */
    void post(Sequence sequence) {
        news.add(sequence);
    }

    /** What was posted is to be delivered. */
    void flush() {
        if (news.isEmpty()) {
            return;
        }
        synchronized (queue) {
            for (int i = 0; i < news.size(); i++) {
                Sequence sequence = news.get(i);
                if (!sequence.output.posted) {
                    sequence.output.posted = true;
                    queue.add(sequence);
                }
            }
            queue.notify();
        }
        news.clear();
    }

    /** Whether tokens of a request are to be posted before its end. */
    static boolean wantsEach(Request request) {
        return request.answer.streamed() || !request.params.stop().isEmpty();
    }

    /** Works off what was posted and ends. For the engine's thread. */
    @Override
    public void close() {
        flush();
        synchronized (queue) {
            closed = true;
            queue.notify();
        }
        boolean interrupted = false;
        while (thread.isAlive()) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    // --------------------------------------------------------------------------------------------- the outputs' thread

    private void run() {
        for (Sequence next = next(); next != null; next = next()) {
            Sequence sequence = next;
            try {
                deliver(sequence);
            } catch (Throwable failure) {
                sequence.output.ended = true;
                sequence.request.answer.fail(failure, () -> events.failed(sequence.request));
            }
        }
    }

    private Sequence next() {
        synchronized (queue) {
            while (queue.isEmpty()) {
                if (closed) {
                    return null;
                }
                try {
                    queue.wait();
                } catch (InterruptedException e) {
                    // nobody has a reason to: the thread ends by close() alone
                }
            }
            Sequence sequence = queue.remove();
            sequence.output.posted = false;
            return sequence;
        }
    }

    private void deliver(Sequence sequence) {
        OutputText output = sequence.output;
        if (output.ended) {
            return;
        }
        FinishReason reason = sequence.finish();
        int published = sequence.published();
        if (wantsEach(sequence.request)) {
            takeEach(sequence, published);
        } else if (reason != null && tokenizer != null) {
            int from = sequence.promptLength();
            output.text.append(tokenizer.decode(
                    Arrays.copyOfRange(sequence.tokens, from, from + published),
                    sequence.request.params.skipSpecialTokens()));
            output.taken = published;
        } else {
            output.taken = published;
        }
        if (reason != null) {
            finish(sequence);
        }
    }

    private void takeEach(Sequence sequence, int published) {
        OutputText output = sequence.output;
        output.open(tokenizer);
        while (output.taken < published && !output.stopped) {
            int at = output.taken;
            int id = sequence.tokens[sequence.promptLength() + at];
            emit(sequence, id, output.append(id), at);
        }
        if (output.stopped) {
            events.stopped(sequence);
        }
    }

    private void emit(Sequence sequence, int id, String text, int at) {
        sequence.output.text.append(text);
        if (sequence.request.answer.streamed()) {
            Optional<TokenLogprobs> logprobs = at < 0 || sequence.logprobs == null
                    ? Optional.empty()
                    : Optional.of(sequence.logprobs[at]);
            sequence.request.answer.emit(new Token(sequence.index, id, text, logprobs));
        }
    }

    /** The sequence has ended, all its tokens were taken; the last of a request completes it. */
    private void finish(Sequence sequence) {
        OutputText output = sequence.output;
        String tail = output.finish();
        if (!tail.isEmpty()) {
            emit(sequence, Token.NONE, tail, -1);
        }
        output.ended = true;
        Request request = sequence.request;
        if (--request.undelivered == 0) {
            Completion completion = completion(request);
            request.answer.complete(completion, () -> events.ended(worst(completion)));
        }
    }

    private static Completion completion(Request request) {
        List<Completion.Output> outputs = new ArrayList<>();
        long first = 0;
        long last = 0;
        for (Sequence sequence : request.sequences) {
            outputs.add(output(sequence));
            if (sequence.firstToken != 0) {
                first = first == 0 ? sequence.firstToken : Math.min(first, sequence.firstToken);
                last = Math.max(last, sequence.lastToken);
            }
        }
        long now = System.nanoTime();
        long start = request.started ? request.start : now;
        return new Completion(
                Arrays.stream(request.prompt).boxed().toList(),
                outputs,
                request.cachedTokens,
                request.promptLogprobs,
                new Completion.Timings(
                        Duration.ofNanos(start - request.submitted),
                        Duration.ofNanos((first == 0 ? now : first) - start),
                        Duration.ofNanos(last - first)));
    }

    private static Completion.Output output(Sequence sequence) {
        OutputText output = sequence.output;
        List<Integer> tokens = Arrays.stream(
                        sequence.tokens, sequence.promptLength(), sequence.promptLength() + output.taken)
                .boxed()
                .toList();
        return new Completion.Output(
                output.text.toString(),
                tokens,
                output.stopped ? FinishReason.STOP : sequence.finish(),
                output.stopped ? Optional.of(output.stops.found()) : Optional.empty(),
                output.stopped || sequence.stopToken < 0 ? OptionalInt.empty() : OptionalInt.of(sequence.stopToken),
                sequence.logprobs == null ? List.of() : Arrays.asList(sequence.logprobs).subList(0, output.taken));
    }

    /** What a request counts as: cancelled or expired if any of its outputs was. */
    private static FinishReason worst(Completion completion) {
        FinishReason worst = FinishReason.STOP;
        for (Completion.Output output : completion.outputs()) {
            FinishReason reason = output.finishReason();
            worst = reason == FinishReason.CANCELLED || reason == FinishReason.DEADLINE ? reason : worst;
        }
        return worst;
    }
}
