package dev.intarsia.engine;

import dev.intarsia.FinishReason;
import dev.intarsia.TokenLogprobs;
import dev.intarsia.runtime.KvCache;
import java.util.Arrays;

/**
 * One continuation of a prompt as the engine's thread sees it: its tokens, how many of them are in the KV cache, and
 * where. What was sampled is published to the thread of the outputs by {@link #publish}.
 */
final class Sequence {
    /** Where a sequence is. */
    enum State {
        WAITING,
        RUNNING,
        ENDED
    }

    final Request request;
    final int index; // of the request's outputs
    final long seed;
    State state = State.WAITING;

    int[] tokens; // the prompt, then what was sampled; only its first `length` count
    int length;
    int computed; // tokens whose keys and values are in the cache
    int[] blocks = new int[4]; // of the cache, in order; the first `blockCount` count
    int blockCount;
    long[] hashes; // two words: the root's, then those of each full block
    int hashed; // full blocks whose hash is there
    int committed; // full blocks whose contents were offered to the prefix cache
    long admission; // another number, from 1, each time it begins to run: its blocks are those of no other
    int slot = -1; // of its sampler state while it runs
    int reached; // most tokens that were ever in the cache, before it was put back
    TokenLogprobs[] logprobs; // of what was sampled, if asked for
    long firstToken; // System.nanoTime()
    long lastToken;
    int stopToken = -1;
    final OutputText output; // the outputs' thread's

    private volatile int published; // sampled tokens that the outputs' thread may read
    private volatile FinishReason finish;

    Sequence(Request request, int index, long seed) {
        this.request = request;
        this.index = index;
        this.seed = seed;
        output = new OutputText(request.params);
        tokens = request.prompt;
        length = tokens.length;
        hashes = new long[] {request.root[0], request.root[1]};
    }

    /** Tokens of the prompt. */
    int promptLength() {
        return request.prompt.length;
    }

    /** Tokens sampled so far. */
    int sampled() {
        return length - request.prompt.length;
    }

    /** Tokens that are known but not in the cache yet. */
    int remaining() {
        return length - computed;
    }

    /** Adds a token that was sampled. */
    void append(int token) {
        if (tokens.length == length || tokens == request.prompt) {
            tokens = Arrays.copyOf(tokens, length + Math.max(64, length / 2));
        }
        tokens[length++] = token;
    }

    /** Keeps what is known of the token that was appended last. */
    void add(TokenLogprobs known) {
        int at = sampled() - 1;
        if (logprobs == null || logprobs.length == at) {
            logprobs = logprobs == null ? new TokenLogprobs[16] : Arrays.copyOf(logprobs, 2 * at);
        }
        logprobs[at] = known;
    }

    /** Whether its prompt may be found in the prefix cache: not where the logits of all of it are wanted. */
    boolean readsCache() {
        return request.params.promptLogprobs().isEmpty() || index > 0;
    }

    /** Where the keys and values of a position go. */
    int cacheSlot(int position) {
        return blocks[position / KvCache.BLOCK] * KvCache.BLOCK + position % KvCache.BLOCK;
    }

    void addBlock(int block) {
        if (blockCount == blocks.length) {
            blocks = Arrays.copyOf(blocks, 2 * blockCount);
        }
        blocks[blockCount++] = block;
    }

    /** Computes the hashes of the first {@code count} full blocks. */
    void hashUpTo(int count, PrefixCache cache) {
        if (hashes.length < 2 * (count + 1)) {
            hashes = Arrays.copyOf(hashes, Math.max(2 * (count + 1), 2 * hashes.length));
        }
        for (; hashed < count; hashed++) {
            cache.hash(hashes, 2 * hashed, tokens, hashed * KvCache.BLOCK);
        }
    }

    /** Shows all that was sampled to the outputs' thread. */
    void publish() {
        published = sampled();
    }

    /** Shows the end, after {@link #publish}. */
    void publishEnd(FinishReason reason) {
        finish = reason;
    }

    /** Null before the end. The outputs' thread reads it before {@link #published}. */
    FinishReason finish() {
        return finish;
    }

    int published() {
        return published;
    }
}
