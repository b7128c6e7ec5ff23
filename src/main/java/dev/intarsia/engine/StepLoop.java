package dev.intarsia.engine;

import dev.intarsia.FinishReason;
import dev.intarsia.SamplingParams;
import dev.intarsia.piecewise.Dispatch;
import dev.intarsia.runtime.Step;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.IntConsumer;

/**
 * Runs steps over all requests that were added: plans, writes the buffers, runs, and takes what was sampled. A request is started, put back, resumed and ended here.
 * Used by the engine's thread; between arrivals and departures nothing is allocated.
 */
final class StepLoop {
    private final Scheduler scheduler;
    private final StepRunner runner;
    private final Step step;
    private final StepBatch batch;
    private final Meters meters;
    private final Consumer<Sequence> outputs;
    private final int[] endTokens;
    private final int maxModelLen;
    private final List<Request> requests = new ArrayList<>(); // that have not ended
    private int deadlines; // of them that have one
    private IntConsumer logitsReady; // for tests, null if nobody asks
    private Runnable beforeRun; // for tests, null if nobody asks

    /** @param outputs gets every sequence of which something new was published: its end, and its tokens if they are wanted one by one */
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
    }

    void add(Request request) {
        requests.add(request);
        deadlines += request.allowed == Request.NEVER ? 0 : 1;
        for (Sequence sequence : request.sequences) {
            scheduler.add(sequence);
        }
    }

    /** Requests that have not ended. */
    List<Request> requests() {
        return requests;
    }

    boolean isIdle() {
        return scheduler.isIdle();
    }

    /** Ends what a request has not finished. */
    void cancel(Request request, FinishReason reason) {
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
    List<Request> abandon() {
        List<Request> all = List.copyOf(requests);
        requests.clear();
        for (Request request : all) {
            for (Sequence sequence : request.sequences) {
                scheduler.end(sequence);
            }
            meters.waitingRequests.getAndAdd(request.started ? 0 : -1);
        }
        gauge();
        return all;
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

    /** One step; false if there was nothing to run. */
    boolean step() {
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
        Dispatch how = runner.run(plan.tokens, plan.size, batch.rows(), plan.tokens == plan.size);
        scheduler.ran();
        long now = System.nanoTime();
        count(plan, how, now - before);
        for (int row = 0; row < batch.rows(); row++) {
            take(batch.rowOwner(row), row, now);
        }
        batch.done();
        plan.clear();
        gauge();
        return true;
    }

    private void start(StepPlan plan, long now) {
        for (int i = 0; i < plan.size; i++) {
            Sequence sequence = plan.sequences[i];
            Request request = sequence.request;
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

    private void count(StepPlan plan, Dispatch how, long taken) {
        meters.steps.getAndIncrement();
        meters.stepTokens.getAndAdd(plan.tokens);
        meters.paddingTokens.getAndAdd(how.paddedTokens() - plan.tokens);
        meters.preemptions.getAndAdd(plan.preempted);
        meters.step.add(taken);
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
        if (!params.ignoreEos() && isEnd(token)) {
            sequence.stopToken = token;
            end(sequence, FinishReason.STOP);
            return;
        }
        sequence.append(token);
        if (sequence.sampled() == params.maxTokens() || sequence.length == maxModelLen) {
            end(sequence, FinishReason.LENGTH);
        } else if (Outputs.wantsEach(sequence.request)) {
            sequence.publish();
            outputs.accept(sequence);
        }
    }

    private boolean isEnd(int token) {
        for (int end : endTokens) {
            if (token == end) {
                return true;
            }
        }
        return false;
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
