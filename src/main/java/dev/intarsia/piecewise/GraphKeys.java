package dev.intarsia.piecewise;

import java.util.ArrayList;
import java.util.List;

/** The recordings a configuration calls for, in the order in which they are made. Immutable. */
public final class GraphKeys {
    private final GraphMode mode;
    private final CaptureSizes sizes;
    private final int maxNumSeqs;
    private final int queryLength;

    /**
     * @param mode        as resolved
     * @param sizes       as resolved
     * @param maxNumSeqs  largest number of requests in a step
     * @param queryLength tokens per request in a uniform decode batch
     * @throws IllegalArgumentException if {@code mode} records uniform decode steps and a size that could serve them is
     *                                  not a multiple of {@code queryLength}
     */
    public GraphKeys(GraphMode mode, CaptureSizes sizes, int maxNumSeqs, int queryLength) {
        if (maxNumSeqs < 1 || queryLength < 1) {
            throw new IllegalArgumentException(
                    "maxNumSeqs and queryLength must be >= 1, were " + maxNumSeqs + " and " + queryLength);
        }
        this.mode = mode;
        this.sizes = mode == GraphMode.NONE ? CaptureSizes.none() : sizes;
        this.maxNumSeqs = maxNumSeqs;
        this.queryLength = queryLength;
        for (int size : this.sizes.sizes()) {
            if (servesUniform(size) && size % queryLength != 0) {
                throw new IllegalArgumentException("capture size " + size + " is not a multiple of the query length "
                        + queryLength + ": resolve the graph mode first, which rounds the sizes");
            }
        }
    }

    public GraphMode mode() {
        return mode;
    }

    /** The sizes recorded; none in mode NONE. */
    public CaptureSizes sizes() {
        return sizes;
    }

    /** The recording of pieces for {@code size} tokens, or null if this mode makes none. */
    BatchDescriptor piecewise(int size) {
        return mode.mixed() == RuntimeMode.PIECEWISE ? BatchDescriptor.of(size) : null;
    }

    /** The recording of whole steps for {@code size} tokens, or null if this mode makes none. */
    BatchDescriptor full(int size, boolean uniform) {
        if (mode.separateRoutine()) {
            return uniform && servesUniform(size)
                    ? new BatchDescriptor(size, Math.min(size / queryLength, maxNumSeqs), true)
                    : null;
        }
        return mode.mixed() == RuntimeMode.FULL
                ? new BatchDescriptor(size, Math.min(size, maxNumSeqs), false)
                : null;
    }

    private boolean servesUniform(int size) {
        return mode.separateRoutine()
                && mode.decode() == RuntimeMode.FULL
                && queryLength <= size
                && size <= (long) queryLength * maxNumSeqs;
    }

    /**
     * The keys of one runtime mode.
     *
     * @param mode PIECEWISE or FULL
     * @param keys largest first
     */
    public record Group(RuntimeMode mode, List<BatchDescriptor> keys) {
        public Group {
            keys = List.copyOf(keys);
        }
    }

    /** PIECEWISE, then FULL, each largest first so that smaller recordings fit in the memory of larger ones. */
    public List<Group> captureOrder() {
        List<BatchDescriptor> piecewise = new ArrayList<>();
        List<BatchDescriptor> full = new ArrayList<>();
        for (int size : sizes.sizes().reversed()) {
            if (piecewise(size) != null) {
                piecewise.add(piecewise(size));
            }
            BatchDescriptor whole = full(size, mode.separateRoutine());
            if (whole != null) {
                full.add(whole);
            }
        }
        List<Group> groups = new ArrayList<>();
        if (!piecewise.isEmpty()) {
            groups.add(new Group(RuntimeMode.PIECEWISE, piecewise));
        }
        if (!full.isEmpty()) {
            groups.add(new Group(RuntimeMode.FULL, full));
        }
        return List.copyOf(groups);
    }
}
