package dev.intarsia.engine;

/**
 * The blocks of the KV cache: how many sequences hold each, and in which order those that nobody holds are used again.
 * A block whose contents can still be found is used last, the longest unused first. Used by the engine's thread; takes
 * and gives without allocating.
 */
final class KvBlocks {
    private final int count;
    private final int[] references;
    private final int[] next; // a ring of the free blocks, through the entry `count`
    private final int[] previous;
    private final PrefixCache cache; // null if prefixes are not to be found
    private int free;
    private int freeCached;

    KvBlocks(int count, PrefixCache cache) {
        this.count = count;
        this.cache = cache;
        references = new int[count];
        next = new int[count + 1];
        previous = new int[count + 1];
        next[count] = count;
        previous[count] = count;
        for (int block = 0; block < count; block++) {
            link(block, previous[count]);
        }
    }

    /** Blocks in all. */
    int count() {
        return count;
    }

    /** Blocks that no sequence holds. */
    int free() {
        return free;
    }

    /** Those of them whose contents can be found. */
    int freeCached() {
        return freeCached;
    }

    /** A block that nobody holds, which is the caller's now; what it held is forgotten. There must be one. */
    int take() {
        int block = next[count];
        if (block == count) {
            throw new IllegalStateException("the KV cache has no free block of its " + count);
        }
        unlink(block);
        if (cache != null) {
            cache.remove(block);
        }
        references[block] = 1;
        return block;
    }

    /** Whether no sequence holds a block. */
    boolean isFree(int block) {
        return references[block] == 0;
    }

    /** One more sequence holds a block that was found. */
    void share(int block) {
        if (references[block]++ == 0) {
            unlink(block);
        }
    }

    /** A sequence does not hold a block any more. */
    void release(int block) {
        if (references[block] == 0) {
            throw new IllegalStateException("block " + block + " was given back twice");
        }
        if (--references[block] == 0) {
            link(block, cached(block) ? previous[count] : count);
        }
    }

    private boolean cached(int block) {
        return cache != null && cache.knows(block);
    }

    private void link(int block, int after) {
        next[block] = next[after];
        previous[block] = after;
        previous[next[after]] = block;
        next[after] = block;
        free++;
        freeCached += cached(block) ? 1 : 0;
    }

    private void unlink(int block) {
        next[previous[block]] = next[block];
        previous[next[block]] = previous[block];
        free--;
        freeCached -= cached(block) ? 1 : 0;
    }
}
