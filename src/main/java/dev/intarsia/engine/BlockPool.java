package dev.intarsia.engine;

/** The free blocks of the KV cache. Used by the engine's thread; takes and gives without allocating. */
final class BlockPool {
    private final int[] free; // a stack
    private int count;

    BlockPool(int blocks) {
        free = new int[blocks];
        for (int i = 0; i < blocks; i++) {
            free[i] = blocks - 1 - i;
        }
        count = blocks;
    }

    int available() {
        return count;
    }

    /** @throws IllegalStateException if none is free */
    int take() {
        if (count == 0) {
            throw new IllegalStateException("the KV cache has no free block of its " + free.length);
        }
        return free[--count];
    }

    void give(int block) {
        if (count == free.length) {
            throw new IllegalStateException("block " + block + " was given back twice");
        }
        free[count++] = block;
    }
}
