package dev.intarsia.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.intarsia.runtime.KvCache;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** The table of blocks against a map, and the order in which free blocks are used again. */
class PrefixCacheTest {
    private static final int BLOCK = KvCache.BLOCK;
    private static final int BLOCKS = 37;

    @Test
    void findsExactlyWhatAMapWouldFind() {
        PrefixCache cache = new PrefixCache(BLOCKS);
        Map<List<Integer>, Integer> blocks = new HashMap<>(); // by the tokens, all of one parent
        Random random = new Random(1);
        long[] root = cache.root("tenant");
        for (int round = 0; round < 20_000; round++) {
            int[] tokens = new int[BLOCK];
            Arrays.fill(tokens, random.nextInt(60));
            List<Integer> key = Arrays.stream(tokens).boxed().toList();
            long[] words = Arrays.copyOf(root, 4);
            cache.hash(words, 0, tokens, 0);
            assertThat(cache.find(words, 0, tokens, 0)).isEqualTo(blocks.getOrDefault(key, -1));
            int block = random.nextInt(BLOCKS);
            if (random.nextBoolean()) {
                if (!cache.knows(block) && !blocks.containsKey(key)) {
                    blocks.put(key, block);
                }
                cache.put(block, words, 0, tokens, 0);
            } else {
                blocks.values().remove(block);
                cache.remove(block);
            }
            assertThat(cache.knows(block)).isEqualTo(blocks.containsValue(block));
            assertThat(cache.size()).isEqualTo(blocks.size());
        }
    }

    @Test
    void theParentAndTheSaltCount() {
        PrefixCache cache = new PrefixCache(4);
        int[] tokens = new int[2 * BLOCK]; // two blocks of the same tokens
        long[] words = Arrays.copyOf(cache.root("a"), 6);
        cache.hash(words, 0, tokens, 0);
        cache.hash(words, 2, tokens, BLOCK);
        cache.put(3, words, 0, tokens, 0);
        assertThat(cache.find(words, 0, tokens, 0)).isEqualTo(3);
        assertThat(cache.find(words, 2, tokens, BLOCK)).isEqualTo(-1);
        long[] others = Arrays.copyOf(cache.root("b"), 4);
        cache.hash(others, 0, tokens, 0);
        assertThat(cache.find(others, 0, tokens, 0)).isEqualTo(-1);
        assertThat(cache.root("a")).isEqualTo(cache.root("a"));
        assertThat(new PrefixCache(4).root("a")).as("the key is secret and new each time").isNotEqualTo(cache.root("a"));
    }

    @Test
    void blocksAreCountedAndNoneIsGivenBackTwice() {
        KvBlocks blocks = new KvBlocks(3, null);
        int first = blocks.take();
        int second = blocks.take();
        int third = blocks.take();
        assertThat(List.of(first, second, third)).containsExactlyInAnyOrder(0, 1, 2);
        assertThatThrownBy(blocks::take).isInstanceOf(IllegalStateException.class).hasMessageContaining("3");
        blocks.share(second);
        blocks.release(second);
        assertThat(blocks.free()).isZero();
        blocks.release(second);
        assertThat(blocks.free()).isEqualTo(1);
        assertThatThrownBy(() -> blocks.release(second)).hasMessageContaining("twice");
        assertThat(blocks.take()).isEqualTo(second);
    }
}
