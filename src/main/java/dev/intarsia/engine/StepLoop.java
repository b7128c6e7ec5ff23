package dev.intarsia.engine;

import dev.intarsia.FinishReason;
import dev.intarsia.SamplingParams;
import dev.intarsia.TokenLogprobs;
import dev.intarsia.piecewise.Dispatch;
import dev.intarsia.runtime.Step;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;

/**
 * Runs steps over all requests that were added: plans, writes the buffers, runs, and takes what was sampled. A request
 * is started, put back, resumed and ended here. Used by the engine's thread; between arrivals and departures nothing
 * is allocated.
 */
final class StepLoop {
    private final Scheduler scheduler;
    private final StepRunner runner;
    private final Step step;
    private final StepBatch batch;
    private final Samplers samplers;
    private final Meters meters;
    private final Consumer<Sequence> outputs;
    private final int[] endTokens;
    private final int maxModelLen;
    private final List<Request> requests = new ArrayList<>(); // that have not ended
    private int deadlines; // of them that have one
    private Flight flying; // what is enqueued, null if nothing is
    private final Flight[] flights; // of which two are in the air at most
    private int departures; // flights so far
    private long landed; // when the last flight did, System.nanoTime()
    private IntConsumer logitsReady; // for tests, null if nobody asks
    private Runnable beforeRun; // for tests, null if nobody asks

    /**
     * @param outputs gets every sequence of which something new was published: its end, and its tokens if they are
     *     wanted one by one
     */
    StepLoop(
            Scheduler scheduler,
            StepRunner runner,
            Step step,
            int[] endTokens,
            int maxModelLen,
            Meters meters,
            Consumer<Sequence> outputs) {
        this.scheduler = scheduler;
        this.runner = runner;
        this.step = step;
        this.endTokens = endTokens;
        this.maxModelLen = maxModelLen;
        this.meters = meters;
        this.outputs = outputs;
        batch = new StepBatch(step);
        samplers = new Samplers(step);
        flights = new Flight[] {new Flight(step.maxSequences()), new Flight(step.maxSequences())};
    }

    void add(Request request) {
        request.added = true;
        requests.add(request);
        deadlines += request.allowed == Request.NEVER ? 0 : 1;
        request.ends = ends(request.params, !request.params.ignoreEos());
        request.late = ends(request.params, true);
        request.held = request.sequences.length > 1 && scheduler.sharesPrefixes(request.prompt.length);
        for (Sequence sequence : request.sequences) {
            if (sequence.index == 0 || !request.held) {
                scheduler.add(sequence);
            }
        }
    }

    private int[] ends(SamplingParams params, boolean endOfSequence) {
        IntStream stops = params.stopTokenIds().stream().mapToInt(Integer::intValue);
        IntStream ends = endOfSequence ? Arrays.stream(endTokens) : IntStream.empty();
        return IntStream.concat(stops, ends).distinct().toArray();
    }

    /** The first sequence's prompt is in the cache, or never will be: the others may come. */
    private void release(Request request) {
        if (request.held) {
            request.held = false;
            for (Sequence sequence : request.sequences) {
                if (sequence.index > 0 && sequence.state != Sequence.State.ENDED) {
                    scheduler.add(sequence);
                }
            }
        }
    }

    /** Requests that have not ended. */
    List<Request> requests() {
        return requests;
    }

    boolean isIdle() {
        return scheduler.isIdle();
    }

    /** Ends what a request has not finished. One that was never added failed while the engine closed, and is counted already. */
    void cancel(Request request, FinishReason reason) {
        if (!request.added) {
            return;
        }
        request.held = false;
        for (Sequence sequence : request.sequences) {
            end(sequence, reason);
        }
    }

    /** Ends a sequence, if it has not ended: its blocks are free at once. */
    void end(Sequence sequence, FinishReason reason) {
        if (sequence.state == Sequence.State.ENDED) {
            return;
        }
        scheduler.end(sequence);
        samplers.leave(sequence);
        release(sequence.request);
        sequence.publish();
        sequence.publishEnd(reason);
        Request request = sequence.request;
        if (--request.unfinished == 0) {
            requests.remove(request);
            deadlines -= request.allowed == Request.NEVER ? 0 : 1;
            meters.waitingRequests.getAndAdd(request.started ? 0 : -1);
        }
        gauge();
        outputs.accept(sequence);
    }

    /** Lets go of every request, of whose ends nobody is told here. */
    void abandon() {
        for (Request request : requests) {
            for (Sequence sequence : request.sequences) {
                scheduler.end(sequence); // its sampler state ends with the step
            }
            meters.waitingRequests.getAndAdd(request.started ? 0 : -1);
        }
        requests.clear();
        gauge();
    }

    /** Ends requests whose deadline has passed. */
    void expire() {
        if (deadlines > 0) {
            long now = System.nanoTime();
            for (int i = requests.size() - 1; i >= 0; i--) {
                if (requests.get(i).isLate(now)) {
                    cancel(requests.get(i), FinishReason.DEADLINE);
                }
            }
        }
    }

    /**
     * One step; false if there was nothing to run. Where the device takes steps ahead of their tokens, the one after it is enqueued before its tokens
     * are waited for, if it is the same sequences' next: what ends meanwhile has run one token too many, which nobody sees.
     */
    boolean step() {
        if (flying == null) {
            long before = System.nanoTime();
            StepPlan plan = scheduler.schedule();
            if (plan.size == 0) {
                return false;
            }
            start(plan, before);
            batch.write(plan);
            if (beforeRun != null) {
                beforeRun.run();
            }
            if (!flies(plan)) {
                run(plan, before);
                return true;
            }
            flying = enqueue(plan, before);
        }
        Flight now = flying;
        flying = follow(now);
        land(now);
        return true;
    }

    private boolean flies(StepPlan plan) {
        if (plan.tokens != plan.size || batch.rows() != plan.size || logitsReady != null || !runner.enqueues(plan.size)) {
            return false;
        }
        for (int i = 0; i < plan.size; i++) {
            Request request = plan.sequences[i].request;
            if (!request.plain || !step.samplesThere((float) request.params.temperature(), (float) request.params.topP())) {
                return false;
            }
        }
        return true;
    }

    private Flight enqueue(StepPlan plan, long before) {
        Flight flight = flights[departures++ & 1];
        Dispatch how = runner.enqueue(plan.size);
        flight.start(plan, how.batch().requests(), before);
        scheduler.ran();
        count(plan, how);
        batch.done();
        plan.clear();
        return flight;
    }

    /** The next step of the same sequences, if each of them has one whatever its token is; else null. */
    private Flight follow(Flight flight) {
        if (scheduler.running() != flight.size() || logitsReady != null) {
            return null;
        }
        for (int row = 0; row < flight.size(); row++) {
            Sequence sequence = flight.owner(row);
            SamplingParams params = sequence.request.params;
            if (sequence.state != Sequence.State.RUNNING
                    || sequence.sampled() + 1 >= params.maxTokens()
                    || sequence.length + 1 >= maxModelLen
                    || params.repetitionDetection().isPresent()) {
                return null;
            }
        }
        long before = System.nanoTime();
        StepPlan plan = scheduler.follow();
        if (plan.size == 0) {
            return null;
        }
        batch.follow(plan);
        if (beforeRun != null) {
            beforeRun.run();
        }
        return enqueue(plan, before);
    }

    private void land(Flight flight) {
        step.collect(flight.rows());
        long now = System.nanoTime();
        meters.step.add(now - Math.max(flight.begun(), landed));
        landed = now;
        for (int row = 0; row < flight.size(); row++) {
            Sequence sequence = flight.owner(row);
            if (sequence.state == Sequence.State.RUNNING) { // what has ended meanwhile has nothing more to say
                take(sequence, row, now);
            }
        }
        flight.clear();
        gauge();
    }

    private void run(StepPlan plan, long before) {
        Dispatch how = runner.run(plan.tokens, plan.size, batch.rows(), plan.tokens == plan.size);
        scheduler.ran();
        long now = System.nanoTime();
        count(plan, how);
        meters.step.add(now - before);
        for (int row = 0; row < batch.rows(); row++) {
            Sequence sequence = batch.rowOwner(row);
            if (batch.rowPosition(row) < sequence.length - 1) {
                sequence.request.promptLogprobs.add(logprobs(row, sequence.request.params.promptLogprobs().orElse(0)));
            } else {
                take(sequence, row, now);
            }
        }
        batch.done();
        plan.clear();
        gauge();
    }

    private void start(StepPlan plan, long now) {
        for (int i = 0; i < plan.preempted; i++) {
            samplers.leave(plan.putBack[i]);
        }
        for (int i = 0; i < plan.size; i++) {
            Sequence sequence = plan.sequences[i];
            Request request = sequence.request;
            samplers.join(sequence);
            if (!request.started) {
                request.started = true;
                request.start = now;
                request.cachedTokens = sequence.computed;
                meters.waitingRequests.getAndDecrement();
                meters.queue.add(now - request.submitted);
                meters.promptTokens.getAndAdd(request.prompt.length);
                meters.cachedTokens.getAndAdd(request.cachedTokens);
            }
        }
    }

    private void count(StepPlan plan, Dispatch how) {
        meters.steps.getAndIncrement();
        meters.stepTokens.getAndAdd(plan.tokens);
        meters.paddingTokens.getAndAdd(how.paddedTokens() - plan.tokens);
        meters.preemptions.getAndAdd(plan.preempted);
        for (int i = 0; i < plan.size; i++) {
            Sequence sequence = plan.sequences[i];
            int again = Math.min(sequence.computed, sequence.reached) - (sequence.computed - plan.counts[i]);
            if (again > 0) {
                meters.recomputedTokens.getAndAdd(again);
            }
        }
    }

    private void gauge() {
        meters.running.setPlain(scheduler.running());
        meters.putBack.setPlain(scheduler.putBack());
        meters.blocksUsed.setPlain(scheduler.blocks().count() - scheduler.blocks().free());
        meters.blocksCached.setRelease(scheduler.blocks().freeCached());
    }

    private void take(Sequence sequence, int row, long now) {
        if (logitsReady != null) {
            logitsReady.accept(row);
        }
        if (sequence.request.logitsOnly) {
            float[] logits = new float[step.vocabulary()];
            step.logits(row, logits);
            sequence.request.logits = logits;
            end(sequence, FinishReason.LENGTH);
            return;
        }
        SamplingParams params = sequence.request.params;
        int token = step.sampled(row);
        meters.generatedTokens.getAndIncrement();
        if (sequence.sampled() == 0) {
            sequence.firstToken = now;
            meters.firstToken.add(now - sequence.request.submitted);
        } else {
            meters.interToken.add(now - sequence.lastToken);
        }
        sequence.lastToken = now;
        release(sequence.request);
        boolean ends = sequence.sampled() >= params.minTokens() && contains(sequence.request.ends, token);
        if (ends) {
            sequence.stopToken = token;
        }
        if (!ends || params.includeStopStrInOutput()) {
            sequence.append(token);
            if (params.logprobs().isPresent()) {
                sequence.add(logprobs(row, params.logprobs().getAsInt()));
            }
        }
        if (ends) {
            end(sequence, FinishReason.STOP);
        } else if (sequence.sampled() == params.maxTokens() || sequence.length == maxModelLen) {
            end(sequence, FinishReason.LENGTH);
        } else if (repeats(sequence)) {
            end(sequence, FinishReason.REPETITION);
        } else if (Outputs.wantsEach(sequence.request)) {
            sequence.publish();
            outputs.accept(sequence);
        }
    }

    private static boolean repeats(Sequence sequence) {
        SamplingParams params = sequence.request.params;
        return params.repetitionDetection().isPresent()
                && sequence.sampled() >= params.minTokens()
                && Repetition.found(
                        sequence.tokens, sequence.promptLength(), sequence.length, params.repetitionDetection().get());
    }

    private static boolean contains(int[] tokens, int token) {
        for (int each : tokens) {
            if (each == token) {
                return true;
            }
        }
        return false;
    }

    /** What the step says of a row's own token and of so many of the likeliest. */
    private TokenLogprobs logprobs(int row, int count) {
        List<TokenLogprobs.Candidate> top = new ArrayList<>(count);
        for (int i = 1; i <= count && step.logprobToken(row, i) >= 0; i++) {
            top.add(new TokenLogprobs.Candidate(step.logprobToken(row, i), step.logprob(row, i)));
        }
        return new TokenLogprobs(step.logprobToken(row, 0), step.logprob(row, 0), step.rank(row), top);
    }

    /** For tests: steps that were enqueued. */
    int departures() {
        return departures;
    }

    /** For tests: told the row of each sequence whenever the step holds its new logits. */
    void onLogits(IntConsumer action) {
        logitsReady = action;
    }

    /** For tests: called when the buffers are written and nothing has run. */
    void beforeRun(Runnable action) {
        beforeRun = action;
    }
}
