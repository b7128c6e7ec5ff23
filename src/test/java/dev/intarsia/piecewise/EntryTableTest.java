package dev.intarsia.piecewise;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

class EntryTableTest {
    /** An exact size wins over a range that contains it, wherever either stands in the list. */
    @Test
    void theOrderOfEntriesDoesNotMatter() {
        CompileRange small = new CompileRange(1, 8);
        CompileRange large = new CompileRange(9, 64);
        CompileRange exact = CompileRange.of(8);
        for (List<CompileRange> entries : List.of(
                List.of(small, large, exact), List.of(exact, small, large), List.of(large, exact, small))) {
            EntryTable table = new EntryTable(entries);
            assertThat(entries.get(table.slot(8))).isEqualTo(exact);
            assertThat(entries.get(table.slot(7))).isEqualTo(small);
            assertThat(entries.get(table.slot(9))).isEqualTo(large);
        }
    }

    @Test
    void sizesThatNobodyServesHaveNoSlot() {
        EntryTable table = new EntryTable(List.of(new CompileRange(1, 8), CompileRange.of(20)));
        for (int size : new int[] {Integer.MIN_VALUE, -1, 0, 9, 19, 21, Integer.MAX_VALUE}) {
            assertThat(table.slot(size)).as("size %d", size).isEqualTo(EntryTable.NONE);
        }
        assertThat(table.slot(20)).isEqualTo(1);
        assertThat(new EntryTable(List.of()).slot(1)).isEqualTo(EntryTable.NONE);
    }
}
