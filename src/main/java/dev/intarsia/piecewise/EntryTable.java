package dev.intarsia.piecewise;

import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;

/**
 * Size → position of the entry that serves it. The sizes are cut into segments at every place where the answer changes,
 * exact sizes included. Sizes up to {@value #DIRECT} are looked up at once; those beyond by binary search over the segments. It neither
 * boxes nor allocates.
 */
final class EntryTable {
    static final int NONE = -1;

    /** Largest size with a place of its own in the table: random sizes would cost a search some mispredicted branches. */
    private static final int DIRECT = 4096;

    /** Last size of each segment, ascending; the first segment starts at 1, each other right after the one before. */
    private final int[] ends;
    /** Position of the entry that serves a segment, or {@link #NONE}. */
    private final int[] slots;
    /** Position of the entry for each size from 0, or {@link #NONE}. */
    private final short[] direct;

    /** @param entries distinct; single-size ones beat those that contain them, the others do not overlap */
    EntryTable(List<CompileRange> entries) {
        TreeSet<Integer> cuts = new TreeSet<>();
        for (CompileRange range : entries) {
            cuts.add(range.start() - 1);
            cuts.add(range.end());
        }
        cuts.remove(0);
        ends = cuts.stream().mapToInt(Integer::intValue).toArray();
        slots = new int[ends.length];
        for (int i = 0; i < ends.length; i++) {
            slots[i] = search(entries, ends[i]);
        }
        int last = ends.length == 0 || entries.size() > Short.MAX_VALUE ? 0 : Math.min(ends[ends.length - 1], DIRECT);
        direct = new short[last + 1];
        for (int size = 0; size <= last; size++) {
            direct[size] = (short) bySegment(size);
        }
    }

    /** Position of the entry that serves {@code size}, or {@link #NONE}. */
    int slot(int size) {
        return size >= 0 && size < direct.length ? direct[size] : bySegment(size);
    }

    private int bySegment(int size) {
        if (size < 1) {
            return NONE;
        }
        int low = 0;
        int high = ends.length;
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (ends[middle] < size) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low < slots.length ? slots[low] : NONE;
    }

    private static int search(List<CompileRange> entries, int size) {
        int exact = entries.indexOf(CompileRange.of(size));
        if (exact >= 0) {
            return exact;
        }
        for (int i = 0; i < entries.size(); i++) {
            if (entries.get(i).contains(size)) {
                return i;
            }
        }
        return NONE;
    }

    @Override
    public String toString() {
        return "ends " + Arrays.toString(ends) + ", slots " + Arrays.toString(slots);
    }
}
