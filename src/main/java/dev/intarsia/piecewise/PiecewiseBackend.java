package dev.intarsia.piecewise;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * One compilable piece with everything it was compiled to. All entries are there once it is constructed; a call only
 * picks one, by the number of tokens: an exact size beats the range that contains it.
 *
 * <p>A static piece (no symbolic argument) has exactly one entry, {@code (1, maxNumBatchedTokens)}, whatever ranges and
 * sizes are configured, and serves the size it was frozen with and no other.
 *
 * <p>Immutable; safe for any number of threads. Picking an entry allocates nothing.
 *
 * @param <E> the executable type
 */
public final class PiecewiseBackend<E> {
    private final PieceSpec spec;
    private final CompilationConfig config;
    private final List<RangeEntry<E>> entries;
    private final EntryTable table;
    private final boolean isStatic;

    /** Package-private for tests of the guards; use {@link #compile} or {@link #load}. */
    PiecewiseBackend(PieceSpec spec, CompilationConfig config, List<RangeEntry<E>> entries) {
        long compiled = entries.stream().filter(RangeEntry::compiled).count();
        if (spec.isStatic() && compiled != 1) {
            throw new IllegalStateException("Expected exactly one compiled range_entry for static shape compilation, "
                    + "but found " + compiled);
        }
        this.spec = spec;
        this.config = config;
        this.entries = List.copyOf(entries);
        this.table = new EntryTable(entries.stream().map(RangeEntry::range).toList());
        this.isStatic = spec.isStatic();
    }

    /**
     * Compiles every entry now, exact sizes first; single-size entries and static pieces with concrete shapes.
     *
     * @throws IllegalArgumentException if the configuration's mode is NONE, which compiles no pieces
     */
    public static <E> PiecewiseBackend<E> compile(PieceSpec spec, CompilationConfig config, PieceCompiler<E> compiler) {
        List<RangeEntry<E>> entries = new ArrayList<>();
        for (CompileRange range : entryRanges(spec, config)) {
            entries.add(RangeEntry.of(range, compiler.compile(range, spec.isStatic() || range.isSingleSize())));
        }
        return new PiecewiseBackend<>(spec, config, entries);
    }

    /**
     * Takes every entry from stored artifacts and compiles nothing. Artifacts that no entry needs are ignored, and
     * reported as events.
     *
     * @param artifacts executables by printed range, e.g. {@code "(1, 8)"}; iteration order is kept in messages
     * @throws MissingArtifactException if an entry has no artifact
     * @throws IllegalArgumentException if the configuration's mode is NONE
     */
    public static <E> PiecewiseBackend<E> load(
            PieceSpec spec, CompilationConfig config, Map<String, E> artifacts, CompilationTracker tracker) {
        Set<CompileRange> ranges = entryRanges(spec, config);
        List<RangeEntry<E>> entries = new ArrayList<>();
        for (CompileRange range : ranges) {
            E runnable = artifacts.get(range.toString());
            if (runnable == null) {
                throw new MissingArtifactException(range, artifacts.keySet());
            }
            entries.add(RangeEntry.of(range, runnable));
        }
        Set<String> extra = new LinkedHashSet<>(artifacts.keySet());
        ranges.forEach(range -> extra.remove(range.toString()));
        for (String key : extra) {
            tracker.event("artifacts", "piece " + spec.index() + ": stored artifact " + key
                    + " ignored: no configured range or size needs it");
        }
        return new PiecewiseBackend<>(spec, config, entries);
    }

    /** Sizes first, then ranges that are not among them; the one range of a static piece. */
    private static Set<CompileRange> entryRanges(PieceSpec spec, CompilationConfig config) {
        if (config.mode() == CompilationMode.NONE) {
            throw new IllegalArgumentException("mode is NONE: pieces are not compiled");
        }
        Set<CompileRange> ranges = new LinkedHashSet<>();
        if (spec.isStatic()) {
            ranges.add(new CompileRange(1, config.maxNumBatchedTokens()));
        } else {
            config.compileSizes().forEach(size -> ranges.add(CompileRange.of(size)));
            ranges.addAll(config.ranges());
        }
        return ranges;
    }

    /**
     * The executable for a step of {@code n} tokens.
     *
     * @throws IllegalArgumentException if no entry serves {@code n}
     */
    public E dispatch(int n) {
        RangeEntry<E> entry = entryFor(n);
        if (!entry.compiled()) {
            throw notCompiled(entry);
        }
        return entry.runnable();
    }

    /**
     * The executable for a call with these arguments; of the symbolic ones only the first named position counts.
     *
     * @param args every argument of the piece, with the value of the symbolic ints at their positions
     * @throws IllegalArgumentException if the position is outside {@code args} or no entry serves the size found there
     * @throws IllegalStateException    if the piece is static: no argument tells its size, so use {@link #dispatch}
     */
    public E dispatchArgs(int[] args) {
        if (isStatic) {
            throw new IllegalStateException("piece " + spec.index() + " is static, none of its arguments carries the "
                    + "size: call dispatch with the runtime size");
        }
        int position = spec.sizeArgument();
        if (position >= args.length) {
            throw new IllegalArgumentException("args must hold the size at position " + position + ", but has "
                    + args.length + " elements");
        }
        return dispatch(args[position]);
    }

    /**
     * The entry that serves {@code n} tokens.
     *
     * @throws IllegalArgumentException if none does
     */
    public RangeEntry<E> entryFor(int n) {
        if (isStatic) {
            if (n != spec.frozenSize()) {
                throw frozenMismatch(n);
            }
            return entries.getFirst();
        }
        int slot = table.slot(n);
        if (slot == EntryTable.NONE) {
            throw new IllegalArgumentException("Shape: " + n + " out of considered ranges: " + ranges());
        }
        return entries.get(slot);
    }

    private IllegalArgumentException frozenMismatch(int n) {
        return new IllegalArgumentException("Shape: " + n + " given to static piece " + spec.index()
                + ", which was frozen with " + spec.frozenSize() + " tokens and serves no other size");
    }

    private IllegalStateException notCompiled(RangeEntry<E> entry) {
        return new IllegalStateException("All ranges should be compiled or loaded up front, but piece " + spec.index()
                + " has an entry without a runnable: range_entry=" + entry.range());
    }

    public int index() {
        return spec.index();
    }

    public int total() {
        return spec.total();
    }

    public boolean isFirst() {
        return spec.isFirst();
    }

    public boolean isLast() {
        return spec.isLast();
    }

    public boolean isFull() {
        return spec.isFull();
    }

    public boolean isStatic() {
        return isStatic;
    }

    /** Positions of all symbolic-int arguments; a copy; empty for a static piece. */
    public int[] symShapeIndices() {
        return spec.symShapeIndices();
    }

    /** The configured ranges, ascending. */
    public List<CompileRange> ranges() {
        return config.ranges();
    }

    /** The configured exact sizes, ascending. */
    public List<Integer> sizes() {
        return config.compileSizes();
    }

    /** Every entry, exact sizes first, in the order in which they were compiled. */
    public List<RangeEntry<E>> entries() {
        return entries;
    }
}
