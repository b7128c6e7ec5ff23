package dev.intarsia.engine;

import dev.intarsia.FinishReason;
import dev.intarsia.SamplingParams;
import dev.intarsia.runtime.KvCache;
import dev.intarsia.runtime.Step;
import dev.intarsia.text.IncrementalDecoder;
import java.util.function.BooleanSupplier;

/**
 * Runs one request to its end: the prompt in steps of at most maxNumBatchedTokens, then a token a step. Between two tokens
 * nothing is allocated but the text that is delivered. Used by the engine's thread.
 */
final class Generation {
    private final StepRunner runner;
    private final Step step;
    private final BlockPool pool;
    private final int[] endTokens;
    private final int maxModelLen;
    private final int maxNumBatchedTokens;
    private final int[] blocks; // block table of the running sequence
    private int blockCount;
    private Runnable logitsReady = () -> {};

    Generation(StepRunner runner, Step step, BlockPool pool, int[] endTokens, EngineConfig config) {
        this.runner = runner;
        this.step = step;
        this.pool = pool;
        this.endTokens = endTokens;
        this.maxModelLen = config.maxModelLen();
        this.maxNumBatchedTokens = config.maxNumBatchedTokens();
        this.blocks = new int[config.blocksPerSequence()];
    }

    /**
     * @param decoder of the request's text, null where there is no tokenizer
     * @param stopped asked before each step; true ends the request as cancelled
     */
    void run(Request request, IncrementalDecoder decoder, BooleanSupplier stopped) {
        request.start();
        try {
            if (!prefill(request, stopped)) {
                request.finish(FinishReason.CANCELLED, "");
            } else if (request.logitsOnly()) {
                float[] logits = new float[step.vocabulary()];
                step.logits(0, logits);
                request.finishWithLogits(logits);
            } else {
                decode(request, decoder, stopped);
            }
        } finally {
            while (blockCount > 0) {
                pool.give(blocks[--blockCount]);
            }
        }
    }

    /** Runs the prompt; the logits of its last position are those of row 0. False if it was stopped. */
    private boolean prefill(Request request, BooleanSupplier stopped) {
        int[] prompt = request.prompt();
        for (int done = 0; done < prompt.length; ) {
            if (stopped.getAsBoolean()) {
                return false;
            }
            int count = Math.min(maxNumBatchedTokens, prompt.length - done);
            for (int i = 0; i < count; i++) {
                put(i, prompt[done + i], done + i);
            }
            done += count;
            forward(request, count, done, done == prompt.length ? 1 : 0);
        }
        return true;
    }

    private void decode(Request request, IncrementalDecoder decoder, BooleanSupplier stopped) {
        SamplingParams params = request.params();
        int length = request.prompt().length; // tokens in the cache
        for (int sampled = 1; ; sampled++) {
            int token = step.sampled(0);
            if (!params.ignoreEos() && ends(token)) {
                request.finish(FinishReason.STOP, decoder == null ? "" : decoder.finish());
                return;
            }
            boolean last = sampled == params.maxTokens() || length + 1 == maxModelLen;
            String text = decoder == null ? "" : decoder.append(token);
            request.emit(token, last && decoder != null ? text + decoder.finish() : text);
            if (last) {
                request.finish(FinishReason.LENGTH, "");
                return;
            }
            if (stopped.getAsBoolean()) {
                request.finish(FinishReason.CANCELLED, decoder == null ? "" : decoder.finish());
                return;
            }
            put(0, token, length);
            length++;
            forward(request, 1, length, 1);
        }
    }

    /** Token {@code index} of the step, at a position of the running sequence, which gets a block when it needs one. */
    void put(int index, int token, int position) {
        int block = position / KvCache.BLOCK;
        if (block == blockCount) {
            blocks[blockCount++] = pool.take();
            step.block(0, block, blocks[block]);
        }
        step.token(index, token, position, blocks[block] * KvCache.BLOCK + position % KvCache.BLOCK);
    }

    /** One step of the running sequence: {@code tokens} new ones, {@code length} in the cache afterwards. */
    private void forward(Request request, int tokens, int length, int rows) {
        describe(request.params(), request.seed(), tokens, length);
        runner.run(tokens, 1, rows, tokens == 1);
        if (rows > 0) {
            logitsReady.run();
        }
    }

    /** The sequence and the row of a step whose tokens were put. */
    void describe(SamplingParams params, long seed, int tokens, int length) {
        step.queryStart(0, 0);
        step.queryStart(1, tokens);
        step.length(0, length);
        step.row(0, tokens - 1);
        step.sampling(0, (float) params.temperature(), (float) params.topP(), params.topK(), seed, length);
    }

    /** For tests: called whenever the step holds new logits in row 0. */
    void onLogits(Runnable action) {
        logitsReady = action;
    }

    private boolean ends(int token) {
        for (int end : endTokens) {
            if (token == end) {
                return true;
            }
        }
        return false;
    }
}
