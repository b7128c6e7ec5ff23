package dev.intarsia.engine;

import dev.intarsia.runtime.KvCache;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.SecureRandom;
import java.nio.ByteBuffer;
import java.util.Arrays;

/**
 * Which blocks hold the keys and values of which tokens. A full block is known by the hash of its parent, which stands
 * for all tokens before it and for the salt, and by its own tokens; both are compared when it is found, so that only
 * two equal parents' hashes, 128 bits with a secret key, could be mixed up. A table of fixed size: nothing is
 * allocated by looking, adding or removing. Used by the engine's thread.
 */
final class PrefixCache {
    private static final int BLOCK = KvCache.BLOCK;
    private static final int NONE = -1;

    private final long[] secret = {new SecureRandom().nextLong(), new SecureRandom().nextLong()};
    private final int mask;
    private final int[] table; // open addressing: blocks, NONE where empty
    private final boolean[] known; // per block
    private final long[] hashes; // per block: its two words
    private final long[] parents; // per block: its parent's two words
    private final int[] tokens; // [blocks, BLOCK]
    private int size;

    /** @param blocks of the KV cache */
    PrefixCache(int blocks) {
        int slots = Integer.highestOneBit(Math.max(2, Math.min(blocks, 1 << 28))) << 2; // at most half full
        mask = slots - 1;
        table = new int[slots];
        Arrays.fill(table, NONE);
        known = new boolean[blocks];
        hashes = new long[2 * blocks];
        parents = new long[2 * blocks];
        tokens = new int[Math.multiplyExact(blocks, BLOCK)];
    }

    /** The hash that stands for no token yet: that of the salt. Any thread may ask. */
    long[] root(String salt) {
        try {
            byte[] digest = MessageDigest.getInstance("SHA-256").digest(salt.getBytes(StandardCharsets.UTF_16LE));
            ByteBuffer words = ByteBuffer.wrap(digest);
            return new long[] {words.getLong() ^ secret[0], words.getLong() ^ secret[1]};
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }

    /**
     * The hash of the block that follows a parent.
     *
     * @param words the parent's two words at {@code at}, the answer's at {@code at + 2}
     * @param sequence whose tokens {@code from .. from + BLOCK - 1} are those of the block
     */
    void hash(long[] words, int at, int[] sequence, int from) {
        long high = words[at];
        long low = words[at + 1];
        for (int i = from; i < from + BLOCK; i++) {
            high = mix(high ^ sequence[i]);
            low = mix(low + sequence[i] * 0x9E3779B97F4A7C15L);
        }
        words[at + 2] = mix(high ^ secret[1]) + low;
        words[at + 3] = mix(low ^ secret[0]) ^ high;
    }

    /** The finalizer of SplitMix64: a bijection that spreads every bit. */
    private static long mix(long z) {
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }

    /**
     * The block that holds these tokens, or -1.
     *
     * @param words the parent's hash at {@code at}, the block's own at {@code at + 2}
     */
    int find(long[] words, int at, int[] sequence, int from) {
        for (int slot = slot(words[at + 2]); table[slot] != NONE; slot = slot + 1 & mask) {
            int block = table[slot];
            if (hashes[2 * block] == words[at + 2]
                    && hashes[2 * block + 1] == words[at + 3]
                    && parents[2 * block] == words[at]
                    && parents[2 * block + 1] == words[at + 1]
                    && Arrays.equals(tokens, block * BLOCK, (block + 1) * BLOCK, sequence, from, from + BLOCK)) {
                return block;
            }
        }
        return NONE;
    }

    /** Says what a block holds, unless another holds the same already. */
    void put(int block, long[] words, int at, int[] sequence, int from) {
        if (known[block] || find(words, at, sequence, from) != NONE) {
            return;
        }
        known[block] = true;
        hashes[2 * block] = words[at + 2];
        hashes[2 * block + 1] = words[at + 3];
        parents[2 * block] = words[at];
        parents[2 * block + 1] = words[at + 1];
        System.arraycopy(sequence, from, tokens, block * BLOCK, BLOCK);
        int slot = slot(words[at + 2]);
        while (table[slot] != NONE) {
            slot = slot + 1 & mask;
        }
        table[slot] = block;
        size++;
    }

    /** Whether a block can be found. */
    boolean knows(int block) {
        return known[block];
    }

    /** Forgets what a block holds, if it was known. */
    void remove(int block) {
        if (!known[block]) {
            return;
        }
        known[block] = false;
        size--;
        int gap = slot(hashes[2 * block]);
        while (table[gap] != block) {
            gap = gap + 1 & mask;
        }
        // Those behind the gap move up, unless that would put them before the slot where looking for them begins.
        for (int slot = gap + 1 & mask; table[slot] != NONE; slot = slot + 1 & mask) {
            int home = slot(hashes[2 * table[slot]]);
            if ((slot - home & mask) >= (slot - gap & mask)) {
                table[gap] = table[slot];
                gap = slot;
            }
        }
        table[gap] = NONE;
    }

    /** Blocks that can be found. */
    int size() {
        return size;
    }

    private int slot(long hash) {
        return (int) hash & mask;
    }
}
