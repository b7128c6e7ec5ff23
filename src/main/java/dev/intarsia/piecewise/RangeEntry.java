package dev.intarsia.piecewise;

import java.util.Objects;

/**
 * One range of a piece and what it was compiled to.
 *
 * @param range    the sizes this entry serves
 * @param compiled whether {@code runnable} is there
 * @param runnable the executable; null while not compiled
 * @param <E>      the executable type
 */
public record RangeEntry<E>(CompileRange range, boolean compiled, E runnable) {

    public RangeEntry {
        Objects.requireNonNull(range, "range");
        if (compiled != (runnable != null)) {
            throw new IllegalArgumentException("range " + range + ": compiled must say whether a runnable is there");
        }
    }

    static <E> RangeEntry<E> of(CompileRange range, E runnable) {
        return new RangeEntry<>(range, true, Objects.requireNonNull(runnable, "runnable"));
    }
}
